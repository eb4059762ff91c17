"""The style of the project as tests: linters, layers, lengths, and what must not stand in any file."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES, KERNEL_FUNCTION_LINES = 70, 250
LONG_KERNELS = {"abm/book/match_kernel.py": 300}
"""Kernels allowed to be longer; each file's docstring must say why."""
LONG_REASON = "Why it is one long flat function"
FILE_LINES, KERNEL_FILE_LINES = 400, 500
TEXT = {".cff", ".cfg", ".ini", ".ipynb", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml", ""}
MESA_MODULES = {"abm/traders/base.py", "abm/venues/exchange.py", "abm/model.py"}
VERIFY_MAY_IMPORT = {"events", "units", "state", "verify"}


@cache
def project_files() -> tuple[Path, ...]:
    """Every file of the project: what git would keep, or everything visible outside a work tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:  # also files not added yet
        names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
        names = [name for name in names if name.parts[0] in (".ci", ".gitignore") or not name.parts[0].startswith(".")]
    return tuple(sorted(name for name in names if (ROOT / name).is_file() and "__pycache__" not in name.parts))


def sources(*folders: str) -> list[Path]:
    return [name for name in project_files() if name.suffix == ".py" and name.parts[0] in folders]


def run(*command: str) -> None:
    """Run a tool from the environment of these tests; its output is the failure."""
    beside = shutil.which(command[0], path=str(Path(sys.executable).parent)) or shutil.which(command[0])
    assert beside, f"{command[0]} is not installed: pip install -e '.[dev]'"
    done = subprocess.run([beside, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def imports(name: Path) -> set[str]:
    """Dotted names a file imports, wherever in the file; `from a import b` counts as a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


def test_ruff() -> None:
    run("ruff", "check", "--no-cache", ".")


def test_mypy() -> None:
    run("mypy")


def test_layers() -> None:
    run("lint-imports", "--no-cache")


def test_lengths() -> None:
    """Short functions and files; a kernel may be one long flat function."""
    long = []
    for name in sources("abm", "experiments", "tests", "benchmarks"):
        text = (ROOT / name).read_text(encoding="utf-8")
        kernel = name.stem.endswith("_kernel")
        lines = len(text.splitlines())
        if lines > (KERNEL_FILE_LINES if kernel else FILE_LINES):
            long.append(f"{name}: {lines} lines")
        limit = KERNEL_FUNCTION_LINES if kernel else FUNCTION_LINES
        if LONG_REASON in (ast.get_docstring(ast.parse(text)) or ""):
            limit = LONG_KERNELS.get(name.as_posix(), limit)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
                if (length := node.end_lineno - first + 1) > limit:
                    long.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    assert not long, "\n".join(long)


def test_mesa_stays_at_the_edge() -> None:
    """Mesa in four places only, also where the import stands inside a function."""
    for name in sources("abm", "experiments"):
        roots = {item.split(".")[0] for item in imports(name)}
        if "mesa" in roots:
            assert str(name) in MESA_MODULES or name.parts[:2] == ("abm", "app"), f"{name} imports mesa"


def test_help_imports_neither_mesa_nor_numba() -> None:
    code = "import sys; import abm.cli; print(sorted({'mesa', 'numba', 'scipy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_verifier_is_independent() -> None:
    for name in sources("abm"):
        if name.parts[1] in ("verify", "verify.py"):
            own = {item for item in imports(name) if item.startswith(("abm", "."))}
            other = {item for item in own if item.split(".")[1] not in VERIFY_MAY_IMPORT}
            assert not other, f"{name} imports {other}"


def test_kernels_call_no_kernels() -> None:
    """An array handed from one compiled function to another costs five times: kernels are flat."""
    decorated: dict[str, Path] = {}
    bodies: list[tuple[Path, ast.FunctionDef]] = []
    for name in sources("abm"):
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(item, ast.Name) and item.id == "kernel" for item in node.decorator_list
            ):
                decorated[node.name] = name
                bodies.append((name, node))
    assert bodies
    for name, body in bodies:
        calls = [node.func for node in ast.walk(body) if isinstance(node, ast.Call)]
        called = {function.id for function in calls if isinstance(function, ast.Name)}
        assert not called & set(decorated), f"{name}: kernel {body.name} calls {called & set(decorated)}"


def test_randomness_only_from_own_streams() -> None:
    """No global random state, no generators: every draw comes from `abm.rng`."""
    for name in sources("abm", "experiments"):
        found = imports(name)
        assert not any(item.split(".")[0] in ("random", "secrets") for item in found), name
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "random":
                raise AssertionError(f"{name}:{node.lineno}: {ast.unparse(node)}")


MACHINE = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt|tmp|opt)/[\w.-]+")
# Written in pieces, so that this file does not contain what it looks for.
INSTALLER = re.compile("index" + "-url|trusted" + "-host|find" + "-links|PIP" + "_|UV" + "_INDEX")


@pytest.mark.parametrize(
    ("pattern", "what"), [(MACHINE, "a path of some machine"), (INSTALLER, "where packages come from")]
)
def test_files_fit_every_machine(pattern: re.Pattern[str], what: str) -> None:
    found = []
    for name in project_files():
        if name.suffix in TEXT and name != Path(__file__).relative_to(ROOT):
            for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
                if match := pattern.search(line):
                    found.append(f"{name}:{number}: {match.group()}")
    assert not found, f"{what}:\n" + "\n".join(found)


def test_one_version() -> None:
    """pyproject, citation and change log name the same version."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert version
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version[1]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
