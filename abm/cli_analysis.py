"""`deleverage export`, `reproduce` and `analyse`: from finished runs to a file, a judgement, tables and pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from abm import console

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]


def export(
    folder: RunFolder,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="file to write; default RUN.zip beside it")] = None,
) -> None:
    """Write one file from which somebody else can repeat a run and check that it came out the same."""
    from abm.reproduce import export_run

    resolved = folder.resolve()
    file = export_run(folder, out or resolved.with_name(f"{resolved.name}.zip"))
    console.out.print(f"{file.stat().st_size / 1e6:.2f} MB: scenario, seed, sources, packages, hashes, every tick")
    console.wrote(file)
    console.try_next(f"deleverage reproduce {file}")


def reproduce(
    file: Annotated[Path, typer.Argument(help="a file of `deleverage export`")],
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="accept values this far off, as a share of the largest of their column")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="keep the repeated run in this folder; must not exist")] = None,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="load the traders of yours that it names")] = False,
) -> None:
    """Repeat an exported run: identical, within tolerance, or different at tick N."""
    from abm import outside
    from abm.provenance import manifest
    from abm.reproduce import compare, read_export, repeat, surroundings

    if allow_code:
        outside.allow(file)
    found = read_export(file)
    info = found.info
    console.out.print(f"{info['name']}, seed {info['seed']}, {info['ticks']:,} ticks, run {str(info['run_id'])[:12]}")
    for line in surroundings(info, manifest(0.0)):
        console.out.print(line, markup=False)
    console.warn_compile()
    with tempfile.TemporaryDirectory(prefix="deleverage-") as scratch:
        folder = out or Path(scratch) / "run"
        with console.stoppable() as stop, console.Meter(info["name"], info["ticks"], "ticks") as meter:

            def go_on(tick: int, _ticks: int) -> bool:
                meter.show(tick)
                return not stop.asked

            again = repeat(found, folder, go_on)
        if again is None:
            raise KeyboardInterrupt
        verdict = compare(found, again, tolerance)
    console.out.print(verdict.text, markup=False)
    if out is not None:
        console.wrote(out)
    if not verdict.ok:
        raise typer.Exit(console.SOME_FAILED)
    console.try_next(f"deleverage reproduce {file} --out runs/again" if out is None else f"deleverage verify {out}")


def analyse(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="a folder that `deleverage sweep` wrote")],
    measure: Annotated[list[str], typer.Option(metavar="NAME", help="measure to show; may be repeated")] = [],  # noqa: B006
    across: Annotated[str | None, typer.Option(metavar="PATH", help="parameter along the horizontal axis")] = None,
    up: Annotated[str | None, typer.Option(metavar="PATH", help="parameter along the vertical axis")] = None,
    level: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="show where this measure crosses the value")
    ] = [],  # noqa: B006
    at: Annotated[list[str], typer.Option(metavar="PATH=VALUE", help="hold another parameter at a value")] = [],  # noqa: B006
    by: Annotated[str | None, typer.Option(metavar="PATH", help="tail of the bad debt for each value of this")] = None,
    median: Annotated[bool, typer.Option("--median", help="medians over replicates instead of means")] = False,
    fill: Annotated[float | None, typer.Option(help="value of a measure for runs that have none")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for tables and pictures; default STUDY/analysis")] = None,
) -> None:
    """Tables and pictures of a study: curves, phase diagram, Morris or Sobol indices, tails, as its design asks."""
    from abm.analysis import load
    from abm.analysis.report import Wishes, findings

    frame = load(folder)
    facts = frame.attrs
    n = console.number
    console.out.print(
        f"{facts['study']}: {len(frame):,} runs of {facts['design']} design, {n(facts['points'])} points × "
        f"{n(facts['replicates'])} replicates; varied: {', '.join(facts['varied']) or 'nothing'}",
        markup=False,
    )
    if facts["missing"] or facts["failed"]:
        console.complain(f"{facts['missing']:,} runs are missing, {facts['failed']:,} have failed")
    wishes = Wishes(
        tuple(measure), across, up, {name: float(value) for name, value in _pairs(level, "--level").items()},
        _pairs(at, "--at"), by, "median" if median else "mean", fill,
    )  # fmt: skip
    target = out or folder / "analysis"
    for found in findings(frame, wishes):
        _show(found, target)
    console.try_next(f"python -c \"from abm.analysis import load; print(load('{folder}').describe())\"")


def _pairs(texts: list[str], option: str) -> dict[str, Any]:
    """NAME=VALUE options; numbers as numbers."""
    from abm.settings import parse_value

    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        parsed = parse_value(value) if sign else None
        if not sign or (option == "--level" and (isinstance(parsed, bool) or not isinstance(parsed, int | float))):
            raise typer.BadParameter(f"{text}: must be NAME=VALUE", param_hint=option)
        found[name.strip()] = parsed
    return found


ROWS_SHOWN = 40


def _show(found: Any, target: Path) -> None:
    """Print the beginning of a table; write all of it and its picture."""
    rows = [[_cell(value) for value in row] for row in found.table.head(ROWS_SHOWN).itertuples(index=False)]
    console.table(found.title, [str(name) for name in found.table.columns], rows)
    if len(found.table) > ROWS_SHOWN:
        console.out.print(f"... {len(found.table):,} rows")
    target.mkdir(parents=True, exist_ok=True)
    found.table.to_csv(target / f"{found.name}.csv", index=False)
    console.wrote(target / f"{found.name}.csv")
    if found.draw is not None:
        console.wrote(found.draw(target / f"{found.name}.png"))


def _cell(value: Any) -> str:
    finite = not isinstance(value, float) or value - value == 0
    return console.number(value.item() if hasattr(value, "item") else value) if finite else "-"
