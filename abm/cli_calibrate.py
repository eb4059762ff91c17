"""`deleverage calibrate`: simulated moments from one study file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abm import console

if TYPE_CHECKING:
    from abm.calibrate import Calibrated, Calibration


def calibrate(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="a TOML file, see docs/calibration.md")],
    trials: Annotated[int | None, typer.Option(min=1, max=100_000, help="instead of the study's number")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="runs at a time; default: processors")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the results; default runs/calibrate-NAME")] = None,
    settings: Annotated[list[str], typer.Option("--set", metavar="a=v", help="change a field of the study")] = [],  # noqa: B006
    allow_code: Annotated[bool, typer.Option("--allow-code", help="let it name functions and classes")] = False,
) -> None:
    """Set free parameters so that moments come out; the same command again goes on where it was left."""
    from abm.cli_sweep import _stoppable, lanes_of, processors

    chosen = _study(study, trials, settings, allow_code)
    folder = out or Path("runs") / f"calibrate-{chosen.name}"
    again = ["deleverage", "calibrate", str(study), *(["--trials", str(trials)] if trials else [])]
    again += ["--out", str(out)] if out else []
    again += [word for one in settings for word in ("--set", one)] + (["--allow-code"] if allow_code else [])
    if chosen.runner is None:
        console.warn_compile()
    from abm.calibrate import calibrate as run_calibration
    from abm.sweep.worker import CodeMismatchError

    runs = chosen.trials * chosen.seeds
    console.out.print(
        f"{chosen.name}: {len(chosen.free)} parameters, {len(chosen.moments)} moments, {chosen.trials} trials on "
        f"{chosen.seeds} common seeds: {runs:,} runs, and {chosen.finalists * chosen.fresh_seeds} of the finalists",
        markup=False,
    )
    meters = _Meters(chosen.name)
    try:
        with _stoppable() as stop:
            width = workers or processors()
            result = run_calibration(chosen, folder, lanes_of(width, None), str(study), _say, stop, meters.make)
    except CodeMismatchError as error:
        console.complain(f"deleverage: {error}")
        raise typer.Exit(console.SOME_FAILED) from None
    finally:
        meters.end()
    _conclude(result, folder, shlex.join(again))


class _Meters:
    """A progress bar for each batch, one after another."""

    def __init__(self, title: str) -> None:
        self._title, self._last = title, None

    _last: console.Meter | None

    def make(self, runs: int) -> console.Meter:
        self.end()
        self._last = console.Meter(self._title, runs, "runs").__enter__()
        return self._last

    def end(self) -> None:
        if self._last is not None:
            self._last.__exit__()
            self._last = None


def _say(words: str) -> None:
    console.out.print(words, markup=False)


def _study(study: Path, trials: int | None, settings: Sequence[str], allow_code: bool) -> Calibration:
    from abm import outside
    from abm.calibrate import load_calibration
    from abm.settings import SettingsError, override

    table: dict[str, Any] = {}
    for one in settings:
        table = override(table, one)
    if trials is not None:
        table["trials"] = trials
    chosen = load_calibration(study, table)
    if chosen.runner is not None and not allow_code:
        raise SettingsError([f"runner: {chosen.runner} is code of the study: add --allow-code to run it"], str(study))
    if allow_code:
        outside.allow(study, Path(chosen.scenario or study))
    return chosen


def _conclude(result: Calibrated, folder: Path, again: str) -> None:
    """Say and write what was found; the exit code."""
    if result.best < 0:
        console.complain(f"stopped before the first trial was finished; go on with: {again}")
        raise typer.Exit(console.INTERRUPTED)
    written = write_results(result, folder, again)
    _table(result)
    console.wrote(*written)
    if result.failed:
        console.complain(
            f"{result.failed} runs failed: their moments count as missing (column error_type of the parts)"
        )
    if not result.complete:
        console.complain(f"stopped after {len(result.trials)} trials; go on with: {again}")
        raise typer.Exit(console.INTERRUPTED)
    if result.study.scenario is not None:
        console.try_next(f"deleverage run {written[0]}")


def write_results(result: Calibrated, folder: Path, command: str) -> list[Path]:
    """Scenario file, table of trials, everything as JSON, picture; the files written, the scenario first."""
    from abm.calibrate import identified, scenario_text
    from abm.provenance import finite

    known = identified(result)
    files = [folder / name for name in ("calibrated.toml", "trials.csv", "result.json")]
    files[0].write_text(scenario_text(result, known, command), encoding="utf-8")
    result.trials.to_csv(files[1], index=False)
    facts = {
        "study": result.study.model_dump(mode="json"),
        "study_sha256": result.study.hash,
        "code": result.code,
        "complete": result.complete,
        "trials": len(result.trials),
        "best": result.best,
        "values": result.values,
        "loss": result.loss,
        "loss_error": result.error,
        "fresh_loss": result.fresh_loss,
        "finalists": result.finalists.to_dict("records"),
        "parameters": known.rows,
        "profiles": {path: table.to_dict("records") for path, table in known.profiles.items()},
        "correlation": known.correlation.to_dict(),
    }
    files[2].write_text(json.dumps(finite(facts), indent=1) + "\n", encoding="utf-8")
    try:
        from abm.figures.calibration import draw_calibration

        files.append(draw_calibration(result, known, folder / "calibration.png"))
    except Exception as error:
        console.complain(f"no picture: {type(error).__name__}: {error}")
    return files


def _table(result: Calibrated) -> None:
    from abm.calibrate import identified

    n = console.number
    rows = [
        (one["path"], n(one["value"]), n(one["low"]), n(one["high"]), n(one["rise_below"]), n(one["rise_above"]),
         one["words"])
        for one in identified(result).rows
    ]  # fmt: skip
    title = f"loss {result.loss:.3g} ± {result.error:.2g}" + (
        f", {result.fresh_loss:.3g} on fresh seeds" if len(result.finalists) else ""
    )
    heads = ("parameter", "value", "best: from", "to", "rise below", "above", "profile")
    console.table(f"{result.study.name}: trial {result.best}, {title}", heads, rows)
    best = result.trials.set_index("trial").loc[result.best]
    lines = [
        (one.measure, n(best[f"{one.measure}.middle"]), n(one.target), n(best[f"{one.measure}.off"]),
         n(best[f"{one.measure}.sd"]), one.grade or "-")
        for one in result.study.moments
    ]  # fmt: skip
    console.table("moments", ("measure", "median", "target", "off, widths", "spread, widths", "grade"), lines)
