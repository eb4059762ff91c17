"""One waterfall on a snapshot: who pays what, by every rule; files; money adds up."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import image

from abm.clearing.adl import RULES
from abm.figures.unwind import draw_unwind
from abm.settings import SettingsError
from abm.unwind import CAUSES, BookLevels, Snapshot, read_book, read_snapshot, unwind
from abm.venues.preset import load_preset

PRESETS = ("binance-2025-10", "bybit-2025-10", "hyperliquid-2025-10", "okx-2025-10")


def snapshot(*accounts):
    """(name, side, size, entry, margin[, mode]) each."""
    columns = list(zip(*(account if len(account) == 6 else (*account, 0) for account in accounts), strict=True))
    side, size, entry, margin = (np.array(columns[i], float) for i in (1, 2, 3, 4))
    return Snapshot(list(columns[0]), side.astype(int), size, entry, margin, 1 - np.array(columns[5], int))


def bids(*levels):
    price, size = (np.array(column, float) for column in zip(*levels, strict=True)) if levels else ([], [])
    return BookLevels(np.ones(len(price), int), np.array(price), np.array(size))


LOSER = ("loser", 1, 10.0, 100_000.0, 50_000.0)  # bankrupt at 95,000
WINNERS = (
    ("thin", -1, 4.0, 100_000.0, 20_000.0),
    ("middle", -1, 8.0, 96_000.0, 40_000.0),
    ("rich", -1, 8.0, 120_000.0, 900_000.0),
)
FLAT = ("long too", 1, 1.0, 60_000.0, 50_000.0)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_change_has_a_cause_and_money_adds_up(name, rule):
    done = unwind(snapshot(LOSER, *WINNERS, FLAT), bids((91_000, 3)), 90_000, load_preset(name), rule, fund=1_000)
    change = done.column("equity_after") - done.column("equity_before")
    assert np.allclose(change, sum(done.column(cause) for cause in CAUSES), atol=1e-5, rtol=0)
    total = change.sum() + sum(after - before for before, after in done.others.values())
    assert total == pytest.approx(0, abs=1e-5)
    assert done.waterline[-1][2] == pytest.approx(done.others["fund"][1], abs=1e-5)
    assert done.accounts["what"][0] in ("handed over", "liquidated")
    assert done.accounts["size_after"][0] == 0
    if rule in ("socialised", "none"):
        assert done.accounts["size_after"][1:] == done.accounts["size_before"][1:]
    if rule == "none":
        assert done.accounts["what"][1:] == ["untouched"] * 4
        assert done.others["fund"][1] < 0


def test_by_hand_the_queue_closes_the_winner_at_bankruptcy():
    """At 90,000 the loser lacks $50,000 on 10 BTC; nobody bids, the fund has 1,000. Thin is first: 4 at 95,000."""
    done = unwind(snapshot(LOSER, *WINNERS), bids(), 90_000, load_preset("binance-2025-10"), fund=1_000)
    rows = {name: i for i, name in enumerate(done.accounts["id"])}
    assert done.rule == "binance-queue"
    assert done.accounts["equity_before"][0] == pytest.approx(-50_000)
    assert done.accounts["equity_after"][0] == pytest.approx(0)
    lost = -done.column("deleveraged")
    assert lost.sum() == pytest.approx(50_000)
    assert lost[rows["thin"]] == pytest.approx(4 * 5_000)
    closed = done.column("size_before") - done.column("size_after")
    assert closed.sum() == pytest.approx(20)
    assert done.others["fund"] == (1_000, 1_000)
    assert done.accounts["what"][0] == "handed over"
    words = done.text().splitlines()
    assert words[0] == "mark 90,000.00, rule binance-queue, 2 rounds; amounts in USDT"
    assert any(line.split()[:3] == ["handed", "over", "1"] and line.endswith("+50,000.00") for line in words)
    assert any(line.startswith("thin") and "-20,000.00" in line for line in words)


def test_by_hand_a_fund_that_suffices_pays_all():
    done = unwind(snapshot(LOSER, *WINNERS), bids(), 90_000, load_preset("binance-2025-10"), fund=60_000)
    assert done.others["fund"][1] == pytest.approx(10_000)
    assert done.accounts["what"] == ["handed over", "untouched", "untouched", "untouched"]
    assert [step[0] for step in done.waterline] == ["at first", "handed_over"]
    assert done.waterline[-1][1] == "loser"


def test_by_hand_a_socialised_loss_is_by_open_interest():
    done = unwind(snapshot(LOSER, *WINNERS), bids(), 90_000, load_preset("binance-2025-10"), "socialised", fund=1_000)
    # the fund lacks 49,000; holders are the winners with 4, 8 and 8 BTC
    assert (-done.column("charged")).tolist() == [0, *np.array([9_800, 19_600, 19_600])]
    assert done.others["fund"][1] == pytest.approx(0, abs=1e-6)


def test_the_book_comes_first():
    """Bankrupt at 95,000, mark 94,800: what is bid above takes the position, and it ends with the gain."""
    preset = load_preset("bybit-2025-10")
    deep = unwind(snapshot(LOSER, *WINNERS), bids((95_500, 20)), 94_800, preset, fund=1_000)
    assert deep.accounts["what"] == ["liquidated", *["untouched"] * 3]
    assert 0 < deep.column("in_book")[0] <= 10 * 700
    assert deep.left_out == 0
    half = unwind(snapshot(LOSER, *WINNERS), bids((95_500, 5), (150_000, 1)), 94_800, preset, fund=1_000)
    assert half.left_out == 1, "a bid far above the mark is beyond the venue's filter"
    assert half.accounts["what"][0] == "handed over"
    assert half.column("in_book")[0] == pytest.approx(deep.column("in_book")[0] / 2)


def test_the_mark_before_prices_the_winners():
    preset = load_preset("hyperliquid-2025-10")
    accounts = snapshot(LOSER, *WINNERS)
    at_mark = unwind(accounts, bids(), 90_000, preset, fund=0)
    before = unwind(accounts, bids(), 90_000, preset, fund=0, previous_mark_usd=93_000)
    assert at_mark.column("deleveraged").sum() == pytest.approx(0)
    assert before.column("deleveraged").sum() == pytest.approx(-30_000)


def test_files(tmp_path):
    people, orders = tmp_path / "people.csv", tmp_path / "book.csv"
    people.write_text("id,side,size,entry,margin,mode\na,long,10,100000,50000,isolated\nb,short,4,1e5,20000,cross\n")
    orders.write_text("side,price,size\nbid,94000,1\nask,95000,1\n")
    read = read_snapshot(people)
    assert (read.names, read.side.tolist(), read.mode.tolist()) == (["a", "b"], [1, -1], [1, 0])
    done = unwind(read, read_book(orders), 90_000, load_preset("binance-2025-10"), fund=0)
    for ending in "csv", "parquet":
        assert done.write(tmp_path / f"out.{ending}").stat().st_size > 100
    import pandas as pd

    assert pd.read_parquet(tmp_path / "out.parquet")["what"].tolist() == done.accounts["what"]
    again = tmp_path / "again.parquet"
    pd.DataFrame({"id": ["a"], "side": ["short"], "size": [1.0], "entry": [1.0], "margin": [0.0]}).to_parquet(again)
    assert read_snapshot(again).mode.tolist() == [1]


def test_everything_wrong_in_a_file_is_said(tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("id,side,size,entry,margin,mode\na,up,10,100000,1,isolated\na,short,-4,x,2,shared\n")
    with pytest.raises(SettingsError) as error:
        read_snapshot(bad)
    for words in ("'up' is none of long", "-4", "'x' is no number", "'shared' is none of", "named twice"):
        assert words in str(error.value)
    bad.write_text("side,price\nbid,1\n")
    with pytest.raises(SettingsError, match="lacks the column size"):
        read_book(bad)
    bad.write_text("side,price,size\nbid,10,1\nask,9,1\n")
    with pytest.raises(SettingsError, match="not below the best offer"):
        read_book(bad)
    with pytest.raises(SettingsError, match="no such file"):
        read_book(tmp_path / "none.csv")
    with pytest.raises(SettingsError, match="ending"):
        read_book(tmp_path / "none.txt")
    with pytest.raises(SettingsError, match="has no 'DOGE'"):
        unwind(snapshot(LOSER), bids(), 90_000, load_preset("binance-2025-10"), instrument="DOGE")
    with pytest.raises(SettingsError, match="smaller than a lot"):
        unwind(snapshot(("a", 1, 1e-9, 1.0, 1.0)), bids(), 90_000, load_preset("binance-2025-10"))


def crowd(n=400, seed=7):
    """Longs that a fall to 90,000 ruins more or less, and shorts of all sizes, Pareto-like."""
    rng = np.random.default_rng(seed)
    size = np.round(0.05 / rng.uniform(0.002, 1, n) ** 0.8, 3)
    side = np.where(np.arange(n) < n // 2, 1, -1)
    size[side < 0] *= 1.5
    entry = np.where(side > 0, rng.uniform(97_000, 104_000, n), rng.uniform(92_000, 121_000, n))
    margin = size * entry / np.where(side > 0, rng.choice([5, 10, 20, 50], n), rng.choice([1, 3, 10, 25], n))
    return Snapshot([f"a{i}" for i in range(n)], side, np.round(size, 3), entry, margin, np.ones(n, int))


@pytest.mark.parametrize("rule", ["binance-queue", "capped-pro-rata", "socialised"])
def test_a_crowd_and_its_picture(tmp_path, rule):
    book = BookLevels(np.ones(40, int), 89_990 - 50.0 * np.arange(40), np.full(40, 2.0))
    done = unwind(crowd(), book, 90_000, load_preset("binance-2025-10"), rule, fund=50_000)
    change = done.column("equity_after") - done.column("equity_before")
    total = change.sum() + sum(after - before for before, after in done.others.values())
    assert total == pytest.approx(0, abs=1e-4)
    what = done.accounts["what"]
    assert {"handed over", *(("charged",) if rule == "socialised" else ("deleveraged", "untouched"))} <= set(what)
    assert done.others["fund"][1] >= -1e-6
    drawn = draw_unwind(done, f"Waterfall at 90,000: {rule}", tmp_path / "unwind.png")
    assert image.imread(drawn).shape[1] > 1500


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("aster-simple-2025-10", ""),
        ("regulated-2025-10", ""),
        ("binance-multi-2025-10", "BTCUSD"),
        ("binance-multi-2025-10", "BTCUSDT-251226"),
    ],
)
def test_other_kinds_of_venue_and_contract_end_too(name, instrument):
    preset, people = load_preset(name), crowd(100)
    chosen = next(rules for rules in preset.perpetual if instrument in ("", rules.name))
    if chosen.inverse_contract:  # contracts of $100; margin in coins
        contracts = np.maximum(np.round(people.size * people.entry / 100), 1)
        share = people.margin / (people.size * people.entry)
        people = Snapshot(
            people.names, people.side, contracts, people.entry, contracts * 100 / people.entry * share, people.mode
        )
    done = unwind(people, bids((89_900, 5)), 90_000, preset, instrument=instrument, fund=1.0)
    change = done.column("equity_after") - done.column("equity_before")
    assert np.allclose(change, sum(done.column(cause) for cause in CAUSES), atol=2e-5, rtol=0)
    total = change.sum() + sum(after - before for before, after in done.others.values())
    assert total == pytest.approx(0, abs=1e-4)  # inverse values are rounded to a satoshi an account
    assert set(done.accounts["what"]) > {"untouched"}
    assert done.rounds < 50
