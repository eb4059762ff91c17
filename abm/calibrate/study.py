"""A calibration study: one TOML file with the free parameters, the moments, the seeds and the search."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from datetime import date as Day  # noqa: N812 (a field is called so)
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from abm.parameters import Parameters, quantity
from abm.provenance import canonical_json
from abm.settings import Table, merge, nearest, read_toml, validate
from abm.sweep.study import OWN, StudyError, flat_paths

SEEDS_LEAST = 4
"""Below this a set that runs away in one run of three is not told from one that does not."""
FREE_MOST = 10


class Free(Parameters):
    """A parameter that is searched for."""

    path: str = Field(description="dotted path in the scenario, as for --set; for a function the name of a value")
    low: float = Field(description="lower end of its range, in the parameter's unit")
    high: float = Field(description="upper end of its range")
    scale: Literal["linear", "log"] = Field("linear", description="how trials are spread between low and high")
    integer: bool = Field(False, description="whole numbers only")
    unit: str = Field("", description="for people")
    source: str = Field("", description="where the range comes from, and why nobody knows better")

    def at(self, share: float) -> float | int:
        """The value at a share (0 to 1) of the way from low to high."""
        low, high = self.low, self.high
        value = low * (high / low) ** share if self.scale == "log" else low + (high - low) * share
        value = low if share <= 0 else high if share >= 1 else value
        return round(value) if self.integer else float(f"{value:.6g}")

    def share(self, value: float) -> float:
        """The inverse of `at`."""
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def problems(self) -> list[str]:
        """What is wrong with it."""
        lines = []
        if not self.path or self.path in OWN or self.path.split(".")[-1] in ("seed", "record"):
            lines.append("path: names no parameter that can be searched for")
        if not self.low < self.high:
            lines.append(f"low {self.low:g} is not below high {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            lines.append(f"a log scale starts above 0, not at {self.low:g}")
        return lines


class Moment(Parameters):
    """A measure and what it should be. Without target and width: the real figure and half of its band."""

    measure: str = Field(description="name of a measure of a run")
    target: float | None = Field(None, description="what it should be, in the measure's unit")
    width: float | None = quantity(None, unit="as the measure", source="study", gt=0, text="deviation that counts as 1")
    weight: float = quantity(1.0, unit="-", source="study", gt=0, text="weight in the loss")
    grade: str = Field("", description="how well the target is known")
    source: str = Field("", description="where the target comes from")
    scale: Literal["linear", "log"] = Field("linear", description="log: ratios count; then `width` is a factor above 1")


class Calibration(Parameters):
    """What is calibrated, against what, and how it is searched."""

    name: str = Field("", description="short name; default: name of the file", pattern=r"^[a-z0-9-]*$")
    title: str = Field("", description="one line for people")
    scenario: str | None = Field(None, description="packaged scenario, or a TOML file beside the study")
    runner: str | None = Field(None, description='instead of a scenario: "module:function" (values, seed) -> measures')
    event: str = Field(description='the event of the moments, e.g. "10 Oct 2025"')
    date: Day = Field(description="date of this calibration; results carry it, never the clock's")
    set: dict[str, Any] = Field(default_factory=dict, description="values that all trials share, by dotted path")
    free: tuple[Free, ...] = Field(description="parameters that are searched for; few")
    moments: tuple[Moment, ...] = Field(description="what they are judged by")
    seed: int = quantity(1, unit="-", source="any", ge=0, lt=2**61, text="first of the common seeds")
    seeds: int = quantity(4, unit="runs a trial", source="sets are bimodal", ge=SEEDS_LEAST, le=1_000)
    spread: float = quantity(1.0, unit="-", source="study", ge=0, text="weight of the spread over seeds in the loss")
    spread_allowed: float = quantity(
        0.5, unit="widths", source="study", ge=0, text="standard deviation over seeds that costs nothing"
    )
    worst: float = quantity(6.0, unit="widths", source="study", gt=1, text="most that one moment is off, and missing")
    sampler: Literal["tpe", "simplex", "sobol"] = Field(
        "tpe", description="tpe: Optuna, extra `calibrate`; simplex: Nelder and Mead; sobol: spread evenly, no search"
    )
    trials: int = quantity(64, unit="trials", source="study", ge=1, le=100_000)
    startup: int = quantity(16, unit="trials", source="study", ge=1, text="first trials, spread evenly over the ranges")
    together: int = quantity(4, unit="trials", source="study", ge=1, le=256, text="trials proposed at a time")
    finalists: int = quantity(3, unit="trials", source="study", ge=0, le=100, text="best trials judged on fresh seeds")
    fresh_seeds: int = quantity(8, unit="runs", source="study", ge=SEEDS_LEAST, le=1_000, text="fresh seeds of each")
    limit_s: float | None = quantity(None, unit="s", source="study", gt=0, text="longest time of one run")

    def problems(self) -> list[str]:
        """What is wrong beyond single fields, one line each."""
        lines = []
        if (self.scenario is None) == (self.runner is None):
            lines.append("scenario, runner: give one of the two")
        if not 1 <= len(self.free) <= FREE_MOST:
            lines.append(f"free: {len(self.free)} parameters; one event identifies few: 1 to {FREE_MOST}")
        if not self.moments:
            lines.append("moments: none")
        lines += [f"free.{one.path or i}: {line}" for i, one in enumerate(self.free) for line in one.problems()]
        for what, names in (("free", [f.path for f in self.free]), ("moments", [m.measure for m in self.moments])):
            lines += [f"{what}.{name}: named {n} times" for name, n in Counter(names).items() if n > 1]
        lines += [f"free.{one.path}: also in [set]" for one in self.free if one.path in self.fixed]
        for one in self.moments:
            if one.scale == "log" and ((one.target or 0) <= 0 or (one.width or 0) <= 1):
                lines.append(f"moments.{one.measure}: on a log scale the target is above 0, the width a factor above 1")
        return lines

    @property
    def fixed(self) -> Table:
        """`set` by dotted path."""
        return flat_paths(self.set)

    @property
    def hash(self) -> str:
        """SHA-256 of what decides the trials and their losses: without names, and without how many there are."""
        data = self.model_dump(mode="json", exclude={"name", "title", "trials", "finalists", "fresh_seeds", "date"})
        return hashlib.sha256(canonical_json(data).encode()).hexdigest()

    @property
    def paths(self) -> list[str]:
        """Free parameters by name."""
        return [one.path for one in self.free]

    def values(self, shares: list[float]) -> dict[str, float | int]:
        """Values of the free parameters at a point of the unit cube."""
        return {one.path: one.at(share) for one, share in zip(self.free, shares, strict=True)}


def load_calibration(path: Path, settings: Mapping[str, Any] | None = None) -> Calibration:
    """Read and check a study; moments without a target get that of `abm.targets`.

    Args:
        path: TOML file; the scenario it names is looked for beside it first.
        settings: fields that replace the file's.

    Raises:
        StudyError: with one line for every mistake found.
    """
    table = merge(read_toml(path), settings or {})
    return calibration_from(table, str(path), path.parent, path.stem)


def calibration_from(
    table: Table, origin: str = "study", beside: Path | None = None, stem: str = "study"
) -> Calibration:
    """Check a table of fields; as `load_calibration`.

    Args:
        table: TOML tables of a study.
        origin: named in messages.
        beside: folder in which a scenario's file is looked for.
        stem: name of the study where the table has none.

    Raises:
        StudyError: with one line a problem.
    """
    named: Table = {"name": "".join(c if c.isalnum() else "-" for c in stem.lower()).strip("-")} | table
    scenario = named.get("scenario")
    if beside is not None and isinstance(scenario, str) and (beside / scenario).is_file():
        named["scenario"] = str(beside / scenario)
    lines: list[str] = []
    moments = named.get("moments")
    if isinstance(moments, list):
        named["moments"] = [_with_target(one, lines) if isinstance(one, Mapping) else one for one in moments]
    study = validate(Calibration, named, origin)
    lines += study.problems()
    if lines:
        raise StudyError(lines, origin)
    return study


def _with_target(moment: Mapping[str, Any], lines: list[str]) -> Table:
    """A moment with the real figure, half its band, its grade and source where the study leaves them out."""
    if moment.get("target") is not None and moment.get("width") is not None:
        return dict(moment)
    from abm.targets import TARGETS

    name = str(moment.get("measure", ""))
    found = next((one for one in TARGETS if one.key == name), None)
    if found is None:
        hint = nearest(name, [one.key for one in TARGETS])
        lines.append(f"moments.{name}: no target of this name{hint}: give `target` and `width`")
        return {"target": 0.0, "width": 1.0, **moment}
    if moment.get("scale") == "log":
        width = math.sqrt(found.high / found.low) if 0 < found.low < found.high else 2.0
    else:
        width = (found.high - found.low) / 2 / found.scale
    own = {"target": found.real / found.scale, "width": width, "grade": found.grade, "source": found.source}
    return {**own, **moment}
