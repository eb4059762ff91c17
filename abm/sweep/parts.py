"""Results on disk: Parquet parts that are either whole or not there, read back as one table in the order of the plan.

A part is written under a temporary name, synced, and renamed. The ids in the parts are the state of a sweep.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from abm.sweep.plan import PLAN_FILE, Plan
from abm.sweep.study import OWN

PARTS, DAMAGED, RUNS_FILE, STUDY_FILE = "parts", "damaged", "runs.parquet", "study.json"
FLUSH_S = (5.0, 60.0)
"""Rows wait at most so long for their part: little at first, more the longer a sweep has been going."""
BALLAST, BALLAST_BYTES = ".reserve", 1 << 20
"""A file that is given up when the disk is full, so that finished runs can still be written."""
UNSTEADY = ("seconds", "traceback", "command")
"""Columns that differ between equal runs: time, machine, place of the study."""
TEXT = ("id", "error_type", "message", "traceback", "command", "code")


class StorageError(OSError):
    """Results cannot be written."""


# --- columns ----------------------------------------------------------------------------------------------------------
def varied_array(values: Sequence[Any], column: Sequence[Any]) -> pa.Array:
    """Values of a varied path, typed as the whole `column`: truth values, whole numbers, numbers, or texts."""
    if all(isinstance(value, bool) for value in column):
        return pa.array(values, pa.bool_())
    if all(isinstance(value, int) and not isinstance(value, bool) for value in column):
        return pa.array(values, pa.int64())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in column):
        return pa.array([float(value) for value in values], pa.float64())
    return pa.array([v if isinstance(v, str) else json.dumps(v, default=str) for v in values], pa.string())


def measure_array(values: Sequence[Any]) -> pa.Array | None:
    """Values of a measure: numbers as float64 (so that every part has the same type), lists of them, else texts.

    None when no run has a value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    if all(isinstance(value, int | float) for value in known):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if all(isinstance(value, list) and all(isinstance(x, int | float | None) for x in value) for value in known):
        rows = [None if v is None else [None if x is None else float(x) for x in v] for v in values]
        return pa.array(rows, pa.list_(pa.float64()))
    texts = [v if v is None or isinstance(v, str) else json.dumps(v, sort_keys=True) for v in values]
    return pa.array(texts, pa.string())


def rows_table(rows: Sequence[Mapping[str, Any]], varied: Mapping[str, Sequence[Any]]) -> pa.Table:
    """One part as a table: id, point, replicate, seed, varied values, measures by name, how it went."""
    fixed = {"point": pa.int32(), "replicate": pa.int32(), "seed": pa.int64(), "seconds": pa.float64()}
    names = list(dict.fromkeys(name for row in rows for name in row))
    measures = sorted(set(names) - set(OWN) - set(varied))
    arrays: dict[str, pa.Array] = {}
    for name in ("id", "point", "replicate", "seed", *varied, *measures, *OWN[4:]):
        values = [row.get(name) for row in rows]
        if name in varied:
            arrays[name] = varied_array(values, varied[name])
        elif name in OWN:
            arrays[name] = pa.array(values, fixed.get(name, pa.string()))
        elif (array := measure_array(values)) is not None:
            arrays[name] = array
    return pa.table(arrays)


def table_bytes(table: pa.Table) -> bytes:
    """Parquet with checksums."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    data: bytes = sink.getvalue().to_pybytes()
    return data


# --- files ------------------------------------------------------------------------------------------------------------
def write_synced(path: Path, data: bytes, sync: bool = True) -> None:
    """All of the bytes under the name, or an OSError and nothing."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if sync and hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Store:
    """Takes the rows of finished runs and writes them in parts.

    Attributes:
        tag: beginning of this driver's part names; shards have their own.
        waiting: rows not on disk yet.
        given_up: what the disk said when the reserve had to be given up for finished runs; "" before.
    """

    def __init__(self, folder: Path, plan: Plan, tag: str) -> None:
        self.folder, self.plan, self.tag = folder / PARTS, plan, tag
        self.waiting: list[dict[str, Any]] = []
        self.began = self._flushed = time.monotonic()
        self.given_up = ""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob(f".{tag}-*.tmp"):
            old.unlink(missing_ok=True)
        numbers = [int(path.stem.rsplit("-", 1)[1]) for path in self.folder.glob(f"**/{tag}-*.parquet")]
        self._next = max(numbers, default=0) + 1
        self._ballast = folder / f"{BALLAST}-{tag}"
        try:
            write_synced(self._ballast, bytes(BALLAST_BYTES))
        except OSError:
            self._ballast.unlink(missing_ok=True)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take rows; `flush` writes them."""
        self.waiting.extend(rows)

    def due(self) -> bool:
        """Whether rows have waited long enough, or are many."""
        now = time.monotonic()
        patience = min(max(FLUSH_S[0], (now - self.began) / 50), FLUSH_S[1])
        return len(self.waiting) >= self.plan.part_rows or bool(self.waiting and now - self._flushed >= patience)

    def flush(self) -> None:
        """Write what waits. Raises `StorageError` when it cannot; what could be written is."""
        self._flushed = time.monotonic()
        rows, self.waiting = self.waiting, []
        step = self.plan.part_rows
        for i in range(0, len(rows), step):
            self._write(rows[i : i + step])
        if self.waiting:
            raise StorageError(self._why.errno, f"{self._why.strerror}: {self._why.filename or self.folder}")

    def _write(self, rows: list[dict[str, Any]]) -> None:
        """One part; where it does not fit, give up the ballast, then try halves; the rest waits on."""
        path = self.folder / f"{self.tag}-{self._next:06d}.parquet"
        data = table_bytes(rows_table(rows, self.plan.columns))
        try:
            try:
                write_synced(path, data)
            except OSError as error:
                if not self._ballast.exists():
                    raise
                self._ballast.unlink()
                self.given_up = str(error)
                write_synced(path, data)
        except OSError as error:
            self._why = error
            if len(rows) == 1 or self.waiting:
                self.waiting.extend(rows)
            else:
                self._write(rows[: len(rows) // 2])
                self._write(rows[len(rows) // 2 :])
            return
        self._next += 1

    def close(self) -> None:
        """Give the ballast back."""
        self._ballast.unlink(missing_ok=True)


# --- reading ----------------------------------------------------------------------------------------------------------
def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A part with its checksums tested. Raises OSError or ArrowException when it is damaged."""
    return pq.ParquetFile(path, page_checksum_verification=True).read(columns=columns)


