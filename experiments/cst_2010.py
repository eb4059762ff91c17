"""The order book of Cont, Stoikov and Talreja (2010): next move, fills and depth against exact answers.

Limit orders of one lot arrive at rate limit_rates[i - 1] a distance of i ticks from the best price of the other side,
market orders at `market_rate` a side, and every resting order is cancelled at cancel_rates[i - 1] (Operations Research
58, 549). The market is the project's own book; `_birth_death` holds the exact answers. Table 4 of the paper, printed as
the chance that a bid is filled before the mid moves, is not what the formula of its text gives: it equals one minus
that, with the two queues exchanged. Here the formula is computed, and the printed table is compared through this
relation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import field_validator, model_validator
from scipy.stats import norm

from abm.parameters import Parameters, quantity
from experiments._birth_death import F64, BestQueues, Exact, solve
from experiments._checks import Check, check, check_table
from experiments._cst_depth import AllRates, WholeBooks, moves_table
from experiments._cst_races import Races, Won

PAPER = "Cont-Stoikov-Talreja 2010, Sky Perfect Communications"
LIMIT_RATES, CANCEL_RATES = (1.85, 1.51, 1.09, 0.88, 0.77), (0.71, 0.81, 0.68, 0.56, 0.47)
MARKET_RATE, POWER_SCALE, POWER_EXPONENT = 0.94, 1.92, 0.52
TABLE_3 = np.array([
    [0.500, 0.336, 0.259, 0.216, 0.188], [0.664, 0.500, 0.407, 0.348, 0.307], [0.741, 0.593, 0.500, 0.437, 0.391],
    [0.784, 0.652, 0.563, 0.500, 0.452], [0.812, 0.693, 0.609, 0.548, 0.500],
])  # fmt: skip
"""P(next move up), by [bid queue - 1, ask queue - 1]."""
TABLE_4 = np.array([
    [0.497, 0.641, 0.709, 0.749, 0.776], [0.302, 0.449, 0.535, 0.591, 0.631], [0.206, 0.336, 0.422, 0.483, 0.528],
    [0.152, 0.263, 0.344, 0.404, 0.452], [0.118, 0.213, 0.287, 0.346, 0.393],
])  # fmt: skip
"""As printed; 1 - transposed table = P[eps_b < sigma_a] of the text."""
PEAK_TICKS = 2
"""Fig. 2: where the mean depth is greatest."""
PAPERS_RATES = {
    "limit_rates": LIMIT_RATES,
    "cancel_rates": CANCEL_RATES,
    "market_rate": MARKET_RATE,
    "power_scale": POWER_SCALE,
    "power_exponent": POWER_EXPONENT,
}
ERRORS, WHY = 4.0, "4 standard errors"
ONE_STEP_DISTANCES = 5
RATE = "1/min"


class Options(Parameters):
    """The model's rates and how much is simulated. Any unit of time will do; the paper's is the minute."""

    limit_rates: tuple[float, ...] = quantity(
        LIMIT_RATES, unit=RATE, source=PAPER, grade="B", text="by distance from the other side's best, 1 tick first"
    )
    cancel_rates: tuple[float, ...] = quantity(
        CANCEL_RATES,
        unit=RATE,
        source=PAPER,
        grade="B",
        text="an order; beyond the list the last one with a power law, else 0",
    )
    market_rate: float = quantity(MARKET_RATE, unit=RATE, source=PAPER, grade="B", gt=0, le=1e6, text="a side")
    power_scale: float | None = quantity(
        POWER_SCALE,
        unit=RATE,
        source=PAPER,
        grade="B",
        ge=0,
        le=1e6,
        text="k of k / i^alpha beyond limit_rates; with limit_rates of your own 0 unless both are given",
    )
    power_exponent: float | None = quantity(
        POWER_EXPONENT, unit="-", source=PAPER, grade="B", ge=0, le=100, text="alpha of k / i^alpha"
    )
    max_queue: int = quantity(5, unit="orders", source="Tables 3 to 5", ge=1, le=40)
    events: int = quantity(60_000, unit="first passages a cell", source="standard error 0.002", ge=1, le=100_000_000)
    fill_events: int = quantity(
        30_000, unit="races a cell", source="standard error 0.003", ge=1, le=100_000_000, text="the two fill tables"
    )
    depth_events: int = quantity(1_000_000, unit="events", source="Fig. 2", ge=1_000, le=1_000_000_000)
    window: int = quantity(20, unit="ticks", source="chosen", ge=1, le=1_000, text="farthest limit orders")
    markets: int = quantity(384, unit="books", source="speed only", ge=2, le=10_000, text="side by side")
    seed: int = quantity(1, unit="-", source="first", ge=0, le=2**62)

    @model_validator(mode="before")
    @classmethod
    def _own_list(cls, data: Any) -> Any:
        """A list of limit rates of one's own brings no power law with it."""
        if not isinstance(data, dict):
            return data
        none: dict[str, Any] = {"power_scale": None, "power_exponent": None} if "limit_rates" in data else {}
        return none | {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}

    @field_validator("limit_rates", "cancel_rates")
    @classmethod
    def _rates(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [rate for rate in rates if not 0 <= rate <= 1e6]
        if wrong:
            raise ValueError(f"rates lie between 0 and 1e6, not {', '.join(f'{rate:g}' for rate in wrong)}")
        return rates

    @model_validator(mode="after")
    def _together(self) -> Options:
        if (self.power_scale is None) != (self.power_exponent is None):
            raise ValueError("power_scale and power_exponent: give both or neither")
        if not self.rates().limit.sum() > 0:
            raise ValueError("limit_rates: no limit order would ever arrive within the window")
        return self

    def rates(self) -> AllRates:
        """Rates by distance, up to the window for limit orders."""
        limit = list(self.limit_rates[: self.window])
        if self.power_scale is not None and self.power_exponent is not None:
            beyond = range(len(limit) + 1, self.window + 1)
            limit += [self.power_scale / i**self.power_exponent for i in beyond]
            last = self.cancel_rates[-1:] or (0.0,)
        else:
            last = (0.0,)
        return AllRates(np.array(limit), np.array(self.cancel_rates + last), self.market_rate)

    @property
    def all_as_published(self) -> bool:
        """Whether all rates are the paper's."""
        return self == self.model_copy(update=PAPERS_RATES)

    def published(self, table: F64) -> F64 | None:
        """A printed table as far as it covers the queues asked for, nan beyond; None for other rates than its own."""
        mine = self.limit_rates[:1], self.cancel_rates[:1], self.market_rate
        if mine != (LIMIT_RATES[:1], CANCEL_RATES[:1], MARKET_RATE):
            return None
        cells = np.full((self.max_queue, self.max_queue), np.nan)
        known = min(self.max_queue, table.shape[0])
        cells[:known, :known] = table[:known, :known]
        return cells


QUICK = {"events": 20_000, "fill_events": 3_000, "depth_events": 150_000}
FULL = {"events": 150_000, "fill_events": 100_000, "depth_events": 4_000_000}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Solve, simulate, compare.

    Returns an object; matrices are lists of rows [bid queue - 1][ask queue - 1]:
        prob_up_exact, prob_up_book, prob_up_standard_error, prob_up_published: P(next move of the mid is up) at a
            spread of one tick; published is null for rates other than the paper's.
        prob_up_races: first passages a cell.
        prob_fill_before_move: P(the last bid, never cancelled, is filled before the mid moves), the formula of the
            text; object of `exact`, `book`, `standard_error`, `published` (Table 4 as printed) and `published_relation`
            (one minus `exact`, queues exchanged: what the printed table is).
        prob_make_spread: P(the last bid and the last ask are both filled before the mid moves); `exact`, `book`,
            `standard_error`. These two have `races` as well.
        depth_profile: `distance` (ticks from the other side's best), `mean` (orders), `standard_error`, `peak` (ticks),
            `published_peak`, `events`.
        one_step: `distance`, `queue`; by [distance - 1][queue - 1] `exact` and `book`: P(the queue next becomes longer)
            at a spread of one tick; `seen`: moves of such queues; `standard_error`.
        truncation: `queue` (longest in the exact solution and in the races) and `change` (when it was doubled).
        family: by table, `cells`, `largest_z` and `usual` (which the largest |z| stays below in 95 of 100 runs).
        books: messages and fills that the books executed, and races decided by a coin; their structure was checked.
        checks: comparisons, see `_checks`; without cells where fewer than ten outcomes of either kind are expected.
    """
    rates = options.rates()
    best = BestQueues(float(rates.limit[0]) if rates.limit.size else 0.0, rates.market, float(rates.cancel[0]))
    exact = solve(best, options.max_queue)
    say(f"exact answers stand still from queues of {exact.size} on")
    sizes = {"up": options.events, "fill": options.fill_events, "make": options.fill_events}
    won = {
        kind: Races(kind, best, options.max_queue, exact.size, options.markets, options.seed).run(races, say)
        for kind, races in sizes.items()
    }
    tables = {
        "up": _table(exact.prob_up, won["up"], options.published(TABLE_3)),
        "fill": _table(exact.prob_fill, won["fill"], options.published(TABLE_4)),
        "make": _table(exact.prob_make, won["make"], None),
    }
    tables["fill"]["published_relation"] = (1.0 - exact.prob_fill.T).tolist()
    books = WholeBooks(rates, options.markets, options.seed, ONE_STEP_DISTANCES, options.max_queue)
    books.run(options.depth_events, say)
    peak = PEAK_TICKS if options.all_as_published else None
    profile, step = {**_profile(books), "published_peak": peak}, _one_step(books)
    family = {name: _family(table) for name, table in {**tables, "one step": step}.items()}
    return {
        **{f"prob_up_{part}": values for part, values in tables["up"].items()},
        "prob_fill_before_move": tables["fill"],
        "prob_make_spread": tables["make"],
        "depth_profile": profile,
        "one_step": step,
        "truncation": {"queue": exact.size, "change": exact.change},
        "family": family,
        "books": {
            "messages": sum(one.messages for one in won.values()) + books.tape.messages,
            "fills": sum(one.fills for one in won.values()) + books.tape.fills,
            "coins": won["up"].coins,
            "checked": True,
        },
        "checks": _checks(options, exact, tables, profile, step),
    }


def _table(exact: F64, won: Won, published: F64 | None) -> dict[str, Any]:
    error = np.sqrt(np.maximum(exact * (1.0 - exact), 0.0) / won.races)
    return {
        "races": won.races,
        "exact": exact.tolist(),
        "book": won.share.tolist(),
        "standard_error": error.tolist(),
        "published": None if published is None else published.tolist(),
    }


def _profile(books: WholeBooks) -> dict[str, Any]:
    mean, error = books.profile()
    return {
        "distance": list(range(1, mean.size + 1)),
        "mean": mean.tolist(),
        "standard_error": error.tolist(),
        "peak": int(mean.argmax()) + 1,
        "events": books.events,
    }


def _one_step(books: WholeBooks) -> dict[str, Any]:
    share, seen = moves_table(books)
    distances, queues = range(1, books.distances + 1), range(1, books.queues + 1)
    exact = np.array([[books.rates.prob_longer(i, n) for n in queues] for i in distances])
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(exact * (1.0 - exact) / seen)
    parts = {"exact": exact, "book": share, "standard_error": np.where(seen > 0, error, np.nan), "seen": seen}
    return {"distance": list(distances), "queue": list(queues), **{name: part.tolist() for name, part in parts.items()}}


def next_move(results: dict[str, Any]) -> dict[str, Any]:
    """The table of the next move, put together like the others."""
    return {part: results[f"prob_up_{part}"] for part in ("races", "exact", "book", "standard_error")}


def scores(table: dict[str, Any]) -> F64:
    """Book minus exact in standard errors, (rows, columns).

    Nan where fewer than ten outcomes of either kind are expected: there a share is no normal number.
    """
    exact, book, error = (np.array(table[part], np.float64) for part in ("exact", "book", "standard_error"))
    seen = np.array(table.get("seen", table.get("races")), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        enough = seen * np.minimum(exact, 1.0 - exact) >= 10
        return np.where((error > 0) & enough, (book - exact) / error, np.nan)


def _family(table: dict[str, Any]) -> dict[str, Any]:
    known = scores(table)
    known = np.abs(known[np.isfinite(known)])
    usual = float(norm.ppf((1.0 + 0.95 ** (1.0 / known.size)) / 2.0)) if known.size else None
    return {"cells": known.size, "largest_z": float(known.max()) if known.size else None, "usual": usual}


def _checks(
    options: Options, exact: Exact, tables: dict[str, Any], profile: dict[str, Any], step: dict[str, Any]
) -> list[Check]:
    rows = []
    gap = float(np.abs(exact.prob_up + exact.prob_up.T - 1.0).max())
    rows.append(check("solver: largest |P(b, a) + P(a, b) - 1|", gap, exact=0.0, within=1e-12, why="float precision"))
    relation = 1.0 - exact.prob_fill.T
    for name, mine, table in (("Table 3", exact.prob_up, TABLE_3), ("Table 4, by relation", relation, TABLE_4)):
        printed = options.published(table)
        if printed is not None:
            gap = float(np.nanmax(np.abs(mine - printed)))
            why = "three digits printed"
            rows.append(check(f"solver: largest gap to {name}", gap, exact=0.0, within=1e-3, why=why))
    words = {"up": "next move up", "fill": "bid filled before a move", "make": "both filled before a move"}
    # The printed Table 4 is one minus the formula with the queues exchanged; exchanged back it stands beside ours.
    turned = options.published(TABLE_4)
    published = {"up": options.published(TABLE_3), "fill": None if turned is None else 1.0 - turned.T, "make": None}
    for kind, table in tables.items():
        known = np.isfinite(scores(table))
        for cell, value in np.ndenumerate(np.array(table["book"])):
            if not known[cell]:
                continue
            printed = published[kind]
            shown = None if printed is None or np.isnan(printed[cell]) else float(printed[cell])
            of, error = float(np.array(table["exact"])[cell]), float(np.array(table["standard_error"])[cell])
            what = f"{words[kind]} | {cell[0] + 1}, {cell[1] + 1}"
            rows.append(check(what, float(value), exact=of, published=shown, within=ERRORS * error, why=WHY))
    for cell, score in np.ndenumerate(scores(step)):
        if np.isfinite(score):
            of, ours, error = (float(step[part][cell[0]][cell[1]]) for part in ("exact", "book", "standard_error"))
            what = f"one step longer | distance {cell[0] + 1}, queue {cell[1] + 1}"
            rows.append(check(what, ours, exact=of, within=ERRORS * error, why=WHY))
    if options.all_as_published:
        peak, why = float(profile["peak"]), "the tick of Fig. 2"
        rows.append(check("depth is greatest at", peak, published=PEAK_TICKS, within=0.5, why=why, unit="ticks"))
    return rows


def text(results: dict[str, Any]) -> str:
    """Tables side by side: exact, book, and the difference in standard errors."""
    parts = {
        "P(next move up), row: bid queue, column: ask queue": next_move(results),
        "P(bid filled before the mid moves)": results["prob_fill_before_move"],
        "P(bid and ask filled before the mid moves)": results["prob_make_spread"],
        "P(queue next becomes longer), row: distance, column: queue": results["one_step"],
    }
    lines = []
    for head, table in parts.items():
        lines += [f"{head}: exact | book | difference in standard errors"]
        for exact, book, score in zip(table["exact"], table["book"], scores(table), strict=True):
            shown = [" ".join("   -  " if x is None else f"{x:6.4f}" for x in row) for row in (exact, book)]
            lines.append("  " + " | ".join([*shown, " ".join("  -  " if np.isnan(x) else f"{x:+5.2f}" for x in score)]))
    depth = results["depth_profile"]
    lines.append(f"mean depth by distance, greatest at {depth['peak']} ticks, {depth['events']:,} events:")
    lines.append("  " + " ".join(f"{mean:.2f}" for mean in depth["mean"]))
    for name, family in results["family"].items():
        if family["cells"]:
            words = f"{family['largest_z']:.2f} standard errors; 95 in 100 runs stay below {family['usual']:.2f}"
            lines.append(f"largest difference of {family['cells']} cells, {name}: {words}")
    books = results["books"]
    lines.append(f"books: {books['messages']:,} messages, {books['fills']:,} fills, structure checked")
    checks = results["checks"]
    shown_checks = [row for row in checks if row["why"] != WHY or not row["inside"]]
    inside = sum(row["inside"] for row in checks if row["why"] == WHY)
    lines.append(f"{inside} of {sum(row['why'] == WHY for row in checks)} cells within {WHY}")
    return "\n".join([*lines, check_table(shown_checks)])


def draw(results: dict[str, Any], path: Path) -> Path:
    """Six panels: the next move, fills, making the spread, depth, one-step moves and all differences."""
    from experiments._cst_figure import draw_cst

    return draw_cst(results, path)
