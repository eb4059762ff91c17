"""A small market that goes through everything in two minutes: liquidations, takeovers, deleveraging, funding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abm.scenario import Scenario, load_scenario

MIDNIGHT = "2025-10-10T23:59:00Z"
"""A minute before funding is due."""


def stressed(**changes: Any) -> Scenario:
    """`tiny` with thin books, high leverage, a news shock of 25 % and almost no insurance fund."""
    shock = {"name": "shock", "at": "2025-10-10T23:59:10Z", "over_s": 5, "change_percent": -25}
    settings = {
        "start": MIDNIGHT,
        "duration_s": 100,
        "accounts": 400,
        "news": [shock],
        "venue__backstop__size_usd": 1000,
        "makers__depth_coins": 400,
        "makers__spot_share": 0.1,
        "retail__class_notional": [0.5, 0.2, 0.1, 0.2],
        "retail__news_coins": 20_000,
        "retail__news_s": 10,
        "retail__news_width": 0.02,
        "retail__slip": 0.05,
        "arbitrageurs__rate_coins": 5_000,
        "arbitrageurs__full": 0.0001,
        "arbitrageurs__capital_coins": 20_000,
    }
    return load_scenario("tiny").changed(**(settings | changes))


def write_run(scenario: Scenario, out: Path, level: str = "fills") -> Path:
    """Run a scenario into a folder."""
    from abm.model import MarketModel
    from abm.results import RunWriter

    with RunWriter(
        out, scenario=scenario.resolved(), name=scenario.name, title=scenario.title, seed=scenario.seed, level=level
    ) as writer:
        MarketModel(scenario, recorder=writer).run()
        writer.close_data()
        writer.finish({}, [])
        return writer.publish()
