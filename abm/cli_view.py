"""`deleverage view`: the browser lab on this machine."""

from __future__ import annotations

import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from abm import console

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def view(
    what: Annotated[str, typer.Argument(metavar="[SCENARIO|RUN]", help="scenario, TOML file or run folder")] = "tiny",
    seed: Annotated[int | None, typer.Option(help="seed of all random streams")] = None,
    accounts: Annotated[int | None, typer.Option(help="retail accounts: granularity, totals stay")] = None,
    settings: Annotated[list[str], typer.Option("--set", metavar="a.b=v", help="change one value")] = [],  # noqa: B006
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8765,
    host: Annotated[str, typer.Option(help="another address than this machine's own: anybody there can use it")] = (
        "127.0.0.1"
    ),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open a window")] = True,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="let the scenario name classes of yours")] = False,
) -> None:
    """Open the lab in the browser: a live model, or a finished run to look back on."""
    from abm import outside
    from abm.scenario import load_scenario

    folder = Path(what)
    replay = (folder / "run.json").is_file()
    if replay and (settings or seed is not None or accounts is not None):
        raise typer.BadParameter("a finished run cannot be changed: give a scenario, or leave the options out")
    if allow_code:
        outside.allow(Path(what))
    from abm.app.server import Lab, Server

    if replay:
        from abm.results import load_run
        from abm.scenario import from_resolved

        scenario, source = from_resolved(load_run(folder).info["scenario"]), folder.resolve().name
    else:
        scenario, source = load_scenario(what, settings, seed, accounts), what
    if host not in LOOPBACK:
        console.complain(
            f"warning: at {host} everybody who reaches this machine can use the lab, without a password and unencrypted"
        )
    console.warn_compile()
    sys.setswitchinterval(0.001)  # a window’s request does not wait for the model’s thread
    lab = Lab(scenario, source, folder.resolve() if replay else None, Path("runs"))
    with Server(lab, host, port) as server:
        console.out.print(f"the lab is at {server.address} (Ctrl-C ends it)", soft_wrap=True)
        if browser:
            threading.Timer(0.3, webbrowser.open, [server.address]).start()
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.out.print("the lab is closed")
