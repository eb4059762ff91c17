"""Winners of the deleveraging of 10 October 2025 on Hyperliquid: rebuilt from what was closed, or drawn like them.

The files are extracts of public data sets that may not be redistributed; they are looked for, never shipped. The
reconstruction is one: the file holds what was closed of each account, not what it held. Missing are, account by
account, the coin and the side, the part of a position that stayed open, other positions and their profit, winners whom
the queue never reached, and the order of the queue at each moment. So all winners stand in one pool and count as shorts
(97 % of those in bitcoin were), a position is what was closed of it, and equity is cash plus the profit closed.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abm.clearing.adl import Winners
from abm.rng import stream, uniforms
from abm.state import I64
from abm.units import MICRO, RATE_ONE

F64 = NDArray[np.float64]
VARIABLE = "DELEVERAGE_DATA"
BY_USER = "hl_adl_by_user.csv"
WAVES = "adl_paper_policy_per_wave.csv"
DEFICITS, SHOCKS = "adl_paper_bad_debt_waves.csv", "adl_paper_per_shock_queue.csv"
LOT_USD = 0.01
"""A lot of the reconstruction: a cent of notional at the price of the closing."""
LOT_UNITS = round(LOT_USD * MICRO)
BOOKED_SHARE = 0.397
"""Profit closed over notional closed, all accounts; Hyperliquid's chain data."""
ACCOUNTS = 19_337
QUANTILES = (
    (1.0, 1.0), (0.95, 13.4), (0.75, 145.0), (0.5, 481.0), (0.25, 3_125.0), (0.1, 27_000.0), (0.01, 1_040_000.0),
    (1 / ACCOUNTS, 330_000_000.0),
)  # fmt: skip
"""Notional closed of an account, dollars, with the share of the accounts that lie above it: figures of the data, but
for the lowest, which is a round one."""


def folder(data: str, needed: str = BY_USER) -> Path | None:
    """The folder that holds the file `needed`: `data` if given, else $DELEVERAGE_DATA, else ../shared/data; or None."""
    places = [data] if data else [os.environ.get(VARIABLE, ""), *_usual()]
    return next((Path(place) for place in places if place and (Path(place) / needed).is_file()), None)


def _usual() -> list[str]:
    here = Path(__file__).resolve().parent.parent
    return [str(base.parent / "shared" / "data") for base in (here, Path.cwd())]


def absent(data: str, needed: str = BY_USER) -> str:
    """What to say when the data are not there."""
    places = data or f"${VARIABLE} or ../shared/data"
    return f"{needed} is not in {places}; say where it is with --set data=FOLDER"


def read_columns(path: Path, *names: str) -> list[F64]:
    """Columns of a CSV file as float64, empty cells as NaN. Raises ValueError when one is missing."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in names if not rows or name not in rows[0]]
    if missing:
        raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    return [np.array([float(row[name] or "nan") for row in rows]) for name in names]


@dataclass(frozen=True, slots=True)
class Pool:
    """Accounts that were deleveraged, or could be: float64 arrays (n,), dollars."""

    notional: F64  # of the position, at the price of the closing
    profit: F64
    wallet: F64  # cash, without profit

    def winners(self, maintenance_share: float) -> Winners:
        """As the rules see them; a lot is `LOT_USD` of notional, the requirement that share of it."""
        lots = np.rint(self.notional / LOT_USD).astype(np.int64)
        value, profit, wallet = lots * LOT_UNITS, units(self.profit), units(self.wallet)
        return Winners(
            rows=np.arange(lots.size),
            size_lots=lots,
            unrealised=profit,
            wallet=wallet,
            maintenance=np.ceil(value * maintenance_share).astype(np.int64),
            notional=value,
            entry_notional=value + profit,  # a short's entry lies above
            equity=wallet + profit,
        )


def units(dollars: F64) -> I64:
    """Micro-dollars."""
    return np.rint(dollars * MICRO).astype(np.int64)


def reconstructed(path: Path) -> Pool:
    """The accounts of `hl_adl_by_user.csv` in the order of the file."""
    notional, profit, wallet = read_columns(path / BY_USER, "adl_notional", "closed_pnl", "account_value_realtime")
    return Pool(notional, profit, wallet)


def drawn(accounts: int, seed: int, tick: int = 0) -> Pool:
    """Synthetic winners with the sizes of the data, nothing else: documented, and free to pass on.

    Sizes: the quantiles of the data, joined by straight lines in logarithms of size and of the share above. Profit:
    uniform between 0 and twice the share of notional that was booked on the day. Wallet: log-uniform between a fifth
    and ten times the notional (the median account had a leverage of 0.43; assumed otherwise).
    """
    rows = np.arange(accounts)
    above, gain, depth = (uniforms(seed, stream("winners"), rows, tick, draw) for draw in range(3))
    share, size = (np.log([pair[i] for pair in reversed(QUANTILES)]) for i in (0, 1))
    notional = np.exp(np.interp(np.log(above), share, size))
    return Pool(notional, notional * 2 * BOOKED_SHARE * gain, notional * 0.2 * 50.0**depth)


def share_of_top(amounts: F64 | I64, count: int) -> float:
    """Share of the `count` largest in the whole; 0 of nothing."""
    total = float(amounts.sum())
    return float(np.sort(amounts)[::-1][:count].sum() / total) if total > 0 else 0.0


def rate(share: float) -> int:
    """A share in 1e-8."""
    return round(share * RATE_ONE)
