"""What a window must know of a scenario once, and the ticks of a place in the shape the page keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.app import controls, series, story
from abm.scenario import Scenario
from abm.scenario_alts import alt_setups

Plain = dict[str, Any]


def about(scenario: Scenario, source: str, number: int = 0) -> Plain:
    """The scenario as the page shows it, seen from one of its places."""
    places = places_of(scenario)
    bars_s, bubbles_s = bins_s(scenario)
    return {
        **{"name": scenario.name, "title": scenario.title, "source": source, "seed": scenario.seed},
        **{"accounts": scenario.accounts, "ticks": scenario.ticks, "tick_s": scenario.tick_s},
        "start_ms": round(scenario.start.timestamp() * 1000),
        "duration_s": scenario.duration_s,
        "places": [one["title"] for one in places],
        "place": number,
        "venue": places[number]["title"],
        "coin": places[number]["coin"],
        "controls": controls.described(scenario),
        **{"bar_s": bars_s, "bubble_s": bubbles_s},
        "depth_normal_usd": places[number]["depth_normal_usd"],
        "news": news(scenario),
    }


def places_of(scenario: Scenario) -> list[Plain]:
    """What a window can be shown: every venue, then every altcoin of the lead venue."""
    setups = scenario.venue_setups()
    price = scenario.world.start_price_usd
    found = [
        {
            "title": one.preset.title,
            "name": one.preset.name,
            "coin": "BTC",
            "depth_normal_usd": one.makers.depth_coins * price,
        }
        for one in setups
    ]
    for coin, setup in alt_setups(scenario, setups[0]):
        depth = setup.makers.depth_coins * coin.start_price_usd
        found.append(
            {
                "title": f"{coin.name} at {setups[0].preset.title}",
                "name": coin.name,
                "coin": coin.name,
                "depth_normal_usd": depth,
            }
        )
    return found


def news(scenario: Scenario) -> list[Plain]:
    """News of the scenario, shocks by hand included."""
    return [
        {"seconds": scenario.news_seconds(item), "label": item.label or item.name, "percent": item.change_percent}
        for item in scenario.news
    ]


def bins_s(scenario: Scenario) -> tuple[float, float]:
    """Lengths of bars and of bubbles, seconds."""
    duration, tick_s = scenario.duration_s, scenario.tick_s
    bubbles = series.bin_s(duration, series.BUBBLES, max(10.0 if duration > 1_000 else 1.0, tick_s))
    return series.bin_s(duration, series.BARS, tick_s), bubbles


def told(
    scenario: Scenario, steps: NDArray[np.void], lines: Sequence[story.Line], since: int = 0, from_line: int = 0
) -> Plain:
    """Ticks, bins and lines of one model from `since` and `from_line` on; `steps` (n,) of dtype `STEP`."""
    (bars_s, bubbles_s), tick_s = bins_s(scenario), scenario.tick_s
    new = steps.size > since
    return {
        "columns": series.columns(steps, tick_s, since),
        "bars": series.forced_bins(steps, tick_s, bars_s, since) if new else [],
        "bubbles": series.forced_bins(steps, tick_s, bubbles_s, since) if new else [],
        "lines": list(lines[from_line:]),
        "news": news(scenario),
    }
