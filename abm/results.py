"""What a run leaves behind: a folder that another person can read, check and repeat.

`OUT/` holds `run.json` (resolved scenario, seed, versions, summary), `steps.parquet`, `events.parquet`, `opening.parquet`,
`closing.parquet`, `manifest.json` (times, machine, package versions) and, from the caller, `overview.png`. It is written as
`OUT.partial` and renamed at the end. An existing folder is never written to: `free_folder` finds the next free name, and an
explicit name that is taken is refused. Result files hold no wall time, host or path, so the same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import EVENT, LEVELS
from abm.state import Accounts, Markets

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

PACKAGE = Path(__file__).resolve().parent
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
"""One row a tick. `steps.parquet` has these columns and `time`, the end of the tick."""

GROUP_ROWS = 1 << 17
"""Events after which a row group is written; the buffer holds twice as many."""


class FolderTakenError(ValueError):
    """The folder asked for exists already."""


# --- provenance -------------------------------------------------------------------------------------------------------
@cache
def source_hash() -> str:
    """SHA-256 of every Python source and venue preset of the package (names and bytes, in order of name)."""
    digest = hashlib.sha256()
    for path in sorted([*PACKAGE.rglob("*.py"), *(PACKAGE / "venues").rglob("*.toml")]):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def version() -> str:
    """Version of the installed distribution."""
    try:
        return importlib.metadata.version("deleverage")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


@cache
def git_commit() -> str | None:
    """Commit of the source tree the package is imported from; None when it is not a work tree of its own."""
    try:
        found = subprocess.run(
            ["git", "-C", str(PACKAGE.parent), "rev-parse", "--show-toplevel", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return found[1] if len(found) == 2 and Path(found[0]).resolve() == PACKAGE.parent else None


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces; refuses NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def run_id(resolved: Mapping[str, Any], seed: int) -> str:
    """SHA-256 of resolved scenario, seed, version and source hash: equal ids mean equal results."""
    parts = {"scenario": resolved, "seed": seed, "version": version(), "source_hash": source_hash()}
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def finite(value: Any) -> Any:
    """The same value with NaN and infinities as None and NumPy numbers as Python numbers, ready for JSON."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


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
            "lot_units": int(markets.lot_units[m]),
            "tick_dollars": float(markets.tick_dollars[m]),
            "lot_coins": float(markets.lot_coins[m]),
            "taker_fee": int(markets.taker_fee[m]),
            "maker_fee": int(markets.maker_fee[m]),
        }
        for m in range(markets.count)
    ]


# --- recorders --------------------------------------------------------------------------------------------------------
class Recorder:
    """Keeps what the model hands over in memory: sweeps, notebooks, tests. `RunWriter` puts it on disk.

    The model calls `begin` once, `opening` before the first tick, `events` any number of times and `step` once a tick, and
    `closing` when it stops.
    """

    def __init__(self, level: str = "fills") -> None:
        if level not in LEVELS:
            raise ValueError(f"record level {level!r}: one of {', '.join(LEVELS)}")
        self.level = level
        self.facts: dict[str, Any] = {}
        self._steps = np.zeros(1024, STEP)
        self._count = 0
        self._kept: list[NDArray[np.void]] = []
        self._blank = np.zeros((), STEP)
        for name in STEP.names or ():
            if STEP[name].kind == "f":
                self._blank[name] = np.nan

    def begin(
        self, markets: Markets, assets: Sequence[str], venues: Sequence[str], start: datetime, tick_s: float
    ) -> None:
        """The facts of the run: markets, assets and venues in the order of their numbers, first instant, tick length."""
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
            self._kept.append(rows.copy())

    def step(self, row: Mapping[str, float] | NDArray[np.void] | np.void) -> None:
        """One tick: a mapping with names of `STEP` (missing floats become nan, missing counts 0) or a `STEP` record."""
        if self._count == self._steps.size:
            self._steps = np.concatenate([self._steps, np.zeros(self._count, STEP)])
        if isinstance(row, Mapping):
            self._steps[self._count] = self._blank
            target = self._steps[self._count]
            for name, value in row.items():
                target[name] = value
        else:
            self._steps[self._count] = row
        self._count += 1

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
        return np.concatenate(self._kept) if self._kept else np.zeros(0, EVENT)

    def run(self) -> Run:
        """What was recorded, in the shape `load_run` gives."""
        run = Run(Path(), {**self.facts, "ticks": self._count})
        run.__dict__["steps"] = _with_time(self.steps_array, self._start_ms, self._tick_ms)
        run.__dict__["events"] = _with_time(self.events_array, self._start_ms, self._tick_ms)
        return run

    @property
    def _start_ms(self) -> int:
        return round(datetime.fromisoformat(self.facts["start"]).timestamp() * 1000)

    @property
    def _tick_ms(self) -> int:
        return round(self.facts["tick_s"] * 1000)


