"""Where to try next. A sampler sees points of the unit cube and their losses, and depends on nothing else.

So a search that was killed goes on as if it had not been: the same trials in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from abm.rng import bits, stream
from abm.settings import SettingsError

_ESTIMATOR = stream("parzen estimator")

Point = list[float]


class Sampler(Protocol):
    """Proposes trials."""

    def propose(self, points: Sequence[Point], losses: Sequence[float], count: int) -> list[Point]:
        """At most `count` new points, at least one, given all finished ones in their order."""


def _spread(width: int, seed: int, first: int, count: int) -> list[Point]:
    """Points `first` to `first + count` of a scrambled Sobol sequence."""
    from scipy.stats import qmc

    power = max(first + count - 1, 1).bit_length()
    found: NDArray[np.float64] = qmc.Sobol(width, scramble=True, rng=seed).random_base2(power)
    return [[float(u) for u in row] for row in found[first : first + count]]


class SobolSampler:
    """Even cover of the ranges; no search."""

    def __init__(self, width: int, seed: int) -> None:
        self._width, self._seed = width, seed

    def propose(self, points: Sequence[Point], losses: Sequence[float], count: int) -> list[Point]:
        """The next points of the sequence."""
        return _spread(self._width, self._seed, len(points), count)


class SimplexSampler:
    """Nelder and Mead (1965) from the best of an even cover, by SciPy; started again where it has converged.

    SciPy's minimiser asks for losses; what it asked before is answered from the trials, the first question without an
    answer is the next trial. One trial at a time.
    """

    SIDE = 0.15
    CLOSE = 1e-3

    def __init__(self, width: int, seed: int, startup: int) -> None:
        self._width, self._seed, self._startup = width, seed, startup

    def propose(self, points: Sequence[Point], losses: Sequence[float], count: int) -> list[Point]:
        """The cover first, then the minimiser's question."""
        if len(points) < self._startup:
            return _spread(self._width, self._seed, len(points), min(count, self._startup - len(points)))
        answers = list(losses[self._startup :])
        at = int(np.argmin(losses[: self._startup]))
        begin, lowest, side = points[at], losses[at], self.SIDE
        while True:
            asked, used, begin, lowest = self._replay(begin, lowest, side, answers)
            if asked is not None:
                return [asked]
            if used == 0:
                return _spread(self._width, self._seed, len(points), 1)
            answers, side = answers[used:], max(side / 2, 2 * self.CLOSE)

    def _replay(
        self, begin: Point, lowest: float, side: float, answers: list[float]
    ) -> tuple[Point | None, int, Point, float]:
        """What the minimiser asks after these answers; None if it is content. Then answers used, best point, its loss.

        It begins at `begin`, whose loss is known, with sides of that length.
        """
        from scipy.optimize import minimize

        corner = np.array(begin)
        step = side * np.where(corner > 0.5, -1.0, 1.0)
        simplex = np.clip(np.vstack([corner, corner + np.diag(step)]), 0.0, 1.0)
        used = -1

        def ask(x: NDArray[np.float64]) -> float:
            nonlocal used
            if used == len(answers):
                raise _AskedError([float(u) for u in np.clip(x, 0, 1)])
            used += 1
            return answers[used - 1] if used else lowest

        options = {"initial_simplex": simplex, "xatol": self.CLOSE, "fatol": math.inf, "maxfev": len(answers) + 3}
        try:
            found = minimize(ask, corner, method="Nelder-Mead", bounds=[(0, 1)] * corner.size, options=options)
        except _AskedError as question:
            return question.point, used, begin, lowest
        return None, used, [float(u) for u in found.x], float(found.fun)


class _AskedError(Exception):
    """The minimiser wants to know the loss of a point."""

    def __init__(self, point: Point) -> None:
        super().__init__()
        self.point = point


class TpeSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), all parameters together, by Optuna."""

    def __init__(self, width: int, seed: int, startup: int) -> None:
        self._width, self._seed, self._startup = width, seed, startup
        self._optuna = _optuna()

    def propose(self, points: Sequence[Point], losses: Sequence[float], count: int) -> list[Point]:
        """The cover first, then the estimator; points proposed together keep away from each other."""
        if len(points) < self._startup:
            return _spread(self._width, self._seed, len(points), min(count, self._startup - len(points)))
        optuna = self._optuna
        names = [f"x{i}" for i in range(self._width)]
        ranges = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        seed = bits(self._seed, _ESTIMATOR, 0, len(points), 0) % 2**32
        sampler = optuna.samplers.TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed)
        search = optuna.create_study(sampler=sampler)
        for point, loss in zip(points, losses, strict=True):
            values = dict(zip(names, point, strict=True))
            search.add_trial(optuna.trial.create_trial(params=values, distributions=ranges, value=loss))
        asked = [search.ask(ranges) for _ in range(count)]
        return [[float(one.params[name]) for name in names] for one in asked]


def _optuna() -> Any:
    """The package, quiet. Raises SettingsError where it is not installed."""
    import warnings
    from importlib import import_module

    try:
        optuna: Any = import_module("optuna")
    except ImportError:
        raise SettingsError(
            ["sampler 'tpe' needs Optuna: pip install 'deleverage[calibrate]', or take sampler = \"simplex\""]
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def make_sampler(name: str, width: int, seed: int, startup: int) -> Sampler:
    """The sampler of a study, for `width` free parameters."""
    if name == "sobol":
        return SobolSampler(width, seed)
    kind = TpeSampler if name == "tpe" else SimplexSampler
    return kind(width, seed, startup)
