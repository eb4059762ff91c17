"""What a run leaves behind: a folder that another person can read, check and repeat.

`OUT/` holds `run.json` (resolved scenario, seed, versions, summary), `steps.parquet` (of the lead venue), with several
venues `venues.parquet` (the same of each), with altcoins `alts.parquet` (likewise), `participants.parquet` (figures of
named participants), `events.parquet`, `opening.parquet`, `closing.parquet`, `manifest.json` (times, machine, package
versions) and, from the caller, `overview.png`. It is written as `OUT.partial` and renamed at the end. An existing
folder is never written to: `free_folder` finds the next free name, and an explicit name that is taken is refused.
Result files hold no wall time, host or path, so the same run gives the same bytes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.events import EVENT
from abm.provenance import finite, git_commit, manifest, run_id, source_hash, version
from abm.recorder import STEP, Recorder, Run, arrow_table, venue_table
from abm.records import put
from abm.state import Accounts, Markets

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["STEP", "FolderTakenError", "Recorder", "Run", "RunWriter", "free_folder", "load_run"]

GROUP_ROWS = 1 << 17
"""Events after which a row group is written; the buffer holds twice as many."""


class FolderTakenError(ValueError):
    """The folder asked for exists already."""


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
                raise FolderTakenError(
                    f"{path} exists already and is not overwritten: choose another --out or remove it"
                )
        self.header = {"scenario": finite(scenario), "name": name, "title": title, "seed": seed, "version": version()}
        self.header |= {
            "git_commit": git_commit(),
            "source_hash": source_hash(),
            "run_id": run_id(finite(scenario), seed),
        }
        self._buffer = np.empty(2 * GROUP_ROWS, EVENT)
        self._used = 0
        self._writer: pq.ParquetWriter | None = None
        self._started = time.perf_counter()
        self._closed = self._finished = False
        self.event_count = 0

    def begin(
        self, markets: Markets, assets: Sequence[str], venues: Sequence[str], start: datetime, tick_s: float
    ) -> None:
        """Make the partial folder: nothing is written for a model that cannot be set up."""
        super().begin(markets, assets, venues, start, tick_s)
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
            put(self._buffer[self._used : self._used + part.size], part)
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
                import pyarrow.parquet as pq

                _write_table(self.steps_array, self.folder / "steps.parquet", self.start_ms, self.tick_ms)
                for rows, names, column, file in (
                    (self.venues_array, self.facts["venues"], "venue", "venues.parquet"),
                    (self.alts_array, self.coins, "coin", "alts.parquet"),
                ):
                    if rows.size:
                        table = venue_table(rows, names, self.start_ms, self.tick_ms, column)
                        pq.write_table(table, self.folder / file, compression="zstd")
                if self._measured:
                    pq.write_table(self.participants_table, self.folder / "participants.parquet", compression="zstd")
        return Run(self.folder, {**self.header, **self.facts, "ticks": self._count})

    def finish(self, summary: Mapping[str, Any], comparison: Sequence[Mapping[str, Any]]) -> None:
        """Write `run.json` (complete) and `manifest.json`."""
        self.close_data()
        self._write_info(complete=True, summary=summary, comparison=comparison)
        self._finished = True

    def publish(self) -> Path:
        """Rename the partial folder to OUT; returns OUT. Raises `FolderTakenError` if there is one by now."""
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
        table = arrow_table(self._buffer[: self._used], self.start_ms, self.tick_ms)
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


# --- reading ----------------------------------------------------------------------------------------------------------
def load_run(path: str | Path) -> Run:
    """Open a run folder (complete or `.partial`). Raises FileNotFoundError with a hint when it is none."""
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(f"{folder} is no run folder: it has no run.json (`deleverage run SCENARIO` makes one)")
    return Run(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))


def _write_table(rows: NDArray[np.void], path: Path, start_ms: int, tick_ms: int) -> None:
    import pyarrow.parquet as pq

    pq.write_table(arrow_table(rows, start_ms, tick_ms), path, compression="zstd")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
