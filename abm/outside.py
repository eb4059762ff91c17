"""Code from outside that a scenario or a study names: it is loaded only after `allow`, which `--allow-code` calls."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

_state = {"allowed": False}


def allow(*places: Path) -> None:
    """From now on modules may be loaded, also from the folders of these files and from the current one."""
    _state["allowed"] = True
    for folder in (*(place.resolve().parent for place in places), Path.cwd()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def allowed() -> bool:
    """Whether `allow` was called in this process."""
    return _state["allowed"]


def file_hash(module: ModuleType) -> str:
    """SHA-256 of the file of a module; "" when it has none."""
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
