"""`deleverage validate`: many seeds of a scenario against what was measured."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from abm import console

SIDES = {"inside": "inside", "below": "BELOW", "above": "ABOVE", "not produced": "NOT PRODUCED"}
LABEL = 50
"""Characters of a measure's name in the table, so that all columns fit."""


def validate(
    scenario: Annotated[str, typer.Argument(help="packaged name or a TOML file")] = "october-2025",
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="runs, on seeds 1, 2, 3, ...")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="first seed")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="runs at a time; default: processors")] = None,
    accounts: Annotated[int | None, typer.Option(help="retail accounts: granularity, totals stay")] = None,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="a.b=v", help="change one value; may be repeated")
    ] = [],  # noqa: B006
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="run failed runs again")] = False,
    out: Annotated[Path | None, typer.Option(help="folder of the results; default runs/validate-NAME")] = None,
    docs: Annotated[Path | None, typer.Option(help="a page whose part `validate-NAME` is written afresh")] = None,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="let the scenario name classes of yours")] = False,
) -> None:
    """Hold a scenario against what was measured: median and 90 % interval over seeds, band, in or out."""
    from abm import outside
    from abm.scenario import load_scenario
    from abm.validate import lengthened, study_of, targets_for

    if allow_code:
        outside.allow(Path(scenario))
    chosen = load_scenario(scenario, settings, seed, accounts)
    targets_for(chosen)
    study = study_of(scenario, seeds, seed, accounts, lengthened(chosen, settings))
    folder = out or Path("runs") / study.name
    words = ["deleverage", "validate", scenario, "--seeds", str(seeds), *(["--seed", str(seed)] if seed != 1 else [])]
    words += [*(["--accounts", str(accounts)] if accounts else []), *(["--out", str(out)] if out else [])]
    words += [*(["--workers", str(workers)] if workers else []), *(["--docs", str(docs)] if docs else [])]
    words += [word for one in settings for word in ("--set", one)] + (["--allow-code"] if allow_code else [])
    console.warn_compile()
    from abm.sweep.plan import plan_study

    plan = plan_study(study, folder, scenario, shlex.join(words))
    from abm.cli_sweep import lanes_of, processors, run_plan

    tally = run_plan(plan, folder, study.name, lanes_of(workers or processors(), None), retry_failed=retry_failed)
    if tally.full:
        console.complain(f"cannot write results: {tally.full}; make room, then: {shlex.join(words)}")
        raise typer.Exit(console.SOME_FAILED)
    if not tally.complete:
        conclude(chosen, folder)
        console.complain(f"interrupted; finished runs are in {folder}, go on with: {shlex.join(words)}")
        raise typer.Exit(console.INTERRUPTED)
    failed = conclude(chosen, folder, docs)
    if failed:
        console.complain(f"{failed} runs failed (column error_type); again: {shlex.join(words)} --retry-failed")
        raise typer.Exit(console.SOME_FAILED)
    console.try_next(f"deleverage analyse {folder}")


def conclude(chosen: Any, folder: Path, docs: Path | None = None) -> int:
    """Judge the finished runs of a folder, show and write the result; the number of failed runs.

    `docs` is a page whose part between the markers `validate-NAME` is filled, NAME being the scenario's.
    """
    from abm.provenance import finite
    from abm.sweep.parts import collect
    from abm.validate import report, write_rows

    every = collect(folder)[0].to_pylist()
    rows = [row for row in every if not row["error_type"]]
    failed = len(every) - len(rows)
    if not rows:
        return failed
    found = report(chosen, rows, failed)
    show(found)
    path = folder / "validation.json"
    path.write_text(json.dumps(finite(found), indent=1) + "\n", encoding="utf-8")
    console.wrote(path, write_rows(found["rows"], folder / "validation.csv"))
    if docs is not None:
        from abm.pages import fill
        from abm.validate import markdown

        part = f"validate-{chosen.name}"
        if part not in fill(docs, {part: markdown(found)}):
            raise typer.BadParameter(f"--docs {docs}: it has no marker `<!-- begin {part} -->`")
        console.wrote(docs)
    try:
        from abm.figures.validation import draw_validation

        console.wrote(draw_validation(found, folder / "validation.png"))
    except Exception as error:
        console.complain(f"no picture: {type(error).__name__}: {error}")
    return failed


def show(found: Mapping[str, Any]) -> None:
    """The tables on the terminal."""
    n = console.number
    seeds = f"{len(found['seeds'])} seed" + ("s" if len(found["seeds"]) != 1 else "")
    title = f"{found['title']}: {seeds}, {found['accounts']:,} accounts, against real figures"
    heads = ("measure", "median", "90 % of seeds", "real", "band", "grade", "seeds", "median is")
    console.table(title, heads, [line(row) for row in found["rows"]])
    share = found["inside"]
    console.out.print(
        f"{share['inside']} of {share['counted']} graded rows (A, B) inside, {n(share['percent'])} %. "
        "In brackets: press, bounds, what was put in, or what another row says; not counted",
        markup=False,
    )
    if found["multipliers"]:
        console.table(
            "Fall over news, by what is taken for news",
            ("news", "news %", "multiplier", "90 % of seeds", "of the real fall"),
            [
                (m["news"], n(m["news_percent"]), n(m["median"]), interval(m), n(m["real"]))
                for m in found["multipliers"]
            ],
        )
    console.out.print(
        f"{len(found['not_spoken_to'])} further facts cannot be held against a run: validation.json says why",
        markup=False,
    )


def line(row: Mapping[str, Any]) -> Sequence[str]:
    """A row of the table."""
    n = console.number
    grade = row["grade"] if row["counted"] else f"({row['grade']})"
    band = f"{n(row['low'])} to {n(row['high'])}"
    share = f"{100 * row['inside_share']:.0f} %"
    words = row["measure"] + ("" if row["unit"] == "-" else f", {row['unit']}")
    words = words if len(words) <= LABEL else f"{words[: LABEL - 1]}…"
    return (f"{row['row']:<5} {words}", n(row["median"]), interval(row), n(row["real"]), band,
            grade, share, SIDES[row["side"]])  # fmt: skip


def interval(spread: Mapping[str, Any]) -> str:
    """The 90 % interval in words."""
    return f"{console.number(spread['low5'])} to {console.number(spread['high95'])}" if spread["runs"] else "-"
