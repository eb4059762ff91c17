"""Counter-based random numbers: nobody's luck depends on who was asked before.

A draw is a pure function of (seed, stream, row, tick, draw): the counter and key of Philox4x32-10 (Salmon, Moraes, Dror
and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11). Streams are named by purpose. A policy that changes who
trades therefore leaves every other draw as it was, and two rules can be compared pair by pair.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray

from abm.compiled import kernel, scalar

_MASK = 0xFFFFFFFF
_M0 = 0xD2511F53
_M1 = 0xCD9E8D57
_W0 = 0x9E3779B9
_W1 = 0xBB67AE85


def stream(name: str) -> int:
    """Number of the stream with this name (CRC-32): the same in every process and version."""
    return zlib.crc32(name.encode())


@scalar
def philox(c0: int, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[int, int]:
    """Two of the four 32-bit words of Philox4x32-10 (words 0 and 1)."""
    a, b, c, d = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    x, y = np.uint64(k0), np.uint64(k1)
    mask = np.uint64(_MASK)
    half = np.uint64(32)
    for _ in range(10):
        p0 = np.uint64(_M0) * a
        p1 = np.uint64(_M1) * c
        a, b, c, d = (p1 >> half) ^ b ^ x, p1 & mask, (p0 >> half) ^ d ^ y, p0 & mask
        x = (x + np.uint64(_W0)) & mask
        y = (y + np.uint64(_W1)) & mask
    return a, b


@scalar
def bits(seed: int, stream_id: int, row: int, tick: int, draw: int) -> int:
    """62 random bits as a non-negative int64. Rows, ticks and draws count modulo 2**32."""
    mask = np.int64(_MASK)
    a, b = philox(row & mask, tick & mask, draw & mask, (seed >> 32) & mask, seed & mask, stream_id & mask)
    return np.int64(((a << np.uint64(30)) ^ b) & np.uint64(0x3FFFFFFFFFFFFFFF))


@scalar
def uniform(seed: int, stream_id: int, row: int, tick: int, draw: int) -> float:
    """A float in the open interval (0, 1), 52 random bits."""
    return ((bits(seed, stream_id, row, tick, draw) >> 10) + 0.5) * (1.0 / 4503599627370496.0)


@scalar
def normal(seed: int, stream_id: int, row: int, tick: int, draw: int) -> float:
    """A standard normal number (Box-Muller on draws `2 * draw` and `2 * draw + 1`).

    `log` and `cos` differ in the last bit between processors: quantise before the value touches state.
    """
    u = uniform(seed, stream_id, row, tick, 2 * draw)
    v = uniform(seed, stream_id, row, tick, 2 * draw + 1)
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)


@kernel
def uniforms(seed: int, stream_id: int, rows: NDArray[np.int64], tick: int, draw: int) -> NDArray[np.float64]:
    """`uniform` for many rows; returns float64 of the shape of `rows`."""
    out = np.empty(rows.size, np.float64)
    for i in range(rows.size):
        out[i] = uniform(seed, stream_id, rows[i], tick, draw)
    return out


@kernel
def normals(seed: int, stream_id: int, rows: NDArray[np.int64], tick: int, draw: int) -> NDArray[np.float64]:
    """`normal` for many rows; returns float64 of the shape of `rows`."""
    out = np.empty(rows.size, np.float64)
    for i in range(rows.size):
        out[i] = normal(seed, stream_id, rows[i], tick, draw)
    return out
