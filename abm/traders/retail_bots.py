"""Retail traders who let a program decide: the rule of `abm.traders.retail`, asked in the machine rounds of a tick.

People decide once a tick on what they saw at the end of the last one, and their orders go last. A program is asked in
every round inside the tick, sees the price after the orders of this tick and after each wave of forced orders, and its
orders arrive before people's (latency class BOT). Who reviews in a tick is asked again in each of its rounds, with new
draws; an exit made in one round is not repeated in the next, because the position is gone. What differs from people is
the moment only: with the same parameters and the same `luck` the two kinds hold the same opening positions.
"""

from __future__ import annotations

from abm.traders.base import BOT_LATENCY
from abm.traders.retail import RetailCohort


class RetailBots(RetailCohort):
    """A cohort of programs."""

    machine = True
    latency = BOT_LATENCY
