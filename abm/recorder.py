"""What the model hands over while it runs, kept in memory; `abm.results` puts it on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import BY_LIQUIDATION, EVENT, FILL_EVENT, LEVELS, LIQUIDATION
from abm.records import copied, joined, taken
from abm.state import Accounts, Markets

if TYPE_CHECKING:
    import pandas as pd

STEP = np.dtype(
    [
        ("tick", np.int32),
        ("rounds", np.int16),
        ("messages", np.int32),
        ("fills", np.int32),
        *[(name, np.float64) for name in ("fair_usd", "spot_usd", "perp_usd", "mark_usd", "index_usd")],
        *[(name, np.float64) for name in ("perp_high_usd", "perp_low_usd", "bid_usd", "ask_usd")],
        *[(name, np.float64) for name in ("depth_bid_usd", "depth_ask_usd", "spread_bp")],
        *[(name, np.float64) for name in ("volume_btc", "net_taker_btc", "spot_volume_btc", "open_interest_btc")],
        ("funding_bp_8h", np.float64),
        ("liquidated_long_usd", np.float64),
        ("liquidated_short_usd", np.float64),
        ("liquidated_long_accounts", np.int32),
        ("liquidated_short_accounts", np.int32),
        ("taken_over_usd", np.float64),
        ("adl_usd", np.float64),
        ("adl_accounts", np.int32),
        *[(name, np.float64) for name in ("fund_usd", "bad_debt_usd", "treasury_btc", "treasury_ltv")],
        ("makers_quoting", np.float64),
        ("news_fair_change", np.float64),
    ]
)
"""One row a tick. `steps.parquet` has these columns, of the lead venue, and `time`, the end of the tick."""


def markets_table(markets: Markets, assets: Sequence[str], venues: Sequence[str]) -> list[dict[str, Any]]:
    """The facts of each market that a reader of the events needs (`run.json`: markets)."""
    return [
        {
            "name": markets.names[m],
            "venue": venues[int(markets.venue[m])],
            "kind": ("spot", "perpetual")[int(markets.kind[m])],
            "slot": int(markets.slot[m]),
            "settle": assets[int(markets.settle[m])],
            "base": assets[int(markets.base[m])],
            "tick_value": int(markets.tick_value[m]),
            "inverse": int(markets.inverse[m]),
            "lot_units": int(markets.lot_units[m]),
            "tick_dollars": float(markets.tick_dollars[m]),
            "lot_coins": float(markets.lot_coins[m]),
            "taker_fee": int(markets.taker_fee[m]),
            "maker_fee": int(markets.maker_fee[m]),
        }
        for m in range(markets.count)
    ]


_BLANK = {name: math.nan if STEP[name].kind == "f" else 0 for name in STEP.names or ()}
_fields = itemgetter(*_BLANK)


def _record(row: Mapping[str, float]) -> tuple[float, ...]:
    """A row with the fields of `STEP` in their order; what is missing is nan, or 0 for a count."""
    if row.keys() == _BLANK.keys():
        whole: tuple[float, ...] = _fields(row)
        return whole
    if not row.keys() <= _BLANK.keys():
        raise ValueError(f"no field of a step: {', '.join(sorted(row.keys() - _BLANK.keys()))}")
    return tuple([row.get(name, missing) for name, missing in _BLANK.items()])


class Recorder:
    """Keeps what the model hands over in memory: sweeps, notebooks, tests. `RunWriter` puts it on disk.

    The model calls `begin` once, `opening` before the first tick, `events` any number of times and `step` once a
    tick, and `closing` when it stops.
    """

    def __init__(self, level: str = "fills") -> None:
        if level not in LEVELS:
            raise ValueError(f"record level {level!r}: one of {', '.join(LEVELS)}")
        self.level = level
        self.facts: dict[str, Any] = {}
        self._steps = np.zeros(1024, STEP)
        self._count = 0
        self._venue_steps: list[NDArray[np.void]] = []
        self._alt_steps: list[NDArray[np.void]] = []
        self.coins: list[str] = []
        self._measured: list[Mapping[str, float]] = []
        self._kept: list[NDArray[np.void]] = []

    def begin(
        self, markets: Markets, assets: Sequence[str], venues: Sequence[str], start: datetime, tick_s: float
    ) -> None:
        """The facts of the run: markets, assets, venues in the order of their numbers, first instant, tick length."""
        self.facts = {
            "start": start.isoformat(),
            "tick_s": tick_s,
            "markets": markets_table(markets, assets, venues),
            "assets": list(assets),
            "venues": list(venues),
        }

    def opening(self, accounts: Accounts) -> None:
        """Balances before the first tick."""

    def closing(self, accounts: Accounts) -> None:
        """Balances after the last tick; may be called again, the last call counts."""

    def events(self, rows: NDArray[np.void]) -> None:
        """Event rows (n,) of dtype `EVENT`, in order of `seq`; copied."""
        if rows.size:
            self._kept.append(copied(rows))

    def step(self, row: Mapping[str, float] | NDArray[np.void] | np.void) -> None:
        """One tick: a mapping with names of `STEP` (missing floats become nan, missing counts 0) or a `STEP` record."""
        if self._count == self._steps.size:
            self._steps = np.concatenate([self._steps, np.zeros(self._count, STEP)])
        if isinstance(row, Mapping):
            self._steps[self._count] = _record(row)
        else:
            self._steps[self._count] = row
        self._count += 1

    def venue_steps(self, rows: Sequence[Mapping[str, float]]) -> None:
        """One tick of a world of several venues: a mapping as for `step` for each, in the order of their numbers."""
        self._venue_steps.append(self._records(rows))

    def alt_steps(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One tick of the altcoins: a mapping as for `step` for each, by name; the same names in every tick."""
        self.coins = list(rows)
        self._alt_steps.append(self._records(list(rows.values())))

    def _records(self, rows: Sequence[Mapping[str, float]]) -> NDArray[np.void]:
        return np.array([_record(row) for row in rows], STEP)

    def measured(self, row: Mapping[str, float]) -> None:
        """One tick of the participants that the scenario names: their own figures as `NAME.figure`."""
        self._measured.append(row)

    @property
    def participants_table(self) -> Any:
        """Arrow table of those figures: `tick`, `time`, and one float64 column each."""
        import pyarrow as pa

        ticks = np.zeros(len(self._measured), [("tick", np.int32)])
        ticks["tick"] = self.steps_array["tick"][: ticks.size]
        table = arrow_table(ticks, self.start_ms, self.tick_ms)
        for name in self._measured[0] if self._measured else ():
            table = table.append_column(name, pa.array([row[name] for row in self._measured], pa.float64()))
        return table

    @property
    def venues_array(self) -> NDArray[np.void]:
        """Ticks of several venues so far: (ticks * venues,) of dtype `STEP`, venue by venue within each tick."""
        return np.concatenate(self._venue_steps) if self._venue_steps else np.zeros(0, STEP)

    @property
    def alts_array(self) -> NDArray[np.void]:
        """Ticks of the altcoins so far: (ticks * coins,) of dtype `STEP`, coin by coin within each tick."""
        return np.concatenate(self._alt_steps) if self._alt_steps else np.zeros(0, STEP)

    @property
    def steps_array(self) -> NDArray[np.void]:
        """Ticks so far: (ticks,) of dtype `STEP`, a view."""
        return self._steps[: self._count]

    @property
    def last_step(self) -> np.void | None:
        """The latest tick, None before the first."""
        return self._steps[self._count - 1] if self._count else None

    @property
    def events_array(self) -> NDArray[np.void]:
        """Events kept in memory: (n,) of dtype `EVENT`."""
        return joined(self._kept) if self._kept else np.zeros(0, EVENT)

    def run(self) -> Run:
        """What was recorded, in the shape `load_run` gives."""
        run = Run(Path(), {**self.facts, "ticks": self._count})
        run.__dict__["steps"] = _with_time(self.steps_array, self.start_ms, self.tick_ms)
        run.in_memory = self
        table = venue_table(self.venues_array, self.facts["venues"], self.start_ms, self.tick_ms)
        run.__dict__["venues"] = table.to_pandas()
        table = venue_table(self.alts_array, self.coins, self.start_ms, self.tick_ms, "coin")
        run.__dict__["alts"] = table.to_pandas()
        run.__dict__["participants"] = self.participants_table.to_pandas()
        return run

    @property
    def start_ms(self) -> int:
        """First instant, milliseconds since 1970."""
        return round(datetime.fromisoformat(str(self.facts["start"])).timestamp() * 1000)

    @property
    def tick_ms(self) -> int:
        """Length of a tick."""
        return round(float(self.facts["tick_s"]) * 1000)


