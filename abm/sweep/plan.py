"""From a study to runs: ids, seeds, what each run needs, and the table of them all that lies beside the results."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abm import outside
from abm.provenance import canonical_json, finite, run_id, version
from abm.settings import SettingsError, toml_value
from abm.sweep.design import points_of, seeds_of
from abm.sweep.study import OWN, Study, StudyError
from abm.sweep.worker import Ended, Job, Recipe, code_hash, load_function

if TYPE_CHECKING:
    import pyarrow as pa

    from abm.scenario import Scenario

SHOWN = 20
"""Bad points that are listed; the rest are counted."""
PLAN_FILE = "plan.parquet"
TABLE_KEY = b"deleverage.base"


@dataclass
class Plan:
    """Runs in their order: run `i` is replicate `i % replicates` of point `i // replicates`.

    Attributes:
        columns: values of each varied path, one a point.
        seeds, ids: one a run; runs with the same id are one and the same.
        payload: what a worker needs of a point (computed when asked for: plans are long).
        command: shell command that repeats a run alone.
        key: hash of what the points have in common; ids found under the same key may be used again.
    """

    name: str
    columns: dict[str, list[Any]]
    replicates: int
    seeds: list[int]
    ids: list[str]
    recipe: Recipe
    payload: Callable[[int], Mapping[str, Any]]
    command: Callable[[int], str]
    key: str = ""
    batch: int | None = None
    part_rows: int = 500
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def job(self, run: int) -> Job:
        """What a worker gets."""
        return Job(run, self.payload(run // self.replicates), self.seeds[run])

    def values(self, run: int) -> dict[str, Any]:
        """Varied values of a run."""
        return {path: column[run // self.replicates] for path, column in self.columns.items()}

    def table(self) -> pa.Table:
        """One row a run in the order of the plan: id, point, replicate, seed, varied values."""
        import pyarrow as pa

        from abm.sweep.parts import varied_array

        runs = range(len(self.ids))
        arrays = {
            "id": pa.array(self.ids, pa.string()),
            "point": pa.array([i // self.replicates for i in runs], pa.int32()),
            "replicate": pa.array([i % self.replicates for i in runs], pa.int32()),
            "seed": pa.array(self.seeds, pa.int64()),
        }
        for path, column in self.columns.items():
            arrays[path] = varied_array([column[i // self.replicates] for i in runs], column)
        return pa.table(arrays).replace_schema_metadata({TABLE_KEY: self.key.encode()})


def row_of(plan: Plan, ended: Ended) -> dict[str, Any]:
    """A row of a part: what was run, what came of it, how to run it again."""
    run = ended.index
    head = {"id": plan.ids[run], "point": run // plan.replicates, "replicate": run % plan.replicates}
    values = plan.values(run)
    taken = sorted(set(ended.measures) & ({*OWN, *values}))
    if taken:
        ended = Ended(run, {}, ended.seconds, "ValueError", f"a measure may not be called {', '.join(taken)}")
    return {
        **head,
        "seed": plan.seeds[run],
        **values,
        **ended.measures,
        "error_type": ended.error_type,
        "message": ended.message,
        "traceback": ended.traceback,
        "command": plan.command(run),
        "seconds": None if math.isnan(ended.seconds) else ended.seconds,
        "code": plan.recipe.code[:16],
    }


def plan_study(study: Study, folder: Path | None = None, origin: str = "study", study_command: str = "") -> Plan:
    """Points, seeds and ids of a study; every point is checked before anything runs.

    Args:
        study: what to run.
        folder: results of an earlier call; ids that are known there need not be computed again.
        origin: file named in messages.
        study_command: command of the sweep, from which those that repeat a run of a function are made.

    Raises:
        StudyError: with a line for every mistake in any point.
    """
    points = points_of(study)
    seeds = seeds_of(study, points)
    count = len(next(iter(points.values()), [None]))
    lines = [f"{path}: also in [set]" for path in points if path in study.fixed]
    if lines:
        raise StudyError(lines, origin)
    make = _function_plan if study.runner is not None else _scenario_plan
    recipe = Recipe(
        target=study.runner or "",
        record=study.record,
        series=study.series,
        series_points=study.series_points,
        limit_s=study.limit_s,
        allow_code=outside.allowed(),
    )
    return make(study, points, seeds, count, recipe, folder, origin, study_command)


def _function_plan(
    study: Study,
    points: dict[str, list[Any]],
    seeds: list[int],
    count: int,
    recipe: Recipe,
    _folder: Path | None,
    origin: str,
    study_command: str,
) -> Plan:
    """Runs of somebody's own function."""
    try:
        if not callable(load_function(recipe.target)):
            raise ValueError("not a function")
    except (ImportError, AttributeError, ValueError) as error:
        raise StudyError([f"runner: {recipe.target}: {error}"], origin) from None
    code = code_hash(recipe.target)

    def payload(point: int) -> dict[str, Any]:
        return study.fixed | {path: column[point] for path, column in points.items()}

    def command(run: int) -> str:
        return f"{study_command or f'deleverage sweep {shlex.quote(origin)}'} --only {ids[run][:12]}"

    ids: list[str] = []
    for run, seed in enumerate(seeds):
        parts = {"runner": recipe.target, "values": finite(payload(run // study.replicates)), "seed": seed}
        text = canonical_json({**parts, "code": code, "version": version()})
        ids.append(hashlib.sha256(text.encode()).hexdigest())
    recipe = _with_code(recipe, code)
    return _checked(Plan(study.name, points, study.replicates, seeds, ids, recipe, payload, command), study, origin)


def _scenario_plan(
    study: Study,
    points: dict[str, list[Any]],
    seeds: list[int],
    count: int,
    recipe: Recipe,
    folder: Path | None,
    origin: str,
    study_command: str,
) -> Plan:
    """Runs of a scenario; ids are those of `run.json`."""
    from abm.scenario import load_scenario

    name = study.scenario or ""
    fixed = [f"{path}={toml_value(value)}" for path, value in study.fixed.items()]
    code = code_hash("")

    def settings(point: int) -> list[str]:
        return [f"{path}={toml_value(column[point])}" for path, column in points.items()]

    @lru_cache(maxsize=64)
    def scenario(point: int) -> Scenario:
        return load_scenario(name, [*fixed, *settings(point)])

    def payload(point: int) -> dict[str, Any]:
        return scenario(point).resolved()

    def command(run: int) -> str:
        given = [*fixed, *settings(run // study.replicates)]
        words = ["deleverage", "run", name, "--seed", str(seeds[run]), *(["--allow-code"] if recipe.allow_code else [])]
        return shlex.join(words + [word for one in given for word in ("--set", one)])

    try:
        base = load_scenario(name, fixed).resolved()
    except SettingsError as error:
        raise StudyError([f"scenario {name} with [set]: {line}" for line in error.lines], origin) from None
    lines = _series_problems(study.series)
    key = canonical_json({"base": finite(base), "fixed": fixed, "code": code, "version": version()})
    key = hashlib.sha256(key.encode()).hexdigest()
    # A preset file named by a value may have changed since: its ids are computed afresh.
    cached = not any(path.endswith("preset") for path in points)
    known = known_ids(folder, key, list(points)) if folder is not None and cached else {}
    ids, bad = [], 0
    for point in range(count):
        runs = range(point * study.replicates, (point + 1) * study.replicates)
        values = [column[point] for column in points.values()]
        found = [known.get(canonical_json([seeds[run], finite(values)])) for run in runs]
        if not all(found):
            try:
                resolved = finite(payload(point))
            except SettingsError as error:
                bad += 1
                hint = "; for a range, integer = true" if "valid integer" in str(error) else ""
                lines += [f"point {point} ({', '.join(settings(point))}): {line}{hint}" for line in error.lines]
                continue
            found = [run_id({**resolved, "seed": seeds[run]}, seeds[run]) for run in runs]
        ids += [one for one in found if one]
    if lines:
        more = [f"... {bad} bad points in all"] if len(lines) > SHOWN else []
        raise StudyError(lines[:SHOWN] + more, origin)
    plan = Plan(study.name, points, study.replicates, seeds, ids, _with_code(recipe, code), payload, command, key)
    return _checked(plan, study, origin)


def _series_problems(series: tuple[str, ...]) -> list[str]:
    from abm.recorder import STEP
    from abm.settings import nearest

    names = list(STEP.names or ())
    return [f"series: {name!r} is no column of the ticks{nearest(name, names)}" for name in series if name not in names]


def _with_code(recipe: Recipe, code: str) -> Recipe:
    from dataclasses import replace

    return replace(recipe, code=code)


def _checked(plan: Plan, study: Study, origin: str) -> Plan:
    """In a grid, two points that are the same run are a mistake; elsewhere (whole numbers) they share one result."""
    seen: dict[str, int] = {}
    lines = []
    for run, one in enumerate(plan.ids):
        if seen.setdefault(one, run) != run and study.design == "grid":
            lines.append(f"runs {seen[one]} and {run} are the same run: {plan.values(run)}, seed {plan.seeds[run]}")
    if lines:
        more = [f"... {len(lines)} such pairs"] if len(lines) > SHOWN else []
        raise StudyError(lines[:SHOWN] + more, origin)
    plan.batch, plan.part_rows = study.batch, study.part_rows
    plan.about = json.loads(study.model_dump_json(exclude_defaults=True))
    return plan


def known_ids(folder: Path, key: str, paths: list[str]) -> dict[str, str]:
    """Ids in an earlier plan of the same base and sources, by seed and values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / PLAN_FILE)
    except (OSError, pa.ArrowException):
        return {}
    if (table.schema.metadata or {}).get(TABLE_KEY) != key.encode() or set(paths) - set(table.column_names):
        return {}
    columns = [table[name].to_pylist() for name in ("id", "seed", *paths)]
    return {canonical_json([row[1], finite(list(row[2:]))]): row[0] for row in zip(*columns, strict=True)}


def pair_plan(
    name: str, resolved: Mapping[str, Mapping[str, Any]], commands: Mapping[str, list[str]], seed: int, reps: int
) -> Plan:
    """Runs of a paired comparison: one point a variant (by name), common seeds, all measures kept as they are.

    Args:
        name: of the comparison.
        resolved: the scenario of each variant.
        commands: words of the command that runs each variant; the seed is added.
        seed: first seed.
        reps: seeds.
    """
    names, tables = list(resolved), [finite(table) for table in resolved.values()]
    seeds = [seed + r for _ in names for r in range(reps)]
    ids = [run_id({**tables[i // reps], "seed": one}, one) for i, one in enumerate(seeds)]
    recipe = Recipe(code=code_hash(""), whole=True, allow_code=outside.allowed())

    def command(run: int) -> str:
        return shlex.join([*commands[names[run // reps]], "--seed", str(seeds[run])])

    key = hashlib.sha256(canonical_json(ids).encode()).hexdigest()
    return Plan(name, {"variant": list(names)}, reps, seeds, ids, recipe, lambda point: tables[point], command, key)


def plan_key(folder: Path) -> str:
    """Key of the plan in a folder, "" when there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(folder / PLAN_FILE).metadata or {}
    except (OSError, pa.ArrowException):
        return ""
    key: str = metadata.get(TABLE_KEY, b"").decode()
    return key
