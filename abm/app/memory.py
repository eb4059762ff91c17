"""Memory of models that are over goes back to the system, so that windows opened and closed leave none behind."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from functools import cache
from typing import Any

M_ARENA_MAX = -8
"""Number of that setting in glibc's `malloc.h`."""


@cache
def _glibc() -> Any:
    """The C library if it is glibc, else None."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library["gnu_get_libc_version"]  # only glibc has it
        return library
    return None


def one_heap() -> None:
    """Threads share one heap from now on, instead of up to eight a processor.

    glibc gives each thread a heap, keeps up to 64 MB free at the end of each, and `malloc_trim` reaches the end of the
    first one only. Every window has a thread that builds a model.
    """
    if (library := _glibc()) is not None:
        library.mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Collect what nobody refers to (a model dies in a reference cycle), and give free pages back to the system."""
    gc.collect()
    if (library := _glibc()) is not None:
        library.malloc_trim(0)
