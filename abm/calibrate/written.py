"""The result as a scenario file: the values with their grade and source, in a form that others can extend."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from abm.calibrate.identify import Identified
from abm.calibrate.trials import Calibrated
from abm.provenance import canonical_json, version
from abm.settings import Table, keyed, put, to_toml, toml_value


def result_hash(result: Calibrated) -> str:
    """SHA-256 of the values, of what they were found with and of the losses of all trials."""
    facts = {
        "values": result.values,
        "study": result.study.hash,
        "code": result.code,
        "losses": [float(f"{loss:.9g}") for loss in result.trials["loss"]],
    }
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def scenario_text(result: Calibrated, known: Identified, command: str = "") -> str:
    """A scenario file that extends the calibrated scenario by the values found (for a function: the values alone).

    It holds neither time nor place: the same trials give the same bytes.

    Args:
        result: a calibration with at least one trial.
        known: what is known of its parameters.
        command: that makes it again.
    """
    study = result.study
    head = _head(result, known, command)
    if study.scenario is None:
        return head + "\n" + to_toml(dict(result.values))
    name = f"{_stem(study.scenario)}-calibrated"
    own: Table = {
        "extends": study.scenario,
        "name": name,
        "title": f"{_stem(study.scenario)}, calibrated on {study.event}",
        "description": _description(result),
    }
    return head + "\n" + to_toml(own | overlay(study.scenario, result.values))


def _stem(scenario: str) -> str:
    return scenario.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".toml")


def _description(result: Calibrated) -> str:
    study = result.study
    fresh = f", {result.fresh_loss:.3g} on fresh seeds" if result.fresh_loss == result.fresh_loss else ""
    return (
        f"Calibrated on {study.event}, {study.date.isoformat()}: loss {result.loss:.3g} on {study.seeds} common seeds"
        f"{fresh}, the best of {len(result.trials)} trials. Set on this event alone."
    )


def _head(result: Calibrated, known: Identified, command: str) -> str:
    """Comments: what this is, what it rests on, and one line a value."""
    study = result.study
    first = study.seed
    fixed = ", ".join(f"{path} = {toml_value(value)}" for path, value in study.fixed.items()) or "nothing"
    lines = [
        f"calibrated on {study.event}",
        f"date        {study.date.isoformat()} (of the study)",
        f"study       {study.name}, sha256 {study.hash}",
        f"sources     deleverage {version()}, sha256 {result.code}",
        f"seeds       {first} to {first + study.seeds - 1}"
        + (f"; finalists also {first + study.seeds} to {first + study.seeds + study.fresh_seeds - 1}"
           if len(result.finalists) else ""),
        f"set         {fixed}",
        f"search      {study.sampler}, {len(result.trials)} trials{'' if result.complete else ', not finished'}",
        f"loss        {result.loss:.4g} (standard error over seeds {result.error:.2g})",
        f"fresh       {result.fresh_loss:.4g} (loss on the fresh seeds)",
        f"result      sha256 {result_hash(result)}",
    ]  # fmt: skip
    lines += [f"command     {command}"] if command else []
    lines += ["", "parameter: value, range searched, range of the best trials, what the profile of the loss says"]
    for one, row in zip(study.free, known.rows, strict=True):
        unit = f" {one.unit}" if one.unit else ""
        lines.append(
            f"  {one.path}: {row['value']:.6g}{unit}, {one.low:g} to {one.high:g}, "
            f"{row['low']:.4g} to {row['high']:.4g}, {row['words']}" + (f"; {one.source}" if one.source else "")
        )
    lines += ["", "moment: median, target, width, off (widths), grade"]
    best = result.trials.set_index("trial").loc[result.best]
    for moment in study.moments:
        middle, off = float(best[f"{moment.measure}.middle"]), float(best[f"{moment.measure}.off"])
        lines.append(
            f"  {moment.measure}: {middle:.5g}, {moment.target:.5g}, {moment.width:.4g}, {off:+.2f}, "
            f"{moment.grade or '-'}" + (f"; {moment.source}" if moment.source else "")
        )
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def overlay(scenario: str, values: Mapping[str, Any]) -> Table:
    """The least tables that, merged over the scenario, set these dotted paths."""
    from abm.scenario import load_table

    base = load_table(scenario)
    changed = base
    for path, value in values.items():
        changed = put(changed, path, value)
    return _difference(base, changed)


def _difference(base: Table, changed: Table) -> Table:
    """Entries of `changed` that are not in `base`; of lists of named tables only the named ones that differ."""
    found: Table = {}
    for key, value in changed.items():
        before = base.get(key)
        if value is before:
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            inner = _difference(before, value)
            found |= {key: inner} if inner else {}
        elif keyed(value) and isinstance(before, list):
            items = zip(before, value, strict=True)
            found[key] = [{"name": new["name"], **_difference(old, new)} for old, new in items if old is not new]
        else:
            found[key] = value
    return found