@dataclass
class Run:
    """A recorded run: `info` is `run.json`; the tables are read when first asked for."""

    path: Path
    info: dict[str, Any]
    in_memory: Recorder | None = None
    """Of a run that is on no disk: its events become a table only when somebody asks for them."""

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a tick: `STEP` and `time`."""
        return self._table("steps")

    @cached_property
    def venues(self) -> pd.DataFrame:
        """One row a tick and venue: the columns of `steps` and `venue`, its name; empty with one venue."""
        if not (self.path / "venues.parquet").exists():
            table: pd.DataFrame = venue_table(np.zeros(0, STEP), (), 0, 0).to_pandas()
            return table
        return self._table("venues")

    @cached_property
    def alts(self) -> pd.DataFrame:
        """One row a tick and altcoin: the columns of `steps`, in its own coins, and `coin`; empty without any."""
        if not (self.path / "alts.parquet").exists():
            table: pd.DataFrame = venue_table(np.zeros(0, STEP), (), 0, 0, "coin").to_pandas()
            return table
        return self._table("alts")

    @cached_property
    def participants(self) -> pd.DataFrame:
        """One row a tick: figures of the participants that the scenario names as `NAME.figure`; empty without them."""
        import pandas as pd

        return self._table("participants") if (self.path / "participants.parquet").exists() else pd.DataFrame()

    @cached_property
    def events(self) -> pd.DataFrame:
        """`EVENT` and `time`; empty for a run recorded at level `summary`."""
        return self._table("events")

    @cached_property
    def forced_events(self) -> pd.DataFrame:
        """The events without ordinary fills: forced fills, everything that is no fill, and what caused a liquidation.

        A small part of a large run, read without holding the rest in memory.
        """
        if self.in_memory is not None:
            kept = self.in_memory
            return _with_time(forced_rows(kept.events_array), kept.start_ms, kept.tick_ms)
        path = self.path / "events.parquet"
        if not path.exists():
            return self.events
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        found = pq.read_table(path, columns=["cause"], filters=pc.field("kind") == LIQUIDATION)
        wanted = (pc.field("kind") != FILL_EVENT) | (pc.field("reason") == BY_LIQUIDATION)
        wanted |= pc.field("seq").isin(pc.unique(found["cause"]))
        frame: pd.DataFrame = pq.read_table(path, filters=wanted).to_pandas()
        return frame

    @cached_property
    def opening(self) -> pd.DataFrame:
        """Balances before the first tick."""
        return self._table("opening")

    @cached_property
    def closing(self) -> pd.DataFrame:
        """Balances after the last tick."""
        return self._table("closing")

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if name == "events" and self.in_memory is not None:
            return _with_time(self.in_memory.events_array, self.in_memory.start_ms, self.in_memory.tick_ms)
        path = self.path / f"{name}.parquet"
        if name == "events" and not path.exists():
            return _with_time(np.zeros(0, EVENT), 0, 0)
        return pd.read_parquet(path)


# --- tables -----------------------------------------------------------------------------------------------------------
def _times(rows: NDArray[np.void], start_ms: int, tick_ms: int) -> NDArray[np.datetime64]:
    """End of each row's tick: tick 1 ends one tick length after the start, the opening is tick 0."""
    return (start_ms + rows["tick"].astype(np.int64) * tick_ms).astype("datetime64[ms]")


