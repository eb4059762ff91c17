"""One file that lets somebody else repeat a run, and the judgement whether a repetition gave the same.

`export_run` writes a ZIP archive with fixed order, dates and no compression, so that the same run folder gives the same
bytes. It holds `export.json` (resolved scenario, seed, version, source hash, package versions, SHA-256 of every result
file, hashes of the columns of the balances), `steps.parquet`, `venues.parquet` with several venues, and `events.npy`
(a checksum of every column of the events, tick by tick). `read_export` reads it, `compare` sets a repeated run beside
it and names the first tick that differs. Only contents count: files whose contents agree may differ in bytes where
another version of a library wrote them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.provenance import finite, source_hash, version
from abm.recorder import Run
from abm.results import FolderTakenError, load_run
from abm.settings import SettingsError

FORMAT = 1
RESULT_FILES = (
    *("run.json", "steps.parquet", "venues.parquet"),
    *("events.parquet", "opening.parquet", "closing.parquet"),
)
BALANCES = ("opening", "closing")
SHOWN = 12
"""Differences of the first tick that are printed."""
CHECKED = ("events", *BALANCES)
"""Tables of which an export holds checksums only."""
KEPT_FACTS = ("name", "title", "seed", "record", "version", "git_commit", "source_hash", "run_id", "ticks", "scenario")
README = """An exported run of Deleverage. `export.json` says which scenario, seed, version and sources made it.
To repeat it: install that version, then `deleverage reproduce THIS_FILE`.
"""
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Export:
    """What an export file holds: `info` is `export.json`, `steps` and `venues` column by column, `events` checksums."""

    info: dict[str, Any]
    steps: Columns
    venues: Columns
    events: Columns


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not the same. `tick` 0 is the opening, None belongs to no tick."""

    table: str
    column: str
    tick: int | None
    there: Any = None
    here: Any = None
    beyond: bool = True
    """Whether it lies outside the tolerance."""

    @property
    def words(self) -> str:
        """Table, column and both values, where these are known and not only their checksums."""
        if self.table in CHECKED and self.column != "rows":
            return f"{self.table}, {self.column}: not the same"
        return f"{self.table}, {self.column}: {_shown(self.there)} there, {_shown(self.here)} here"


@dataclass(slots=True)
class Verdict:
    """Outcome of a comparison: identical, within tolerance or different; what differs first; what to know about it."""

    tolerance: float
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """identical, within tolerance or different."""
        if not self.differences:
            return "identical"
        return "different" if any(item.beyond for item in self.differences) else "within tolerance"

    @property
    def ok(self) -> bool:
        """Whether the run was reproduced."""
        return self.word != "different"

    @property
    def first_tick(self) -> int | None:
        """First tick with a difference (outside the tolerance, if there is one)."""
        counted = [item for item in self.differences if item.beyond or self.ok]
        return min((item.tick for item in counted if item.tick is not None), default=None)

    @property
    def text(self) -> str:
        """The verdict in words."""
        if self.word == "identical":
            return "\n".join(["identical", *self.notes])
        place = f" at tick {self.first_tick}" if self.first_tick is not None else " in the summary"
        head = f"within tolerance {self.tolerance:g}: first difference{place}" if self.ok else f"different{place}"
        counted = [item for item in self.differences if item.beyond or self.ok]
        lines = [f"  {item.words}" for item in counted if item.tick == self.first_tick]
        more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        return "\n".join([head, *lines[:SHOWN], *more, *self.notes])


