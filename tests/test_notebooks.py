"""Notebooks run from top to bottom, and script and notebook say the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
LIMIT_S = 300
MOST_BYTES = 200_000
"""Of an executed notebook, pictures and all."""


def test_there_are_seven() -> None:
    assert len(SCRIPTS) >= 7


@pytest.mark.full
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_runs(script: Path) -> None:
    surroundings = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], env=surroundings, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.full
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_runs_as_a_notebook(script: Path, tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=LIMIT_S, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    size = len(json.dumps(notebook))
    assert size < MOST_BYTES, f"{size:,} bytes with its outputs"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_pair_is_in_step(script: Path) -> None:
    """The same cells in both, and no outputs in the repository."""
    jupytext = pytest.importorskip("jupytext")
    notebook = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))
    theirs = [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in notebook["cells"]]
    ours = [(cell["cell_type"], cell["source"].strip()) for cell in jupytext.read(script)["cells"]]
    assert ours == theirs, f"jupytext --sync {script.name}"
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook["cells"])
