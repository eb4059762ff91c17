"""Public names say what they are: a docstring everywhere; arrays with shape and unit, and errors, where others build.

*Public* is every module, class, function, method and property of `abm` whose name does not begin with an underscore. A
method that overrides one may leave the words to it. *Where others build* is everything but the pictures, the browser
page, the HTML report and the command line, which nobody calls. There a function that is given or gives back an array
must state its shape in words like `(n,)` or `(makers, steps)`, and its unit in words or in the names of its arguments
(`price_ticks`, `size_lots`); the type is that of the annotation, or a record of `abm.state` by its name. What all
functions of a module share may stand in its docstring, after "Arrays:"; what all methods share in that of the class. A
function that raises says so.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SEEN_ONLY = ("abm/app/", "abm/figures/", "abm/report/", "abm/cli", "abm/console.py")
ARRAY = re.compile(r"NDArray|\b[IF](?:64|32)\b|\bFloats\b|\bBools\b|ndarray|\bOrders\b")
SHAPE = re.compile(
    r"\([A-Za-z0-9_ +*.]+,(?:\s*[A-Za-z0-9_ +*.]+,?)*\)"  # (n,) (makers, 2, steps)
    r"|\bshapes?\b|of one length|\bas (?:of )?`\w|[Aa]s `"  # or where it is said
)
RECORD = re.compile(r"[A-Z]{4,}(?: ?[\[(]|\b)")
UNIT = re.compile(
    r"[Tt]icks?\b|[Ll]ots?\b|units?\b|micro|satoshi|usd|dollar|\$|coins?\b|second|_s\b|_?\bms\b|rates?\b|shares?\b|fraction|%"
    r"|percent|ratio\b|leverage|\b[Pp]art\b|\b[Rr]ows?\b|[Hh]andles?|[Ss]lots?\b|\bids?\b|[Nn]umbers?\b|[Ii]ndic|[Bb]ool"
    r"|mask|[Ww]hether|keys?\b|\btime\b|seq\b|bits|log|[Ww]eights?|[Vv]alues?\b|[Ss]izes?\b|measures?|haircut|[Ss]cores?\b"
    r"|of probab|MESSAGE|FILL|EVENT|ORDER|STEP"
)


@dataclass(frozen=True)
class Name:
    """A public function or method: where it is, what it is called and says, and its source."""

    file: str
    dotted: str
    node: ast.FunctionDef
    words: str

    @property
    def label(self) -> str:
        return f"{self.file}:{self.node.lineno} {self.dotted}"


def modules() -> list[Path]:
    every = sorted((ROOT / "abm").rglob("*.py"))
    return [path for path in every if path.stem == "__init__" or not path.stem.startswith("_")]


def inherited(module: Any, owner: str, method: str) -> str:
    """What the classes above say about a method."""
    above = getattr(module, owner).__mro__[1:]
    found = [vars(kind)[method] for kind in above if method in vars(kind)]
    return "\n".join(inspect.getdoc(one) or "" for one in found)


@cache
def names() -> tuple[Name, ...]:
    """Every public function and method of the package."""
    return tuple(one for path in modules() for one in names_of(path))


def names_of(path: Path) -> Iterator[Name]:
    file = path.relative_to(ROOT).as_posix()
    dotted = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = importlib.import_module(dotted)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shared = (ast.get_docstring(tree) or "").partition("Arrays:")[2]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            words = ast.get_docstring(node) or ""
            yield Name(file, node.name, node, f"{words}\n{shared}" if words else "")
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            about = ast.get_docstring(node) or ""
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                    words = (ast.get_docstring(item) or "") + "\n" + inherited(module, node.name, item.name)
                    # what a class says about its arrays holds for its methods
                    shaped = about if SHAPE.search(about) and not inherited(module, node.name, item.name) else ""
                    yield Name(file, f"{node.name}.{item.name}", item, f"{words.strip()}\n{shaped}".strip())


def annotations(node: ast.FunctionDef) -> list[str]:
    given = [item.annotation for item in (*node.args.args, *node.args.kwonlyargs, node.args.vararg) if item]
    return [ast.unparse(item) for item in (*given, node.returns) if item is not None]


def built_on() -> list[Name]:
    return [one for one in names() if not one.file.startswith(SEEN_ONLY)]


def test_every_public_name_has_a_docstring() -> None:
    without = [one.label for one in names() if not one.words]
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        without += [f"{path}: {node.name}" for node in kinds if not ast.get_docstring(node)]
        without += [] if ast.get_docstring(tree) else [str(path)]
    assert not without, "\n".join(without)


def test_what_abm_exports_is_documented() -> None:
    import abm

    for name in abm.__all__:
        assert inspect.getdoc(getattr(abm, name)), name


def test_arrays_have_a_shape_and_a_unit() -> None:
    wrong = []
    for one in built_on():
        if not any(ARRAY.search(words) for words in annotations(one.node)):
            continue
        arguments = " ".join(item.arg for item in (*one.node.args.args, *one.node.args.kwonlyargs))
        if not SHAPE.search(one.words):
            wrong.append(f"{one.label}: no shape")
        if not UNIT.search(f"{one.words} {arguments} {one.dotted}"):
            wrong.append(f"{one.label}: no unit")
        if any("NDArray[Any]" in words for words in annotations(one.node)) and not RECORD.search(one.words):
            wrong.append(f"{one.label}: which records?")
    assert not wrong, "\n".join(wrong)


def test_errors_are_stated() -> None:
    """Who raises in its own body says so, or is named for it."""
    wrong = []
    for one in built_on():
        own = [node for node in ast.walk(one.node) if isinstance(node, ast.Raise) and node.exc is not None]
        raised = {re.match(r"[\w.]+", ast.unparse(node.exc)) for node in own if node.exc is not None}
        kinds = {match[0] for match in raised if match} - {"NotImplementedError", "SystemExit"}
        if kinds and not re.search(r"[Rr]aise|[Rr]efus|[Ee]rror|AssertionError|stops? the run", one.words):
            wrong.append(f"{one.label}: raises {', '.join(sorted(kinds))}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Prices (n,) in ticks.", True),
        ("Shares (makers, 2, steps).", True),
        ("Of the same shape.", True),
        ("Prices in ticks (rounded).", False),
        ("Prices, in an array.", False),
    ],
)
def test_a_shape_is_recognised(words: str, found: bool) -> None:
    assert bool(SHAPE.search(words)) is found
