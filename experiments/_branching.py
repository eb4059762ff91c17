"""Exact laws of the total size of a Galton-Watson cascade with Poisson children, and the test against them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import chi2, poisson

from abm.rng import stream, uniforms
from abm.state import I64

F64 = NDArray[np.float64]
STREAM_REFERENCE = stream("cascade reference")
REFERENCE_PATHS = 50_000
LONGEST = 20_000
"""Largest size, in clips, up to which a cascade that ends is followed."""
BEYOND_ENDING, BEYOND_SURVIVING = 1e-9, 1e-4
"""Probability with which a cascade that ends may still grow beyond the size from which it counts as surviving: for
means below one, where practically none may be cut, and for others, where the exact probability of that size counts."""


def size_pmf(first: float, later: float, size_cap: int) -> F64:
    """P(K = k) for k = 1 ... size_cap - 1, float64: the first clip has Poisson(first) children, others Poisson(later).

    The generalised Poisson law (Consul and Jain 1973) for K - 1; Borel's law where first = later. Its sum falls short
    of one by the probability that the cascade reaches `size_cap`, whatever the means.
    """
    s = np.arange(size_cap - 1)
    mean = first + later * s
    logs = math.log(first) + (s - 1) * np.log(mean) - mean - gammaln(s + 1)
    result: F64 = np.exp(logs)
    return result


def survival_limit(first: float, later: float) -> float:
    """Probability that a cascade never ends: 1 - exp(-first x), where x = 1 - exp(-later x)."""
    if later <= 1:
        return 0.0
    x = float(brentq(lambda x: x - 1 + math.exp(-later * x), 1e-9, 1.0)) if later > 1 + 1e-6 else 0.0
    return 1 - math.exp(-first * x)


def size_cap_for(first: float, later: float, size_cap: int) -> int:
    """Size from which a cascade counts as one that survives.

    The smallest that a cascade which ends reaches with a probability below `BEYOND_...`. The nearer `later` is to one,
    the larger it is; `LONGEST` is the bound for later < 1, `size_cap` for the others.
    """
    most, beyond = (LONGEST, BEYOND_ENDING) if later < 1 else (size_cap, BEYOND_SURVIVING)
    tail = np.cumsum(size_pmf(first, later, LONGEST)[::-1])[::-1]
    return min(int(np.argmax(tail < beyond)) + 1 if tail[-1] < beyond else most, most)


def ending_moments(pmf: F64) -> tuple[float, float, float]:
    """Mean, variance and fourth central moment of the sizes of cascades that end before the cap."""
    share, k = pmf / pmf.sum(), np.arange(1, pmf.size + 1)
    mean = float((share * k).sum())
    away = k - mean
    return mean, float((share * away**2).sum()), float((share * away**4).sum())


def moments(pmf: F64, size_cap: int) -> tuple[float, float]:
    """Mean and variance of min(K, size_cap)."""
    k = np.arange(1, pmf.size + 1)
    rest = max(1 - float(pmf.sum()), 0.0)
    mean = float((pmf * k).sum()) + rest * size_cap
    return mean, float((pmf * (k - mean) ** 2).sum()) + rest * (size_cap - mean) ** 2


def chi_square(counts: I64, pmf: F64, runs: int) -> tuple[float, int, float]:
    """Chi-square statistic, degrees of freedom, p value.

    `counts` and `pmf` are for sizes 1, 2, ...; what is missing in both is the bin of those that survive. Neighbouring
    sizes are pooled until five are expected; what is left over at the end joins the last bin.
    """
    expected = np.append(pmf, max(1 - pmf.sum(), 0.0)) * runs
    found = np.append(counts, runs - counts.sum())
    bins: list[list[float]] = []
    held = [0.0, 0.0]
    for one, other in zip(found.tolist(), expected.tolist(), strict=True):
        held = [held[0] + one, held[1] + other]
        if held[1] >= 5:
            bins.append(held)
            held = [0.0, 0.0]
    bins[-1] = [bins[-1][0] + held[0], bins[-1][1] + held[1]]
    statistic = sum((one - other) ** 2 / other for one, other in bins)
    freedom = len(bins) - 1
    return statistic, freedom, float(chi2.sf(statistic, freedom)) if freedom else 1.0


def refill_reference(n: float, share: float, clip_ticks: int, size_cap: int, seed: int) -> I64:
    """Sizes (cut at `size_cap`) of cascades whose makers refill, int64 (REFERENCE_PATHS,), without book or accounts.

    A round that sells z clips eats s = z * clip_ticks ticks: first what was refilled, then new ground g, whose accounts
    number Poisson(n g / clip_ticks). The lowest share * s ticks that were eaten come back.
    """
    alive = np.arange(REFERENCE_PATHS)
    size, forced, refilled = (np.full(REFERENCE_PATHS, start, np.int64) for start in (1, 1, 0))
    generation = 0
    while alive.size:
        eaten = forced[alive] * clip_ticks
        ground = np.maximum(eaten - refilled[alive], 0)
        refilled[alive] = np.maximum(refilled[alive] - eaten, 0) + np.rint(share * eaten).astype(np.int64)
        draws = uniforms(seed, STREAM_REFERENCE, alive, generation, round(n * 1_000_000))
        forced[alive] = poisson.ppf(draws, n * ground / clip_ticks).astype(np.int64)
        size[alive] = np.minimum(size[alive] + forced[alive], size_cap)
        alive = alive[(forced[alive] > 0) & (size[alive] < size_cap)]
        generation += 1
    return size
