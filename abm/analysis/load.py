"""A study folder as one pandas table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from abm.analysis.designs import Factor, Problem
from abm.settings import SettingsError

NAMED = 50
"""Missing points whose values travel with the table."""


def load(path: str | Path, failures: bool = True) -> pd.DataFrame:
    """The finished runs of a study in the order of its plan: `frame = load("runs/sweep-grid")`.

    Args:
        path: folder that `deleverage sweep` wrote, also while it is still being written.
        failures: keep the rows of runs that failed; their measures are nan, `error_type` and `message` say why.

    Returns:
        One row a run: id, point, replicate, seed, the varied parameters by dotted path, the measures, error_type,
        message, traceback, command, seconds, code. Rows of older sources are left out. `attrs`: study, title, design,
        varied, points and replicates (planned), missing and failed (runs), ranges, absent (values of missing points).

    Raises:
        SettingsError: the folder holds no study.
    """
    from abm.sweep.parts import collect
    from abm.sweep.plan import PLAN_FILE
    from abm.sweep.study import OWN

    folder = Path(path)
    if not (folder / PLAN_FILE).is_file():
        raise SettingsError([f"{folder} is no study: it has no {PLAN_FILE} (`deleverage sweep STUDY` makes one)"])
    found, missing = collect(folder)
    frame: pd.DataFrame = found.to_pandas()
    for name in OWN:
        if name not in frame.columns:
            frame[name] = None
    plan = missing.slice(0, 0).column_names
    varied = [name for name in plan if name not in OWN]
    first = missing.to_pandas().drop_duplicates("point").head(NAMED)
    failed = frame["error_type"].notna()
    planned = pd.concat([frame[["point", "replicate"]], missing.select(["point", "replicate"]).to_pandas()])
    about = study_of(folder)
    frame.attrs = {
        "study": about.get("name", folder.name),
        "title": about.get("study", {}).get("title", ""),
        "design": about.get("study", {}).get("design", "grid"),
        "varied": varied,
        "points": int(planned["point"].max()) + 1 if len(planned) else 0,
        "replicates": int(planned["replicate"].max()) + 1 if len(planned) else 0,
        "missing": missing.num_rows,
        "failed": int(failed.sum()),
        "ranges": _ranges(about.get("study", {})),
        "absent": {int(row["point"]): {name: row[name] for name in varied} for row in first.to_dict("records")},
    }
    return frame if failures else frame[~failed].reset_index(drop=True)


def study_of(path: str | Path) -> dict[str, Any]:
    """What the folder says about its study: `study` (fields that differ from their defaults), name, code, runs.

    Raises SettingsError where that cannot be read.
    """
    from abm.sweep.parts import STUDY_FILE

    try:
        found: dict[str, Any] = json.loads((Path(path) / STUDY_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsError([f"{Path(path) / STUDY_FILE} cannot be read: {error}"]) from None
    return found


def problem_of(frame: pd.DataFrame) -> Problem:
    """The ranges of a loaded study as a `Problem`. Raises SettingsError when it varies lists instead."""
    ranges = frame.attrs.get("ranges") or {}
    lacking = [f"{name}: no range in the study" for name in frame.attrs.get("varied", ()) if name not in ranges]
    if lacking:
        raise SettingsError(lacking)
    return Problem(tuple(Factor(name, *ends) for name, ends in ranges.items()))


def _ranges(study: dict[str, Any]) -> dict[str, tuple[float, float, str]]:
    """Path -> (low, high, scale) of the varied ranges."""
    return {
        one["path"]: (one["low"], one["high"], one.get("scale", "linear"))
        for one in study.get("vary", ())
        if one.get("low") is not None and one.get("high") is not None
    }


def measures_of(frame: pd.DataFrame) -> list[str]:
    """Columns that are measures: numbers that are no keys, no varied parameters and not all the same nothing."""
    from abm.sweep.study import OWN

    skip = {*OWN, *frame.attrs.get("varied", ())}
    return [
        str(name) for name in frame.columns
        if name not in skip and pd.api.types.is_numeric_dtype(frame[name]) and frame[name].notna().any()
    ]  # fmt: skip
