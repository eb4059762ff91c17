"""Balance sheets that must delever, and their fire sale solved step by step, for `fire-sale-2017`.

A bank holds cash, corporate and government bonds and other assets; it owes a loan and other liabilities. Its ratio is
equity over assets. Below `minimum` it fails and sells all; below `trigger` it must come back to `target`: it repays
with its cash, and sells bonds for the rest, both kinds in proportion. All sell at once and are paid in the next step.
Selling a share f of all bonds of a kind takes its price from p to p exp(-beta f), beta = -ln(1 - impact) / 0.05, so
`impact` is the fall when a twentieth is sold (Cifuentes, Ferrucci and Shin 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abm.rng import normals, stream, uniforms

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
CORPORATE, GOVERNMENT = range(2)
CASH_SHARE, PART = 0.05, 0.05
"""Cash over assets; the share of all bonds whose sale `impact` is for."""
FILE = "EBA_2018.csv"
_SIZE, _RATIO, _BONDS, _STATE = (stream(f"fire sale: {what}") for what in ("assets", "ratio", "bonds", "government"))


@dataclass(slots=True)
class Sheets:
    """Balance sheets of all banks, (R, N) each, millions; bonds (R, N, 2) at a price of one."""

    cash: F64
    bonds: F64
    other: F64
    loan: F64
    debt: F64
    """Other liabilities: they are not repaid."""

    def repeated(self, count: int) -> Sheets:
        """The same sheets `count` times, of one replica."""
        return Sheets(*(np.repeat(part, count, axis=0) for part in self.parts()))

    def parts(self) -> tuple[F64, ...]:
        """Its arrays."""
        return (self.cash, self.bonds, self.other, self.loan, self.debt)


@dataclass(frozen=True, slots=True)
class Rules:
    """By replica, (R,)."""

    impact: F64
    shock: F64
    """First fall of government bonds."""
    trigger: F64
    target: F64
    minimum: float = 0.03
    steps: int = 6

    @property
    def beta(self) -> F64:
        """Of the price's exponential, (R,)."""
        return np.asarray(-np.log1p(-self.impact) / PART)


@dataclass(slots=True)
class Outcome:
    """(R,) banks that failed; shares of all bonds that were sold; prices (steps + 1, R, 2)."""

    failed: NDArray[np.int64]
    sold: F64
    prices: F64


def sheets_of(equity: F64, ratio: F64, bonds: F64) -> Sheets:
    """From equity, equity over assets, (N,), and bonds (N, 2): cash a twentieth, half of the liabilities loans."""
    assets = equity / ratio
    owed = (assets - equity) / 2.0
    other = assets * (1.0 - CASH_SHARE) - bonds.sum(axis=1)
    return Sheets(*(part[None] for part in (CASH_SHARE * assets, bonds, other, owed, owed)))


def read_sheets(path: Path) -> Sheets:
    """The table of the stress test's code: bank, equity, ratio in %, bonds, of these government bonds (a sum)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [line.split() for line in file.read().splitlines()[1:] if line.strip()]
    if not rows or any(len(row) != 5 for row in rows):
        raise ValueError(f"{path.name}: five columns are needed: bank, equity, ratio, bonds, government bonds")
    equity, ratio, bonds = np.array([row[1:4] for row in rows], np.float64).T
    state = np.array([sum(float(part) for part in row[4].split("+")) for row in rows])
    return sheets_of(equity, ratio / 100.0, np.stack([bonds - state, state], axis=1))


def drawn_sheets(count: int, seed: int) -> Sheets:
    """Banks of our own: log-normal assets and ratios (median 5.4 %), a tenth to a fifth of the assets in bonds."""
    rows = np.arange(count)
    assets = 3e5 * np.exp(normals(seed, _SIZE, rows, 0, 0))
    ratio = 0.054 * np.exp(0.2 * normals(seed, _RATIO, rows, 0, 0))
    bonds = assets * (0.05 + 0.15 * uniforms(seed, _BONDS, rows, 0, 0))
    state = 0.5 + 0.5 * uniforms(seed, _STATE, rows, 0, 0)
    return sheets_of(ratio * assets, ratio, np.stack([bonds * (1.0 - state), bonds * state], axis=1))


def alike(count: int, leverage: float) -> Sheets:
    """Identical investors that hold one bond only, all of it borrowed against, at this leverage."""
    assets, none = np.full(count, 1e6), np.zeros(count)
    bonds = np.stack([none, assets], axis=1)
    return Sheets(*(part[None] for part in (none, bonds, none, assets * (1.0 - 1.0 / leverage), none)))


def wanted(sheets: Sheets, prices: F64, rules: Rules, alive: Flags) -> tuple[F64, F64, Flags]:
    """What banks do at these prices (R, 2): cash to repay and money to raise by selling, (R, N), and who fails."""
    value = (sheets.bonds * prices[:, None]).sum(axis=2)
    assets = sheets.cash + value + sheets.other
    equity = assets - sheets.loan - sheets.debt
    ratio = equity / assets
    fails = alive & (ratio < rules.minimum)
    act = alive & ~fails & (ratio < rules.trigger[:, None])
    excess = np.where(act, np.maximum(assets - equity / rules.target[:, None], 0.0), 0.0)
    repaid = np.minimum(np.minimum(excess, sheets.cash), sheets.loan)
    short = excess - repaid
    raised = np.where(sheets.cash - repaid < short, np.minimum(short - (sheets.cash - repaid), value), 0.0)
    return repaid, raised, fails


def solve(first: Sheets, rules: Rules) -> Outcome:
    """The fire sale, exactly: every seller is paid the mean of the prices before and after."""
    sheets = Sheets(*(part.copy() for part in first.parts()))
    replicas = rules.impact.size
    alive = np.ones(sheets.cash.shape, np.bool_)
    selling = np.zeros_like(sheets.bonds)
    whole = sheets.bonds.sum(axis=1)
    prices = np.stack([np.ones(replicas), 1.0 - rules.shock], axis=1)
    path, sold = [prices], np.zeros(replicas)
    for _ in range(rules.steps):
        parts = np.where(whole > 0.0, selling.sum(axis=1) / np.where(whole > 0.0, whole, 1.0), 0.0)
        after = prices * np.exp(-rules.beta[:, None] * parts)
        sheets.bonds -= selling
        sheets.cash += (selling * ((prices + after) / 2.0)[:, None]).sum(axis=2)
        sold += selling.sum(axis=(1, 2))
        prices = after
        path.append(prices)
        repaid, raised, fails = wanted(sheets, prices, rules, alive)
        sheets.cash -= repaid
        sheets.loan -= repaid
        alive &= ~fails
        selling = sheets.bonds * share_sold(sheets, prices, raised, fails)[..., None]
    return Outcome((~alive).sum(axis=1), sold / whole.sum(axis=1), np.stack(path))


def share_sold(sheets: Sheets, prices: F64, raised: F64, fails: Flags) -> F64:
    """Share of its bonds that each bank puts up for sale, (R, N)."""
    value = (sheets.bonds * prices[:, None]).sum(axis=2)
    share: F64 = np.where(fails, 1.0, np.where(value > 0.0, raised / np.where(value > 0.0, value, 1.0), 0.0))
    return share
