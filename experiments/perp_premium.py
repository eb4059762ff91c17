"""What holds a perpetual's premium: traders who look at the coin, or traders who act on funding.

Rao (2025), "Agent-based simulation of a perpetual futures market", arXiv:2501.09404, played in the project's books
(`_premium_market`). Published are the means over 100 runs in the author's repository (`_premium_published`): centre and
control limits of the premium (centre ± 3 mean moving range / 1.128) and points outside them, by bias, by life of orders
and by spread.

In this model nobody pays funding; basis traders forecast the premium's trend. Ours beside it: a share of the traders is
blind, they look at the perpetual's own last price instead of the coin's; and basis traders may act on the premium
itself, as funding would have them do. Funding that is paid, and where it lets the premium rest, is in `funding-peg`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from abm.parameters import Parameters, quantity
from experiments._checks import Check, check, check_table
from experiments._premium_figure import draw
from experiments._premium_market import FIRST, PremiumMarket, Setting
from experiments._premium_published import PUBLISHED, SERIES

__all__ = ["FULL", "QUICK", "Options", "draw", "run", "text"]

F64 = NDArray[np.float64]
RAO = "Rao 2025, program"
NAMES = ("centre", "lower", "upper", "outside")
RUNS, ERRORS, D2 = 100, 4.0, 1.128
SHARP = ("mean", "sd", "mean move of log price", "autocorrelation at 1")
LATE = 260
USUAL = {"bias": 0.5, "life": 8.0, "spread": 0.5}
SHORT_LIFE = 4.0
WIDE = 512
"""Replicas side by side."""


class Options(Parameters):
    """What is swept, how often."""

    biases: list[float] = quantity(list(PUBLISHED["bias"]), unit="-", source=RAO, text="shorts who are positional")
    lives: list[float] = quantity(list(PUBLISHED["life"]), unit="steps", source=RAO, text="of an order")
    spreads: list[float] = quantity(list(PUBLISHED["spread"]), unit="of price", source=RAO, text="largest k")
    seeds: int = quantity(100, unit="seeds", source=RAO, ge=8, le=10_000)
    steps: int = quantity(1000, unit="steps", source=RAO, ge=400, le=100_000)
    horizon: int = quantity(5, unit="steps", source=RAO, ge=1, le=100, text="longest, of the trend")
    blind: list[float] = quantity(
        [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0], unit="share", source="chosen", text="look at the perpetual; ours"
    )
    own_seeds: int = quantity(60, unit="seeds", source="chosen", ge=4, le=10_000, text="of our part")
    seed: int = quantity(1, unit="-", source="chosen", ge=0)

    @field_validator("biases", "lives", "spreads", "blind")
    @classmethod
    def _rising(cls, values: list[float]) -> list[float]:
        if sorted(set(values)) != values or (values and values[0] < 0):
            raise ValueError("a rising list of different numbers, none below 0, is needed")
        return values

    @field_validator("biases", "spreads", "blind")
    @classmethod
    def _shares(cls, values: list[float]) -> list[float]:
        if values and values[-1] > 1:
            raise ValueError("at most 1")
        return values

    @field_validator("lives")
    @classmethod
    def _whole(cls, values: list[float]) -> list[float]:
        if any(value != int(value) or not 1 <= value <= 100 for value in values):
            raise ValueError("whole numbers from 1 to 100")
        return values


QUICK = {"biases": [0.05, 0.25, 0.5], "lives": [2.0, 4.0, 12.0], "spreads": [0.05, 0.25], "seeds": 24,
         "blind": [0.0, 0.8, 1.0], "own_seeds": 12}  # fmt: skip
FULL = {"seeds": 1000, "own_seeds": 400}


def run(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """An object: `rows` of the sweeps (also with a book that is right), `own` of our part, a `path`, and `checks`."""
    rows, made = [], 0
    for name, values in (("bias", options.biases), ("life", options.lives), ("spread", options.spreads)):
        for value in values:
            rows.append({"sweep": name, "value": value, "runs": options.seeds})
        if values:
            say(f"{name}: {len(values)} values, {options.seeds} seeds")
    for named in (True, False):
        made += _sweep(options, rows, named, say)
    own, path, more = _own(options, say)
    made += more
    checks = [*_published_checks(rows), *_shape_checks(rows), *_own_checks(own)]
    checks.append(check("positions made", made, exact=0, within=0, why="exact", unit="lots"))
    return {"rows": rows, "own": own, "path": path, "seeds": options.seeds, "checks": checks}


def control(premium: F64) -> F64:
    """Centre, lower, upper limit and points outside, (4, R), of (T, R): limits by moving range."""
    centre = premium.mean(axis=0)
    reach = 3.0 * np.abs(np.diff(premium, axis=0)).mean(axis=0) / D2
    outside = (np.abs(premium - centre) > reach).sum(axis=0)
    return np.stack([centre, centre - reach, centre + reach, outside])


def sharp(perp: F64, spot: F64) -> F64:
    """Of premium over coin: mean, sd, of log price: mean move, and the first autocorrelation, %, (4, R)."""
    part = (perp / spot - 1.0)[LATE:]
    gap = part - part.mean(axis=0)
    moves = np.abs(np.diff(np.log(perp), axis=0))[LATE:].mean(axis=0)
    return 100.0 * np.stack([
        part.mean(axis=0), part.std(axis=0), moves, (gap[1:] * gap[:-1]).mean(axis=0) / (gap * gap).mean(axis=0)
    ])  # fmt: skip


def _play(options: Options, cases: list[dict[str, Any]], seeds: int, centred: bool) -> tuple[list[PremiumMarket], int]:
    """Every case with every seed, `WIDE` replicas at a time; the replicas of a part lie seed by seed within a case."""
    parts, made = [], 0
    many = [case for case in cases for _ in range(seeds)]
    number = np.tile(np.arange(seeds), len(cases))
    for start in range(0, len(many), WIDE):
        part = many[start : start + WIDE]

        def of(name: str, kind: Any, part: list[dict[str, Any]] = part) -> Any:
            return np.array([case[name] for case in part], kind)

        setting = Setting(
            of("bias", float), of("life", np.int64), of("spread", float), np.full(len(part), options.horizon),
            of("blind", float), of("carry", bool), of("named", bool), number[start : start + WIDE], options.seed,
            options.steps, centred=centred,
        )  # fmt: skip
        parts.append(PremiumMarket(setting).run())
        made += abs(int(parts[-1].floor.accounts.position.sum()))
    return parts, made


def _sweep(options: Options, rows: list[dict[str, Any]], named: bool, say: Callable[[str], None]) -> int:
    """Play all rows; `named`: with the author's way to remove orders. Means and standard errors go into the rows."""
    cases = []
    for row in rows:
        usual = USUAL | ({"life": SHORT_LIFE} if row["sweep"] == "spread" else {})
        cases.append(usual | {row["sweep"]: row["value"], "blind": 0.0, "carry": False, "named": named})
    parts, made = _play(options, cases, options.seeds, False)
    chart = np.concatenate([control(part.perp - part.spot) for part in parts], axis=1)
    fine = np.concatenate([sharp(part.perp, part.spot) for part in parts], axis=1)
    chart, fine = chart.reshape(4, len(rows), options.seeds), fine.reshape(4, len(rows), options.seeds)
    key = "ours" if named else "right"
    for place, row in enumerate(rows):
        row[key] = chart[:, place].mean(axis=1).tolist()
        row[f"{key}_sd"] = chart[:, place].std(axis=1, ddof=1).tolist()
        row[f"{key}_sharp"] = fine[:, place].mean(axis=1).tolist()
        row[f"{key}_sharp_se"] = (fine[:, place].std(axis=1, ddof=1) / math.sqrt(options.seeds)).tolist()
    say("a book that removes orders by name, as the author's" if named else "a book that removes the order that is hit")
    return made


