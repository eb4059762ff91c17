"""The command line. Every command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from abm import (
    cli_analysis,
    cli_calibrate,
    cli_check,
    cli_report,
    cli_stress,
    cli_sweep,
    cli_validate,
    cli_view,
    console,
)

UsageProblem: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""Typer brings its own copy of Click in some versions and uses the package in others."""
app = typer.Typer(
    name="deleverage",
    help="A laboratory for leverage cascades. Start with: deleverage run october-2025",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
ScenarioName = Annotated[str, typer.Argument(help="packaged name (see `deleverage list`) or a TOML file")]
SetOption = Annotated[list[str], typer.Option("--set", metavar="a.b=v", help="change one value; may be repeated")]
SeedOption = Annotated[int | None, typer.Option(help="seed of all random streams")]
AccountsOption = Annotated[int | None, typer.Option(help="retail accounts: granularity, totals stay")]
AllowOption = Annotated[bool, typer.Option("--allow-code", help="let the scenario name classes of yours")]
OutOption = Annotated[Path | None, typer.Option(help="folder to write; must not exist")]


@app.callback()
def _every_command(
    version: Annotated[bool, typer.Option("--version", help="say it and end", callback=console.say_version)] = False,
) -> None:
    """Options in front of the command."""


@app.command()
def run(
    scenario: ScenarioName,
    seed: SeedOption = None,
    accounts: AccountsOption = None,
    settings: SetOption = [],  # noqa: B006 (typer copies it)
    record: Annotated[str | None, typer.Option(metavar="LEVEL", help="summary, fills (default) or orders")] = None,
    out: OutOption = None,
    allow_code: AllowOption = False,
) -> None:
    """Run a scenario and write a run folder with a picture."""
    from abm import outside
    from abm.measures import summary
    from abm.results import RunWriter, free_folder
    from abm.scenario import load_scenario
    from abm.targets import comparison

    if allow_code:
        outside.allow(Path(scenario))
    chosen = load_scenario(scenario, [*settings, *([f'record="{record}"'] if record else [])], seed, accounts)
    folder = out or free_folder(Path("runs") / f"{chosen.name}-seed{chosen.seed}")
    writer = RunWriter(
        folder,
        scenario=chosen.resolved(),
        name=chosen.name,
        title=chosen.title,
        seed=chosen.seed,
        level=chosen.record,
    )
    started = time.perf_counter()
    with writer:
        if not _simulate(chosen, writer):
            console.complain(f"interrupted after {len(writer.steps_array):,} of {chosen.ticks:,} ticks")
            raise KeyboardInterrupt
        data = writer.close_data()
        measured = summary(data)
        beside = comparison(measured, chosen)
        writer.finish(measured, beside)
        _draw_overview(data, chosen, measured, beside, writer.folder / "overview.png")
        writer.publish()
    seconds = time.perf_counter() - started
    _print_summary(measured, seconds)
    if beside:
        console.comparison_table(beside)
    console.wrote(f"{writer.folder}/ (run.json, steps, events, opening, closing, overview.png)")
    console.try_next(f"deleverage verify {writer.folder}")


def _simulate(scenario: Any, recorder: Any) -> bool:
    """Run the model to its end; False when Ctrl-C ended it at a tick boundary."""
    cold = console.warn_compile()
    from abm.model import MarketModel

    began = time.perf_counter()
    model = MarketModel(scenario, recorder=recorder)
    with console.stoppable() as stop, console.Meter(scenario.name, scenario.ticks, "ticks") as meter:
        while model.running and not stop.asked:
            model.step()
            if cold and model.tick == 1:
                console.out.print(f"compiled in {time.perf_counter() - began:.0f} s")
                cold = False
            last = recorder.last_step
            meter.show(model.tick, f"price {last['perp_usd']:,.0f}")
    recorder.closing(model.accounts)
    return not stop.asked


def _draw_overview(data: Any, scenario: Any, measured: Any, beside: Any, path: Path) -> None:
    """The picture; a run is not lost because of it."""
    from abm.provenance import finite
    from abm.targets import real_points

    info = {**data.info, "complete": True, "summary": finite(measured), "comparison": beside}
    info["real_points"] = real_points(scenario)
    try:
        from abm.figures.overview import draw_overview

        draw_overview(data.steps, data.forced_events, info, path)
    except Exception as error:
        console.complain(f"no overview.png: {type(error).__name__}: {error}")


def _print_summary(measured: dict[str, Any], seconds: float) -> None:
    n = console.number
    rate = measured["messages"] / max(seconds, 1e-9)
    lines = [
        f"price {n(measured['start_usd'])} -> low {n(measured['low_usd'])} ({n(measured['fall_percent'])} %, news "
        f"{n(measured['news_percent'])} %) after {n(measured['minutes_to_low'])} min; end {n(measured['end_usd'])}",
        f"liquidated ${n(measured['liquidated_usd'] / 1e6)}m in {n(measured['liquidation_starts'])} liquidations, "
        f"{n(measured['long_share_percent'])} % longs",
        f"insurance fund: largest loss ${n(measured['fund_largest_loss_usd'] / 1e6)}m",
        f"auto-deleveraged ${n(measured['adl_usd'] / 1e6)}m, bad debt ${n(measured['bad_debt_usd'] / 1e6)}m",
        f"{measured['messages']:,} messages, {measured['fills']:,} fills in {seconds:.1f} s "
        f"({rate / 1e6:.2f} million messages/s)",
    ]
    for line in lines:
        console.out.print(line)


@app.command()
def compare(
    scenario: ScenarioName,
    settings: SetOption,
    reps: Annotated[int, typer.Option(min=1, max=1000, help="common seeds")] = 5,
    seed: SeedOption = None,
    accounts: AccountsOption = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="runs at a time")] = 2,
    out: OutOption = None,
    allow_code: AllowOption = False,
) -> None:
    """Run a scenario with and without a change on the same seeds, and show the differences."""
    from abm import outside
    from abm.provenance import finite
    from abm.scenario import load_scenario

    if not settings:
        raise typer.BadParameter("nothing to compare: give at least one --set a.b=v")
    if allow_code:
        outside.allow(Path(scenario))
    base = load_scenario(scenario, (), seed, accounts)
    changed = load_scenario(scenario, settings, seed, accounts)
    from abm.sweep.plan import pair_plan

    words = ["deleverage", "run", scenario, *(["--accounts", str(accounts)] if accounts else [])]
    words += ["--allow-code"] if allow_code else []
    commands = {"as it is": words, "changed": words + [word for one in settings for word in ("--set", one)]}
    variants = {"as it is": base.resolved(), "changed": changed.resolved()}
    plan = pair_plan(base.name, variants, commands, base.seed, reps)
    folder, partial = cli_sweep.compare_folder(Path("runs") / f"compare-{base.name}", plan, out)
    console.warn_compile()
    from abm.sweep import paired_table

    outcomes = cli_sweep.paired_outcomes(plan, processes, partial)
    failed = [outcome for outcome in outcomes if outcome.error]
    rows = paired_table(outcomes[::2], outcomes[1::2])
    label = ", ".join(settings)
    heads = ("measure", "as it is", "changed", "difference", "lowest", "highest", "pairs")
    columns = ("base", "changed", "difference", "low", "high", "pairs")
    lines = [(f"{r['measure']}, {r['unit']}".rstrip(", "), *(console.number(r[c]) for c in columns)) for r in rows]
    console.table(f"{base.name}: {label} (medians over {reps} common seeds)", heads, lines)
    folder.mkdir(parents=True)
    runs = [
        {"seed": o.seed, "changed": i % 2 == 1, "summary": o.summary, "error": o.error} for i, o in enumerate(outcomes)
    ]
    result = {"scenario": base.resolved(), "set": settings, "rows": rows, "runs": runs}
    (folder / "compare.json").write_text(json.dumps(finite(result), indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(partial)
    console.wrote(folder / "compare.json")
    _draw_compare(outcomes, base.name, label, folder / "compare.png")
    console.try_next(f"deleverage run {scenario} --set {settings[0]}")
    _finish(failed)


def _draw_compare(outcomes: list[Any], name: str, label: str, path: Path) -> None:
    try:
        from abm.figures.compare import draw_compare
        from abm.sweep import pairs_frame

        frame, labels = pairs_frame(outcomes, ("as it is", label))
        draw_compare(frame, f"{name}: {label}", path, labels)
        console.wrote(path)
    except Exception as error:
        console.complain(f"no picture: {type(error).__name__}: {error}")


def _finish(failed: list[Any]) -> None:
    """Exit 3 when runs failed, saying which."""
    for outcome in failed:
        console.complain(f"seed {outcome.seed} failed: {outcome.error.splitlines()[0]}")
    if failed:
        raise typer.Exit(console.SOME_FAILED)


@app.command()
def experiment(
    name: Annotated[str | None, typer.Argument(help="file of experiments/, e.g. october-switches")] = None,
    every: Annotated[bool, typer.Option("--all", help="run them all, except those that say they are slow")] = False,
    settings: SetOption = [],  # noqa: B006
    quick: Annotated[bool, typer.Option("--quick", help="small and fast")] = False,
    full: Annotated[bool, typer.Option("--full", help="as large as published")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for NAME.json and NAME.png")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the results here")] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG or PDF to draw; default: beside the results")] = None,
) -> None:
    """Run one of the experiments, or all."""
    from abm import cli_experiment

    if quick and full:
        raise typer.BadParameter("--quick and --full exclude each other")
    if every == (name is not None):
        raise typer.BadParameter("give the name of an experiment (see `deleverage list`), or --all")
    size = "quick" if quick else "full" if full else ""
    if every:
        if settings or json_file or picture:
            raise typer.BadParameter("--set, --json and --picture are for a single experiment")
        failed = cli_experiment.run_all(size, out or cli_experiment.FOLDER)
    else:
        failed = cli_experiment.run_one(str(name), settings, size, out, json_file, picture)
    if failed:
        raise typer.Exit(console.SOME_FAILED)


app.command()(cli_sweep.sweep)
app.command()(cli_validate.validate)
app.command()(cli_calibrate.calibrate)
app.command()(cli_analysis.analyse)
app.command()(cli_analysis.export)
app.command()(cli_analysis.reproduce)
app.command()(cli_report.report)
app.command()(cli_check.check)
app.command()(cli_stress.stress)
app.command()(cli_view.view)


@app.command("replay-orders")
def replay(
    file: Annotated[Path, typer.Argument(help="order stream: JSON lines or Parquet")],
    self_trade: Annotated[str, typer.Option(help="none, cancel-taker, cancel-maker, cancel-both, decrement")] = "none",
    checkpoint: Annotated[int, typer.Option(min=0, help="also write hashes after every N messages")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder for fills.csv and book.json")] = None,
) -> None:
    """Run an order stream through the book and write its fills and its final state."""
    from abm.results import free_folder
    from abm.state import SELF_TRADE_MODES

    if self_trade not in SELF_TRADE_MODES:
        raise typer.BadParameter(f"{self_trade}: one of {', '.join(SELF_TRADE_MODES)}", param_hint="--self-trade")
    folder = out or free_folder(Path("runs") / f"replay-{file.stem}")
    console.warn_compile()
    from abm.book.replay import MalformedLineError, replay_orders

    try:
        state = replay_orders(file, self_trade, checkpoint, folder)
    except MalformedLineError as error:
        raise typer.BadParameter(str(error), param_hint=str(file)) from None
    console.out.print(f"{state['messages']:,} messages, state {state['state_sha256']}")
    console.wrote(folder / "fills.csv", folder / "book.json")
    console.try_next("deleverage run tiny")


@app.command()
def unwind(
    snapshot: Annotated[Path, typer.Argument(help="CSV or Parquet: id, side, size, entry, margin[, mode]")],
    mark: Annotated[float, typer.Option(min=1e-9, help="mark price, dollars")],
    book: Annotated[Path | None, typer.Option(help="CSV or Parquet: side (bid, ask), price, size")] = None,
    venue: Annotated[str, typer.Option(help="venue preset or TOML file")] = "binance-2025-10",
    adl: Annotated[str, typer.Option(metavar="RULE", help="deleveraging rule instead of the venue's own")] = "",
    fund: Annotated[float | None, typer.Option(min=0, help="fund's capital instead of the venue's")] = None,
    instrument: Annotated[str, typer.Option(help="derivative of the venue; default its first")] = "",
    out: OutOption = None,
) -> None:
    """Run one liquidation waterfall on a snapshot of accounts: who is forced, who takes over, who pays what."""
    from abm.figures.unwind import draw_unwind
    from abm.results import FolderTakenError, free_folder
    from abm.unwind import BookLevels, read_book, read_snapshot
    from abm.unwind import unwind as run_unwind
    from abm.venues.preset import load_preset

    folder = out or free_folder(Path("runs") / f"unwind-{snapshot.stem}")
    if folder.exists():
        raise FolderTakenError(f"{folder} exists already and is not overwritten: choose another --out or remove it")
    accounts, levels = read_snapshot(snapshot), read_book(book) if book else BookLevels.empty()
    preset = load_preset(venue)
    console.warn_compile()
    done = run_unwind(accounts, levels, mark, preset, adl, fund, instrument)
    console.out.print(done.text(), markup=False)
    folder.mkdir(parents=True)
    console.wrote(done.write(folder / "accounts.parquet"))
    console.wrote(draw_unwind(done, f"{preset.title}: {snapshot.name}", folder / "unwind.png"))
    console.try_next(f"deleverage unwind {snapshot} --mark {mark:g} --venue {venue} --adl pro-rata")


@app.command()
def verify(folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]) -> None:
    """Rebuild every balance of a run from its opening and its events, independently of the model."""
    from abm.verify import verify_run

    report = verify_run(folder)
    console.out.print(report.text, markup=False)
    if not report.ok:
        raise typer.Exit(console.SOME_FAILED)
    console.try_next("deleverage compare october-2025 --accounts 5000 --set makers.obliged=0.25 --reps 2")


@app.command("list")
def list_all() -> None:
    """Show scenarios, venue presets, experiments and commands."""
    from abm.experiment import experiments
    from abm.scenario import load_table, scenario_names
    from abm.traders.kinds import described
    from abm.venues.preset import preset_names

    groups = {
        "scenarios": [(name, load_table(name).get("title", "")) for name in scenario_names()],
        "venue presets": [(name, "") for name in preset_names()],
        "kinds of participants": described(),
        "experiments": list(experiments().items()),
        "commands": [_command(command.name, command.callback) for command in app.registered_commands],
    }
    for title, rows in groups.items():
        console.out.print(f"{title}:")
        for name, words in rows:
            console.out.print(f"  {name:<24} {words}".rstrip(), markup=False)
    console.try_next("deleverage run tiny")


def _command(name: str | None, callback: Any) -> tuple[str, str]:
    return name or callback.__name__, (callback.__doc__ or "").split("\n")[0]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="TOML file to write; must not exist")],
    source: Annotated[str, typer.Option("--from", metavar="PRESET", help="scenario to start from")] = "october-2025",
) -> None:
    """Write a scenario of your own that starts from a packaged one."""
    from abm.scenario import new_scenario

    console.wrote(new_scenario(file, source))
    console.try_next(f"deleverage run {file} --accounts 20000")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and turns every expected error into one message and an exit code."""
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    try:
        return int(app(arguments, prog_name="deleverage", standalone_mode=False) or console.OK)
    except UsageProblem as error:
        error.show()
        return console.BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        console.complain("interrupted; files in *.partial folders are readable and marked incomplete")
        return console.INTERRUPTED
    except (ValueError, OSError, ArithmeticError, AssertionError, RuntimeError) as error:
        code = console.exit_code(error)
        if code is None:
            raise
        console.complain(f"deleverage: {error}")
        if code == console.SOME_FAILED:
            console.complain(f"the same again: deleverage {shlex.join(arguments)}")
        return code
