"""`deleverage report`: one HTML file about a run, a study or a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abm import console


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN|STUDY", help="a folder of run, sweep or compare")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="file to write; default RUN.html beside it")] = None,
    verify: Annotated[bool, typer.Option(help="replay a run's events and say whether its books add up")] = True,
) -> None:
    """One HTML file that needs no network: assumptions, charts, seeds, hashes, limits."""
    from abm.report import report_of, write_report

    found = report_of(folder, verify)
    resolved = folder.resolve()
    file = write_report(found, out or resolved.with_name(f"{resolved.name}.html"))
    for remark in found.remarks:
        console.complain(remark)
    console.out.print(f"{file.stat().st_size / 1e6:.2f} MB, nothing in it is loaded from anywhere")
    console.wrote(file)
    if not found.ok:
        raise typer.Exit(console.SOME_FAILED)
    console.try_next(f"open {file} in a browser, or print it from there")
