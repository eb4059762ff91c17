"""The waterfall: run the venue's engine until nobody is forced, then say from its events who paid what, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.clearing.audit import audit_money
from abm.events import (
    BAD_DEBT,
    BY_LOSS_SHARING,
    DELEVERAGE,
    FILL_EVENT,
    LIQUIDATION_FEE,
    TAKEOVER,
    TRANSFER,
)
from abm.settings import SettingsError
from abm.state import I64, ISOLATED
from abm.unwind.tables import F64, BookLevels, Snapshot
from abm.unwind.world import FIRST, REST, World
from abm.venues.exchange import FEES_ROW, FUND_ROW
from abm.venues.preset import VenuePreset, asset_names

CAUSES = ("in_book", "fee", "handed_over", "deleveraged", "charged", "topped_up")
"""Why equity at the mark changes: forced orders in the book with trading fees; liquidation fee; what is left of a
position when the fund takes it over or winners do; a winner's haircut; socialised loss; debts that the fund pays."""


@dataclass(frozen=True, slots=True)
class Unwound:
    """Who paid what. Money in `settle`, at the mark, which does not move."""

    settle: str
    mark_usd: float
    rule: str
    rounds: int
    left_out: int  # orders of the book beyond the venue's price filter
    floor: float
    accounts: dict[str, list[Any]]
    """Columns by name: id, side, mode, size_before, size_after, profit_before, equity_before, equity_after, then the
    change of equity by CAUSES, and what happened."""
    others: dict[str, tuple[float, float]]
    """Equity before and after of the fund, the rest of the market (relative to before), and the fees."""
    waterline: list[tuple[str, str, float]]
    """Events of the fund: what, account, its equity after."""

    def write(self, path: Path) -> Path:
        """Write the table of accounts, CSV or Parquet by the ending; raises SettingsError for another one."""
        import pandas as pd

        if path.suffix not in (".csv", ".parquet"):
            raise SettingsError(["the ending must be .csv or .parquet"], str(path))
        frame = pd.DataFrame(self.accounts)
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        return path

    def text(self, most: int = 10) -> str:
        """Plain lines: equity by group before and after, then the accounts that lose most."""
        what = np.array(self.accounts["what"])
        heads = f"{'':<20}{'accounts':>10}{'equity before':>18}{'after':>18}{'change':>18}"
        lines = [f"mark {self.mark_usd:,.2f}, rule {self.rule}, {self.rounds} rounds; amounts in {self.settle}", heads]
        for word in sorted(set(what.tolist())):
            mine = what == word
            before, after = (float(self.column(name)[mine].sum()) for name in ("equity_before", "equity_after"))
            lines.append(f"{word:<20}{int(mine.sum()):>10,}{before:>18,.2f}{after:>18,.2f}{after - before:>+18,.2f}")
        for word, (before, after) in self.others.items():
            lines.append(f"{word:<20}{'':>10}{before:>18,.2f}{after:>18,.2f}{after - before:>+18,.2f}")
        if self.left_out:
            lines.append(f"{self.left_out} orders of the book lie beyond the venue's price filter and were left out")
        lines.append(f"{'who lose most':<20}{'size':>10}{'after':>18}{'haircut':>18}{'charge':>18}")
        paid = self.column("deleveraged") + self.column("charged")
        for i in np.argsort(paid, kind="stable")[:most].tolist():
            if paid[i] < 0:
                cells = (self.accounts[name][i] for name in ("size_before", "size_after", "deleveraged", "charged"))
                size, left, haircut, charge = cells
                name = self.accounts["id"][i]
                lines.append(f"{name:<20}{size:>10,.4g}{left:>18,.4g}{haircut:>18,.2f}{charge:>18,.2f}")
        return "\n".join(lines)

    def column(self, name: str) -> F64:
        """A column of figures, (n,), in the unit that its name ends with."""
        return np.array(self.accounts[name], np.float64)


