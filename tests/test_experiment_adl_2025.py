"""Experiments on deleveraging: the published file's identities, the reconstruction, and synthetic winners."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from matplotlib import image

from abm.clearing.adl import RULES, BybitQueue, HyperliquidQueue
from abm.experiment import load_experiment
from abm.settings import SettingsError
from experiments import _adl_rules, adl_2025
from experiments import _adl_winners as source

needs_data = pytest.mark.skipif(
    source.folder("") is None, reason="the data may not be redistributed: set DELEVERAGE_DATA or lay ../shared/data"
)


def outside(results):
    return [check["what"] for check in results["checks"] if not check["inside"]]


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv(source.VARIABLE, raising=False)
    monkeypatch.setattr(source, "_usual", lambda: [str(tmp_path)])


def run(**options):
    said = []
    return adl_2025.run(adl_2025.Options(**options), said.append), said


# --- with the data ----------------------------------------------------------------------------------------------------
@needs_data
def test_every_identity_of_the_waves_holds(tmp_path):
    results, said = run(wave_accounts=500, **adl_2025.QUICK)
    assert results["skipped"] == {} and not any("skipped" in words for words in said)
    assert results["waves"]["source"] == "file"
    assert len(results["waves"]["waves"]) == 16
    assert len(results["checks"]) >= 50
    assert outside(results) == []
    assert "not winners" in adl_2025.text(results)
    assert image.imread(adl_2025.draw(results, tmp_path / "adl.png")).shape[1] > 1000


@needs_data
def test_a_wave_that_is_changed_is_noticed(tmp_path):
    place = source.folder("")
    for name in source.DEFICITS, source.SHOCKS:
        (tmp_path / name).write_bytes((place / name).read_bytes())
    with (place / source.WAVES).open(newline="") as file:
        rows = list(csv.reader(file))
    at = rows[0].index("budget_prod")
    rows[5][at] = str(float(rows[5][at]) + 1)
    with (tmp_path / source.WAVES).open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    results, said = run(wave_accounts=50, accounts=200, data=str(tmp_path), shares=(0.25,))
    assert list(results["skipped"]) == ["the winners of the venue"]
    assert any("hl_adl_by_user.csv is not in" in words for words in said)
    assert {"overshoot = budget - needed, 7 policies", "taken"} <= set(outside(results))


@needs_data
def test_the_reconstruction_under_every_rule():
    results = run(**adl_2025.QUICK)[0]
    found = results["rules"]
    assert found["source"] == "reconstructed"
    assert (found["accounts"], found["eligible"]) == (19_337, 19_213)
    assert outside(results) == []
    rows = {row["rule"]: row for row in found["rows"]}
    assert list(rows) == list(RULES)
    for name, row in rows.items():
        assert row["overshoot_usd"] == 0
        assert row["left_with_fund_usd"] == (found["loss_usd"] if name == "none" else 0)
    queue, even = rows["hyperliquid-queue"], rows["pro-rata"]
    assert queue["top_10_share"] > 0.8 > 0.45 > even["top_10_share"]
    assert queue["accounts"] < 3_000 < 19_000 < even["accounts"]
    assert even["into_loss"] == 0 < queue["into_loss"]
    assert rows["socialised"]["closed_usd"] == rows["none"]["closed_usd"] == 0
    words = adl_2025.text(results)
    assert "reconstructed from hl_adl_by_user.csv" in words
    assert "DRAWN" not in words and "SKIPPED" not in words


@needs_data
def test_recorded_equity_is_cash_plus_profit():
    """The only file with single closings has both; so the reconstruction may add the profit to `account value`."""
    path = source.folder("") / "hl_adl_high_leverage_outliers.csv"
    cash, profit, equity = source.read_columns(path, "account_value_realtime", "total_unrealized_pnl", "total_equity")
    assert np.allclose(cash + profit, equity, rtol=0, atol=1e-6)


@needs_data
def test_two_venues_share_one_queue_where_equity_is_positive():
    winners = source.reconstructed(source.folder("")).winners(0.0125)
    backed = winners.equity[winners.eligible] > 0
    assert 0 < (~backed).sum() < 200
    bybit, hyperliquid = BybitQueue().ranking(winners), HyperliquidQueue().ranking(winners)
    positive = winners.equity > 0
    assert np.array_equal(bybit[positive[bybit]], hyperliquid[positive[hyperliquid]])


# --- without ----------------------------------------------------------------------------------------------------------
def test_without_data_the_comparisons_are_skipped_with_a_reason(no_data, tmp_path):
    few = {"accounts": 1_500, "wave_accounts": 1_500, "shares": (0.25,)}
    results, said = run(**few)
    assert sum("skipped" in words and "is not in $DELEVERAGE_DATA" in words for words in said) == 2, said
    assert len(results["skipped"]) == 2
    assert outside(results) == []
    assert not any(check["what"] in ("needed", "taken", "closed") for check in results["checks"])
    assert run(**few)[0] == results
    assert image.imread(adl_2025.draw(results, tmp_path / "adl.png")).shape[1] > 1000
    words = adl_2025.text(results)
    assert "DRAWN" in words and words.count("SKIPPED") == 2


def test_identities_by_hand_can_fail(monkeypatch):
    assert all(check["inside"] for check in adl_2025._hand_checks())
    monkeypatch.setattr(adl_2025, "pro_rata_haircut", adl_2025.queue_haircut)
    assert sum(not check["inside"] for check in adl_2025._hand_checks()) == 3


def test_drawn_sizes_have_the_published_quantiles():
    sizes = np.concatenate([source.drawn(20_000, 3, tick).notional for tick in range(5)])
    for share, size in source.QUANTILES[1:-1]:
        error = 4 * np.sqrt(share * (1 - share) / sizes.size)
        assert abs((sizes > size).mean() - share) < error
    assert sizes.max() <= source.QUANTILES[-1][1] * (1 + 1e-9)
    assert not np.array_equal(source.drawn(50, 3, 0).notional, source.drawn(50, 3, 1).notional)


def test_all_that_is_wrong_is_said(tmp_path):
    with pytest.raises(SettingsError) as error:
        load_experiment("adl-2025", [f"data={tmp_path}", "shares=[0.5,2]"])
    assert "hl_adl_by_user.csv is not in" in str(error.value)
    assert "at most 1" in str(error.value)
    assert "adl_paper_policy_per_wave.csv is not in" in str(error.value)


def test_a_file_without_a_column_is_named(tmp_path):
    (tmp_path / source.BY_USER).write_text("user,adl_notional\n1,2\n")
    with pytest.raises(ValueError, match=r"hl_adl_by_user\.csv lacks closed_pnl"):
        source.reconstructed(tmp_path)


# --- small, by hand ---------------------------------------------------------------------------------------------------
def test_one_loss_by_hand():
    """Three shorts of $1,000 with profits of 100, 60 and 40; half is closed at 10 % beyond the mark: $150 to raise."""
    pool = source.Pool(np.full(3, 1_000.0), np.array([100.0, 60, 40]), np.array([900.0, 540, 100]))
    winners, options = pool.winners(0.01), _adl_rules.Options(profit_cap=0.6)
    assert _adl_rules.gap(winners, 0.5, 150) == pytest.approx(0.1)
    losses = {name: (_adl_rules.burden_of(name, winners, 0.5, 150, options).loss / 1e6).tolist() for name in RULES}
    assert losses["pro-rata"] == [75, 45, 30]
    assert losses["capped-pro-rata"] == [60, 54, 36]  # the first at 60 % of its position, the rest 60 : 40
    assert losses["hyperliquid-queue"] == losses["bybit-queue"] == [0, 50, 100]  # scores 0.091, 0.094, 0.275
    assert losses["socialised"] == [50, 50, 50]
    assert losses["none"] == [0, 0, 0]
    row = _adl_rules.measures(winners, _adl_rules.burden_of("pro-rata", winners, 0.5, 150, options), 150)
    assert row["booked_usd"] == pytest.approx(75 + 27 + 12)
    assert row["into_loss"] == 0
    assert row["median_haircut"] == pytest.approx(0.75)


@pytest.mark.full
@needs_data
def test_at_full_size():
    assert outside(run(**adl_2025.FULL)[0]) == []
