"""Auto-deleveraging on 10 October 2025: sixteen waves, the winners under every rule, synthetic winners.

Chitra (2025), "Autodeleveraging: impossibilities and optimization", arXiv:2512.01112 v3, and public files of that day.
Four parts: the identities of rules on winners given by hand (queue against pro rata, splitting an account, water
filling); the published file of sixteen waves, its budgets and identities (`_adl_waves`); the deleveraged accounts of
Hyperliquid under every rule of the project (`_adl_rules`); and winners drawn like them, which need no file.

The files may not be redistributed: `data` is the folder that holds them. Without them the comparisons that need them
are skipped, and the results say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from abm.clearing.adl.haircuts import capped_haircut, pro_rata_haircut, queue_haircut
from abm.parameters import quantity
from abm.units import MICRO, RATE_ONE
from experiments import _adl_rules as rules
from experiments import _adl_waves as waves
from experiments._adl_figure import draw
from experiments._adl_winners import BY_USER, WAVES, absent, folder
from experiments._checks import Check, check, check_table

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]


class Options(rules.Options):
    """Where the files are, and how many winners are drawn for a wave."""

    data: str = Field("", description=f"folder with {BY_USER}, {WAVES}; empty: $DELEVERAGE_DATA, then ../shared/data")
    wave_accounts: int = quantity(
        2_000, unit="winners a wave", source="chosen; 34,983 closings in 16 waves", ge=20, le=200_000
    )

    @model_validator(mode="after")
    def _fit(self) -> Options:
        wrong = []
        if self.data and folder(self.data) is None and folder(self.data, WAVES) is None:
            wrong += [absent(self.data), absent(self.data, WAVES)]
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            wrong.append("shares: at least one, each above 0 and at most 1")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


QUICK = {"shares": (0.05, 0.25, 0.75)}
FULL = {"wave_accounts": 20_000}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `waves`, `rules`, `skipped` (what and why), `checks`."""
    by_user, by_wave = folder(options.data), folder(options.data, WAVES)
    skipped = {}
    if by_wave is None:
        skipped["the sixteen waves"] = absent(options.data, WAVES)
    if by_user is None:
        skipped["the winners of the venue"] = absent(options.data)
    for what, why in skipped.items():
        say(f"skipped: {what}; {why}")
    by_rule = rules.run_on(by_user, options, say)
    by_time = waves.run_on(by_wave, waves.Options(accounts=options.wave_accounts, seed=options.seed), say)
    return {
        "skipped": skipped,
        "waves": by_time,
        "rules": by_rule,
        "checks": [*_hand_checks(), *by_time.pop("checks"), *by_rule.pop("checks")],
    }


def _hand_checks() -> list[Check]:
    """The paper's identities on winners of 100, 60 and 40 and a budget of 50, in dollars."""
    winners, budget = np.array([100, 60, 40]) * MICRO, 50 * MICRO
    even, queue = pro_rata_haircut(winners, budget), queue_haircut(winners, budget)
    split = np.concatenate([np.full(10, 10 * MICRO), winners[1:]])
    caps = np.array([0.2, 1.0, 1.0]) * RATE_ONE
    water = capped_haircut(winners, caps.astype(np.int64), budget)
    exact = "whole numbers"

    def one(what: str, units: float, value: float) -> Check:
        return check(what, float(units) / MICRO, exact=value, within=0.0, why=exact, unit="$")

    return [
        one("top winner keeps, pro rata", winners[0] - even[0], 75),
        one("top winner keeps, queue", winners[0] - queue[0], 50),
        one("gap of the two, H (1 - w1/U)", queue[0] - even[0], 25),
        one("queue, the 100 split in ten: the 60 pays", queue_haircut(split, budget)[10], 50),
        one("pro rata, the 100 split in ten: together they pay", pro_rata_haircut(split, budget)[:10].sum(), 25),
        *(one(f"water filling at caps of 20 %, 1, 1: winner {k + 1}", water[k], (20, 18, 12)[k]) for k in range(3)),
    ]


def text(results: dict[str, Any]) -> str:
    """What was skipped, the waves, the rules, the checks."""
    lines = [f"SKIPPED: {what}; {why}" for what, why in results["skipped"].items()]
    lines += [waves.text(results["waves"]), "", rules.text(results["rules"]), "", check_table(results["checks"])]
    return "\n".join(lines)
