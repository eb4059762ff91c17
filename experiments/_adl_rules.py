"""Who would have paid on 10 October: a reconstruction of Hyperliquid's deleveraged winners under every rule.

Of 19,337 accounts that were deleveraged the file tells what was closed (`_adl_winners` says what is missing). Between
the mark and the price of the closing they lost $60.1m where $15.1m was needed (Chitra 2025, arXiv 2512.01112 v3): a
quarter. So a quarter of the notional is taken from them again, at the same gap between mark and price, once by each
rule. Haircut: lots times gap, in per cent of the winner's profit. Overshoot: the haircuts beyond what is needed; and,
apart from it, the profit that is booked by force beyond the loss that this covers.

Socialised loss: the file knows no accounts but these, so they bear it alone, by open interest: an upper bound for them.
Without the file the winners are drawn from the published quantiles of its sizes, and the results say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abm.clearing.adl import RULES, CappedProRata, DeleveragingRule, Holders, SocialisedLoss, Winners, check_allocation
from abm.clearing.adl import deleveraging_rule as rule_of
from abm.clearing.adl.shares import exact_shares
from abm.parameters import Parameters, quantity
from abm.state import I64
from abm.units import MICRO
from experiments._adl_winners import (
    ACCOUNTS,
    BY_USER,
    LOT_USD,
    QUANTILES,
    Pool,
    drawn,
    rate,
    reconstructed,
    share_of_top,
)
from experiments._checks import Check, check

NEEDED_USD, PRODUCTION_USD = 15_079_670, 60_108_335
"""Sums over the sixteen waves: what covering the losers took, and what the venue took. Chitra 2025, v3, repository."""
CHITRA = "Chitra 2025, v3"
TOP = 10


class Options(Parameters):
    """What is closed, at what loss, out of which accounts."""

    loss: float = quantity(NEEDED_USD, unit="$", source=CHITRA, gt=0, le=1e12, text="haircuts that are needed")
    share: float = quantity(
        NEEDED_USD / PRODUCTION_USD, unit="share of what was closed", source=f"{CHITRA}: needed over taken", gt=0, le=1
    )
    shares: tuple[float, ...] = quantity(
        (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0), unit="shares", source="chosen", text="for the curves, same gap"
    )
    profit_cap: float = quantity(
        0.5, unit="share of profit", source="chosen", gt=0, le=1, text="capped pro rata: booked of one's profit at most"
    )
    maintenance: float = quantity(
        0.0125, unit="share of notional", source="Hyperliquid, bitcoin's first tier; other coins need more", gt=0, lt=1,
        text="only Binance's rule looks at it",
    )  # fmt: skip
    accounts: int = quantity(ACCOUNTS, unit="accounts", source="the data", ge=20, le=1_000_000, text="drawn if no data")
    seed: int = quantity(1, unit="-", source="of drawn winners", ge=0)


@dataclass(frozen=True, slots=True)
class Burden:
    """What one rule does: int64 arrays by winner."""

    lots: I64  # closed
    loss: I64  # micro-dollars


def run_on(place: Path | None, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Every rule at the same need; curves over it; comparisons. `place`: the folder of the file, if it is there."""
    if place is None:
        say("winners are drawn from the published quantiles")
        pool = drawn(options.accounts, options.seed)
    else:
        pool = reconstructed(place)
    winners = pool.winners(options.maintenance)
    rows, curves, burdens = [], {}, {}
    for name in RULES:
        burdens[name] = burden_of(name, winners, options.share, options.loss, options)
        rows.append({"rule": name, **measures(winners, burdens[name], options.loss)})
        curves[name] = _curve(name, winners, options)
        say(f"{name}: {rows[-1]['accounts']:,} accounts, the ten who pay most {rows[-1]['top_10_share']:.1%}")
    return {
        "source": "drawn" if place is None else "reconstructed",
        "accounts": int(winners.rows.size),
        "eligible": int(winners.eligible.sum()),
        "share": options.share,
        "loss_usd": options.loss,
        "gap_percent": 100 * gap(winners, options.share, options.loss),
        "profit_cap": options.profit_cap,
        "rows": rows,
        "ranks": by_rank(winners, burdens),
        "curves": {"share": list(options.shares), **curves},
        "checks": [*_sample_checks(pool, place is not None), *_rule_checks(options, winners, burdens)],
    }


# --- rules ------------------------------------------------------------------------------------------------------------
def rule(name: str, options: Options) -> DeleveragingRule:
    """The rule of this name, with the experiment's cap."""
    return CappedProRata(rate(options.profit_cap)) if name == "capped-pro-rata" else rule_of(name)


