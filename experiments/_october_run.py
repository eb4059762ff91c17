"""One evening of `october`: a run, its measures, the oracle's figures of its opening, and how its traders fare.

The oracle is the mean-field cascade: with phi coins of longs to be liquidated and rho coins of bids within the same
`REACH` below the price, n = phi / rho, and a fall that would be D without liquidations is D / (1 - n) with them; for
n >= 1 there is no end before the reach. It looks at the calm book, so it knows nothing of makers who withdraw, of
panic, or of forced orders that find no buyer at their limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from abm.measures import summary
from abm.measures.branching import by_flow
from abm.model import MarketModel
from abm.recorder import Recorder, Run
from abm.scenario import load_scenario
from abm.state import BUY
from abm.traders.retail_figures import Figures
from abm.venues.profile import profile_of

RUNNER = "experiments._october_run:evening"
REACH, STEP = 0.10, 0.005
CALM_S = 30.0
"""After so long the makers' book stands; the first news comes later."""
WINDOWS_S = (10, 300)
"""Other windows of the branching ratio by flow than the measure's minute."""


def evening(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Run a scenario with settings and give its measures.

    Args:
        values: scenario; accounts; duration_s and tick_s (0: as the scenario has it); settings (texts `a.b=value`,
            which win); draw: the seed, in place of `seed`; other values are names for people.
        seed: of the run.
    """
    seed = int(values.get("draw", seed))
    common = [f"accounts={values['accounts']}"]
    common += [f"{name}={values[name]}" for name in ("duration_s", "tick_s") if values[name] > 0]
    scenario = load_scenario(values["scenario"], [*common, *values["settings"]], seed)
    recorder = Recorder("fills")
    model = MarketModel(scenario, recorder=recorder)
    figures = Figures(model.retail, model)
    calm = max(1, round(CALM_S / scenario.tick_s))
    oracle: dict[str, float] = {}
    while model.running:
        model.step()
        if model.tick == calm:
            oracle = mean_field(model)
    recorder.closing(model.accounts)
    run = recorder.run()
    measures = summary(run)
    measures |= acted_on(run.steps, measures, scenario.tick_s, len(model.exchanges.desks))
    measures |= other_windows(run, model)
    measures["liquidated_accounts_percent"] = 100 * measures["liquidation_starts"] / scenario.accounts
    kept = figures.now()
    fare = {name: 100 * kept[name] for name in ("wealth_ratio", "kept_half_share")}
    return {
        **measures,
        **oracle,
        "traders_wealth_percent": fare["wealth_ratio"],
        "traders_kept_half_percent": fare["kept_half_share"],
    }


def acted_on(
    steps: pd.DataFrame, measures: Mapping[str, Any], tick_s: float, perpetuals: int
) -> dict[str, float | None]:
    """What decides whether a rule had anything to do in a run.

    `move_5min_percent` bounds from above the largest move of the last price within five minutes, in %, which a circuit
    breaker looks at; None in a world of several perpetuals. `behind_fund_usd`: what was closed or lost behind the fund,
    0 where no deleveraging rule was ever asked. `lead_volume_share_percent`: of all venues, where there are several.
    """
    last = steps["perp_usd"].to_numpy()
    high, low = np.fmax(steps["perp_high_usd"].to_numpy(), last), np.fmin(steps["perp_low_usd"].to_numpy(), last)
    window = min(math.ceil(300.0 / tick_s) + 2, last.size)
    highs, lows = (np.lib.stride_tricks.sliding_window_view(one, window) for one in (high, low))
    move = np.maximum(highs.max(axis=1) / lows.min(axis=1) - 1, 1 - lows.min(axis=1) / highs.max(axis=1)).max()
    volumes = {name: one["volume_btc"] for name, one in measures.get("venues", {}).items()}
    total = sum(volumes.values())
    return {
        "move_5min_percent": 100 * float(move) if perpetuals == 1 else None,
        "behind_fund_usd": measures["adl_usd"] + measures["bad_debt_usd"],
        "lead_volume_share_percent": 100 * next(iter(volumes.values())) / total if total > 0 else None,
    }


def other_windows(run: Run, model: MarketModel) -> dict[str, float]:
    """The branching ratio by flow of the lead perpetual with shorter and longer windows, 0 to 1."""
    events = run.forced_events[run.forced_events["market"] == model.perp]
    lots, tick_s = model.markets.lot_coins, model.setup.tick_s
    return {
        f"flow_branching_ratio_{window}s": by_flow(events, run.steps, lots, max(1, round(window / tick_s)))
        for window in WINDOWS_S
    }


def mean_field(model: MarketModel) -> dict[str, float]:
    """The oracle for the lead perpetual as it stands: branching ratio n and the multiplier 1 / (1 - n)."""
    desk = next(desk for desk in model.exchanges.desks if desk.market == model.perp)
    longs = profile_of(desk, STEP, REACH).longs_between(0.0, np.inf)
    floor_ticks = round(int(desk.mark_ticks) * (1 - REACH))
    bids = float(model.books.depth_lots(model.perp, BUY, floor_ticks))
    n = longs / bids if bids > 0 else math.inf
    return {
        "mean_field_n": n,
        "mean_field_multiplier": 1 / (1 - n) if n < 1 else np.inf,
        "book_btc": bids * float(model.markets.lot_coins[model.perp]),
        "to_be_liquidated_btc": longs * float(model.markets.lot_coins[model.perp]),
    }
