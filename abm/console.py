"""What people see in the terminal: progress, tables, one clear message for each mistake. Imports nothing heavy."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

OK, BAD_INPUT, SOME_FAILED, INTERRUPTED = 0, 2, 3, 130
"""Exit codes."""

PLAIN_WIDTH = 140
"""Columns where output is no terminal and so has no width of its own."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Stop:
    """Whether Ctrl-C was pressed: the run ends at the end of its tick. A second Ctrl-C ends it at once."""

    def __init__(self, words: str) -> None:
        self.asked = False
        self.closing = False
        """While what is finished is being written, a second Ctrl-C changes nothing."""
        self.words = words

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler."""
        if self.asked:
            if self.closing:
                return
            raise KeyboardInterrupt
        self.asked = True
        err.print(self.words)


@contextmanager
def stoppable(words: str = "stopping at the end of this tick (Ctrl-C again: at once)") -> Iterator[Stop]:
    """Ctrl-C sets `asked` inside the block instead of raising, and says `words`."""
    stop = Stop(words)
    try:
        before = signal.signal(signal.SIGINT, stop.ask)
    except ValueError:  # not the main thread: leave signals alone
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


class Meter:
    """Progress of a long piece of work: a bar on a terminal, else a plain line about every ten seconds."""

    EVERY_S = 10.0
    REFRESH_S = 0.1

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.started = self._shown = time.perf_counter()
        self._live = out.is_terminal
        self._bar: Progress | None = None
        if self._live:
            columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
            columns += [TextColumn("{task.completed:,.0f}/{task.total:,.0f}"), TextColumn("{task.fields[note]}")]
            self._bar = Progress(*columns, TimeRemainingColumn(), console=out, transient=True)
            self._task = self._bar.add_task(title, total=total, note="")

    def __enter__(self) -> Meter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, note: str = "") -> None:
        """Say how far it is; cheap enough to be called every tick."""
        now = time.perf_counter()
        if now - self._shown < (self.REFRESH_S if self._live else self.EVERY_S) and done < self.total:
            return
        self._shown = now
        rate = done / max(now - self.started, 1e-9)
        words = f"{rate:,.0f} {self.unit}/s  {note}" if rate >= 1 else note
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=words)
        else:
            out.print(f"{self.title}: {done:,}/{self.total:,} {self.unit}  {words}")


def number(value: Any, unit: str = "") -> str:
    """A figure for a table: about three digits, a dash where there is none."""
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    size = abs(value)
    text = f"{value:,.0f}" if size >= 1000 or value == int(value) else f"{value:.3g}"
    return f"{text} {unit}".strip()


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is words, the others are figures."""
    drawn = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for i, head in enumerate(heads):
        drawn.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    out.print(drawn)


def comparison_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Model beside real, with band and verdict in words."""
    words = {True: "inside", False: "OUTSIDE", None: "-"}
    lines = [
        (
            f"{row['measure']}, {row['unit']}",
            number(row["model"]),
            number(row["real"]),
            f"{number(row['low'])} to {number(row['high'])}",
            row["grade"],
            words[row["inside"]],
        )
        for row in rows
    ]
    table(
        "Model beside the real evening (one seed)", ("measure", "model", "real", "band", "grade", "the model is"), lines
    )


def say_version(asked: bool) -> None:
    """What `--version` prints, and the end of the command; nothing unless it was asked for."""
    if asked:
        from abm.provenance import source_hash, version

        out.print(f"deleverage {version()}, sources {source_hash()[:12]}, Python {sys.version.split()[0]}")
        raise SystemExit(OK)


def wrote(*paths: object) -> None:
    """Say what was written."""
    for path in paths:
        out.print(f"wrote {path}")


def try_next(command: str) -> None:
    """Say which command is worth trying now."""
    out.print(f"next: {command}")


def complain(message: str) -> None:
    """One message on the error channel."""
    err.print(message, markup=False)


def warn_compile() -> bool:
    """Say that kernels are about to be compiled when this machine has none of this version."""
    from abm.compiled import cache_folder

    folder = cache_folder()
    cold = not any(folder.rglob("*.nbc"))  # the folder itself is there as soon as a kernel is declared
    if cold:
        out.print("compiling kernels, once per machine: about a quarter of a minute ...")
        sys.stdout.flush()
    return cold


def exit_code(error: Exception) -> int | None:
    """Exit code of an error that is no fault of the program; None for one that deserves its traceback."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OSError) or kinds & {"SettingsError", "FolderTakenError", "VerifyError", "StreamError"}:
        return BAD_INPUT
    if kinds & {"AuditError", "BookLimitError"} or isinstance(error, OverflowError):
        return SOME_FAILED
    return None
