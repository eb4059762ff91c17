"""How deep a large sale falls, by the makers' inventory limit, the seller's size and how fast value traders come back.

After the three dials of Gao et al. (2024), JASSS 27(2)8, arXiv:2208.13654 (flash crash of the E-mini: the seller's
share of the volume, the makers' inventory limit, the frequency of fundamental traders). We have the abstract only, so
this is their question and our market (`_inventory_market`), not their model; directions are checked, and one exact law:
without noise and refilling, while makers do get full, the fall is (Q - L) / density ticks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import field_validator, model_validator

from abm.parameters import Parameters, quantity
from experiments._checks import Check, check, check_table
from experiments._inventory_figure import draw
from experiments._inventory_market import VALUE_TICKS, InventoryMarket, Setting

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

Rows = list[dict[str, Any]]
TICK_BP = 1e4 / VALUE_TICKS
FULL_AT = 0.999
"""Makers count as full from this share of their limit on."""
ERRORS = 4.0


class Options(Parameters):
    """What is run. Sizes are lots; value traders rest `density` of them at every tick (1 bp)."""

    limits: list[int] = quantity(
        [0, 500, 1000, 1500, 2000, 3000, 4000, 6000], unit="lots", source="chosen", text="makers' inventory limits"
    )
    sales: list[int] = quantity([2000, 4000, 6000], unit="lots", source="chosen", text="sizes of the sale")
    refills: list[float] = quantity(
        [0.0, 0.02, 0.1], unit="a step", source="chosen", text="share of its missing levels that value puts back"
    )
    density: int = quantity(20, unit="lots/tick", source="chosen", ge=1, le=10_000)
    clip: int = quantity(60, unit="lots", source="chosen", ge=1, le=100_000, text="makers' size a level")
    noise: float = quantity(40.0, unit="lots", source="chosen", ge=0.0, text="sd of what others buy in a step")
    steps: int = quantity(60, unit="steps", source="chosen", ge=5, le=2000)
    selling: int = quantity(40, unit="steps", source="chosen", ge=1, le=2000, text="so long the seller sells")
    seeds: int = quantity(24, unit="seeds", source="chosen", ge=2, le=200)
    seed: int = quantity(1, unit="-", source="chosen", ge=0)

    @field_validator("limits", "sales", "refills")
    @classmethod
    def _different(cls, values: list[float]) -> list[float]:
        if not values or sorted(set(values)) != values or values[0] < 0:
            raise ValueError("a rising list of different numbers, none below 0, is needed")
        return values

    @model_validator(mode="after")
    def _fits(self) -> Options:
        problems = []
        if self.selling > self.steps:
            problems.append(f"selling: {self.selling} steps do not fit into {self.steps}")
        if self.sales[0] < 1 or self.sales[-1] > 0.3 * VALUE_TICKS * self.density:
            problems.append(f"sales: from 1 to {0.3 * VALUE_TICKS * self.density:.0f} lots, or the price falls too far")
        if self.refills[-1] > 1.0:
            problems.append("refills: shares, at most 1")
        if problems:
            raise ValueError("; ".join(problems))
        return self


QUICK = {"limits": [0, 1000, 2000, 4000], "sales": [2000, 4000], "refills": [0.0, 0.1], "seeds": 8}
FULL = {"seeds": 100}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `rows` (a sale, a refill, a limit each), `paths` of the middle sale without noise, and `checks`."""
    rows: Rows = []
    middle = options.sales[len(options.sales) // 2]
    cases = [(sale, 0.0, False) for sale in options.sales] + [(sale, 0.0, True) for sale in options.sales]
    cases += [(middle, refill, True) for refill in options.refills if refill > 0]
    paths: Rows = []
    for sale, refill, noisy in cases:
        found, market = _case(options, sale, refill, noisy)
        rows += found
        words = "with noise" if noisy else "without noise"
        say(f"sale {sale:,}, refill {refill:g}, {words}: falls {found[0]['fall']:.0f} to {found[-1]['fall']:.0f} bp")
        if sale == middle and not noisy:
            paths = [
                {"limit": limit, "price_bp": ((market.path[:, place] - VALUE_TICKS) * TICK_BP).tolist()}
                for place, limit in enumerate(options.limits)
            ]
    return {"rows": rows, "paths": paths, "selling": options.selling, "checks": _checks(options, rows)}


def _case(options: Options, sale: int, refill: float, noisy: bool) -> tuple[Rows, InventoryMarket]:
    """All limits, and all seeds if there is noise."""
    count = options.seeds if noisy else 1
    limits = np.repeat(np.array(options.limits, np.int64), count)
    setting = Setting(
        limit=limits,
        sale=np.full(limits.size, sale, np.int64),
        refill=np.full(limits.size, refill),
        number=np.tile(np.arange(count), len(options.limits)),
        seed=options.seed,
        density=options.density,
        clip=options.clip,
        steps=options.steps,
        selling=options.selling,
        noise=options.noise if noisy else 0.0,
    )
    market = InventoryMarket(setting).run()
    falls = ((VALUE_TICKS - market.low) * TICK_BP).reshape(-1, count)
    held = market.held.max(axis=0).reshape(-1, count)
    rows: Rows = []
    for place, limit in enumerate(options.limits):
        full = held[place] >= FULL_AT * limit
        rows.append({
            "sale": sale, "refill": refill, "noise": noisy, "limit": limit, "fall": float(falls[place].mean()),
            "falls": falls[place].tolist(), "full": float(full.mean()), "held": float(held[place].mean()),
            "error": float(falls[place].std(ddof=1) / math.sqrt(count)) if count > 1 else 0.0,
            "law": (sale - limit) / options.density * TICK_BP if full.all() and limit < sale else None,
        })  # fmt: skip
    return rows, market


def _checks(options: Options, rows: Rows) -> list[Check]:
    """The law where makers get full, and the three directions."""
    checks = []
    for row in rows:
        if not row["noise"] and row["law"] is not None:
            what = f"fall, sale {row['sale']:,}, limit {row['limit']:,}"
            checks.append(check(what, row["fall"], exact=row["law"], within=TICK_BP, why="a tick", unit="bp"))
    for sale, refill in dict.fromkeys((row["sale"], row["refill"]) for row in rows if row["noise"]):
        some = [row for row in rows if row["noise"] and (row["sale"], row["refill"]) == (sale, refill)]
        words = f"sale {sale:,}, refill {refill:g}: steps of the limit in which the fall grows"
        checks.append(_direction(words, [row["falls"] for row in some], -1))
    for limit in options.limits:
        some = [row for row in rows if row["noise"] and row["limit"] == limit]
        sizes = [row["falls"] for row in some if row["refill"] == 0.0]
        checks.append(_direction(f"limit {limit:,}: steps of the sale in which the fall shrinks", sizes, 1))
        speeds = [row["falls"] for row in some if row["sale"] == options.sales[len(options.sales) // 2]]
        checks.append(_direction(f"limit {limit:,}: steps of refilling in which the fall grows", speeds, -1))
    return checks


def _direction(what: str, falls: list[list[float]], sign: int) -> Check:
    """Steps in which the mean goes against the sign by more than the errors of differences seed by seed."""
    wrong = 0
    for before, after in pairwise(falls):
        change = sign * (np.array(after) - np.array(before))
        wrong += bool(change.mean() < -ERRORS * change.std(ddof=1) / math.sqrt(change.size) - TICK_BP)
    why = f"ours: wrong by more than {ERRORS:g} standard errors and a tick"
    return check(what, wrong, exact=0.0, within=0.0, why=why)


def text(results: dict[str, Any]) -> str:
    """Falls by limit, and the checks."""
    rows = results["rows"]
    limits = sorted({row["limit"] for row in rows})
    lines = ["fall, bp", f"{'limit, lots':<36}" + "".join(f"{limit:>10,}" for limit in limits)]
    for key in dict.fromkeys((row["sale"], row["refill"], row["noise"]) for row in rows):
        some = [row for row in rows if (row["sale"], row["refill"], row["noise"]) == key]
        name = f"sale {key[0]:,}, refill {key[1]:g}{'' if key[2] else ', no noise'}"
        lines.append(f"{name:<36}" + "".join(f"{row['fall']:>10.1f}" for row in some))
    return "\n".join(lines) + "\n\n" + check_table(results["checks"])
