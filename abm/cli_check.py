"""`deleverage check`: is a kind of participant deterministic, honest in its accounts, and of one mind?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from abm import console

if TYPE_CHECKING:
    from abm.check import Finding


def check(
    kind: Annotated[str | None, typer.Argument(help="a built-in kind, or package.module:Class")] = None,
    every: Annotated[bool, typer.Option("--all", help="every built-in kind")] = False,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="FIELD=v", help="a parameter of the kind, or scenario.a.b=v")
    ] = [],  # noqa: B006 (typer copies it)
    allow_code: Annotated[bool, typer.Option("--allow-code", help="load a class of yours")] = False,
) -> None:
    """Put a kind of participant into a small world and test it: same bytes, exact accounts, decide = decide_one."""
    if every == (kind is not None):
        raise typer.BadParameter("give a kind (see `deleverage list`) or package.module:Class, or --all")
    if every and settings:
        raise typer.BadParameter("--set goes with one kind")
    from abm import outside

    if allow_code:
        outside.allow()
    console.warn_compile()
    from abm.check import check
    from abm.check_worlds import all_kinds

    found = {one: check(one, settings) for one in (all_kinds() if every else [str(kind)])}
    for one, findings in found.items():
        _show(one, findings)
    bad = [one for one, findings in found.items() if not all(finding.ok for finding in findings)]
    if bad:
        console.complain(f"{len(bad)} of {len(found)} kinds failed: {', '.join(bad)}")
        raise typer.Exit(console.SOME_FAILED)
    console.out.print(f"{len(found)} kind{'s' if len(found) != 1 else ''}: every check passed")
    console.try_next("deleverage list")


def _show(kind: str, findings: list[Finding]) -> None:
    """One line a check; advice below what failed."""
    console.out.print(f"{kind}:", markup=False)
    for finding in findings:
        console.out.print(f"  {finding.check:<12} {'ok  ' if finding.ok else 'FAIL'}  {finding.seen}", markup=False)
        if not finding.ok and finding.advice:
            console.out.print(f"  {'':<12}       {finding.advice}", markup=False)