def unwind(
    snapshot: Snapshot,
    book: BookLevels,
    mark_usd: float,
    preset: VenuePreset,
    rule: str = "",
    fund: float | None = None,
    instrument: str = "",
    previous_mark_usd: float | None = None,
) -> Unwound:
    """One waterfall at this mark.

    Args:
        snapshot, book: as read from files.
        mark_usd: mark price, dollars.
        preset: the venue.
        rule: name of a deleveraging rule instead of the venue's own.
        fund: capital of the fund in the settlement asset instead of the venue's.
        instrument: a derivative of the venue; its first if empty.
        previous_mark_usd: the mark before, where winners are closed at that; else the mark.

    Raises:
        SettingsError: positions below a lot, an unknown instrument or rule.
        AuditError: money was made or lost, which would be an error of the engine.
    """
    if rule:
        closing = preset.deleverage.model_validate({**preset.deleverage.model_dump(), "rule": rule})
        preset = preset.model_copy(update={"deleverage": closing})
    world = World(snapshot, book, mark_usd, preset, instrument, preset.backstop.size_usd if fund is None else fund)
    if previous_mark_usd is not None:
        world.desk.backstop.previous_mark_ticks = round(previous_mark_usd / world.tick_usd)
    lots, before = world.accounts.position[world.slot].copy(), world.equity()
    profit = before - world.accounts.cash[world.settle] - world.accounts.margin[world.slot]
    seen = world.log.rows().size
    rounds = world.run()
    audit_money(world.floor, asset_names([preset]))
    changes, waterline = _changes(world, world.log.rows()[seen:], snapshot.names, before)
    unit, n = world.unit, len(snapshot.names)
    mine = slice(FIRST, FIRST + n)
    after, held = world.equity(), world.accounts.position[world.slot]
    columns: dict[str, list[Any]] = {
        "id": list(snapshot.names),
        "side": ["long" if side > 0 else "short" for side in snapshot.side.tolist()],
        "mode": ["isolated" if mode == ISOLATED else "cross" for mode in snapshot.mode.tolist()],
        "size_before": (np.abs(lots[mine]) * world.lot).tolist(),
        "size_after": (np.abs(held[mine]) * world.lot).tolist(),
        "profit_before": (profit[mine] * unit).tolist(),
        "equity_before": (before[mine] * unit).tolist(),
        "equity_after": (after[mine] * unit).tolist(),
        **{cause: (changes[i, mine] * unit).tolist() for i, cause in enumerate(CAUSES)},
        "what": _happened(changes[:, mine], lots[mine], held[mine]),
    }
    others = {
        name: (float(before[row] - base) * unit, float(after[row] - base) * unit)
        for name, row, base in (
            ("fund", FUND_ROW, 0), ("rest of the market", REST, before[REST]), ("fees", FEES_ROW, 0)
        )
    }  # fmt: skip
    settle = asset_names([preset])[world.settle]
    floor = world.desk.backstop.floor_units() * unit
    return Unwound(settle, mark_usd, preset.deleverage.rule, rounds, world.left_out, floor, columns, others, waterline)


def _changes(
    world: World, events: NDArray[Any], names: Sequence[str], before: I64
) -> tuple[I64, list[tuple[str, str, float]]]:
    """Change of equity at the mark by cause, int64 (6, R) units, and the fund's waterline."""
    changes = np.zeros((len(CAUSES), world.accounts.rows), np.int64)
    fund, waterline = int(before[FUND_ROW]), [("at first", "", float(before[FUND_ROW]) * world.unit)]

    def who(row: int) -> str:
        return names[row - FIRST] if row >= FIRST else ""

    for event in events:
        kind, a, b, amount = (int(event[key]) for key in ("kind", "account", "counterparty", "amount"))
        lots = int(event["side"]) * int(event["size_lots"])
        if kind == FILL_EVENT:
            paid = world.markets.value(world.market, lots, int(event["price_ticks"]))
            gain = int(world.markets.value(world.market, lots, world.mark_ticks) - paid)
            gains = (0, gain - int(event["fee_taker"])), (0, -gain - int(event["fee_maker"]))
        elif kind in (TAKEOVER, DELEVERAGE):
            gain = int(world.markets.value(world.market, lots, world.mark_ticks)) - amount
            gains = (2, gain), (2 if kind == TAKEOVER else 3, -gain)
        elif kind in (LIQUIDATION_FEE, BAD_DEBT, TRANSFER):
            cause = 1 if kind == LIQUIDATION_FEE else 5
            if kind == TRANSFER and int(event["reason"]) == BY_LOSS_SHARING:
                cause = 4
            gains = (cause, -amount), (cause, amount)
        else:
            continue
        for row, (cause, units) in zip((a, b), gains, strict=True):
            changes[cause, row] += units
            if row == FUND_ROW:
                fund += units
                waterline.append((CAUSES[cause], who(b if row == a else a), fund * world.unit))
    return changes, waterline


def _happened(changes: I64, before: I64, after: I64) -> list[str]:
    """In words, per account: the gravest of what happened to it."""
    words = []
    for i in range(before.size):
        book, fee, handed, winner, charged, topped = (bool(change) for change in changes[:, i])
        if handed:
            words.append("handed over")
        elif winner:
            words.append("deleveraged")
        elif book or fee or topped:
            words.append("liquidated" if after[i] == 0 else "reduced")
        else:
            words.append("charged" if charged else "untouched")
    return words
