"""Is a kind of participant fit to be believed? `deleverage check KIND` puts it into a small world and looks.

parameters   every number has unit and source; the defaults and the example are accepted
acts         it does something in the small world, or nothing else here says much
determinism  two runs, the same bytes of events, ticks and own figures
agreement    `decide` by arrays and `decide_one` account by account: the same bytes
order        whoever is asked first, the same bytes: participants in reverse, its accounts in reverse
luck         neither NumPy's nor Python's global random state is touched
accounting   the model's audits pass, and every balance follows from the events (`deleverage verify`)
refusals     the venue refuses few of its messages
figures      `measured` has the same names in every tick
time         of its decisions, a tick
"""

from __future__ import annotations

import hashlib
import importlib
import re
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abm.check_worlds import FIXED, Subject, subject_of
from abm.clearing.audit import AuditError
from abm.events import REMOVE
from abm.model import MarketModel
from abm.parameters import reference_rows
from abm.recorder import Recorder
from abm.results import RunWriter
from abm.settings import SettingsError, validate
from abm.state import REJECTED, UNCOVERED
from abm.traders.base import Batch, Participant, View
from abm.verify import verify_run

MOST_REFUSED = 0.2
MOST_MS_A_TICK = 100.0


class Finding(NamedTuple):
    """One check: whether it passed, what was seen, and what to do when it did not."""

    check: str
    ok: bool
    seen: str
    advice: str = ""


@dataclass(slots=True)
class Trial:
    """One run of the small world."""

    digest: str
    sent: int = 0
    refused: int = 0
    seconds: float = 0.0
    ticks: int = 0
    rows: int = 0
    events: int = 0  # in which its rows take part
    figures: list[frozenset[str]] = field(default_factory=list)
    figure_changes: bool = False


# --- runs -------------------------------------------------------------------------------------------------------------
def _families(top: type[Participant]) -> Iterator[type[Participant]]:
    for cls in top.__subclasses__():
        yield cls
        yield from _families(cls)


def with_both(top: type[Participant] = Participant) -> list[type[Participant]]:
    """Loaded classes with a `decide` by arrays of their own and a `decide_one`."""
    found = [cls for cls in _families(top) if cls.decide_one is not Participant.decide_one]
    return [cls for cls in dict.fromkeys(found) if cls.decide is not Participant.decide]


@contextmanager
def one_by_one(classes: Sequence[type[Participant]] | None = None, backwards: bool = False) -> Iterator[None]:
    """Inside the block these classes (default: all that have both ways) ask their accounts one by one.

    `backwards` asks the last account first.
    """

    def ask(self: Participant, view: View, batch: Batch) -> None:
        self.ask_each(view, batch, backwards)

    chosen = with_both() if classes is None else list(classes)
    kept = [(cls, cls.__dict__.get("decide")) for cls in chosen]
    for cls in chosen:
        cls.decide = ask  # type: ignore[method-assign]
    try:
        yield
    finally:
        for cls, own in kept:
            if own is None:
                del cls.decide
            else:
                cls.decide = own  # type: ignore[method-assign]


def members(model: MarketModel, cls: type[Participant]) -> list[Participant]:
    """The participants of a class, or of one that is made of it."""
    everyone = [one for place in (*model.places, *model.alts) for one in place.in_row_order]
    everyone += [*model.pegs, *([model.bridges] if model.bridges else [])]
    return [one for one in everyone if type(one) is cls]


def _watched(one: Participant, trial: Trial) -> None:
    """Count and time what a participant asks for."""
    decide = one.decide

    def counted(view: View, batch: Batch) -> None:
        before, began = batch.count, time.perf_counter()
        decide(view, batch)
        trial.seconds += time.perf_counter() - began
        trial.sent += batch.count - before

    one.decide = counted  # type: ignore[method-assign]


