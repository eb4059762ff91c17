"""What is measured in the market of Thurner, Farmer and Geanakoplos (2012), with the definitions used throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments._thurner_market import Record

F64 = NDArray[np.float64]
TAIL_SHARE, WORST_SHARE, PER_STEPS = 0.05, 0.001, 1e5
NAMES = ("std", "kurtosis", "skew", "hill", "acf1", "acf50", "defaults_per_fund_1e5", "margin_call_share")
LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
TAIL_POINTS = 60


def autocorrelation(values: F64, lag: int) -> F64:
    """Of (steps, R) at a lag, (R,)."""
    centred = values - values.mean(axis=0)
    found: F64 = (centred[lag:] * centred[:-lag]).mean(axis=0) / (centred**2).mean(axis=0)
    return found


def hill(losses: F64, share: float = TAIL_SHARE) -> float:
    """Hill's index of the largest `share` of positive losses (n,)."""
    ordered = np.sort(losses)[::-1]
    count = max(int(share * ordered.size), 2)
    return float(1.0 / np.log(ordered[:count] / ordered[count]).mean()) if ordered.size > count else float("nan")


def by_seed(record: Record, funds: int) -> dict[str, F64]:
    """The eight measures, (R,) each, from a record.

    std, kurtosis (3 for a normal law) and skew of log returns; Hill index of the largest 5 % of falls from prices below
    the value; autocorrelation of absolute returns at 1 and 50 steps; defaults a fund and 100,000 steps; share of the
    worst thousandth of the steps in which a fund at its limit holds fewer coins than before.
    """
    returns = np.diff(np.log(record.price), axis=0)
    steps, replicas = returns.shape
    centred = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    worst = np.argsort(returns, axis=0)[: max(int(WORST_SHARE * steps), 1)]
    falls = [-returns[(returns[:, r] < 0) & (record.price[:-1, r] < 1), r] for r in range(replicas)]
    values = (
        returns.std(axis=0),
        (centred**4).mean(axis=0),
        (centred**3).mean(axis=0),
        np.array([hill(fall) for fall in falls]),
        autocorrelation(np.abs(returns), 1),
        autocorrelation(np.abs(returns), 50),
        record.defaults / max(funds, 1) / steps * PER_STEPS,
        (np.take_along_axis(record.calls, worst, axis=0) > 0).mean(axis=0),
    )
    return dict(zip(NAMES, values, strict=True))


def summary(record: Record, funds: int) -> dict[str, Any]:
    """Means over seeds under the names of the measures; spread over seeds, medians; tail and autocorrelations."""
    each = by_seed(record, funds)
    count = record.price.shape[1]
    returns = np.diff(np.log(record.price), axis=0)
    size = np.abs(returns)
    falls = np.sort(-returns[returns < 0] / returns.std())[::-1]
    ranks = np.unique(np.geomspace(1, falls.size, TAIL_POINTS).astype(int)) - 1
    return {
        **{name: float(values.mean()) for name, values in each.items()},
        "seeds": count,
        "lost": float(record.lost.sum()),
        "closed": float(record.defaults.sum()),
        "sd": {name: float(values.std(ddof=1)) if count > 1 else None for name, values in each.items()},
        "median": {name: float(np.median(values)) for name, values in each.items()},
        "tail": {"fall": falls[ranks].tolist(), "share": ((ranks + 1) / falls.size).tolist()},
        "acf": {
            "lag": [lag for lag in LAGS if lag < len(size) // 2],
            "value": [float(autocorrelation(size, lag).mean()) for lag in LAGS if lag < len(size) // 2],
        },
    }


def part(record: Record, rows: slice) -> Record:
    """Some replicas of a record."""
    price = record.price[:, rows]
    return Record(price, record.calls[:, rows], record.defaults[rows], record.wealth[:, rows], record.lost[rows])


def crash(record: Record, before: int = 40, after: int = 40) -> dict[str, Any]:
    """The worst step of all replicas with what came before and after it."""
    returns = np.diff(np.log(record.price), axis=0)
    inner = returns[before:-after] if len(returns) > before + after else returns
    start = before if len(returns) > before + after else 0
    step, replica = np.unravel_index(int(np.argmin(inner)), inner.shape)
    low, high = max(int(step) + start - before, 0), min(int(step) + start + after, len(returns))
    some = slice(low, high)
    return {
        "step": list(range(low - int(step) - start, high - int(step) - start)),
        "price": record.price[1:][some, replica].tolist(),
        "wealth": record.wealth[some, replica].tolist(),
        "called": (record.calls[some, replica] > 0).tolist(),
    }
