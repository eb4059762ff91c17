"""What a waterfall starts from: a snapshot of accounts and a book, read from CSV or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.settings import SettingsError
from abm.state import BUY, CROSS, I64, ISOLATED, SELL

F64 = NDArray[np.float64]
SIDES = {"long": BUY, "short": SELL, "bid": BUY, "ask": SELL, "buy": BUY, "sell": SELL, "1": BUY, "-1": SELL}
MODES = {"isolated": ISOLATED, "cross": CROSS}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Accounts with one position each: arrays (n,). Sizes in coins (contracts if inverse), prices in dollars."""

    names: list[str]
    side: I64  # +1 long, -1 short
    size: F64
    entry: F64
    margin: F64  # collateral in the settlement asset: of the position, or of the cross account
    mode: I64  # ISOLATED or CROSS


@dataclass(frozen=True, slots=True)
class BookLevels:
    """Resting orders: arrays (n,). Side +1 bids, -1 offers; prices in dollars, sizes as in the snapshot."""

    side: I64
    price: F64
    size: F64

    @classmethod
    def empty(cls) -> BookLevels:
        """Nobody quotes."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def read_snapshot(path: Path) -> Snapshot:
    """From CSV or Parquet with columns id, side, size, entry, margin and, if wanted, mode (default isolated).

    Raises `SettingsError` naming everything that is wrong.
    """
    table = _read(path, ("id", "side", "size", "entry", "margin"))
    count = len(table["id"])
    modes = [str(word).strip().lower() for word in table.get("mode", ["isolated"] * count)]
    problems: list[str] = []
    side = _coded(table["side"], SIDES, "side", problems)
    mode = _coded(modes, MODES, "mode", problems)
    size, entry = (_numbers(table[name], name, problems, True) for name in ("size", "entry"))
    margin = _numbers(table["margin"], "margin", problems, False)
    names = [str(name) for name in table["id"]]
    if len(set(names)) < count:
        problems.append("id: an account is named twice; one position an account")
    if problems:
        raise SettingsError(problems, str(path))
    return Snapshot(names, side, size, entry, margin, mode)


def read_book(path: Path) -> BookLevels:
    """From CSV or Parquet with columns side (bid, ask), price and size. Raises `SettingsError` like `read_snapshot`."""
    table = _read(path, ("side", "price", "size"))
    problems: list[str] = []
    side = _coded(table["side"], SIDES, "side", problems)
    price, size = (_numbers(table[name], name, problems, True) for name in ("price", "size"))
    if not problems and side.size:
        bid, ask = price[side == BUY].max(initial=-np.inf), price[side == SELL].min(initial=np.inf)
        if bid >= ask:
            problems.append(f"the best bid {bid:g} is not below the best offer {ask:g}")
    if problems:
        raise SettingsError(problems, str(path))
    return BookLevels(side, price, size)


def _read(path: Path, needed: Sequence[str]) -> dict[str, list[Any]]:
    """Columns by name."""
    import pandas as pd

    if path.suffix not in (".csv", ".parquet"):
        raise SettingsError(["the ending must be .csv or .parquet"], str(path))
    if not path.is_file():
        raise SettingsError(["no such file"], str(path))
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise SettingsError([f"lacks the column {name}" for name in missing], str(path))
    return {str(name): frame[name].tolist() for name in frame.columns}


def _coded(words: Sequence[Any], codes: dict[str, int], name: str, problems: list[str]) -> I64:
    found = [codes.get(str(word).strip().lower()) for word in words]
    for row, (word, code) in enumerate(zip(words, found, strict=True), 1):
        if code is None:
            problems.append(f"row {row}, {name}: {word!r} is none of {', '.join(codes)}")
    return np.array([code or 0 for code in found], np.int64)


def _numbers(values: Sequence[Any], name: str, problems: list[str], positive: bool) -> F64:
    numbers = np.zeros(len(values))
    for row, value in enumerate(values, 1):
        try:
            numbers[row - 1] = float(value)
        except (TypeError, ValueError):
            numbers[row - 1] = np.nan
        if not np.isfinite(numbers[row - 1]) or (positive and numbers[row - 1] <= 0):
            problems.append(f"row {row}, {name}: {value!r} is no {'number above 0' if positive else 'number'}")
    return numbers