def run_trial(
    subject: Subject, recorder: Recorder | None = None, reverse: bool = False, backwards: bool = False
) -> Trial:
    """Run the small world to its end.

    Args:
        subject: the kind in its world.
        recorder: keeps the run; default in memory, with all orders.
        reverse: ask the participants in reverse order.
        backwards: ask the accounts of this kind one by one, the last first.
    """
    recorder = recorder or Recorder("orders")
    trial = Trial("")
    with one_by_one([subject.cls], True) if backwards else nullcontext():
        model = MarketModel(subject.scenario, recorder=recorder)
        mine = members(model, subject.cls)
        for one in mine:
            _watched(one, trial)
        if reverse:
            model.people.reverse()
            model.machines.reverse()
        digest, last = hashlib.sha256(), ""
        rows = np.concatenate([one.rows for one in mine]) if mine else np.zeros(0, np.int64)
        while model.running:
            model.step()
            figures = {f"{i}.{key}": value for i, one in enumerate(mine) for key, value in one.measured().items()}
            trial.figures.append(frozenset(figures))
            now = repr(sorted(figures.items()))
            trial.figure_changes, last = trial.figure_changes or bool(last and now != last), now
            digest.update(now.encode())
        recorder.closing(model.accounts)
    trial.ticks, trial.rows = model.tick, rows.size
    digest.update(recorder.steps_array.tobytes() + recorder.venues_array.tobytes())
    events = recorder.events_array
    digest.update(events.tobytes() + model.accounts.cash.tobytes() + model.accounts.position.tobytes())
    trial.digest = digest.hexdigest()
    own = np.isin(events["account"], rows)
    refused = own & (events["kind"] == REMOVE) & np.isin(events["reason"], (UNCOVERED, REJECTED))
    trial.refused = int(refused.sum())
    trial.events = int((own | np.isin(events["counterparty"], rows)).sum())
    return trial


# --- checks -----------------------------------------------------------------------------------------------------------
def check(kind: str, settings: Sequence[str] = ()) -> list[Finding]:
    """Every check of a kind. Raises `SettingsError` when the kind cannot be loaded or a value is refused."""
    subject = subject_of(kind, settings)
    found = [parameters_finding(subject)]
    try:
        return [*found, *_findings(subject)]
    except (Exception, SystemExit) as error:  # whatever a class from outside does
        words = f"{type(error).__name__}: {error}"
        place = traceback.extract_tb(error.__traceback__)[-1]
        advice = f"raised in {Path(place.filename).name}, line {place.lineno}: {place.line}"
        return [*found, Finding("accounting" if isinstance(error, AuditError) else "runs", False, words, advice)]


def _findings(subject: Subject) -> list[Finding]:
    before, found = _global_luck(), []
    first = run_trial(subject)
    second = run_trial(subject)
    first.seconds = min(first.seconds, second.seconds)  # the first may have compiled something
    found += [acts(first), same("determinism", second, first, LUCK_ADVICE)]
    if found[-1].ok:
        found.append(agreement(subject, first))
        found.append(order_finding(subject, first, inside=found[-1].ok))
    untouched = _global_luck() == before
    seen = f"global random state {'untouched' if untouched else 'used'}"
    found.append(Finding("luck", untouched, seen, LUCK_ADVICE))
    return [*found, accounting(subject), *refusals_and_figures(first)]


LUCK_ADVICE = "draw from `rng` of decide_one (or abm.rng by seed, stream, number, tick), never from a global generator"
ORDER_ADVICE = "decide_one may change only what belongs to account me.number; share through prepare(view)"


def _global_luck() -> str:
    """A fingerprint of the global random states."""
    ours = importlib.import_module("numpy.random").get_state(legacy=False)
    return hashlib.sha256(repr((ours, importlib.import_module("random").getstate())).encode()).hexdigest()


def parameters_finding(subject: Subject) -> Finding:
    """Numbers need unit and source."""
    cls = subject.cls
    value: Any = getattr(cls, "parameters_class", None)
    if value is None:
        value = subject.scenario
        for part in FIXED[subject.kind].path.split("."):
            value = value[int(part)] if part.isdigit() else getattr(value, part)
    schema = value if isinstance(value, type) else type(value)
    rows = reference_rows(schema)
    numbers = [row for row in rows if re.match(r"(tuple\[)?(int|float)\b", row["type"])]
    bare = [row["path"] for row in numbers if not row["unit"] or not row["source"]]
    lines = [f"no unit or source: {', '.join(bare)}"] if bare else []
    try:
        validate(schema, dict(cls.example), "example")
    except SettingsError as error:
        lines += error.lines
    graded = sum(row["grade"] == "assumed" for row in numbers)
    seen = "; ".join(lines) or f"{len(rows)} parameters, {len(numbers)} numbers with unit and source, {graded} assumed"
    return Finding("parameters", not lines, seen, "declare numbers by abm.parameters.quantity(..., unit=, source=)")