def part_files(folder: Path) -> list[Path]:
    """Parts by name."""
    return sorted(path for path in (folder / PARTS).glob("*.parquet") if not path.name.startswith("."))


def scan(folder: Path, say: Callable[[str], None]) -> tuple[dict[str, bool], set[str]]:
    """Read every part: ids present with whether they failed, and the sources they were made with.

    Damaged parts are moved to `parts/damaged`, so that their runs are missing and will be run again.
    """
    present: dict[str, bool] = {}
    codes: set[str] = set()
    for path in part_files(folder):
        try:
            table = read_part(path)
            ids, errors = table["id"].to_pylist(), table["error_type"].to_pylist()
            codes |= set(table["code"].to_pylist())
        except FileNotFoundError:
            continue  # another shard has moved it
        except (OSError, KeyError, pa.ArrowException) as error:
            aside = path.parent / DAMAGED / path.name
            aside.parent.mkdir(exist_ok=True)
            try:
                os.replace(path, aside)
            except FileNotFoundError:
                continue
            why = str(error).splitlines()[0][:120]
            say(f"damaged part {path.name} ({why}): moved to {aside.parent}, its runs are run again")
            continue
        present |= {one: error is not None for one, error in zip(ids, errors, strict=True)}
    return present, codes


def forget(folder: Path, ids: set[str], tag: str | None) -> int:
    """Take failed rows with these ids out of the parts (of one shard, or of all); returns how many there were."""
    count = 0
    for path in part_files(folder):
        if tag is not None and not path.name.startswith(f"{tag}-"):
            continue
        table = read_part(path)
        failed = zip(table["id"].to_pylist(), table["error_type"].to_pylist(), strict=True)
        keep = [not (one in ids and error is not None) for one, error in failed]
        if all(keep):
            continue
        count += len(keep) - sum(keep)
        if any(keep):
            write_synced(path, table_bytes(table.filter(pa.array(keep))))
        else:
            path.unlink()
    return count


def collect(folder: Path) -> tuple[pa.Table, pa.Table]:
    """All finished runs of the present plan in its order, and the part of the plan that is missing.

    Values, points and seeds come from the plan, results from the parts. Rows of other plans or sources stay out.
    """
    plan = pq.read_table(folder / PLAN_FILE).replace_schema_metadata(None)
    parts = [read_part(path) for path in part_files(folder)]
    ids = plan["id"].to_pylist()
    every = pa.concat_tables(_same_types(parts), promote_options="default") if parts else None
    where = {one: row for row, one in enumerate(every["id"].to_pylist())} if every is not None else {}
    have = [i for i, one in enumerate(ids) if one in where]
    missing = plan.take(pa.array([i for i, one in enumerate(ids) if one not in where], pa.int64()))
    found = plan.take(pa.array(have, pa.int64()))
    if every is None:
        return found, missing
    results = every.take(pa.array([where[ids[i]] for i in have], pa.int64()))
    measures = sorted(set(results.column_names) - set(plan.column_names) - set(OWN))
    for name in (*measures, *OWN[4:]):
        column = results[name].combine_chunks()
        # A measure that no run of this plan has is no column, whatever older rows hold.
        if name in OWN or column.null_count < len(column):
            found = found.append_column(name, column)
    return found, missing


def _same_types(parts: Sequence[pa.Table]) -> list[pa.Table]:
    """Parts in which a measure has one type: texts where parts disagree."""
    kinds: dict[str, set[pa.DataType]] = {}
    for table in parts:
        for entry in table.schema:
            kinds.setdefault(entry.name, set()).add(entry.type)
    mixed = {name for name, types in kinds.items() if len(types) > 1}
    if not mixed:
        return list(parts)
    found = []
    for table in parts:
        for name in mixed & set(table.column_names):
            texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(texts, pa.string()))
        found.append(table)
    return found


def canonical_bytes(folder: Path) -> bytes:
    """The finished runs as Parquet bytes that depend on the results alone: not on order, parts, workers, or time."""
    table, _ = collect(folder)
    steady = table.drop_columns([name for name in UNSTEADY if name in table.column_names])
    return table_bytes(steady.combine_chunks())


def canonical_hash(folder: Path) -> str:
    """SHA-256 of `canonical_bytes`."""
    return hashlib.sha256(canonical_bytes(folder)).hexdigest()
