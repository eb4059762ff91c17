"""Shares of a whole number in whole numbers: proportional to weights, nobody above a cap, the total exact."""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.state import I64


def exact_shares(total: int, weights: I64, caps: I64) -> I64:
    """Water-filling: x_i = min(eta * w_i, c_i) with one level eta, rounded by largest remainder.

    Args:
        total: what is shared, a whole number.
        weights: int64 (n,), not negative; a row of weight 0 gets nothing.
        caps: int64 (n,), not negative.

    Returns:
        int64 (n,): sums to min(total, sum of the caps of rows with weight); each at most its cap, and less than one
        away from its exact share. The largest remainders are rounded up first, ties by row.

    Source: Chitra 2025 (arXiv 2512.01112), capped pro rata; the rounding is Hamilton's method of largest remainders.
    """
    shares = np.zeros(weights.size, np.int64)
    rows = np.flatnonzero((weights > 0) & (caps > 0))
    left = min(max(0, total), sum_of(caps[rows]))
    if left == 0:
        return shares
    weight, cap = weights[rows], caps[rows]
    whole = sum_of(weight)
    while True:
        share, remainder = mul_div(weight, left, whole)
        full = cap <= share
        if not full.any():
            break
        shares[rows[full]] = cap[full]
        left -= sum_of(cap[full])
        whole -= sum_of(weight[full])
        rows, weight, cap = rows[~full], weight[~full], cap[~full]
        if rows.size == 0 or left == 0:
            return shares
    share[np.argsort(-remainder, kind="stable")[: left - sum_of(share)]] += 1
    shares[rows] = share
    return shares


def mul_div(amounts: I64, factor: I64 | int, divisor: I64 | int) -> tuple[I64, Any]:
    """The quotient amounts * factor // divisor and the remainder of (n,) whole numbers, exact; none negative.

    The quotient must fit into int64. Where it is below 2**51 and the divisor below 2**61, floating point gives it to
    within 2, and the remainder, though computed modulo 2**64, is that of the estimate; else Python's integers do it.
    """
    if _largest(divisor) < 1 << 61 and _largest(factor) < 1 << 62:
        estimate = amounts * (np.asarray(factor, np.float64) / divisor)
        if _largest(estimate) < 1 << 51:
            quotient = estimate.astype(np.int64)
            by = np.asarray(divisor, np.int64)
            rest = amounts * np.asarray(factor, np.int64) - quotient * by
            for _ in range(2):
                step = (rest >= by).astype(np.int64) - (rest < 0)
                quotient += step
                rest -= step * by
            return quotient, rest
    exact = amounts.astype(object) * factor
    return (exact // divisor).astype(np.int64), exact % divisor


def _largest(numbers: Any) -> Any:
    return numbers if isinstance(numbers, int) else numbers.max(initial=0)


def sum_of(amounts: I64) -> int:
    """Exact sum of (n,) whole numbers, also beyond int64."""
    high, low = amounts >> 32, amounts & 0xFFFFFFFF
    return (int(high.sum()) << 32) + int(low.sum())
