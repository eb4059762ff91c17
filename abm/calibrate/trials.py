"""Running the trials: every run is a row of a sweep's parts, so that nothing is lost and nothing is run twice.

The points that were proposed lie in `calibration.json`, in their order; the runs in `parts`, those of the finalists in
`fresh`. The next proposal depends on the points and losses alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abm.calibrate.loss import loss_error, moment_values, trial_losses
from abm.calibrate.samplers import make_sampler
from abm.calibrate.study import Calibration
from abm.settings import SettingsError
from abm.sweep.engine import Asked, Shown, Tally, sweep
from abm.sweep.lanes import Lanes, Over
from abm.sweep.parts import write_synced
from abm.sweep.plan import Plan, plan_study
from abm.sweep.study import study_from

if TYPE_CHECKING:
    import pandas as pd

POINTS_FILE, FRESH = "calibration.json", "fresh"


@dataclass(frozen=True)
class Calibrated:
    """How a calibration stands.

    Attributes:
        trials: one row a finished trial (see `loss.trial_losses`), in the order of the trials.
        finalists: the same for the best trials on fresh seeds, by `trial`; empty before the trials are done.
        best: number of the chosen trial: the best on fresh seeds, without them on the common ones; -1 without trials.
        error: standard error of the chosen trial's loss over seeds.
        complete: whether all trials, and the finalists' fresh runs, are there.
        code: hash of the sources that ran.
        failed: runs that failed.
    """

    study: Calibration
    trials: pd.DataFrame
    finalists: pd.DataFrame
    best: int
    error: float
    complete: bool
    code: str
    failed: int = 0

    @property
    def values(self) -> dict[str, float | int]:
        """Values of the free parameters in the chosen trial."""
        row = self.trials.set_index("trial").loc[self.best]
        return {one.path: round(row[one.path]) if one.integer else float(row[one.path]) for one in self.study.free}

    @property
    def loss(self) -> float:
        """Loss of the chosen trial on the common seeds."""
        return float(self.trials.set_index("trial").loc[self.best, "loss"])

    @property
    def fresh_loss(self) -> float:
        """Its loss on fresh seeds, nan before."""
        if not len(self.finalists):
            return math.nan
        return float(self.finalists.set_index("trial").loc[self.best, "loss"])


class _KeptLanes:
    """Workers that stay from one batch of trials to the next."""

    def __init__(self, make: Callable[[int], Lanes], runs: int) -> None:
        self._make, self._runs = make, runs
        self._lanes: Lanes | None = None
        self.exact = False

    def __call__(self, _runs: int) -> Lanes:
        if self._lanes is None:
            self._lanes = self._make(self._runs)
            self.exact = self._lanes.exact
        return self

    @property
    def _now(self) -> Lanes:
        if self._lanes is None:
            raise RuntimeError("no workers were asked for")
        return self._lanes

    def free(self) -> int:
        return self._now.free()

    def count(self) -> int:
        return self._now.count()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._now.submit(function, *arguments)

    def took(self, future: Future[Any]) -> Over:
        return self._now.took(future)

    def close(self, at_once: bool) -> None:
        """Only when it is for good: after a batch the workers are kept."""
        if at_once:
            self.end(True)

    def end(self, at_once: bool = False) -> None:
        if self._lanes is not None:
            self._lanes.close(at_once)
            self._lanes = None


def calibrate(
    study: Calibration,
    folder: Path,
    lanes: Callable[[int], Lanes],
    origin: str = "study",
    say: Callable[[str], None] = print,
    stop: Asked | None = None,
    meter: Callable[[int], Shown] | None = None,
) -> Calibrated:
    """Propose and run trials until there are `study.trials`, then the finalists on fresh seeds.

    Args:
        study: what to do.
        folder: results; the same call goes on there.
        lanes: makes the workers, told how many runs there may be at a time.
        origin: file named in messages.
        say, stop, meter: as for `abm.sweep.sweep`; `meter` is made anew for each batch.

    Raises:
        SettingsError: the folder holds trials of another study or of other sources.
        OSError: the disk is full.
    """
    sampler = make_sampler(study.sampler, len(study.free), study.seed, study.startup)
    points = read_points(folder, study)
    kept = _KeptLanes(lanes, max(study.together * study.seeds, study.finalists * study.fresh_seeds))
    best_said = math.inf
    try:
        while True:
            if points:
                plan = _plan(study, points, study.seed, study.seeds, folder, origin)
                if not _run(plan, folder, kept, say, stop, meter).complete:
                    break
                losses = trial_losses(_loaded(folder), study)["loss"].tolist()
                if min(losses) < best_said:
                    best_said = min(losses)
                    say(f"trial {losses.index(best_said)} of {len(losses)}: loss {best_said:.3g}, the best so far")
            if len(points) >= study.trials:
                _fresh(study, points, losses, folder, kept, origin, say, stop, meter)
                break
            if stop is not None and stop.asked:
                break
            shares = [one["shares"] for one in points]
            new = sampler.propose(shares, losses if points else [], min(study.together, study.trials - len(points)))
            points += [{"shares": one, "values": study.values(one)} for one in new]
            _write_points(folder, study, points)
    finally:
        kept.end()
    return read_calibrated(folder, study)


def _plan(
    study: Calibration, points: Sequence[Mapping[str, Any]], seed: int, seeds: int, folder: Path, origin: str
) -> Plan:
    """Runs of these points as a list of the sweep engine, on common seeds."""
    table = {
        "name": study.name or "calibration",
        "scenario": study.scenario,
        "runner": study.runner,
        "set": study.set,
        "design": "list",
        "vary": [{"path": path, "values": [one["values"][path] for one in points]} for path in study.paths],
        "replicates": seeds,
        "seed": seed,
        "limit_s": study.limit_s,
        "batch": 1 if study.scenario else None,
    }
    asked = study_from({key: value for key, value in table.items() if value is not None}, origin)
    return plan_study(asked, folder, origin, f"deleverage calibrate {origin}")


def _run(
    plan: Plan,
    folder: Path,
    kept: _KeptLanes,
    say: Callable[[str], None],
    stop: Asked | None,
    meter: Callable[[int], Shown] | None,
) -> Tally:
    tally = sweep(plan, folder, kept, say=say, stop=stop, meter=meter)
    if tally.full:
        raise OSError(f"cannot write results: {tally.full}")
    if tally.interrupted and (stop is None or not stop.asked):
        raise KeyboardInterrupt
    return tally


def _fresh(
    study: Calibration,
    points: Sequence[Mapping[str, Any]],
    losses: Sequence[float],
    folder: Path,
    kept: _KeptLanes,
    origin: str,
    say: Callable[[str], None],
    stop: Asked | None,
    meter: Callable[[int], Shown] | None,
) -> None:
    """The best trials on seeds that the search has not seen."""
    chosen = finalists_of(losses, study.finalists)
    if chosen:
        say(f"the best {len(chosen)} trials on {study.fresh_seeds} fresh seeds")
        inner = folder / FRESH
        first = study.seed + study.seeds
        plan = _plan(study, [points[i] for i in chosen], first, study.fresh_seeds, inner, origin)
        _run(plan, inner, kept, say, stop, meter)


def finalists_of(losses: Sequence[float], count: int) -> list[int]:
    """Numbers of the trials with the smallest losses, the best first."""
    return sorted(range(len(losses)), key=lambda i: losses[i])[:count]


# --- what is there ----------------------------------------------------------------------------------------------------
def read_points(folder: Path, study: Calibration) -> list[dict[str, Any]]:
    """Points proposed so far, each with `shares` (of the ranges) and `values`.

    Raises:
        SettingsError: they are of another study, or were run with other sources.
    """
    from abm.sweep.worker import code_hash

    path = folder / POINTS_FILE
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        points: list[dict[str, Any]] = found["points"]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from None
    lines = []
    if found["study_sha256"] != study.hash:
        lines.append("the trials here are of another study (ranges, moments, seeds or search): choose another --out")
    if found["code"] != code_hash(study.runner or ""):
        lines.append(
            "the trials here were run with other sources of the model: losses would not compare; choose another --out"
        )
    if lines:
        raise SettingsError(lines, str(folder))
    return points


def _write_points(folder: Path, study: Calibration, points: Sequence[Mapping[str, Any]]) -> None:
    from abm.sweep.worker import code_hash

    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "study_sha256": study.hash,
        "code": code_hash(study.runner or ""),
        "study": study.model_dump(mode="json", exclude_defaults=True),
        "points": list(points),
    }
    write_synced(folder / POINTS_FILE, (json.dumps(facts, indent=1) + "\n").encode())


def _loaded(folder: Path) -> pd.DataFrame:
    from abm.analysis.load import load

    return load(folder)


def read_calibrated(folder: Path, study: Calibration) -> Calibrated:
    """How the calibration in a folder stands; nothing is run."""
    import pandas as pd

    from abm.sweep.worker import code_hash

    points = read_points(folder, study)
    code = code_hash(study.runner or "")
    if not points or not (folder / "plan.parquet").is_file():
        return Calibrated(study, pd.DataFrame(), pd.DataFrame(), -1, math.nan, False, code)
    frame = _loaded(folder)
    whole = frame.groupby("point").filter(lambda part: len(part) == study.seeds)
    trials = trial_losses(whole, study)
    if not len(trials):
        return Calibrated(study, trials, pd.DataFrame(), -1, math.nan, False, code)
    complete, finalists = len(trials) >= study.trials, pd.DataFrame()
    chosen = finalists_of(trials["loss"].tolist(), study.finalists) if complete else []
    if chosen:
        finalists = _finalists(folder / FRESH, study, chosen)
        complete = len(finalists) == len(chosen)
    ranked = finalists if complete and len(finalists) else trials
    best = int(ranked.loc[ranked["loss"].idxmin(), "trial"])
    error = loss_error(moment_values(whole[whole["point"] == best], study), study)
    return Calibrated(study, trials, finalists, best, error, complete, code, int(frame.attrs["failed"]))


def _finalists(folder: Path, study: Calibration, chosen: Sequence[int]) -> pd.DataFrame:
    import pandas as pd

    if not (folder / "plan.parquet").is_file():
        return pd.DataFrame()
    frame = _loaded(folder)
    whole = frame.groupby("point").filter(lambda part: len(part) == study.fresh_seeds)
    found = trial_losses(whole, study)
    if len(found) != len(chosen):
        return pd.DataFrame()
    return found.assign(trial=[chosen[int(point)] for point in found["trial"]])
