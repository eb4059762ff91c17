"""A compile cache that is older than the code is impossible: edited kernels and helpers show at once, in new processes.

On a copy of the package's ground floor with one small kernel. Edits keep the size and the time of the file, which is
all that Numba looks at.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from abm.compiled import GROUND_FLOOR, PACKAGE

KERNEL = """
from abm.compiled import kernel
from abm.rng import drawn
from abm.units import step


@kernel
def counted(n):
    total = 0
    for i in range(n):
        total += step(i) + drawn(i) + 0
    return total
"""
HELPER = """

@scalar
def {name}(i: int) -> int:
    return i * 1
"""
PROGRAM = """
from abm.compiled import cache_folder
from abm.toy_kernel import counted
value = counted(10)
print(value, sum(counted.stats.cache_hits.values()), cache_folder())
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package `abm` of the ground floor and one kernel."""
    folder = tmp_path / "abm"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in GROUND_FLOOR:
        shutil.copy(PACKAGE / name, folder / name)
    for name, helper in (("units", "step"), ("rng", "drawn")):
        with (folder / f"{name}.py").open("a", encoding="utf-8") as file:
            file.write(HELPER.format(name=helper))
    (folder / "toy_kernel.py").write_text(KERNEL, encoding="utf-8")
    return folder


def run(copy: Path) -> tuple[int, int, str]:
    """What the kernel gives in a new process, how often it came from the cache, and the folder of the cache."""
    surroundings = os.environ | {"PYTHONPATH": str(copy.parent), "DELEVERAGE_CACHE": str(copy.parent / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=copy.parent, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    value, hits, folder = done.stdout.split(maxsplit=2)
    return int(value), int(hits), folder.strip()


def edit(file: Path, old: str, new: str) -> None:
    """Change a file so that neither its size nor its time tells."""
    before, text = file.stat(), file.read_text(encoding="utf-8")
    assert text.count(old) == 1 and len(old) == len(new)
    file.write_text(text.replace(old, new), encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_edits_show_in_the_next_process(copy: Path) -> None:
    assert run(copy)[:2] == (90, 0)  # compiled
    _, hits, first = run(copy)
    assert hits == 1  # unchanged: from the cache
    edit(copy / "toy_kernel.py", "+ 0", "+ 1")
    value, hits, second = run(copy)
    assert (value, hits) == (100, 0) and second != first
    edit(copy / "units.py", "def step(i: int) -> int:\n    return i * 1", "def step(i: int) -> int:\n    return i * 3")
    value, hits, third = run(copy)
    assert (value, hits) == (190, 0) and third not in (first, second)
    edit(copy / "rng.py", "def drawn(i: int) -> int:\n    return i * 1", "def drawn(i: int) -> int:\n    return i * 2")
    value, hits, fourth = run(copy)
    assert (value, hits) == (235, 0) and fourth not in (first, second, third)


@pytest.mark.parametrize("name", GROUND_FLOOR)
def test_every_file_of_the_ground_floor_counts(copy: Path, name: str) -> None:
    """The folder's name changes with each file."""

    def hashed() -> str:
        found = spec_from_file_location("compiled_copy", copy / "compiled.py")
        assert found is not None and found.loader is not None
        module = module_from_spec(found)
        found.loader.exec_module(module)
        return str(module.kernel_hash())

    before = hashed()
    with (copy / name).open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    assert hashed() != before


def test_kernels_take_nothing_from_files_that_are_not_hashed() -> None:
    """A constant of another file would be compiled in, and would stay as it was."""
    hashed = {f"abm.{name[:-3]}" for name in GROUND_FLOOR}
    kernels = sorted(PACKAGE.rglob("*_kernel.py"))
    hashed |= {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in kernels}
    foreign = []
    for path in kernels:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("abm") and node.module not in hashed:
                foreign.append(f"{path.name} imports from {node.module}")
    assert not foreign, foreign
