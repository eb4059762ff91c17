"""One retail trader as a Mesa agent: a handle on the cohort's arrays, and the same rule asked for one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.traders.base import Participant, View
from abm.traders.retail import RetailCohort
from abm.units import MICRO


class RetailTrader(Participant):
    """One retail trader: a handle (cohort, number) without state; its properties read the cohort's arrays."""

    def __init__(self, model: Any, cohort: RetailCohort, number: int) -> None:
        super().__init__(model, cohort.parameters)
        self.cohort, self.number = cohort, number
        self.rows = cohort.rows[number : number + 1]

    @property
    def row(self) -> int:
        """Account row."""
        return int(self.cohort.rows[self.number])

    @property
    def position_lots(self) -> int:
        """Signed position in lots."""
        world = self.cohort.world
        return int(world.accounts.position[world.markets.slot[world.perp], self.row])

    @property
    def entry_ticks(self) -> float:
        """Average entry price, 0 without a position."""
        world, held = self.cohort.world, self.position_lots
        cost = int(world.accounts.entry_cost[world.markets.slot[world.perp], self.row])
        return cost / (held * int(world.markets.tick_value[world.perp])) if held else 0.0

    def equity_micro(self, mark_ticks: int) -> int:
        """Cash and margin plus the position at the mark, settlement units."""
        world, row = self.cohort.world, self.row
        accounts, slot = world.accounts, int(world.markets.slot[world.perp])
        value = self.position_lots * mark_ticks * int(world.markets.tick_value[world.perp])
        settled = accounts.cash[world.usdt, row] + accounts.margin[slot, row] - accounts.entry_cost[slot, row]
        return int(settled) + value

    @property
    def equity(self) -> float:
        """Cash and margin plus the position at the mark, dollars."""
        return self.equity_micro(self._mark_ticks) / MICRO

    @property
    def position(self) -> float:
        """Signed position in coins."""
        world = self.cohort.world
        return self.position_lots * float(world.markets.lot_coins[world.perp])

    @property
    def leverage(self) -> float:
        """Position at the mark over equity; 0 without a position, infinite without equity."""
        world = self.cohort.world
        value = abs(self.position_lots) * self._mark_ticks * int(world.markets.tick_value[world.perp])
        own = self.equity_micro(self._mark_ticks)
        return value / own if own > 0 else float("inf") if value else 0.0

    @property
    def liquidation_price(self) -> float:
        """Mark at which the venue liquidates, dollars; nan where there is none."""
        world = self.cohort.world
        ladder = next(desk.ladder for desk in self.model.exchanges.desks if desk.market == world.perp)
        ticks = int(ladder.liquidation_ticks([self.row])[0])
        return ticks * float(world.markets.tick_dollars[world.perp]) if ticks else float("nan")

    @property
    def _mark_ticks(self) -> int:
        return int(self.model.exchanges.mark_ticks[self.cohort.world.perp])

    def answer(self, view: View) -> NDArray[Any]:
        """Messages of one review, MESSAGE (n,): the cohort's rule, asked for this trader alone."""
        return self.cohort.review_of(view, np.array([self.number]))


def individually(cohort: RetailCohort) -> list[RetailTrader]:
    """Register every trader of the cohort as an agent of its own and ask each one from now on."""
    if cohort.individuals is None:
        cohort.individuals = [RetailTrader(cohort.model, cohort, number) for number in range(cohort.rows.size)]
    return cohort.individuals