# --- writing ----------------------------------------------------------------------------------------------------------
def export_run(folder: Path, file: Path) -> Path:
    """Write the export of a complete run folder to a file that must not exist; returns it.

    Raises:
        SettingsError: the run is not complete.
        FolderTakenError: the file exists.
    """
    run = load_run(folder)
    if not run.info.get("complete"):
        raise SettingsError([f"{folder} is not complete: only a finished run can be exported"])
    if file.exists():
        raise FolderTakenError(f"{file} exists already and is not overwritten: choose another --out or remove it")
    info = {"format": FORMAT, **{key: run.info.get(key) for key in KEPT_FACTS}, "summary": run.info["summary"]}
    made = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    info |= {key: made.get(key) for key in ("python", "platform", "processor", "packages")}
    info["files"] = file_hashes(folder)
    info["balances"] = {name: column_hashes(folder / f"{name}.parquet") for name in BALANCES}
    members = {"README.txt": README.encode(), "export.json": (json.dumps(info, indent=1) + "\n").encode()}
    for name in ("steps.parquet", "venues.parquet"):
        if (folder / name).exists():
            members[name] = (folder / name).read_bytes()
    members["events.npy"] = _packed(event_checksums(folder / "events.parquet"))
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "x", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            archive.writestr(entry, members[name])
    return file


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the bytes of each result file that is there."""
    paths = [folder / name for name in RESULT_FILES]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


def column_hashes(path: Path) -> dict[str, str]:
    """Hash (16 hex digits) of the values of each column of a Parquet file; empty when there is no file."""
    return {
        name: hashlib.sha256(values.dtype.str.encode() + values.tobytes()).hexdigest()[:16]
        for name, values in _columns(path)
    }


def event_checksums(path: Path) -> Columns:
    """CRC-32 of each column's values, tick by tick: `tick` int64 (n,), `rows` and each column uint32 (n,).

    Only ticks with events have a row. Without a file (level `summary`) there are no columns.
    """
    found: Columns = {}
    edges = np.zeros(0, np.int64)
    for name, values in _columns(path, first="tick"):
        if name == "tick":
            if values.size:
                edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
            found["tick"] = values[edges[:-1]].astype(np.int64)
            found["rows"] = np.diff(edges).astype(np.uint32)
            continue
        data, width = values.tobytes(), values.itemsize
        sums = [zlib.crc32(data[a * width : b * width]) for a, b in pairwise(edges)]
        found[name] = np.array(sums, np.uint32)
    return found


def _columns(path: Path, first: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Columns of a Parquet file one after another, `first` in front; instants as int64, texts as objects."""
    import pyarrow.parquet as pq

    if not path.exists():
        return
    for name in sorted(pq.read_schema(path).names, key=lambda one: one != first):
        yield name, _array(pq.read_table(path, columns=[name]).column(0))