def acts(trial: Trial) -> Finding:
    """Whether there was anything to look at."""
    seen = f"{trial.sent:,} messages of {trial.rows:,} rows in {trial.ticks} ticks, {trial.events:,} events with them"
    seen += "; its figures change" if trial.figure_changes else ""
    ok = trial.sent > 0 or trial.events > 0 or trial.figure_changes
    return Finding("acts", ok, seen, "find parameters with which it acts: --set FIELD=value, or the class's `example`")


def same(name: str, trial: Trial, first: Trial, advice: str, what: str = "two runs") -> Finding:
    """Equal bytes."""
    ok = trial.digest == first.digest
    words = f"the same bytes, {first.digest[:12]}" if ok else f"{first.digest[:12]} and {trial.digest[:12]} differ"
    return Finding(name, ok, f"{what}: {words}", advice)


def order_finding(subject: Subject, first: Trial, inside: bool = True) -> Finding:
    """Nobody's place in the list means anything; `inside`: nor that of the accounts of this kind."""
    found = same("order", run_trial(subject, reverse=True), first, ORDER_ADVICE, "participants in reverse")
    if not (found.ok and inside) or subject.cls.decide_one is Participant.decide_one or first.rows < 2:
        return found
    turned = run_trial(subject, backwards=True)
    return same("order", turned, first, ORDER_ADVICE, "participants in reverse, then its accounts in reverse")


def agreement(subject: Subject, first: Trial) -> Finding:
    """`decide` by arrays against the loop over `decide_one`."""
    cls, advice = subject.cls, "decide and decide_one must give each account the same messages in the same order"
    if cls.decide_one is Participant.decide_one:
        alone = cls.decide is Participant.decide
        return Finding("agreement", alone, "acts at reviews only" if alone else "has decide, but no decide_one", advice)
    if cls.decide is Participant.decide:
        return Finding("agreement", True, "one rule: decide is the loop over decide_one")
    with one_by_one([cls]):
        looped = run_trial(subject)
    return same("agreement", looped, first, advice, "decide and decide_one")


def accounting(subject: Subject) -> Finding:
    """Audits inside the model, then the independent accountant on the files."""
    s = subject.scenario
    with tempfile.TemporaryDirectory(prefix="deleverage-") as scratch:
        folder = Path(scratch) / "run"
        about = {"scenario": s.resolved(), "name": s.name, "title": s.title, "seed": s.seed}
        with RunWriter(folder, **about, level="fills") as writer:  # type: ignore[arg-type]
            run_trial(subject, writer)
            writer.close_data()
            writer.finish({}, [])
            writer.publish()
        report = verify_run(folder)
    seen = f"audits pass, {report.rows:,} rows follow from {report.events:,} events" if report.ok else report.text
    return Finding("accounting", report.ok, seen, "after bind, money moves by orders and office.pay only")


def refusals_and_figures(trial: Trial) -> list[Finding]:
    """What the venue thought of it, its own figures, and what it costs."""
    share = trial.refused / max(trial.sent, 1)
    ms = 1000.0 * trial.seconds / max(trial.ticks, 1)
    names = {name for tick in trial.figures for name in tick}
    steady = all(tick == names for tick in trial.figures)
    return [
        Finding(
            "refusals", share <= MOST_REFUSED, f"{trial.refused:,} of {trial.sent:,} messages ({100 * share:.1f} %)",
            f"ask for what is covered (me.free, leverage); at most {100 * MOST_REFUSED:.0f} % may be refused",
        ),
        Finding(
            "figures", steady, f"{len(names)} figures" + ("" if steady else ", not the same in every tick"),
            "measured() must give the same names in every tick",
        ),
        Finding(
            "time", ms <= MOST_MS_A_TICK, f"{ms:.3f} ms a tick, {1000 * ms / max(trial.rows, 1):.1f} µs a row",
            "write decide by arrays beside decide_one",
        ),
    ]  # fmt: skip