def forced_rows(events: NDArray[np.void]) -> NDArray[np.void]:
    """Of events (n,), dtype `EVENT`: all but ordinary fills, and the fills that caused a liquidation."""
    started = events["cause"][events["kind"] == LIQUIDATION]
    ordinary = (events["kind"] == FILL_EVENT) & (events["reason"] != BY_LIQUIDATION)
    return taken(events, ~ordinary | np.isin(events["seq"], started))


def arrow_table(rows: NDArray[np.void], start_ms: int, tick_ms: int) -> Any:
    """Arrow table of records (n,), with `time` after `tick`; the start and the tick in ms."""
    import pyarrow as pa

    stamp = pa.array(_times(rows, start_ms, tick_ms)).cast(pa.timestamp("ms", tz="UTC"))
    columns = {name: pa.array(np.ascontiguousarray(rows[name])) for name in rows.dtype.names or ()}
    return pa.table({"tick": columns.pop("tick"), "time": stamp, **columns})


def venue_table(
    rows: NDArray[np.void], venues: Sequence[str], start_ms: int, tick_ms: int, column: str = "venue"
) -> Any:
    """Arrow table of `Recorder.venues_array`, or `alts_array`, (ticks, venues): as `arrow_table`, names in front."""
    import pyarrow as pa

    table = arrow_table(rows, start_ms, tick_ms)
    ticks = rows.size // max(len(venues), 1)
    return table.add_column(0, column, pa.array(list(venues) * ticks, pa.string()))


def _with_time(rows: NDArray[np.void], start_ms: int, tick_ms: int) -> pd.DataFrame:
    frame: pd.DataFrame = arrow_table(rows, start_ms, tick_ms).to_pandas()
    return frame