def needed_lots(winners: Winners, share: float) -> int:
    """Lots that must be closed."""
    return round(winners.available_lots * share)


def gap(winners: Winners, share: float, loss_usd: float) -> float:
    """Distance of the closing price from the mark, a share of the price: loss over notional closed."""
    return loss_usd / (needed_lots(winners, share) * LOT_USD)


def burden_of(name: str, winners: Winners, share: float, loss_usd: float, options: Options) -> Burden:
    """Lots closed and loss borne under a rule; the loss of a closing is shared by lots, so the total is exact."""
    chosen, loss = rule(name, options), round(loss_usd * MICRO)
    needed = needed_lots(winners, share)
    lots = chosen.allocate(needed, winners)
    if isinstance(chosen, SocialisedLoss):
        return Burden(lots, chosen.charges(loss, Holders(winners.rows, winners.size_lots, winners.equity)))
    if chosen.moves != "positions":
        return Burden(lots, np.zeros_like(lots))
    check_allocation(needed, winners, lots)
    return Burden(lots, exact_shares(loss, lots, np.full(lots.size, loss)))


def measures(winners: Winners, burden: Burden, loss_usd: float) -> dict[str, Any]:
    """One row of the table, money in dollars."""
    paying = burden.loss > 0
    cut = paying & winners.eligible
    haircut = burden.loss[cut] / winners.unrealised[cut]
    largest = np.argsort(-winners.unrealised, kind="stable")[:TOP]
    raised = float(burden.loss.sum()) / MICRO
    return {
        "accounts": int(paying.sum()),
        "closed_usd": float(burden.lots.sum()) * LOT_USD,
        "raised_usd": raised,
        "left_with_fund_usd": loss_usd - raised,
        "overshoot_usd": max(0.0, raised - loss_usd),
        "top_10_share": share_of_top(burden.loss, TOP),
        "largest_winners_share": float(burden.loss[largest].sum()) / MICRO / raised if raised else 0.0,
        "median_haircut": float(np.median(haircut)) if haircut.size else 0.0,
        "high_haircut": float(np.quantile(haircut, 0.99)) if haircut.size else 0.0,
        "into_loss": int((haircut > 1).sum()) + int((paying & ~winners.eligible).sum()),
        "booked_usd": booked(winners, burden),
        "booked_beyond_usd": max(0.0, booked(winners, burden) - raised),
    }


def booked(winners: Winners, burden: Burden) -> float:
    """Profit that the rule makes winners book, dollars: the closed share of each one's profit."""
    size = np.maximum(winners.size_lots, 1)
    return float((burden.lots / size * np.maximum(winners.unrealised, 0)).sum()) / MICRO


def _curve(name: str, winners: Winners, options: Options) -> dict[str, list[float]]:
    """Over the need, at the same gap: share of the ten who pay most; profit booked beyond the loss, dollars."""
    rows = []
    for share in options.shares:
        loss = options.loss * share / options.share
        rows.append(measures(winners, burden_of(name, winners, share, loss, options), loss))
    return {key: [row[key] for row in rows] for key in ("top_10_share", "booked_beyond_usd", "accounts")}


def by_rank(winners: Winners, burdens: dict[str, Burden]) -> dict[str, list[float]]:
    """Haircut in bins of rank by profit, two a decade: the bin's loss over its profit; cumulated loss by payers."""
    order = np.argsort(-winners.unrealised, kind="stable")
    order = order[winners.unrealised[order] > 0]
    edges = np.unique(np.rint(np.concatenate([[0], 10 ** np.arange(0.5, np.log10(order.size), 0.5), [order.size]])))
    starts = edges.astype(np.int64)[:-1]
    profit = np.add.reduceat(winners.unrealised[order].astype(float), starts)
    payers = np.unique(np.rint(np.geomspace(1, winners.rows.size, 60)).astype(np.int64))
    found = {"rank": np.sqrt((starts + 1.0) * edges[1:]).tolist(), "payers": payers.tolist()}
    for name, burden in burdens.items():
        found[name] = (np.add.reduceat(burden.loss[order].astype(float), starts) / profit).tolist()
        paid = np.cumsum(np.sort(burden.loss)[::-1].astype(float))
        found[f"{name} cumulated"] = (paid[payers - 1] / max(paid[-1], 1.0)).tolist()
    return found


