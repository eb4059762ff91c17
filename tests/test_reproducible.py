"""Same seed, same bytes: in another process, with another hash seed, with threads, one by one or as a cohort.

And luck belongs to people, not to circumstances: a changed rule reshuffles nobody's draws.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.recorder import Recorder
from abm.scenario import Scenario, load_scenario
from abm.traders.base import Batch
from tests.stressed import stressed

ROOT = Path(__file__).resolve().parent.parent
RESULT_FILES = ("run.json", "steps.parquet", "events.parquet", "opening.parquet", "closing.parquet")


def recorded(scenario: Scenario, level: str = "fills") -> Recorder:
    recorder = Recorder(level)
    MarketModel(scenario, recorder=recorder).run()
    return recorder


def digest(recorder: Recorder) -> str:
    return hashlib.sha256(recorder.events_array.tobytes() + recorder.steps_array.tobytes()).hexdigest()


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Different hash seeds, working folders and numbers of threads; every result file is compared."""
    code = (
        "import sys; from pathlib import Path; from tests.stressed import stressed, write_run; "
        "write_run(stressed(duration_s=40), Path(sys.argv[1]) / 'run', 'orders')"
    )
    runs = []
    for number, (hash_seed, threads) in enumerate((("0", "1"), ("4242", "2"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        surroundings = os.environ | {"PYTHONHASHSEED": hash_seed, "NUMBA_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code, str(folder)], env=surroundings, cwd=folder, check=True)
        runs.append(folder / "run")
    for name in RESULT_FILES:
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name


@pytest.mark.parametrize("seed", [1, 2])
def test_individual_and_cohort_give_the_same_events(seed: int) -> None:
    """A thousand traders through a shock, every order recorded."""
    changes: dict[str, Any] = {"accounts": 1000, "duration_s": 60, "seed": seed}
    individual = recorded(stressed(traders="individual", **changes), "orders")
    cohort = recorded(stressed(traders="cohort", **changes), "orders")
    assert individual.steps_array["liquidated_long_accounts"].sum() > 0
    assert individual.events_array.tobytes() == cohort.events_array.tobytes()
    assert individual.steps_array.tobytes() == cohort.steps_array.tobytes()


def test_what_is_recorded_changes_nothing() -> None:
    fills, orders = (recorded(stressed(duration_s=30), level) for level in ("fills", "orders"))
    assert fills.steps_array.tobytes() == orders.steps_array.tobytes()
    prices = [recorder.steps_array["perp_usd"] for recorder in (recorded(stressed(duration_s=30), "summary"), fills)]
    assert np.array_equal(*prices)


def test_models_side_by_side_do_not_mix() -> None:
    """Two models stepped in turn, and four in threads, do what each does alone."""
    scenarios = [stressed(duration_s=25, seed=seed) for seed in (1, 2)]
    alone = [digest(recorded(scenario)) for scenario in scenarios]
    recorders = [Recorder("fills") for _ in scenarios]
    models = [MarketModel(s, recorder=r) for s, r in zip(scenarios, recorders, strict=True)]
    while models[0].running:
        for model in models:
            model.step()
    assert [digest(recorder) for recorder in recorders] == alone
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda s: digest(recorded(s)), scenarios * 2)) == alone * 2


def test_another_seed_is_another_run() -> None:
    scenario = stressed(duration_s=20)
    assert digest(recorded(scenario)) != digest(recorded(scenario.changed(seed=2)))


def test_mesa_randomness_is_not_used() -> None:
    """Somebody who draws from `model.random` or `model.rng` disturbs nothing."""
    scenario = stressed(duration_s=20)
    recorder = Recorder("fills")
    model = MarketModel(scenario, recorder=recorder)
    while model.running:
        model.random.random()
        model.rng.normal(size=3)
        model.step()
    assert digest(recorder) == digest(recorded(scenario))


# --- another rule, the same luck --------------------------------------------------------------------------------------
CALM = load_scenario("tiny").changed(news=[], duration_s=100, accounts=2500, retail__review_s=30)
"""As a cohort, reviewing often."""
OTHER_RULES = {
    "fees": {"venue__perpetual__BTCUSDT__taker_fee": "0.0009", "venue__perpetual__BTCUSDT__maker_fee": "0.0001"},
    "fund": {"venue__backstop__size_usd": 7_000_000},
}


def asked(model: MarketModel, tick: int) -> dict[str, np.ndarray]:
    """What each kind of people sends at a tick with a given look of the market, and which retail traders wake up."""
    model._look()
    view = model.view
    view.tick, view.seconds = tick, float(tick)
    found: dict[str, np.ndarray] = {"woken": model.retail.woken(view)}
    for person in model.people:
        if person is model.retail:
            continue
        batch = Batch()
        person.decide(view, batch)
        found[type(person).__name__] = batch.messages().copy()
    return found


@pytest.mark.parametrize("rule", ["fees", "fund"])
def test_a_rule_reshuffles_nobody(rule: str) -> None:
    """With the market looking the same, everybody wakes at the same moments and sends the same orders."""
    ours, other = MarketModel(CALM), MarketModel(CALM.changed(**OTHER_RULES[rule]))
    ours.retail.woken(ours.view)
    other.retail.woken(other.view)
    some = 0
    for tick in range(1, 80):
        for (kind, here), there in zip(asked(ours, tick).items(), asked(other, tick).values(), strict=True):
            assert np.array_equal(here, there), f"tick {tick}: {kind}"
            some += here.size
    assert some > 1000


@pytest.mark.parametrize(("rule", "market_same"), [("fund", True), ("fees", False)])
def test_luck_in_a_whole_run(rule: str, market_same: bool) -> None:
    """The fund's size never shows in a calm market. A fee moves prices a little; who acts when stays."""
    runs = []
    for scenario in (CALM, CALM.changed(**OTHER_RULES[rule])):
        recorder = Recorder("orders")
        model = MarketModel(scenario, recorder=recorder)
        woken, noise = [], []
        while model.running:
            model.step()
            woken.append(model.retail.woken(model.view))
            batch = Batch()
            model.people[1].decide(model.view, batch)
            noise.append(batch.count)
        runs.append((woken, noise, recorder))
    (woken, noise, ours), (woken_too, noise_too, other) = runs
    assert all(np.array_equal(a, b) for a, b in zip(woken, woken_too, strict=True))
    if market_same:
        assert ours.events_array.tobytes() == other.events_array.tobytes()
        assert noise == noise_too
    else:
        assert ours.events_array.tobytes() != other.events_array.tobytes()


def test_more_accounts_leave_the_first_ones_their_luck() -> None:
    """Draws are keyed by the trader's number: a trader more takes nothing from the others."""
    from abm.rng import stream, uniforms

    few, many = (uniforms(1, stream("retail wake"), np.arange(n), 3, 0) for n in (100, 1000))
    assert np.array_equal(few, many[:100])