def _own(options: Options, say: Callable[[str], None]) -> tuple[list[dict[str, Any]], dict[str, Any], int]:
    """Blind traders and carry traders: root mean square of log perpetual over coin in the second half."""
    if not options.blind:
        return [], {}, 0
    cases = [
        USUAL | {"blind": blind, "carry": carry, "named": False} for carry in (False, True) for blind in options.blind
    ]
    parts, made = _play(options, cases, options.own_seeds, True)
    gap = np.log(np.concatenate([part.perp / part.spot for part in parts], axis=1))
    half = gap[(FIRST + options.steps) // 2 :].reshape(-1, len(cases), options.own_seeds)
    rms = np.sqrt((half**2).mean(axis=0))
    rows = [
        {
            "blind": case["blind"], "carry": case["carry"], "rms": float(found.mean()),
            "se": float(found.std(ddof=1) / math.sqrt(found.size)), "all": found.tolist(),
        }
        for case, found in zip(cases, rms, strict=True)
    ]  # fmt: skip
    for row in rows:
        say(f"blind {row['blind']:g}, {'carry' if row['carry'] else 'no carry'}: premium {100 * row['rms']:.1f} % rms")
    shown = gap.reshape(gap.shape[0], 2, len(options.blind), options.own_seeds)[:, :, -1, 0]
    without, held = (100 * np.expm1(shown[::4, k]) for k in (0, 1))
    step = list(range(0, gap.shape[0], 4))
    path = {"blind": options.blind[-1], "step": step, "without": without.tolist(), "with": held.tolist()}
    return rows, path, made


def _published_checks(rows: list[dict[str, Any]]) -> list[Check]:
    """Ours with the author's removal against the published means: errors of both, his runs as noisy as ours."""
    checks = []
    for row in rows:
        known = PUBLISHED[row["sweep"]].get(row["value"])
        for k, name in enumerate(NAMES):
            if known is not None:
                error = row["ours_sd"][k] * math.sqrt(1 / RUNS + 1 / row["runs"])
                checks.append(check(f"{row['sweep']} {row['value']:g}: {name}", row["ours"][k], published=known[k],
                                    within=ERRORS * error, why="4 errors of a difference"))  # fmt: skip
        for k, (value, error) in enumerate(SERIES.get((row["sweep"], row["value"]), ())):
            both = math.hypot(error, row["ours_sharp_se"][k])
            what = f"{row['sweep']} {row['value']:g}: premium over coin, {SHARP[k]}"
            why = "4 errors of a difference"
            checks.append(check(what, row["ours_sharp"][k], published=value, within=ERRORS * both, why=why, unit="%"))
    return checks


def _shape_checks(rows: list[dict[str, Any]]) -> list[Check]:
    """The paper's claims, in both books: from the first to the last value of each sweep."""
    checks = []
    claims: tuple[tuple[str, str, Callable[[list[float]], float], int], ...] = (
        ("bias", "centre falls", lambda one: one[0], -1),
        ("bias", "points outside become fewer", lambda one: one[3], -1),
        ("life", "limits draw closer", lambda one: one[2] - one[1], -1),
        ("life", "points outside become more", lambda one: one[3], 1),
        ("spread", "points outside become more", lambda one: one[3], 1),
    )
    for key, words in (("ours", ""), ("right", ", right book")):
        for sweep, what, measure, sign in claims:
            some = [row for row in rows if row["sweep"] == sweep]
            if len(some) > 1:
                change = sign * (measure(some[-1][key]) - measure(some[0][key]))
                checks.append(check(f"{sweep}: {what}{words}", float(change > 0), published=1, within=0, why="sign"))
    return checks


def _own_checks(own: list[dict[str, Any]]) -> list[Check]:
    """At how many shares of blind traders carry does not narrow the premium beyond the errors; and the peg's end."""
    blind = list(dict.fromkeys(row["blind"] for row in own))
    if len(blind) < 2:
        return []
    wide = 0
    for share in blind:
        free, held = (np.array(row["all"]) for row in own if row["blind"] == share)
        wide += bool((held - free).mean() > -ERRORS * (held - free).std(ddof=1) / math.sqrt(free.size))
    first, last = (np.array(some["all"]) for some in [row for row in own if not row["carry"]][:: len(blind) - 1])
    error = math.hypot(first.std(ddof=1), last.std(ddof=1)) / math.sqrt(first.size)
    grown = last.mean() - first.mean() > ERRORS * error
    return [
        check("blind shares at which acting on the premium does not narrow it", wide, exact=0, within=0,
              why="4 standard errors"),
        check("the peg goes with the traders who look at the coin", float(grown), exact=1, within=0,
              why="4 standard errors"),
    ]  # fmt: skip


def text(results: dict[str, Any]) -> str:
    """The sweeps, our part, the checks."""
    lines = [f"{'':<14}" + "".join(f"{name:>26}" for name in NAMES), "published, as the author's, right book"]
    for row in results["rows"]:
        known = PUBLISHED[row["sweep"]].get(row["value"], (math.nan,) * 4)
        cells = (f"{known[k]:>10.2f}{row['ours'][k]:>8.2f}{row['right'][k]:>8.2f}" for k in range(4))
        lines.append(f"{row['sweep']:<8}{row['value']:<6g}" + "".join(cells))
    for row in results["own"]:
        words = "act on the premium" if row["carry"] else "forecast its trend"
        lines.append(f"{100 * row['blind']:.0f} % blind, basis traders {words}: rms {100 * row['rms']:.1f} %")
    return "\n".join(lines) + "\n\n" + check_table(results["checks"])
