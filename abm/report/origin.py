"""Where a result comes from: code, seed, hashes, and the command that makes it again, tried before it is printed."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abm.provenance import finite, run_id, source_hash, version
from abm.report.page import Html, block, code, facts, number, paragraph, table
from abm.scenario import load_scenario, scenario_names
from abm.settings import SettingsError, to_toml

MOST_SETTINGS = 24
"""Changes up to which a command with `--set` is shown; above, the scenario file at the end is the way."""
SCENARIO_FILE = "scenario.toml"


def origin(info: Mapping[str, Any], made: Mapping[str, Any]) -> Html:
    """Version, commit, hashes, packages and machine of a run."""
    same = info.get("source_hash") == source_hash()
    pairs: list[tuple[str, object]] = [
        ("run id", code(info.get("run_id", "n/a"))),
        ("sources, SHA-256", code(info.get("source_hash", "n/a"))),
        ("git commit", code(info.get("git_commit") or "not run from a work tree")),
        ("version", info.get("version", "n/a")),
        ("this report", f"made by {'the same' if same else 'OTHER'} sources, version {version()}"),
        ("Python", made.get("python", "n/a")),
        ("packages", ", ".join(f"{name} {text}" for name, text in (made.get("packages") or {}).items()) or "n/a"),
        ("platform", f"{made.get('platform', 'n/a')}, {made.get('processor', 'n/a')}"),
        ("took", f"{number(made.get('wall_seconds'))} s, {number(made.get('peak_memory_mb'))} MB at most"),
    ]
    words = "The run id is the SHA-256 of resolved scenario, seed, version and sources: equal ids mean equal results."
    return Html(facts(pairs) + paragraph(words, class_="small"))


def again(info: Mapping[str, Any]) -> Html:
    """How to repeat a run. A command is only called exact after its scenario was found to be the run's."""
    command = exact_command(info)
    same = info.get("source_hash") == source_hash()
    if command is not None:
        remark = "Its scenario was resolved again for this report and is the run's in every value. "
    else:
        command = f"deleverage run {SCENARIO_FILE}"
        remark = f"Save the scenario at the end of this report as {SCENARIO_FILE} first. "
        if info.get("scenario", {}).get("participants"):
            remark += "Classes of somebody's own, if it names any, must be installed and need --allow-code. "
    if same:
        remark += "With the sources of this report it gives the same run id. "
    else:
        remark += "This report was made by other sources than the run: take the commit and version named under Origin. "
    remark += "deleverage export RUN writes one file that deleverage reproduce repeats and compares tick by tick."
    return Html(block(command) + paragraph(remark, class_="small"))


def exact_command(info: Mapping[str, Any]) -> str | None:
    """`deleverage run ...` whose scenario is the run's in every value; None when there is no short one."""
    scenario, name, seed = info.get("scenario", {}), str(info.get("name")), info.get("seed")
    accounts = scenario.get("accounts")
    if name not in scenario_names() or not isinstance(seed, int) or not isinstance(accounts, int):
        return None
    try:
        base = load_scenario(name, (), seed, accounts)
        settings = changes(finite(base.resolved()), scenario)
        if settings is None or len(settings) > MOST_SETTINGS:
            return None
        found = load_scenario(name, settings, seed, accounts).resolved()
    except SettingsError:
        return None
    if run_id(finite(found), seed) != run_id(scenario, seed):
        return None
    words = ["deleverage", "run", name, "--seed", str(seed), "--accounts", str(accounts)]
    return shlex.join(words + [word for one in settings for word in ("--set", one)])


def changes(base: Any, here: Any, path: str = "") -> list[str] | None:
    """`--set` texts that turn one resolved scenario into another; None where keys differ."""
    if base == here:
        return []
    if isinstance(base, Mapping) and isinstance(here, Mapping):
        if set(base) != set(here):
            return None if not path else [f"{path}={json.dumps(here)}"]
        pairs = [(key, base[key], here[key]) for key in base]
    elif isinstance(base, list) and isinstance(here, list) and base and len(base) == len(here):
        if not all(isinstance(item, Mapping) for item in [*base, *here]):
            return [f"{path}={json.dumps(here)}"]
        pairs = [(str(item.get("name", i)), item, new) for i, (item, new) in enumerate(zip(base, here, strict=True))]
    else:
        return [f"{path}={json.dumps(here)}"]
    found: list[str] = []
    for key, old, new in pairs:
        inner = changes(old, new, f"{path}.{key}".lstrip("."))
        if inner is None:
            return None
        found += inner
    return found


def scenario_file(scenario: Mapping[str, Any]) -> str:
    """The resolved scenario as a TOML file."""
    return to_toml(dict(scenario))


def file_table(folder: Path, names: Sequence[str] | None = None) -> Html:
    """Files of a folder with size and hash."""
    paths = [folder / name for name in names] if names is not None else sorted(folder.iterdir())
    rows = [
        (path.name, f"{path.stat().st_size:,}", code(hashlib.sha256(path.read_bytes()).hexdigest()))
        for path in paths
        if path.is_file()
    ]
    return table(f"Files of {folder.name}", ("file", "bytes", "SHA-256"), rows, (0, 2))
