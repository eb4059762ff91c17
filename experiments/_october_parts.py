"""What `october` runs, as data: groups of variants, each a list of settings of a scenario."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.october_switches import NO_VOLUNTARY, ONE_X

BASE = "as it is"
NO_LEVERAGE = ONE_X
NO_WITHDRAWAL = ("makers.thinning_max=1", "makers.loss_share=1000")
NO_STOPS = ("retail.stop_share=0",)
NO_LIMITS = ("arbitrageurs.capital_coins=1000000", "arbitrageurs.rate_coins=1000", "arbitrageurs.threshold=0")
"""Between spot and perpetual; what stands for other venues (`reversion_coins`) keeps its size."""


@dataclass(frozen=True, slots=True)
class Idle:
    """When a rule has nothing to do: a measure of the run without it lies below `limit` (0: is nothing).

    Such a run with the rule is the run without it and need not be made; `_october_design` makes some all the same, and
    looks.
    """

    measure: str
    limit: float

    def holds(self, base: Mapping[str, Any]) -> bool:
        """Whether the rule had nothing to do in this run."""
        value = base.get(self.measure)
        return value is not None and (value < self.limit or value == self.limit == 0.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """One row: its name, what it changes, and when it can change nothing."""

    name: str
    settings: tuple[str, ...]
    idle: Idle | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together.

    `base`: settings of all of them and of what they are compared with. `most_seeds`: more pairs would say nothing new.
    """

    key: str
    title: str
    variants: tuple[Variant, ...]
    base: tuple[str, ...] = ()
    caveat: str = ""
    most_seeds: int = 10_000

    def few(self) -> Group:
        """The first and the last row only, for a quick look."""
        ends = self.variants[:1] + self.variants[-1:] if len(self.variants) > 1 else self.variants
        return replace(self, variants=ends)


def one(name: str, *settings: str, idle: Idle | None = None) -> Variant:
    """A row."""
    return Variant(name, settings, idle)


# --- ablation ---------------------------------------------------------------------------------------------------------
ABLATION = Group(
    "ablation",
    "What carries the fall",
    (
        one("without leverage", *NO_LEVERAGE),
        one("without withdrawal of makers", *NO_WITHDRAWAL),
        one("without stop-losses", *NO_STOPS),
        one("without limits to arbitrage", *NO_LIMITS),
        one("without panic", "retail.panic=0"),
        one("without new shorts", "retail.short_gain=0"),
        one("news only", *NO_LEVERAGE, *NO_VOLUNTARY),
    ),
    caveat="One part at a time: parts that stand in for each other look weak one by one.",
)

# --- policies ---------------------------------------------------------------------------------------------------------
_MINUTES = ((60, "1 min"), (300, "5 min"), (900, "15 min"))
_MINI_FUND = ("venue.backstop.size_usd=10000000",)
"""With the venue's whole fund behind one contract no deleveraging happens in most seeds, and rules cannot differ."""
_UNTOUCHED = Idle("behind_fund_usd", 0.0)
"""Nothing got past the fund of $10m: a larger one, or another rule behind it, changes nothing."""
_CLEARED = (
    'venue.deleverage.rule="none"', 'venue.liquidation.order_limit="band"', 'venue.liquidation.sizing="whole"',
    'venue.liquidation.takeover_partial="0"', 'venue.liquidation.takeover_whole="0"', 'venue.liquidation.fee="0"',
    "venue.liquidation.recheck_s=60",
)  # fmt: skip
"""The waterfall of `regulated-2025-10` under the contract and the leverage of the scenario's own venue."""
_RESERVE = ("retail.remedies.share=1", "retail.remedies.reserve=[0.05, 0.15]", "retail.remedies.top_up=0.5")
_STOPS = ("retail.stops.share=[1.0]", "retail.stops.margin=0.5")
_PUBLISHED = "policies.disclosure.every_s=60"


def readers(*manners: str, **parameters: float) -> str:
    """Setting that adds readers of what is published, `predators` or `providers`, all with these parameters."""
    entries = [{"name": one, "kind": f"profile-{one}", "parameters": parameters} for one in manners]
    return f"participants={json.dumps(entries)}"


