"""Finding and running experiments: one file of `experiments/` each, found by name, not imported before it is asked for.

Such a file has a first docstring line (its title), a frozen `Options(Parameters)`, optionally `QUICK` and `FULL` (dicts
of options for the two sizes) and `run(options, say)`, which gives an object or a list of rows and reports progress by
`say("words")`. A row with a text under "error" counts as a failed run. `text(results)`, if there, words the results;
`draw(results, path)`, if there, makes the picture. Comparisons with published or exact values stand in a list
"checks" of the results (of each row, if they are rows), each with a truth value "inside". A file that says
`SLOW = True` is left out when all are run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from abm.parameters import Parameters
from abm.settings import SettingsError, Table, nearest, override, validate

PACKAGE = "experiments"


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment with its options filled in."""

    name: str
    title: str
    options: Parameters
    module: ModuleType

    def run(self, say: Callable[[str], None] = lambda words: None) -> dict[str, Any]:
        """Run it: dict with experiment, parameters, seconds and results, ready for JSON."""
        from abm.provenance import finite

        started = time.perf_counter()
        results = self.module.run(self.options, say)
        return {
            "experiment": self.name,
            "parameters": self.options.model_dump(mode="json"),
            "seconds": round(time.perf_counter() - started, 2),
            "results": finite(results),
        }

    @property
    def draws(self) -> bool:
        """Whether the experiment has a picture: a function `draw(results, path)`."""
        return hasattr(self.module, "draw")

    def draw(self, result: dict[str, Any], path: Path) -> Path:
        """Draw the picture."""
        drawn: Path = self.module.draw(result["results"], path)
        return drawn

    def text(self, result: dict[str, Any]) -> str:
        """The results in words or as plain lines."""
        worded = getattr(self.module, "text", None)
        if worded is not None:
            return str(worded(result["results"]))
        results = result["results"]
        rows = results if isinstance(results, list) else [results]
        return "\n".join("  ".join(f"{key} {value}" for key, value in row.items()) for row in rows)


def folder() -> Path:
    """Where the experiment files are. Raises `SettingsError` if the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(["the package `experiments` is not installed beside `abm`"])
    return Path(next(iter(spec.submodule_search_locations)))


def experiments() -> dict[str, str]:
    """Names of all experiments with the first line of their docstring; nothing is imported."""
    found = {}
    for path in sorted(folder().glob("*.py")):
        if not path.stem.startswith("_"):
            words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem.replace("_", "-")] = words.split("\n")[0]
    return found


def slow_experiments() -> set[str]:
    """Names of the experiments that say `SLOW = True` at their top level; nothing is imported."""
    slow = set()
    for name in experiments():
        tree = ast.parse((folder() / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8"))
        for line in tree.body:
            if isinstance(line, ast.Assign) and ast.unparse(line) == "SLOW = True":
                slow.add(name)
    return slow


def load_experiment(name: str, settings: Sequence[str] = (), size: str = "") -> Experiment:
    """Import an experiment and fill in its options.

    Args:
        name: as in `experiments()`.
        settings: texts `a.b=value`; they win over the size.
        size: "quick", "full" or "" for the options' own defaults.

    Raises:
        SettingsError: unknown name, unknown or unacceptable option; all of them at once.
    """
    known = experiments()
    if name.replace("_", "-") not in known:
        raise SettingsError([f"no experiment {name!r}{nearest(name, list(known))}"])
    module = importlib.import_module(f"{PACKAGE}.{name.replace('-', '_')}")
    table: Table = dict(getattr(module, size.upper(), {})) if size else {}
    bad: list[str] = []
    for setting in settings:
        try:
            table = override(table, setting)
        except SettingsError as error:
            bad += error.lines
    try:
        options = validate(module.Options, table, name)
    except SettingsError as error:
        raise SettingsError(bad + error.lines, name) from None
    if bad:
        raise SettingsError(bad, name)
    return Experiment(name.replace("_", "-"), known[name.replace("_", "-")], options, module)


def failed_rows(result: dict[str, Any]) -> int:
    """Number of result rows that report an error."""
    rows = result["results"] if isinstance(result["results"], list) else [result["results"]]
    return sum(1 for row in rows if isinstance(row, dict) and row.get("error"))


def count_checks(result: dict[str, Any]) -> tuple[int, int]:
    """Comparisons inside their tolerance, and all of them."""
    rows = result["results"] if isinstance(result["results"], list) else [result["results"]]
    checks = [check for row in rows if isinstance(row, dict) for check in row.get("checks") or []]
    return sum(bool(check["inside"]) for check in checks), len(checks)


def write_json(result: dict[str, Any], path: Path) -> Path:
    """Write what `Experiment.run` gave; missing folders are made. Raises ValueError where a number is not finite."""
    words = json.dumps(result, indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    return path
