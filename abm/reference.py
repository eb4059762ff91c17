"""Pages of the reference that are made from the code, and compared with it by a test.

`python -m abm.reference commands > docs/commands.md`; likewise `events` and `measures`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

from abm import events
from abm.measures import COIN_KEYS, VENUE_KEYS, path, summary, trading, words
from abm.measures.adl import deleveraging
from abm.measures.forced import forced, from_events
from abm.recorder import STEP

MADE = "made by `python -m abm.reference {0} > docs/{0}.md`"
PLAIN = {"Path": "file or folder", "str": "text", "int": "whole number", "float": "number", "bool": "switch"}


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, its cells as they are but for the bars."""
    lines = [list(heads)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


# --- commands ---------------------------------------------------------------------------------------------------------
def commands_page() -> str:
    """`docs/commands.md`: every command with its arguments, options and defaults."""
    from abm.cli import app  # the command line is imported only to be described

    parts = [
        f"""# Commands

Every command of `deleverage`, as `--help` has it ({MADE.format("commands")}).
Exit codes: 0 fine, 2 bad input, 3 some runs failed, 130 interrupted; what was finished by then is kept. Options that
may be given several times are marked "repeated". Lists in `--set` are JSON: `--set "retail.stops.share=[0.1]"`.
"""
    ]
    for command in app.registered_commands:
        callback = command.callback
        assert callback is not None
        name = command.name or callback.__name__
        doc = inspect.cleandoc(callback.__doc__ or "")
        parts.append(f"## {name}\n\n{doc}\n\n{table(('', 'takes', 'default', 'meaning'), options(callback))}")
    return "\n".join(parts)


def options(callback: Callable[..., Any]) -> list[tuple[str, str, str, str]]:
    """Arguments and options of a command: how they are written, what they take, default, meaning."""
    rows, hints = [], get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        hint = hints[name]
        info = next((item for item in getattr(hint, "__metadata__", ()) if hasattr(item, "param_decls")), None)
        kind = str(getattr(hint, "__origin__", hint))
        plain = next((word for key, word in PLAIN.items() if re.search(rf"\b{key}\b", kind)), kind)
        takes = f"`{info.metavar}`" if info is not None and info.metavar else plain
        if info is not None and info.min is not None:
            takes += f", {info.min} to {info.max}" if info.max is not None else f", at least {info.min}"
        needed = parameter.default is parameter.empty
        if info is not None and type(info).__name__ == "ArgumentInfo":
            written = (info.metavar or name).upper()
            takes = plain
        else:
            first = [info.default] if info is not None and isinstance(info.default, str) else []
            declared = [*first, *((info and info.param_decls) or ())]
            written = "` `".join(declared or [f"--{name.replace('_', '-')}"])
        takes += ", repeated" if "list" in kind else ""
        default = "needed" if needed else _worded(parameter.default)
        rows.append((f"`{written}`", takes, default, (info and info.help) or ""))
    return rows


def _worded(default: Any) -> str:
    return "" if default is None or default is False or default == [] else f"`{default}`"


# --- events -----------------------------------------------------------------------------------------------------------
def events_page() -> str:
    """`docs/events.md`: columns, kinds and reasons of the event log."""
    columns = ((f"`{name}`", str(events.EVENT[name])) for name in events.EVENT.names or ())
    kinds = ((str(number), name, f"`{_constant(number, 0)}`") for number, name in enumerate(events.KIND_NAMES))
    reasons = ((str(number), name, f"`{_constant(number, 1)}`") for number, name in enumerate(events.REASON_NAMES))
    return f"""# Events

Everything that changes a balance is in `events.parquet` ({MADE.format("events")}).
From the balances at the opening and these rows `deleverage verify` rebuilds every balance at the end. Names are those
of `abm.events`.

{inspect.cleandoc(events.__doc__ or "").split(chr(10), 2)[2].strip()}

What is recorded: `--record summary` keeps no events, `fills` (the default) all but single orders, `orders` everything.
`seq` counts every event, also those that are not kept, so that what is kept is the same at every level. `cause` is the
`seq` of the event that tripped this one, -1 where there is none: for a liquidation the fill that moved the mark past
the threshold, or the news.

## Columns

Numbers are integers. A price is in ticks of its market, a size in lots, `amount` and fees in units of `asset` (a dollar
has a million, a coin a hundred million); `run.json` has the size of tick and lot of every market. `side` is +1 for the
buyer, -1 for the seller, 0 for none; -1 as market, account, counterparty, order or cause says that there is none.
`abm.results.load_run(folder).events` adds `time`, UTC.

{table(("column", "type"), columns)}
## Kinds

{table(("number", "kind", "name in abm.events"), kinds)}
## Reasons

Why something was done: of fills, transfers and forced actions.

{table(("number", "reason", "name in abm.events"), reasons)}"""


def _constant(number: int, group: int) -> str:
    """Name in `abm.events` of the kind (group 0) or reason (1) with a number."""
    names = list(vars(events))
    starts = (names.index("FILL_EVENT"), names.index("ORDINARY"))
    return names[starts[group] + number]


# --- measures ---------------------------------------------------------------------------------------------------------
MAKERS: dict[str, Callable[..., Any]] = {
    "price_path": path.price_path,
    "by_minute": path.by_minute,
    "liquidity": trading.liquidity,
    "moments": path.moments,
    "flow": trading.flow,
    "returns": path.returns,
    "forced": forced,
    "from_events": from_events,
    "deleveraging": deleveraging,
    "summary": summary,
}


def measures_page() -> str:
    """`docs/measures.md`: the measures of a run and the columns of its steps, with units."""
    groups = []
    for name, rows in words.MEASURES.items():
        maker = MAKERS[name]
        first = (maker.__doc__ or "").split("\n")[0]
        lines = ((f"`{key}`", words.unit(key), text) for key, text in rows.items())
        body = table(("measure", "unit", "meaning"), lines)
        groups.append(f"## `{maker.__module__}.{maker.__name__}`\n\n{first}\n\n{body}")
    venues = ((f"`{key}`", words.unit(key), text) for key, text in words.VENUES.items())
    steps = ((f"`{key}`", words.unit(key), words.STEPS.get(key, "")) for key in STEP.names or ())
    every = sorted({*VENUE_KEYS, *COIN_KEYS})
    return f"""# Measures

The numbers by which a run is told ({MADE.format("measures")}): `run.json` has
them under `summary`, a sweep as columns, `abm.measures.summary(run)` as a dict. The last part of a name is its unit.
Where a run is too short or keeps no events, the value is not a number (`null` in JSON).

{chr(10).join(groups)}
## Several venues, several coins

In a world of several venues the measures above are those of the lead venue, and `venues.NAME.` stands before each
venue's own: all about forced trading, {", ".join(f"`{key}`" for key in every)}, and

{table(("measure", "unit", "meaning"), venues)}
Altcoins have theirs under `alts.COIN.`: {", ".join(f"`{key}`" for key in COIN_KEYS)}, all about forced trading, and
`liquidated_in_both_accounts`, the accounts that were liquidated in the coin and in BTC too. Volumes are in their coins.

## Columns of `steps.parquet`

One row a tick, of the lead venue, and `time`, the end of the tick in UTC. `venues.parquet` has the same for each venue.

{table(("column", "unit", "meaning"), steps)}"""


PAGES: dict[str, Callable[[], str]] = {"commands": commands_page, "events": events_page, "measures": measures_page}

if __name__ == "__main__":
    wanted = sys.argv[1:]
    if len(wanted) != 1 or wanted[0] not in PAGES:
        raise SystemExit(f"usage: python -m abm.reference {'|'.join(PAGES)}")
    print(PAGES[wanted[0]]().rstrip() + "\n", end="")