POLICIES: tuple[Group, ...] = (
    Group(
        "leverage-cap", "Leverage cap",
        tuple(one(f"{most}x", f"policies.leverage_cap.most={most}")
              for most in (1, 2, 3, 5, 10, 20, 50, 100, 150)),
        caveat="Positions of the opening keep their size and get more money behind them: who would have stayed away, "
        "or gone to another venue, is not in it. Makers, arbitrageurs and hedgers obey and have the money for it.",
    ),
    Group(
        "fund", "Insurance fund, share of open interest",
        tuple(one(f"{100 * share:g} %", f"policies.fund_capital.share={share}", idle=_UNTOUCHED)
              for share in (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05)),
        base=_MINI_FUND,
        caveat="Against a fund of $10m for this contract. Who pays for the capital is not asked.",
    ),
    Group(
        "deleveraging", "Deleveraging rule",
        tuple(one(rule, f'venue.deleverage.rule="{rule}"', idle=_UNTOUCHED)
              for rule in ("binance-queue", "bybit-queue", "hyperliquid-queue", "pro-rata", "capped-pro-rata",
                           "socialised", "none")),
        base=_MINI_FUND,
        caveat="With a fund of $10m for this contract; nobody trades differently because of the rule.",
    ),
    Group(
        "circuit-breaker", "Circuit breaker",
        tuple(
            one(f"{100 * move:g} %, {words}", f"policies.circuit_breaker.move={move}",
                f"policies.circuit_breaker.halt_s={halt}", idle=Idle("move_5min_percent", 100 * move))
            for move in (0.03, 0.05, 0.07, 0.1) for halt, words in _MINUTES
        ),
        caveat="One venue, so that nobody can sell elsewhere while it is closed; nobody sells early because a halt is "
        "near.",
    ),
    Group(
        "maker-obligation", "Maker obligation",
        tuple(
            one(f"{100 * share:g} % of size, {spread:g} ticks", f"policies.maker_obligation.share={share}",
                f"policies.maker_obligation.most_spread_ticks={spread}")
            for share in (0.05, 0.1, 0.25, 0.5, 1.0) for spread in (2.0, 20.0)
        ),
        caveat="Makers obey whatever it costs: their capital and their leaving are outside the policy.",
    ),
    Group(
        "dynamic-margin", "Margin that rises with volatility",
        tuple(
            one(f"up to {most:g}x{words}", f"policies.dynamic_margin.most={most}",
                f"policies.dynamic_margin.maintenance={maintenance}")
            for maintenance, words in (("true", ""), ("false", ", initial margin only")) for most in (1.5, 3.0)
        ),
        caveat="Traders do not keep more margin because it may rise.",
    ),
    Group(
        "clearing", "Central clearing with deadlines",
        (
            *(one(f"margin call due after {words}", *_CLEARED, f"venue.liquidation.deadline_s={seconds}")
              for seconds, words in ((600, "10 min"), (1_800, "30 min"), (3_600, "60 min"), (86_400, "a day"))),
            one("a day, and 3x", *_CLEARED, "venue.liquidation.deadline_s=86400", "policies.leverage_cap.most=3"),
        ),
        caveat="Nobody is deleveraged. A call due after a day falls outside the evening: what margin and default fund "
        "will not cover then is not in it.",
    ),
    Group(
        "initial-margin", "Initial-margin floor",
        tuple(one(f"{100 * rate:g} %", f"policies.initial_margin.rate={rate}")
              for rate in (0.02, 0.05, 0.1, 0.2, 0.5)),
        caveat="As the leverage cap.",
    ),
    Group(
        "traders", "Reserve and stop-losses of traders",
        (one("reserve", *_RESERVE), one("stop-losses", *_STOPS),
         one("reserve, stop-losses, half size", *_RESERVE, *_STOPS, "retail.remedies.size=0.5")),
        caveat="Everybody follows the advice, so that it moves the market; for single traders see `reserve-and-stops`.",
    ),
    Group(
        "disclosure", "Disclosure of liquidation prices",
        (
            one("nobody reads it", _PUBLISHED),
            one("predators, a quarter", _PUBLISHED, readers("predators", share=0.25)),
            one("predators, half", _PUBLISHED, readers("predators", share=0.5)),
            one("providers, a quarter", _PUBLISHED, readers("providers", share=0.25)),
            one("providers, all", _PUBLISHED, readers("providers", share=1.0, capital_usd=5e8)),
            one("both, a quarter", _PUBLISHED, readers("predators", "providers", share=0.25)),
        ),
        caveat="Who would read it, with how much money and how fast, is assumed: $100m at up to 3x ($500m to provide "
        "all) against a share of what is published near the price. Traders do not keep more margin because others see "
        "them.",
    ),
)  # fmt: skip


# --- critical point ---------------------------------------------------------------------------------------------------
LEVERAGES: tuple[int, ...] = (3, 5, 10, 15, 25, 100)
DEPTHS: tuple[float, ...] = (260, 520, 1_045, 2_090, 4_180, 8_360)
"""BTC within 1 %: an eighth to four times the book of `october-2025`."""


def critical(leverages: Sequence[int], depths: Sequence[float]) -> list[tuple[int, float, tuple[str, ...]]]:
    """(highest leverage, depth of the makers in BTC within 1 %, settings) of every point."""
    return [
        (most, float(depth), (f"retail.most_leverage={most}", f"makers.depth_coins={depth:g}"))
        for most in leverages
        for depth in depths
    ]


# --- convergence ------------------------------------------------------------------------------------------------------
def convergence(ticks_s: Sequence[float], rounds: Sequence[int], accounts: Sequence[int]) -> tuple[Group, ...]:
    """Resolution: how long a tick is, how many rounds it has, how many accounts share the open interest."""
    return (
        Group("tick", "Tick length", tuple(one(f"{t:g} s", f"tick_s={t:g}") for t in ticks_s)),
        Group("rounds", "Rounds in a tick, at most", tuple(one(f"{n}", f"rounds_max={n}") for n in rounds)),
        Group("accounts", "Accounts", tuple(one(f"{n:,}", f"accounts={n}") for n in accounts),
              caveat="The people are others for every number: pairs share their news, not their traders."),
    )  # fmt: skip
