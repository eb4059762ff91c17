"""A cascade at one venue: how far its price leaves the other venue's, by the capital that trades between the two.

Two venues, the second with a thin book and much leverage (`two-venues` with the changes below). The same small piece of
news comes to both; the second cascades. Each seed is run with every capital; draws are keyed by venue and person, so
that the difference between two runs of a seed is due to the capital alone. Without it the gap appears and stays; with
it the other venue's book takes part in the fall, and the gap closes. (The widest gap of a run lasts a second or two and
need not be smaller: capital has a limited pace.)
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from abm.model import MarketModel
from abm.parameters import Parameters, quantity
from abm.recorder import Recorder
from abm.scenario import load_scenario
from abm.sweep import process_pool

NEWS_S = 30
OPEN_PERCENT = 0.42
"""Twice the four taker fees of 0.050 and 0.055 %."""
LATE_S = 60
"""The end of a run, in which the gap has closed or has not."""


class Options(Parameters):
    """What is run."""

    capital_coins: tuple[float, ...] = Field(
        (0.0, 300.0, 3000.0), description="BTC each way at each venue; the first and the last are held together"
    )
    reps: int = quantity(10, unit="seeds", source="chosen", ge=1, le=1000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    accounts: int = quantity(2_000, unit="accounts", source="granularity only", ge=200, le=1_000_000)
    duration_s: int = quantity(240, unit="s", source="chosen", ge=NEWS_S + LATE_S + 30, le=7200)
    news_percent: float = quantity(-2.0, unit="%", source="made up", gt=-20, lt=0)
    share: float = quantity(0.4, unit="of the first venue", source="made up", gt=0, le=10)
    depth_share: float = quantity(
        0.1, unit="of the first venue", source="made up", gt=0, le=10, text="makers' depth and background flow"
    )
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)

    @field_validator("capital_coins")
    @classmethod
    def _two(cls, capital: tuple[float, ...]) -> tuple[float, ...]:
        if len(capital) < 2 or list(capital) != sorted(set(capital)) or capital[0] < 0:
            raise ValueError("should be at least two rising numbers, none below 0")
        return capital


QUICK = {"reps": 2, "capital_coins": [0.0, 3000.0], "duration_s": 150, "accounts": 500}
FULL = {"reps": 20, "capital_coins": [0.0, 100.0, 300.0, 1000.0, 3000.0], "duration_s": 600}


def settings(options: Options) -> dict[str, Any]:
    """What is changed in `two-venues`."""
    name = "others.bybit-2025-10"
    base, part = load_scenario("two-venues"), options.depth_share
    noise = {key: getattr(base.noise, key) * part for key in ("rate_coins", "orders_s", "inventory_coins")}
    return {
        "accounts": options.accounts,
        "duration_s": options.duration_s,
        "news.shock.at": f"20:40:{NEWS_S}",
        "news.shock.change_percent": options.news_percent,
        f"{name}.share": options.share,
        f"{name}.makers": {"depth_coins": base.makers.depth_coins * part},
        f"{name}.noise": noise,
        f"{name}.retail": {"class_notional": [0.1, 0.15, 0.2, 0.55]},
        f"{name}.arbitrageurs": {"outside_coins": 0.0, "reversion_coins": 0.0},
    }


def one(options: Options, capital: float, seed: int) -> dict[str, Any]:
    """One run: the gap in % at the end of each tick, its widest, its mean at the end, and what was forced."""
    changes = {**settings(options), "bridges.capital_coins": capital, "seed": seed}
    scenario = load_scenario("two-venues").changed(changes)
    recorder = Recorder("summary")
    MarketModel(scenario, recorder=recorder).run()
    steps = recorder.venues_array
    first, second = steps[0::2], steps[1::2]
    gap = 100 * (second["perp_usd"] / first["perp_usd"] - 1)
    ticks = round(LATE_S / scenario.tick_s)
    return {
        "capital_coins": capital,
        "seed": seed,
        "widest_percent": float(gap[np.abs(gap).argmax()]),
        "late_percent": float(np.abs(gap[-ticks:]).mean()),
        "liquidated_usd": float((second["liquidated_long_usd"] + second["liquidated_short_usd"]).sum()),
        "gap_percent": gap.round(4).tolist(),
    }


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Every seed with every capital; checks of the first capital against the last, seed by seed."""
    jobs = [(c, s) for s in range(options.seed, options.seed + options.reps) for c in options.capital_coins]
    done: dict[tuple[float, int], dict[str, Any]] = {}
    with process_pool(min(options.processes, len(jobs))) as pool:
        waiting = {pool.submit(one, options, *job): job for job in jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            done[job] = future.result()
            say(f"seed {job[1]}, capital {job[0]:g}: widest gap {done[job]['widest_percent']:.2f} %")
    rows = [done[job] for job in jobs]
    return {"runs": rows, "medians": medians(rows, options), "checks": checks(rows, options)}


def medians(rows: list[dict[str, Any]], options: Options) -> list[dict[str, Any]]:
    """Over seeds, for each capital."""
    found = []
    for capital in options.capital_coins:
        mine = [row for row in rows if row["capital_coins"] == capital]
        keys = ("widest_percent", "late_percent", "liquidated_usd")
        middle = {key: statistics.median(row[key] for row in mine) for key in keys}
        found.append({"capital_coins": capital, **middle})
    return found


def checks(rows: list[dict[str, Any]], options: Options) -> list[dict[str, Any]]:
    """Without capital the gap is open at the end; with the most it is smaller, in every seed.

    Open is: wider than twice what going in and out at both venues costs.
    """
    least, most = ([r for r in rows if r["capital_coins"] == options.capital_coins[n]] for n in (0, -1))
    counts = {
        f"gap at the end above {OPEN_PERCENT} % without capital": sum(r["late_percent"] > OPEN_PERCENT for r in least),
        "gap at the end smaller with capital": sum(
            b["late_percent"] < a["late_percent"] for a, b in zip(least, most, strict=True)
        ),
    }
    return [
        {"what": what, "unit": "seeds", "exact": len(least), "ours": count, "inside": count == len(least)}
        for what, count in counts.items()
    ]


def text(results: dict[str, Any]) -> str:
    """A plain table."""
    lines = [f"{'capital, BTC':>14}{'widest gap, %':>16}{'gap at the end, %':>20}{'liquidated there, $m':>23}"]
    for row in results["medians"]:
        late, money = row["late_percent"], row["liquidated_usd"] / 1e6
        lines.append(f"{row['capital_coins']:>14g}{row['widest_percent']:>16.2f}{late:>20.2f}{money:>23,.1f}")
    seeds = len({row["seed"] for row in results["runs"]})
    lines.append(f"medians over {seeds} common seeds; the last {LATE_S} s are the end")
    return "\n".join(lines + [f"{c['what']}: {c['ours']} of {c['exact']} {c['unit']}" for c in results["checks"]])


def draw(results: dict[str, Any], path: Path) -> Path:
    """The gap over time, a line a seed, without and with capital; widest gap and gap at the end by capital."""
    from abm.figures.plate import Plate
    from abm.figures.sheet import Key
    from abm.figures.style import save, styled

    rows, capitals = results["runs"], [row["capital_coins"] for row in results["medians"]]
    with styled() as colours:
        inks = {capitals[0]: colours.long, capitals[-1]: colours.short}
        words = [f"{capital:,.0f} BTC" if capital else "no capital" for capital in capitals]
        lines = [f"Two venues, the second with a thin book and much leverage; news after {NEWS_S} s. "
                 f"{len({row['seed'] for row in rows})} common seeds."]  # fmt: skip
        plate = Plate("A cascade at one venue", lines, 1, 2, colours, (4.0, 2.6))
        keys = [Key("line", inks[capitals[n]], words[n]) for n in (0, -1)]
        axes = plate.panel("Gap to the other venue", "%", "", keys, across="seconds")
        for row in rows:
            if row["capital_coins"] in inks:
                gap = row["gap_percent"]
                axes.plot(np.arange(1, len(gap) + 1), gap, color=inks[row["capital_coins"]], linewidth=0.7, alpha=0.8)
        axes.axhline(0, color=colours.axis, linewidth=0.8)
        keys = [Key("diamond", colours.perp, "widest"), Key("ring", colours.note, "at the end")]
        axes = plate.panel("Size of the gap", "%", "", keys, across="capital between the venues, BTC")
        for place, capital in enumerate(capitals):
            mine = [row for row in rows if row["capital_coins"] == capital]
            spread = np.linspace(-0.08, 0.08, len(mine))
            axes.plot(place - 0.12 + spread, [abs(r["widest_percent"]) for r in mine], "D", color=colours.perp, ms=3.5)
            axes.plot(place + 0.12 + spread, [r["late_percent"] for r in mine], "o", color=colours.note,
                      markerfacecolor=colours.paper, ms=4.5)  # fmt: skip
        axes.set_xticks(range(len(capitals)), [f"{capital:,.0f}" for capital in capitals])
        axes.set_ylim(bottom=0)
        return save(plate.sheet.figure, path)
