"""The theory of deleveraging in money: haircuts on positive profits that raise a budget, without lots or prices.

Winner i has profit w_i and loses h_i * w_i, 0 <= h_i <= 1; the principal is not touched. A rule is a vector h with
sum h_i * w_i = H, the budget. All amounts are whole units: totals are exact, ties by row. Source: Chitra 2025,
"Autodeleveraging: Impossibilities and Optimization", arXiv 2512.01112 v3.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from abm.clearing.adl.shares import exact_shares, sum_of
from abm.state import I64
from abm.units import RATE_ONE


def queue_haircut(profits: I64, budget: int) -> I64:
    """The largest profit loses first and whole. Units lost by each winner, int64 (n,); sums to min(budget, profits)."""
    lost = np.zeros(profits.size, np.int64)
    order = np.argsort(-profits, kind="stable")
    size = np.maximum(profits[order], 0)
    lost[order] = np.clip(budget - (np.cumsum(size) - size), 0, size)
    return lost


def pro_rata_haircut(profits: I64, budget: int) -> I64:
    """Everybody loses the same share H / U of the profit, to within a unit; sums to min(budget, profits)."""
    positive = np.maximum(profits, 0)
    return exact_shares(budget, positive, positive)


def capped_haircut(profits: I64, caps: I64, budget: int) -> I64:
    """Water-filling h_i = min(eta, beta_i) with caps `caps` (rates, 1e-8, (n,)); sum min(budget, sum beta_i w_i)."""
    positive = np.maximum(profits, 0)
    limits = np.array([w * b // RATE_ONE for w, b in zip(positive.tolist(), caps.tolist(), strict=True)], np.int64)
    return exact_shares(budget, positive, limits)


def water_level(profits: I64, caps: I64, budget: int) -> Fraction:
    """The level eta of `capped_haircut`, exact: the smallest with sum min(eta, beta_i) * w_i = H.

    1 where the caps do not suffice.
    """
    winners = [(Fraction(b, RATE_ONE), w) for w, b in zip(profits.tolist(), caps.tolist(), strict=True) if w > 0]
    left, whole = Fraction(budget), Fraction(sum(w for _, w in winners))
    for cap, profit in sorted(winners):
        if left <= cap * whole:
            return left / whole
        left -= cap * profit
        whole -= profit
    return Fraction(1)


def shares_kept(profits: I64, lost: I64) -> I64:
    """What winners keep, units, int64 (n,)."""
    kept: I64 = np.maximum(profits, 0) - lost
    return kept


def insurance_needed(deficit: int, lost: I64) -> int:
    """What the fund must pay, units, when haircuts (n,) are raised: money identity, deficit = haircuts + insurance."""
    return deficit - sum_of(lost)
