"""One month of `stylised-facts`: a run, its bars, its facts. The sweep engine calls `month`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.model import MarketModel
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.state import BUY, SELL
from experiments._facts import (
    LAGS,
    Floats,
    autocorrelation,
    facts_of,
    impact_curve,
    log_returns,
    power,
    summed,
    tail_curve,
)

RUNNER = "experiments._fact_month:month"
MINUTES = (1, 5, 15, 60)
"""Lengths of the bars."""
WARM_S = 3_600.0
"""Left out at the start, while the opening state settles."""
SNAPSHOT_S = 600.0
DEPTH_PERCENT = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Distances from the middle at which depth is measured."""
MEMORY_LAGS = (1, 2, 3, 5, 8, *LAGS[1:2], 24, *LAGS[2:3], 100, 200, *LAGS[3:])
"""Lags of the curve of memory, in 5-minute bars."""


def month(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Run `scenario` for `days` and measure it.

    Args:
        values: scenario, days, tick_s, accounts, settings (texts `a.b=value`), variant (a name).
        seed: of the run.

    Returns:
        Facts by bar length, `5 min.kurtosis`; curves as lists; volume, funding, depth and forced selling of the month.
    """
    settings = [f"duration_s={values['days'] * 86_400.0}", f"tick_s={values['tick_s']}", 'traders="cohort"']
    scenario = load_scenario(values["scenario"], [*settings, *values["settings"]], seed, values["accounts"])
    model = MarketModel(scenario, recorder=Recorder("summary"))
    every = max(1, round(SNAPSHOT_S / scenario.tick_s))
    shapes = []
    while model.running:
        model.step()
        if model.tick % every == 0:
            shapes.append(depth_curve(model))
    steps = model.recorder.steps_array
    warm = round(WARM_S / scenario.tick_s)
    return measures(steps[warm if steps.size > 2 * warm else 0 :], scenario.tick_s, np.array(shapes))


def depth_curve(model: MarketModel) -> Floats:
    """Coins within `DEPTH_PERCENT` of the middle of the lead perpetual, mean of both sides; nan with an empty side."""
    books, perp = model.books, model.perp
    bid, ask = books.best(perp, BUY), books.best(perp, SELL)
    if not (bid and ask):
        return np.full(len(DEPTH_PERCENT), np.nan)
    middle, coins = (bid + ask) / 2, float(model.markets.lot_coins[perp])
    lots = [
        sum(books.depth_lots(perp, side, round(middle * (1 - side * percent / 100))) for side in (BUY, SELL))
        for percent in DEPTH_PERCENT
    ]
    return np.array(lots) * (0.5 * coins)


def measures(steps: NDArray[np.void], tick_s: float, shapes: Floats) -> dict[str, Any]:
    """What `month` returns, from the ticks (n,) of dtype `STEP` and depth curves (k, len(DEPTH_PERCENT))."""
    per_minute = round(60.0 / tick_s)
    price, days = steps["perp_usd"].astype(np.float64), steps.size * tick_s / 86_400.0
    found: dict[str, Any] = {}
    for minutes in MINUTES:
        every = per_minute * minutes
        change = log_returns(price[: price.size // every * every + 1], every)
        volume, flow = (summed(steps[name][1:], every)[: change.size] for name in ("volume_btc", "net_taker_btc"))
        found[name_of(minutes)] = facts_of(change[: volume.size], volume, flow)
        if minutes == 5:
            found["memory"] = [autocorrelation(np.abs(change), lag) for lag in MEMORY_LAGS]
            found["tail"] = tail_curve(change)[1].tolist()
        if minutes == 1:
            size, mean, _ = impact_curve(flow, change[: flow.size])
            found["impact_flow"], found["impact_bp"] = size.tolist(), (1e4 * mean).tolist()
    shape = np.nanmean(shapes, axis=0) if shapes.size else np.full(len(DEPTH_PERCENT), np.nan)
    found["depth_coins"] = shape.tolist()
    hourly = max(1, round(3_600.0 / tick_s))
    found["path_usd"], found["fair_path_usd"] = (steps[n][::hourly].tolist() for n in ("perp_usd", "fair_usd"))
    liquidated = steps["liquidated_long_usd"] + steps["liquidated_short_usd"]
    return found | {
        "depth_exponent": power(np.array(DEPTH_PERCENT), shape),
        "depth_usd": float(np.nanmedian(steps["depth_bid_usd"])),
        "volume_btc_day": float(steps["volume_btc"].sum()) / days,
        "funding_mean_bp": float(np.nanmean(steps["funding_bp_8h"])),
        "liquidated_usd_day": float(liquidated.sum()) / days,
        "open_interest_change_percent": 100 * float(steps["open_interest_btc"][-1] / steps["open_interest_btc"][0] - 1),
        "gap_percent": 100 * float(np.nanmean(np.abs(np.log(price / steps["fair_usd"])))),
        "range_percent": 100 * float(np.log(price.max() / price.min())),
    }


def name_of(minutes: int) -> str:
    """A bar length in words."""
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"