def _array(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: NDArray[Any] = np.ascontiguousarray(column.to_numpy())
    return values.astype("U") if values.dtype == object else values


def _packed(columns: Columns) -> bytes:
    """Columns as the bytes of one structured NumPy file."""
    kinds = np.dtype([(name, values.dtype) for name, values in columns.items()])
    rows = np.zeros(len(columns["tick"]) if columns else 0, kinds)
    for name, values in columns.items():
        rows[name] = values
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    return buffer.getvalue()


# --- reading ----------------------------------------------------------------------------------------------------------
def read_export(file: Path) -> Export:
    """Read an export file. Raises SettingsError when it is none, is damaged or has another format."""
    if not file.is_file():
        raise SettingsError([f"{file}: no such file (`deleverage export RUN` makes one)"])
    try:
        with zipfile.ZipFile(file) as archive:
            info = json.loads(archive.read("export.json"))
            tables = {
                name: _parquet(archive.read(f"{name}.parquet")) if f"{name}.parquet" in archive.namelist() else {}
                for name in ("steps", "venues")
            }
            sums = np.load(io.BytesIO(archive.read("events.npy")), allow_pickle=False)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise SettingsError([f"{file} is no export of a run, or is damaged: {error}"]) from None
    if info.get("format") != FORMAT:
        raise SettingsError([f"{file} has format {info.get('format')}; this version reads format {FORMAT}"])
    return Export(info, tables["steps"], tables["venues"], {name: sums[name] for name in sums.dtype.names or ()})


def _parquet(data: bytes) -> Columns:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    return {name: _array(table[name]) for name in table.column_names}


def surroundings(info: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Lines that say where code, packages and machine differ from those of the export."""
    lines = []
    if info["source_hash"] == source_hash():
        lines.append(f"code: the same sources ({source_hash()[:12]}), version {version()}")
    else:
        there = f"version {info['version']}, sources {str(info['source_hash'])[:12]}"
        there += f", commit {str(info['git_commit'])[:12]}" if info.get("git_commit") else ""
        lines.append(f"code DIFFERS: exported with {there}; here version {version()}, sources {source_hash()[:12]}")
    now = {"python": manifest["python"], **manifest["packages"]}
    then = {"python": info.get("python"), **(info.get("packages") or {})}
    changed = [f"{name} {then.get(name)} there, {now[name]} here" for name in now if then.get(name) != now[name]]
    lines.append(f"packages DIFFER: {'; '.join(changed)}" if changed else "packages: the same versions")
    if info.get("processor") != manifest["processor"]:
        lines.append(f"processor DIFFERS: {info.get('processor')} there, {manifest['processor']} here")
    return lines


def repeat(export: Export, folder: Path, go_on: Callable[[int, int], bool] = lambda tick, ticks: True) -> Run | None:
    """Run the scenario of an export again and write it to `folder`; None when `go_on(tick, ticks)` stopped it.

    Raises `SettingsError` when this version refuses the scenario.
    """
    from abm.measures import summary
    from abm.model import MarketModel
    from abm.results import RunWriter
    from abm.scenario import from_resolved
    from abm.targets import comparison

    info = export.info
    scenario = from_resolved({**info["scenario"], "seed": info["seed"]})
    about = {key: info[key] for key in ("scenario", "name", "title", "seed")}
    writer = RunWriter(folder, **about, level=info["record"])
    with writer:
        model = MarketModel(scenario, recorder=writer)
        while model.running:
            if not go_on(model.tick, scenario.ticks):
                return None
            model.step()
        writer.closing(model.accounts)
        measured = summary(writer.close_data())
        writer.finish(measured, comparison(measured, scenario))
        writer.publish()
    return load_run(folder)


# --- comparing --------------------------------------------------------------------------------------------------------
def compare(export: Export, run: Run, tolerance: float = 0.0) -> Verdict:
    """Set a repeated run beside an export.

    Args:
        export: what `read_export` gave.
        run: the folder of the repetition, complete.
        tolerance: how far a value of the steps may be off, in shares of the largest size in its column, and a measure
            of the summary in shares of itself.
    """
    verdict = Verdict(tolerance)
    for name, then in (("steps", export.steps), ("venues", export.venues)):
        now = dict(_columns(run.path / f"{name}.parquet"))
        verdict.differences += table_differences(name, then, now, tolerance)
    sums = event_checksums(run.path / "events.parquet")
    inexact = [item for item in table_differences("events", export.events, sums, math.inf) if item.column != "tick"]
    for name in BALANCES:
        then_hashes, now_hashes = export.info["balances"][name], column_hashes(run.path / f"{name}.parquet")
        tick = 0 if name == "opening" else int(run.info["ticks"])
        columns = sorted(set(then_hashes) | set(now_hashes))
        unequal = [column for column in columns if then_hashes.get(column) != now_hashes.get(column)]
        inexact += [Difference(name, column, tick) for column in unequal]
    # Events and balances are whole numbers, known by checksum: they count as they are only without a tolerance.
    lenient = tolerance > 0 and not any(item.beyond for item in verdict.differences)
    for item in inexact:
        verdict.differences.append(Difference(item.table, item.column, item.tick, item.there, item.here, not lenient))
    verdict.differences += summary_differences(export.info["summary"], run.info["summary"], tolerance)
    same = [name for name, digest in file_hashes(run.path).items() if export.info["files"].get(name) == digest]
    verdict.notes.append(f"{len(same)} of {len(export.info['files'])} files the same byte for byte: {', '.join(same)}")
    return verdict


def table_differences(name: str, then: Columns, now: Columns, tolerance: float) -> list[Difference]:
    """The first row of each column that differs, and of those the first beyond the tolerance. `tick` names the rows."""
    if set(then) != set(now):
        only = sorted(set(then) ^ set(now))
        return [Difference(name, column, 1, column in then, column in now) for column in only]
    if not then:
        return []
    ticks, rows = (then["tick"], now["tick"]), min(then["tick"].size, now["tick"].size)
    found = []
    for column in then:
        a, b = then[column][:rows], now[column][:rows]
        unequal = ~_same(a, b)
        if not unequal.any():
            continue
        beyond = unequal & ~_near(a, b, tolerance, then[column])
        row = int(np.argmax(beyond if beyond.any() else unequal))
        tick = int(min(ticks[0][row], ticks[1][row]))
        found.append(Difference(name, column, tick, a[row].item(), b[row].item(), bool(beyond.any())))
    if ticks[0].size != ticks[1].size:
        longer = max(ticks, key=len)
        found.append(Difference(name, "rows", int(longer[rows]), ticks[0].size, ticks[1].size))
    return found


def _same(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Equal values; nan equals nan."""
    same: NDArray[np.bool_] = a == b
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        same = same | (np.isnan(a) & np.isnan(b))
    return same


def _near(a: NDArray[Any], b: NDArray[Any], tolerance: float, column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype.kind not in "if" or tolerance == 0 or math.isinf(tolerance):
        return np.zeros(a.size, np.bool_)
    sizes = np.abs(column[np.isfinite(column)].astype(np.float64))
    scale = float(sizes.max()) if sizes.size else 0.0
    with np.errstate(invalid="ignore"):
        near: NDArray[np.bool_] = np.abs(a.astype(np.float64) - b) <= tolerance * scale
    return near


def summary_differences(then: Mapping[str, Any], now: Mapping[str, Any], tolerance: float) -> list[Difference]:
    """Measures that differ, with dotted names."""
    a, b = dict(_flat(finite(then))), dict(_flat(finite(now)))
    found = []
    for name in sorted(set(a) | set(b)):
        x, y = a.get(name), b.get(name)
        if x == y:
            continue
        near = False
        if isinstance(x, int | float) and isinstance(y, int | float):
            near = abs(x - y) <= tolerance * max(abs(x), abs(y))
        found.append(Difference("summary", name, None, x, y, not near))
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value) if isinstance(value, float) else str(value)
