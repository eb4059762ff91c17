"""A cohort of retail traders of whom nothing is left but what a test switches on."""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.state import BUY, LIMIT, MESSAGE, NOBODY, SELL
from abm.traders.retail import RetailCohort, RetailParameters
from abm.traders.retail_kernel import NEWS
from tests.traders_world import START_TICKS, Stage

SILENT: dict[str, Any] = {
    "panic": 0.0,
    "cover_chance": 0.0,
    "holding_s": 1e15,
    "idle_s": 1e15,
    "trend_gain": 0.0,
    "value_chance": 0.0,
    "short_gain": 0.0,
    "news_coins": 0.0,
    "stop_share": 0.0,
    "profit_share": 0.0,
    "review_s": 10.0,
    "news_s": 10.0,
}


def alone(accounts: int = 4000, seed: int = 5, kind: type[RetailCohort] = RetailCohort, **parameters: Any) -> Stage:
    """A stage with one silent cohort."""
    return Stage(seed, (kind, RetailParameters.model_validate({"accounts": accounts, **SILENT, **parameters})))


def cohort_of(stage: Stage) -> RetailCohort:
    cohort = stage.people[0]
    assert isinstance(cohort, RetailCohort)
    return cohort


def opened(stage: Stage, **changes: Any) -> np.ndarray:
    """The first decision: protective orders go into the book; returns the messages."""
    stage.tick = 0
    sent = stage.turn(stage.people[0], stage.view(**changes))
    stage.tick = 1
    return sent


def everybody(stage: Stage, interval: int = 1, **changes: Any) -> np.ndarray:
    """Messages of one interval of reviews: everyone is asked once, and nothing is executed."""
    if stage.tick == 0:
        stage.ask(stage.people[0], stage.view(**changes))
    sent = []
    for stage.tick in range(10 * interval, 10 * interval + 10):
        sent.append(stage.ask(stage.people[0], stage.view(**changes)))
    return np.concatenate(sent)


def at(fraction: float) -> np.ndarray:
    """Last prices at a multiple of the opening price."""
    return np.array([round(START_TICKS * fraction)] * 2)


def groups(stage: Stage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of those who are long, short, and flat; without news traders."""
    cohort = cohort_of(stage)
    held, trader = stage.accounts.position[0, cohort.rows], cohort.kind != NEWS
    return np.flatnonzero(held > 0), np.flatnonzero(held < 0), np.flatnonzero((held == 0) & trader)


def close_to_share(count: int, of: int, chance: float) -> None:
    """A binomial count within 4 standard errors of its mean."""
    assert abs(count - of * chance) <= 4.0 * np.sqrt(of * chance * (1.0 - chance)) + 1e-9, (count, of * chance)


def deep_book(stage: Stage) -> None:
    """Somebody buys and sells everything."""
    deep = np.zeros(2, MESSAGE)
    deep["op"], deep["side"], deep["account"], deep["order"] = LIMIT, (BUY, SELL), NOBODY, NOBODY
    deep["price_ticks"], deep["size_lots"] = (int(START_TICKS * 0.905), int(START_TICKS * 1.04)), 10**9
    stage.trade(deep)