# --- checks -----------------------------------------------------------------------------------------------------------
def _sample_checks(pool: Pool, real: bool) -> list[Check]:
    """The winners against the published figures of the data."""
    n = pool.notional.size
    top = share_of_top(pool.notional, n // 100)
    if not real:
        return [
            check(f"accounts above ${size:,.0f}", 100 * float((pool.notional > size).mean()), published=100 * share,
                  within=400 * float(np.sqrt(share * (1 - share) / n)), why="4 standard errors", unit="%")
            for share, size in QUANTILES[1:-1]
        ]  # fmt: skip
    last = "last digit"
    return [
        check("accounts", n, published=ACCOUNTS, within=0, why="count"),
        check("closed", pool.notional.sum() / 1e9, published=2.103, within=0.0005, why=last, unit="$bn"),
        check("profit booked", pool.profit.sum() / 1e6, published=834.3, within=0.05, why=last, unit="$m"),
        check("profit over notional", 100 * pool.profit.sum() / pool.notional.sum(), published=39.7, within=0.05,
              why=last, unit="%"),
        check("median size", float(np.median(pool.notional)), published=481, within=0.5, why=last, unit="$"),
        check("99 % quantile of size", float(np.quantile(pool.notional, 0.99)) / 1e6, published=1.04, within=0.005,
              why=last, unit="$m"),
        check("ten largest accounts", 100 * share_of_top(pool.notional, TOP), published=45.8, within=0.05, why=last,
              unit="% of notional"),
        check("top 1 %", 100 * top, published=84.2, within=0.05, why=last, unit="% of notional"),
    ]  # fmt: skip


def _rule_checks(options: Options, winners: Winners, burdens: dict[str, Burden]) -> list[Check]:
    """What each rule must give whatever the winners: totals, and one water level."""
    needed = needed_lots(winners, options.share)
    rows = []
    for name, burden in burdens.items():
        moves = rule_of(name).moves
        rows.append(check(f"{name}: lots closed", int(burden.lots.sum()), exact=needed if moves == "positions" else 0,
                          within=0, why="whole numbers", unit="cents"))  # fmt: skip
        rows.append(check(f"{name}: loss raised", int(burden.loss.sum()) / MICRO,
                          exact=0 if moves == "nothing" else round(options.loss * MICRO) / MICRO, within=0,
                          why="whole numbers", unit="$"))  # fmt: skip
    return [*rows, *_level_checks(options, winners, burdens["capped-pro-rata"].lots)]


def _level_checks(options: Options, winners: Winners, lots: I64) -> list[Check]:
    """Water-filling: one level of lots over profit fits all winners below their caps to within a lot."""
    cap = winners.size_lots * rate(options.profit_cap) // 10**8
    below = winners.eligible & (lots < cap - 1)
    if not below.any() or (lots[winners.eligible] > cap[winners.eligible]).any():
        return []
    profit = winners.unrealised[below]
    least, most = float(((lots[below] - 1) / profit).max()), float(((lots[below] + 1) / profit).min())
    apart = max(0.0, least - most)
    return [check("capped: levels apart", apart, exact=0.0, within=1e-9 * most, why="floats", unit="cents a unit")]


# --- words ----------------------------------------------------------------------------------------------------------
HEADS = ("accounts", "top 10 pay", "10 richest pay", "median cut", "99 % cut", "into loss", "booked beyond")


def text(results: dict[str, Any]) -> str:
    """The table of rules."""
    kind = "reconstructed from" if results["source"] == "reconstructed" else "DRAWN like"
    lines = [
        f"{results['accounts']:,} winners {kind} {BY_USER}, {results['eligible']:,} in profit; "
        f"{results['share']:.1%} of their notional is closed, {results['gap_percent']:.2f} % beyond the mark, to raise "
        f"${results['loss_usd'] / 1e6:.2f}m",
        f"{'':<18}" + "".join(f"{head:>16}" for head in HEADS),
    ]
    for row in results["rows"]:
        cells = (
            f"{row['accounts']:,}",
            f"{row['top_10_share']:.1%}",
            f"{row['largest_winners_share']:.1%}",
            f"{row['median_haircut']:.2%}",
            f"{row['high_haircut']:.1%}",
            f"{row['into_loss']:,}",
            f"${row['booked_beyond_usd'] / 1e6:,.1f}m",
        )
        lines.append(f"{row['rule']:<18}" + "".join(f"{cell:>16}" for cell in cells))
    lines.append(
        "cut: loss in % of a payer's profit; into loss: payers without profit or cut by more than all of it; "
        "booked beyond: profit booked by force, less the loss it covers.\n"
        f"No rule here closes more than is needed; on the day the venue took ${PRODUCTION_USD / 1e6:.1f}m of haircuts, "
        f"${(PRODUCTION_USD - NEEDED_USD) / 1e6:.1f}m too much"
    )
    return "\n".join(lines)