class RunWriter(Recorder):
    """Writes a run folder while the model runs; a context manager.

    Leaving the block normally without `finish`, or by an exception, leaves `OUT.partial` with readable files and
    `"complete": false`. Use::

        with RunWriter(out, scenario=scenario.resolved(), name=..., title=..., seed=...) as writer:
            ...                                     # the model calls begin, opening, events, step, closing
            run = writer.close_data()               # Parquet files are closed and readable
            writer.finish(summary, comparison)      # run.json, manifest.json
            draw(run, writer.folder / "overview.png")
            writer.publish()                        # rename

    Raises `FolderTakenError` when OUT or OUT.partial exists.
    """

    def __init__(
        self,
        out: Path,
        *,
        scenario: Mapping[str, Any],
        name: str,
        title: str,
        seed: int,
        level: str = "fills",
    ) -> None:
        super().__init__(level)
        self.out = Path(out)
        self.folder = self.out.with_name(self.out.name + ".partial")
        for path in (self.out, self.folder):
            if path.exists():
                raise FolderTakenError(f"{path} exists already and is not overwritten: choose another --out or remove it")
        self.header = {"scenario": finite(scenario), "name": name, "title": title, "seed": seed, "version": version()}
        self.header |= {"git_commit": git_commit(), "source_hash": source_hash(), "run_id": run_id(finite(scenario), seed)}
        self._buffer = np.empty(2 * GROUP_ROWS, EVENT)
        self._used = 0
        self._writer: pq.ParquetWriter | None = None
        self._started = time.perf_counter()
        self._closed = self._finished = False
        self.event_count = 0
        self.folder.mkdir(parents=True)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.folder.exists() and not self._finished:
            self.close_data()
            self._write_info(complete=False, summary={}, comparison=[])

    def opening(self, accounts: Accounts) -> None:
        """Writes `opening.parquet`."""
        self._write_accounts(accounts, "opening.parquet")

    def closing(self, accounts: Accounts) -> None:
        """Writes `closing.parquet`."""
        self._write_accounts(accounts, "closing.parquet")

    def events(self, rows: NDArray[np.void]) -> None:
        """Event rows (n,) of dtype `EVENT`; written as a row group whenever enough have gathered."""
        if self.level == "summary" or not rows.size:
            return
        for first in range(0, rows.size, self._buffer.size):
            part = rows[first : first + self._buffer.size]
            if self._used + part.size > self._buffer.size:
                self._flush()
            self._buffer[self._used : self._used + part.size] = part
            self._used += part.size

    def step(self, row: Mapping[str, float] | NDArray[np.void] | np.void) -> None:
        """One tick, as `Recorder.step`; also the moment at which events are flushed."""
        super().step(row)
        if self._used >= GROUP_ROWS:
            self._flush()

    def close_data(self) -> Run:
        """Close the Parquet files and give them back as a `Run` (of the partial folder)."""
        if not self._closed:
            self._closed = True
            self._flush(last=True)
            if self._writer is not None:
                self._writer.close()
            if self.facts:
                _write_table(self.steps_array, self.folder / "steps.parquet", self._start_ms, self._tick_ms)
        return Run(self.folder, {**self.header, **self.facts, "ticks": self._count})

    def finish(self, summary: Mapping[str, Any], comparison: Sequence[Mapping[str, Any]]) -> None:
        """Write `run.json` (complete) and `manifest.json`."""
        self.close_data()
        self._write_info(complete=True, summary=summary, comparison=comparison)
        self._finished = True

    def publish(self) -> Path:
        """Rename the partial folder to OUT; returns OUT. Raises `FolderTakenError` if somebody else made it meanwhile."""
        if self.out.exists():
            raise FolderTakenError(f"{self.out} appeared while the run was written; the results are in {self.folder}")
        os.replace(self.folder, self.out)
        self.folder = self.out
        return self.out

    def _write_info(
        self, *, complete: bool, summary: Mapping[str, Any], comparison: Sequence[Mapping[str, Any]]
    ) -> None:
        info = {**self.header, "complete": complete, "ticks": self._count, "record": self.level, **self.facts}
        info |= {"summary": finite(summary), "comparison": finite(list(comparison))}
        _write_json(self.folder / "run.json", info)
        _write_json(self.folder / "manifest.json", manifest(time.perf_counter() - self._started))

    def _flush(self, last: bool = False) -> None:
        """Write the buffer as one row group. The last call makes sure that there is a file even without events."""
        import pyarrow.parquet as pq

        if self.level == "summary" or not self.facts or not (self._used or last):
            return
        table = _arrow(self._buffer[: self._used], self._start_ms, self._tick_ms)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.folder / "events.parquet", table.schema, compression="zstd")
        if self._used or not self.event_count:
            self._writer.write_table(table)
        self.event_count += self._used
        self._used = 0

    def _write_accounts(self, accounts: Accounts, name: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.level == "summary":
            return
        columns: dict[str, NDArray[Any]] = {"row": np.arange(accounts.rows, dtype=np.int32)}
        columns |= {key: getattr(accounts, key) for key in ("venue", "kind", "mode", "leverage")}
        columns |= {f"cash_{asset}": accounts.cash[a] for a, asset in enumerate(self.facts["assets"])}
        for key in ("margin", "position", "entry_cost"):
            columns |= {f"{key}_{k}": row for k, row in enumerate(getattr(accounts, key))}
        pq.write_table(pa.table(columns), self.folder / name, compression="zstd")


def free_folder(base: Path) -> Path:
    """`base`, or `base-2`, `base-3`, ... : the first for which neither the folder nor its partial exists."""
    number = 1
    while True:
        candidate = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not candidate.exists() and not candidate.with_name(candidate.name + ".partial").exists():
            return candidate
        number += 1


def manifest(wall_s: float) -> dict[str, Any]:
    """Facts of this execution that may differ between equal runs: time, machine, packages, memory."""
    packages = {}
    for name in ("mesa", "numpy", "numba", "llvmlite", "scipy", "pandas", "pydantic", "pyarrow", "matplotlib"):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "wall_seconds": round(wall_s, 3),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "packages": packages,
        "peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


# --- reading ----------------------------------------------------------------------------------------------------------
@dataclass
class Run:
    """A recorded run: `info` is `run.json`; the tables are read when first asked for."""

    path: Path
    info: dict[str, Any]

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a tick: `STEP` and `time`."""
        return self._table("steps")

    @cached_property
    def events(self) -> pd.DataFrame:
        """`EVENT` and `time`; empty for a run recorded at level `summary`."""
        return self._table("events")

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

        path = self.path / f"{name}.parquet"
        if name == "events" and not path.exists():
            return _with_time(np.zeros(0, EVENT), 0, 0)
        return pd.read_parquet(path)


def load_run(path: str | Path) -> Run:
    """Open a run folder (complete or `.partial`). Raises FileNotFoundError with a hint when it is none."""
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(f"{folder} is no run folder: it has no run.json (`deleverage run SCENARIO` makes one)")
    return Run(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))


# --- tables -----------------------------------------------------------------------------------------------------------
def _times(rows: NDArray[np.void], start_ms: int, tick_ms: int) -> NDArray[np.datetime64]:
    """End of each row's tick: tick 1 ends one tick length after the start, the opening is tick 0."""
    return (start_ms + rows["tick"].astype(np.int64) * tick_ms).astype("datetime64[ms]")


def _arrow(rows: NDArray[np.void], start_ms: int, tick_ms: int) -> Any:
    """Arrow table of a structured array, with `time` after `tick`."""
    import pyarrow as pa

    stamp = pa.array(_times(rows, start_ms, tick_ms)).cast(pa.timestamp("ms", tz="UTC"))
    columns = {name: pa.array(np.ascontiguousarray(rows[name])) for name in rows.dtype.names or ()}
    return pa.table({"tick": columns.pop("tick"), "time": stamp, **columns})


def _write_table(rows: NDArray[np.void], path: Path, start_ms: int, tick_ms: int) -> None:
    import pyarrow.parquet as pq

    pq.write_table(_arrow(rows, start_ms, tick_ms), path, compression="zstd")


def _with_time(rows: NDArray[np.void], start_ms: int, tick_ms: int) -> pd.DataFrame:
    return _arrow(rows, start_ms, tick_ms).to_pandas()


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def end_time(start: datetime, duration_s: float) -> datetime:
    """Last instant of a run."""
    return start + timedelta(seconds=duration_s)
