"""The folder of a sweep: one driver at a time (or one a shard), a heartbeat for other programs, what it belongs to."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from abm.settings import SettingsError
from abm.sweep.parts import STUDY_FILE, write_synced
from abm.sweep.plan import Plan

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment, unused-ignore]

LOCKS = "locks"
STALE_S = 120.0
"""Where locks of the system do not reach, a lock whose file was not touched for so long is taken over."""


class FolderBusyError(SettingsError):
    """Another driver works in the folder."""


class Lock:
    """This driver's claim on a folder: `all`, or one shard. The system frees it when the process ends, however."""

    def __init__(self, folder: Path, shard: tuple[int, int] | None, say: Callable[[str], None]) -> None:
        self.shard, self.say = shard, say
        self.name = shard_tag(shard)
        self.path = folder / LOCKS / f"{self.name}.lock"
        self._file: int | None = None

    def __enter__(self) -> Lock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = _owner(self.path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _locked_by_us(self._file):
            os.close(self._file)
            self._file = None
            raise self._busy(self.path)
        for other in sorted(self.path.parent.glob("*.lock")):
            if other != self.path and not self._goes_with(other.stem) and _alive(other):
                self._let_go()
                raise self._busy(other)
        if before:
            self.say(f"taking over from a driver that was killed (process {before.get('pid')} on {before.get('host')})")
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        return self

    def touch(self) -> None:
        """Show, also to machines that do not see the lock itself, that the driver lives."""
        if self._file is not None:
            os.utime(self._file)

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)  # not removed: somebody may be about to lock this very file
            os.close(self._file)
            self._file = None

    def _goes_with(self, name: str) -> bool:
        """Whether a driver of that name may work at the same time: another shard of the same division."""
        same = self.shard is not None and name.endswith(f"of{self.shard[1]}")
        return same and name != self.name

    def _busy(self, path: Path) -> FolderBusyError:
        owner = _owner(path)
        who = f"process {owner.get('pid')} on {owner.get('host')}" if owner else "another process"
        return FolderBusyError(
            [f"{who} is at work here ({path.stem}): wait for it, stop it, or choose another --out"],
            str(path.parent.parent),
        )


def shard_tag(shard: tuple[int, int] | None) -> str:
    """`all`, or `shard2of4`."""
    return "all" if shard is None else f"shard{shard[0]}of{shard[1]}"


def _locked_by_us(file: int) -> bool:
    """Take the system's lock; where there is none, a file not touched for long counts as free."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
        else:
            return True
    status = os.fstat(file)
    return status.st_size == 0 or time.time() - status.st_mtime > STALE_S


def _alive(path: Path) -> bool:
    """Whether somebody holds a lock."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked_by_us(file)
    finally:
        os.close(file)


def _owner(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Heartbeat:
    """A small JSON file, replaced whole every few seconds, from which other programs see how far a sweep is."""

    EVERY_S = 2.0

    def __init__(self, folder: Path, shard: tuple[int, int] | None) -> None:
        self.path = folder / ("heartbeat.json" if shard is None else f"heartbeat-{shard_tag(shard)}.json")
        self._shown = -self.EVERY_S

    def beat(self, state: str, facts: Mapping[str, Any], at_once: bool = False) -> bool:
        """Write it if it is time; a full disk does not matter here. Returns whether it was time."""
        now = time.monotonic()
        if not at_once and now - self._shown < self.EVERY_S:
            return False
        self._shown = now
        head = {"state": state, "pid": os.getpid(), "host": socket.gethostname()}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            write_synced(self.path, (json.dumps({**head, "updated": when, **facts}) + "\n").encode(), sync=False)
        except OSError:
            return True
        return True


def write_study(folder: Path, plan: Plan) -> None:
    """Say beside the results what they are of. Raises `SettingsError` when what is there recorded less than is asked.

    Ids do not tell what was recorded, so rows that are present would lack what a wider study wants.
    """
    path = folder / STUDY_FILE
    recipe = plan.recipe
    before = _owner(path).get("recorded")
    now: dict[str, Any] = {
        "record": list(recipe.record),
        "series": list(recipe.series),
        "series_points": recipe.series_points,
    }
    if isinstance(before, dict) and before != now:
        less = before["record"] and (not now["record"] or set(now["record"]) - set(before["record"]))
        less = less or set(now["series"]) - set(before["series"])
        if less or (now["series"] and before["series_points"] != now["series_points"]):
            raise SettingsError(
                [f"record: the runs in {folder} were recorded as {json.dumps(before)}: choose another --out"], plan.name
            )
    facts = {"study": plan.about, "name": plan.name, "code": recipe.code, "runs": len(plan), "recorded": now}
    write_synced(path, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
