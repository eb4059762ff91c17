"""A study: one TOML file that says which scenario (or function) is run with which values, how often, and what is kept.

`load_study` reports every mistake at once; `abm.sweep.plan` turns a study into runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from abm.parameters import Parameters, quantity
from abm.settings import SettingsError, Table, merge, read_toml, validate

Design = Literal["grid", "list", "latin-hypercube", "sobol", "saltelli", "morris"]
FILLING = ("latin-hypercube", "sobol", "saltelli", "morris")
"""Designs that spread `points` over ranges."""
RUNS_MAX = 10_000_000
OWN = ("seed", "id", "point", "replicate", "error_type", "message", "traceback", "command", "seconds", "code")
"""Columns of every part: no varied path and no measure may be called so."""


class StudyError(SettingsError):
    """A study with mistakes; `lines` holds them all."""


class Vary(Parameters):
    """One varied parameter: a list of values, or a range."""

    path: str = Field(description="dotted path in the scenario, as for --set; for a function the name of a value")
    values: tuple[Any, ...] | None = Field(None, description="the values, in this order")
    low: float | None = Field(None, description="lower end of the range, in the parameter's unit")
    high: float | None = Field(None, description="upper end of the range, in the parameter's unit")
    points: int | None = quantity(None, unit="values", source="chosen", ge=2, le=100_000, text="values of a grid")
    scale: Literal["linear", "log"] = Field("linear", description="how values are spread between low and high")
    integer: bool = Field(False, description="round the values of a range to whole numbers")

    def problems(self, design: str) -> list[str]:
        """What is wrong with this entry."""
        lines = []
        ends = (self.low, self.high)
        if not self.path or self.path.split(".")[-1] in ("seed", "record") or self.path in OWN:
            lines.append("path: names no parameter that can be varied (seeds: `seed`, `seeds`, `replicates`)")
        if (self.values is None) == (ends == (None, None)):
            lines.append("give either `values` or `low` and `high`")
        elif self.values is not None:
            texts = [json.dumps(value, default=str) for value in self.values]
            twice = [text for text, times in Counter(texts).items() if times > 1]
            if not texts:
                lines.append("values: none")
            if twice and design == "grid":
                lines.append(f"values: twice the same: {', '.join(twice)}")
            if self.points is not None or self.scale != "linear" or self.integer:
                lines.append("points, scale and integer belong to a range, not to `values`")
            if design in ("saltelli", "morris"):
                lines.append(f"design {design!r} needs a range, `low` and `high`")
        elif self.low is None or self.high is None:
            lines.append("a range needs both `low` and `high`")
        else:
            if not self.low < self.high:
                lines.append(f"low {self.low:g} is not below high {self.high:g}")
            if self.scale == "log" and self.low <= 0:
                lines.append(f"a log scale starts above 0, not at {self.low:g}")
            if design in FILLING and self.points is not None:
                lines.append(f"points: design {design!r} has one number of points for all, at the top of the file")
            if design not in FILLING and self.points is None:
                lines.append("points: how many values between low and high")
        return lines


class Study(Parameters):
    """What a sweep runs."""

    name: str = Field("", description="short name of the study; default: name of the file", pattern=r"^[a-z0-9-]*$")
    title: str = Field("", description="one line for people")
    scenario: str | None = Field(None, description="packaged scenario, or a TOML file beside the study")
    runner: str | None = Field(None, description='instead of a scenario: "module:function" (values, seed) -> measures')
    set: dict[str, Any] = Field(default_factory=dict, description="values that all runs share, by dotted path")
    vary: tuple[Vary, ...] = Field((), description="varied parameters")
    salib: str | None = Field(None, description="JSON file with a SALib problem, instead of [[vary]]")
    samples: str | None = Field(None, description="CSV or Parquet with one column a path, one row a point")
    design: Design = Field("grid", description="how values are combined into points")
    points: int | None = quantity(None, unit="points", source="chosen", ge=1, le=RUNS_MAX, text="points of the design")
    design_seed: int = quantity(1, unit="-", source="any", ge=0, lt=2**31, text="seed of a scrambled or random design")
    replicates: int = quantity(1, unit="runs a point", source="chosen", ge=1, le=100_000)
    seed: int = quantity(1, unit="-", source="any", ge=0, lt=2**61, text="first seed")
    seeds: Literal["common", "independent"] = Field(
        "common", description="common: replicate r of every point has seed + r; independent: every run has its own"
    )
    record: tuple[str, ...] = Field((), description="measures kept, patterns like `venues.*` allowed; none: all")
    series: tuple[str, ...] = Field((), description="columns of the ticks that are kept as lists")
    series_points: int = quantity(200, unit="ticks", source="chosen", ge=2, le=1_000_000, text="length of such lists")
    limit_s: float | None = quantity(None, unit="s", source="chosen", gt=0, text="longest time of one run")
    batch: int | None = quantity(
        None, unit="runs", source="chosen", ge=1, le=10_000, text="runs a task; default: a second or two of them"
    )
    part_rows: int = quantity(
        500, unit="runs", source="chosen", ge=1, le=100_000, text="most runs in a file of results"
    )

    def problems(self) -> list[str]:
        """What is wrong beyond single fields, one line each."""
        lines = []
        if (self.scenario is None) == (self.runner is None):
            lines.append("scenario, runner: give one of the two")
        if self.runner is not None and self.series:
            lines.append("series: only for scenarios")
        if self.design in FILLING and self.points is None:
            lines.append(f"points: design {self.design!r} needs a number")
        if self.design not in FILLING and self.points is not None:
            lines.append(f"points: follows from the values for design {self.design!r}")
        if self.design in ("sobol", "saltelli") and self.points is not None and self.points & (self.points - 1):
            below = 1 << (self.points.bit_length() - 1)
            lines.append(f"points: {self.points} is no power of two, as Sobol sequences need: {below} or {2 * below}")
        if self.samples is not None and (self.vary or self.salib or self.design != "list"):
            lines.append('samples: goes with design = "list" and without [[vary]] and salib')
        if self.salib is not None and self.vary:
            lines.append("salib: instead of [[vary]], not beside it")
        if not (self.vary or self.salib or self.samples) and self.design != "grid":
            lines.append(f"vary: nothing is varied, design {self.design!r} has nothing to spread")
        fixed = flat_paths(self.set)
        for path in fixed:
            if path.split(".")[-1] == "seed" or path in OWN:
                lines.append(f"set.{path}: the seeds of a study are `seed`, `seeds` and `replicates`")
        return lines + self._vary_problems(fixed)

    def _vary_problems(self, fixed: Mapping[str, Any]) -> list[str]:
        lines = [f"vary.{v.path or i}: {line}" for i, v in enumerate(self.vary) for line in v.problems(self.design)]
        times = Counter(v.path for v in self.vary)
        lines += [f"vary.{path}: varied {n} times" for path, n in times.items() if n > 1]
        lines += [f"vary.{path}: also in [set]" for path in times if path in fixed]
        lengths = {v.path: len(v.values) if v.values is not None else v.points for v in self.vary}
        if self.design == "list" and len(set(lengths.values())) > 1:
            said = ", ".join(f"{path} {n}" for path, n in lengths.items())
            lines.append(f"vary: a list takes the values of all side by side, but their numbers differ: {said}")
        return lines

    @property
    def fixed(self) -> Table:
        """`set` by dotted path, whether it was written as tables or as paths."""
        return flat_paths(self.set)


def flat_paths(table: Mapping[str, Any], prefix: str = "") -> Table:
    """Nested tables as one by dotted path."""
    found: Table = {}
    for key, value in table.items():
        nested = isinstance(value, Mapping) and bool(value)
        found |= flat_paths(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def load_study(path: Path, settings: Mapping[str, Any] | None = None) -> Study:
    """Read and check a study file.

    Args:
        path: TOML file. Files it names (scenario, salib, samples) are looked for beside it first.
        settings: fields that replace the file's.

    Raises:
        StudyError: with one line for every mistake found.
    """
    return study_from(merge(read_toml(path), settings or {}), str(path), path.parent, path.stem)


def study_from(table: Table, origin: str = "study", beside: Path | None = None, stem: str = "study") -> Study:
    """Check a table of fields; as `load_study`, and raises StudyError as it does."""
    named = {"name": "".join(c if c.isalnum() else "-" for c in stem.lower()).strip("-")} | table
    for key in ("scenario", "salib", "samples"):
        value = named.get(key)
        if beside is not None and isinstance(value, str) and (beside / value).is_file():
            named[key] = str(beside / value)
    lines = []
    try:
        study = validate(Study, named, origin)
    except SettingsError as error:
        lines = error.lines
        from abm.settings import without_mistakes

        try:
            study = validate(Study, without_mistakes(Study, named), origin)
        except SettingsError:
            raise StudyError(lines, origin) from None
    if study.salib is not None and not study.vary:
        try:
            study = study.model_copy(update={"vary": _salib_file(Path(study.salib))})
        except (OSError, ValueError, KeyError) as error:
            lines = [*lines, f"salib: {error}"]
        else:
            lines += study.model_copy(update={"salib": None}).problems()
    else:
        lines += study.problems()
    if lines:
        raise StudyError(list(dict.fromkeys(lines)), origin)
    return study


# --- SALib ------------------------------------------------------------------------------------------------------------
def _salib_file(path: Path) -> tuple[Vary, ...]:
    return vary_from_salib(json.loads(path.read_text(encoding="utf-8")))


def vary_from_salib(problem: Mapping[str, Any]) -> tuple[Vary, ...]:
    """Ranges of a SALib problem (names, bounds, dists unif or logunif). Raises ValueError or KeyError."""
    from abm.analysis.designs import Problem

    factors = Problem.from_salib(problem).factors
    return tuple(Vary.model_validate({"path": f.path, "low": f.low, "high": f.high, "scale": f.scale}) for f in factors)


def salib_problem(study: Study) -> dict[str, Any]:
    """The study's ranges as a SALib problem; lists of numbers count as the range they span. Raises ValueError."""
    from abm.analysis.designs import Factor, Problem

    factors = []
    for one in study.vary:
        ends: Sequence[Any] = (one.low, one.high) if one.values is None else (min(one.values), max(one.values))
        if not all(isinstance(end, int | float) for end in ends):
            raise ValueError(f"{one.path}: not a number, which SALib needs")
        factors.append(Factor(one.path, float(ends[0]), float(ends[1]), one.scale))
    return Problem(tuple(factors)).to_salib()
