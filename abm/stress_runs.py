"""The sale in the model's market: a scenario whose fair value falls by a drop, with its treasury companies and without.

The fall comes over `SLIDE_S` from the start and stays; nothing else of the scenario's news happens. Both runs have the
same seed, so that what differs is what the companies' sales did, directly and through those whom they liquidated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abm.recorder import Recorder

if TYPE_CHECKING:
    from abm.scenario import Scenario

SLIDE_S = 600.0


def shocked(scenario: Scenario, drop: float, *, companies: bool) -> Scenario:
    """The scenario with one fall of the fundamental value instead of its news, with or without its companies."""
    over_s = min(SLIDE_S, 0.25 * scenario.duration_s)
    fall = {
        "name": "fall", "at": scenario.start.isoformat(), "over_s": over_s, "change_percent": -100.0 * drop,
        "label": "stress", "source": "the stress case", "grade": "assumed", "assumed": True,
    }  # fmt: skip
    changes: dict[str, Any] = {"news": [fall] if drop > 0.0 else []}
    if not companies:
        changes["treasuries"] = []
        changes["participants"] = [
            one.model_dump(mode="json") for one in scenario.participants if one.kind != "treasuries"
        ]
    return scenario.changed(changes)


def run_drop(scenario: Scenario, drop: float) -> dict[str, Any]:
    """One row: prices, coins sold, liquidations, with the companies and without. Dollars, coins, per cent."""
    from abm.model import MarketModel

    found: dict[str, Any] = {"drop_percent": 100.0 * drop, "start_usd": scenario.world.start_price_usd}
    for name, companies in (("with", True), ("without", False)):
        recorder = Recorder("summary")
        MarketModel(shocked(scenario, drop, companies=companies), recorder=recorder).run()
        steps = recorder.run().steps
        forced = steps["liquidated_long_usd"] + steps["liquidated_short_usd"]
        found |= {
            f"low_{name}_usd": float(steps["spot_usd"].min()),
            f"end_{name}_usd": float(steps["spot_usd"].iloc[-1]),
            f"liquidated_{name}_usd": float(forced.sum()),
        }
        if companies:
            found["sold_coins"] = float(steps["treasury_btc"].iloc[0] - steps["treasury_btc"].iloc[-1])
    found["end_effect_percent"] = 100.0 * (found["end_with_usd"] / found["end_without_usd"] - 1.0)
    found["low_effect_percent"] = 100.0 * (found["low_with_usd"] / found["low_without_usd"] - 1.0)
    return found
