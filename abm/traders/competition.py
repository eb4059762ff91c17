"""Exchanges compete: the highest leverage and the taker fee of each venue answer to its market share, on a slow clock.

With V_v the volume since the last review and I_v the open interest, in coins, the market share of venue v is

    s_v = w V_v / sum V + (1 - w) I_v / sum I,      w = volume_weight.

Against the share that v is used to, r_v, the log change is d_v = ln(s_v / r_v). At a review, every `review_s`,

    d_v < -threshold   v has lost:    L_v -> the next step of the ladder, at most the cap;  f_v -> f_v - fee_step
    d_v >  threshold   v has gained:  f_v -> f_v + fee_step
    then               r_v -> r_v + memory (s_v - r_v)

with fees held inside [least_fee, most_fee] and never below what a rebated maker is paid. Nobody lowers leverage by
itself: what has been promised to traders is not taken back. Shares add up to one, so somebody always loses; the race
ends at the cap or at the last step of the ladder. If traders' choice among venues depends on differences of what is
offered only (`abm.traders.migration`: logit), all venues at the cap have the shares they began with: nobody gains.

What a step does. The first margin bracket offers L_v. `brackets = "first"`: the others keep what they offered at the
opening, at most L_v; `"all"`: they are raised in the proportion of the first. Nobody may be liquidatable at the
opening of a position: a bracket's maintenance rate is lowered to `maintenance_share` / L where it would be above that,
and the margin ladder is rebuilt. Each change is a SCHEDULE event.

Accounts. At a review a flat retail account (no position, no order) looks at the offer with the chance `take_up`. It
has a personal limit, lognormal around `appetite_x`; if the venue offers its cash more than it uses now, it takes
that, up to the limit. Nobody goes down by this rule.

That venues raise leverage to win share is the story told of 2025 (1001x at one of them); that the rule is a threshold,
and all of its numbers, are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from abm.clearing.formulas import maintenance_amounts
from abm.events import SCHEDULE
from abm.parameters import Parameters, quantity
from abm.rng import normals, stream, uniforms
from abm.settings import SettingsError
from abm.state import I64
from abm.traders.base import Office, Participant, View
from abm.traders.retail_kernel import NEWS
from abm.units import INT64_MAX, RATE_ONE

if TYPE_CHECKING:
    from abm.opening import Place

LADDER = (20, 40, 50, 100, 125, 150, 200, 500, 1001)
BP = RATE_ONE // 10_000
HEADROOM = 1.05
"""An entry may be this much larger than the cash says now and still lie in its margin bracket."""
HIGH_LEVERAGE = 50
UNKNOWN = "not observed"
_TAKE_UP = stream("competition take-up")
_APPETITE = stream("competition appetite")
F64 = NDArray[np.float64]


class CompetitionParameters(Parameters):
    """Exchanges that compete by leverage and fees."""

    venues: tuple[str, ...] = Field(default=(), description="names of the competing venues; none: all with a perpetual")
    review_s: float = quantity(
        86_400.0, unit="s", source="schedules change within days; accelerated scenarios say so", gt=0.0
    )
    volume_weight: float = quantity(
        0.5, unit="-", source=UNKNOWN, ge=0.0, le=1.0, text="w: volume rather than open interest in the market share"
    )
    threshold: float = quantity(
        0.02, unit="log", source=UNKNOWN, ge=0.0, le=2.0, likely=(0.005, 0.1), text="change of share that is answered"
    )
    memory: float = quantity(
        0.5, unit="a review", source=UNKNOWN, ge=0.0, le=1.0, text="how far the share a venue is used to follows"
    )
    ladder: tuple[int, ...] = quantity(
        LADDER,
        unit="x",
        source="limits of 2025: 40 Hyperliquid, 100 Bybit and OKX, 150 Binance, 1001 Aster; steps between assumed",
        grade="B",
    )
    start_leverage: dict[str, int] = quantity(
        {}, unit="x", source="see the scenario", text="at the opening by venue name, where it is not that of the preset"
    )
    brackets: Literal["first", "all"] = Field(default="first", description="which margin brackets a step raises")
    maintenance_share: float = quantity(
        0.6,
        unit="of initial margin",
        source="Binance 0.4 % at 150x; Hyperliquid 0.5, Aster's pool 0.3",
        gt=0.0,
        lt=1.0,
        grade="A",
        text="largest maintenance of a raised bracket",
    )
    fee_step_bp: float = quantity(0.5, unit="bp", source=UNKNOWN, ge=0.0, le=10.0)
    least_fee_bp: float = quantity(
        1.5, unit="bp", source="Aster's pool at 500x and more: 0.03 % a round trip", ge=0.0, le=20.0, grade="C"
    )
    most_fee_bp: float = quantity(6.0, unit="bp", source="lowest tiers of the venues: 3.5 to 5.5", ge=0.0, le=50.0)
    take_up: float = quantity(
        0.1, unit="a review", source=UNKNOWN, ge=0.0, le=1.0, text="chance that a flat account looks at the offer"
    )
    appetite_x: float = quantity(20.0, unit="x", source=UNKNOWN, ge=1.0, text="median personal limit of leverage")
    appetite_spread: float = quantity(1.2, unit="log", source=UNKNOWN, ge=0.0, le=3.0)

    @model_validator(mode="after")
    def _orderly(self) -> CompetitionParameters:
        if list(self.ladder) != sorted(set(self.ladder)) or not self.ladder or self.ladder[0] < 1:
            raise ValueError(f"ladder: {self.ladder}: steps of leverage must rise from at least 1")
        if self.most_fee_bp < self.least_fee_bp:
            raise ValueError(f"most_fee_bp: {self.most_fee_bp:g}: below least_fee_bp = {self.least_fee_bp:g}")
        return self


# --- the rule ---------------------------------------------------------------------------------------------------------
def next_step(ladder: Sequence[int], leverage: int, cap: int) -> int:
    """The first step above `leverage`, at most `cap`; leverage itself when there is none."""
    above = [step for step in ladder if step > leverage]
    return max(leverage, min(above[0], cap)) if above else leverage


def answer(p: CompetitionParameters, change: float, leverage: int, fee: int, cap: int, least: int) -> tuple[int, int]:
    """New (leverage, taker fee in 1e-8) of a venue whose share has changed by `change` (log); `least`: lowest fee."""
    step = round(p.fee_step_bp * BP)
    if change < -p.threshold:
        return next_step(p.ladder, leverage, cap), min(fee, max(fee - step, round(p.least_fee_bp * BP), least))
    if change > p.threshold:
        return leverage, max(fee, min(fee + step, round(p.most_fee_bp * BP)))
    return leverage, fee


def schedule(base: tuple[I64, I64, I64], leverage: int, every: bool, share: float) -> tuple[I64, I64, I64]:
    """Leverage, maintenance rate and amount of each bracket when the first offers `leverage`; int64 (T,) each.

    `base`: floors, rates and leverage of the venue's own brackets, int64 (T,). `every`: all brackets are raised with
    the first. No rate is above `share` / leverage.
    """
    floors, rates, offered = base
    first = int(offered[0])
    scaled = every and leverage > first
    most = offered * leverage // first if scaled else np.minimum(offered, leverage)
    most[0] = leverage
    rates = np.minimum(rates, (share * RATE_ONE / most).astype(np.int64))
    amounts = maintenance_amounts(floors.tolist(), rates.tolist())
    return most, rates, np.array(amounts, np.int64)


def usable_leverage(money: F64, wanted: I64, floors: I64, leverage: I64) -> I64:
    """Highest whole leverage up to `wanted` at which `money` (settlement units) fits a bracket that offers it; (n,)."""
    ends = np.append(floors[1:], INT64_MAX).astype(np.float64)
    best = np.ones(money.size, np.int64)
    for end, most in zip(ends, leverage.tolist(), strict=True):
        fits = np.minimum(np.floor((end - 1.0) / np.maximum(money, 1.0)), float(most))
        np.maximum(best, np.minimum(wanted, fits.astype(np.int64)), out=best)
    return best


# --- the venues -------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Rival:
    """One competing venue."""

    place: Place
    own: tuple[I64, I64, I64]  # floors, maintenance rates, leverage of its brackets at the opening
    appetite: I64  # personal limits of its retail traders
    leverage: int
    volume_coins: float = 0.0
    share: float = math.nan
    usual: float = math.nan  # share it is used to
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.place.name.replace("-", "_")


class ExchangeCompetition(Participant):
    """The management of all competing venues. It has no account: it writes schedules."""

    parameters: CompetitionParameters
    parameters_class = CompetitionParameters
    example: ClassVar[Mapping[str, Any]] = {"review_s": 5.0, "threshold": 0.0}
    example_world = "two-venues"

    def rows_needed(self) -> int:
        return 0

    def begin(self, model: Any) -> None:
        """Find the venues; those that start below their preset say so in their brackets before anybody trades.

        Raises SettingsError for a venue that is not there, or beside dynamic margin.
        """
        p = self.parameters
        if model.setup.policies.dynamic_margin is not None:
            raise SettingsError([f"participants.{self.name}: dynamic margin writes the same brackets; choose one"])
        names = [place.name for place in model.places]
        unknown = [name for name in (*p.venues, *p.start_leverage) if name not in names]
        if unknown:
            raise SettingsError([f"participants.{self.name}: no such venue here: {', '.join(unknown)}"])
        self._markets, self._accounts, self._floor = model.markets, model.accounts, model.floor
        self._exchanges = model.exchanges
        self.cap = highest_allowed(model.setup.policies)
        self.rivals = [self._rival(place) for place in model.places if not p.venues or place.name in p.venues]
        for rival in self.rivals:
            start = p.start_leverage.get(rival.place.name)
            if start is not None:
                self._write(rival, min(start, self.cap))
        self._next_s, self.high_share = p.review_s, self._high_share()

    def _rival(self, place: Place) -> Rival:
        markets, m, seed = self._markets, place.perp, place.setup.seed
        used = int((markets.tier_floor[m] < INT64_MAX).sum())
        floors, rates, most = markets.tier_floor, markets.tier_maintenance, markets.tier_leverage
        own = (floors[m, :used].copy(), rates[m, :used].copy(), most[m, :used].copy())
        draw = normals(seed, _APPETITE, np.arange(place.retail.rows.size), 0, 0)
        limit = self.parameters.appetite_x * np.exp(self.parameters.appetite_spread * draw)
        return Rival(place, own, np.maximum(limit, 1.0).astype(np.int64), int(own[2][0]))

    def review(self, view: View, office: Office) -> None:
        """Count the volume; when it is time, compare shares, change schedules, let accounts look at the offer."""
        volume = self._floor.tally().volume_lots
        for rival in self.rivals:
            rival.volume_coins += float(volume[rival.place.perp]) * float(self._markets.lot_coins[rival.place.perp])
        if view.seconds < self._next_s:
            return
        self._next_s = view.seconds + self.parameters.review_s
        for rival, share in zip(self.rivals, self.shares(), strict=True):
            rival.share, rival.volume_coins = share, 0.0
            if math.isnan(rival.usual):
                rival.usual = share
            self._answer(rival, office)
            rival.usual += self.parameters.memory * (share - rival.usual)
            self._offer(rival, view.tick)
        self.high_share = self._high_share()

    def _answer(self, rival: Rival, office: Office) -> None:
        p, m, markets = self.parameters, rival.place.perp, self._markets
        if rival.share <= 0.0 or rival.usual <= 0.0:
            return
        fee, least = int(markets.taker_fee[m]), max(0, -int(markets.maker_fee[m]))
        change = math.log(rival.share / rival.usual)
        leverage, new_fee = answer(p, change, rival.leverage, fee, self.cap, least)
        if (leverage, new_fee) == (rival.leverage, fee):
            return
        if leverage != rival.leverage:
            self._write(rival, leverage)
        markets.taker_fee[m] = new_fee
        if rival.place.setup.preset.liquidation.pays_taker_fee:
            self._floor.forced_fee[m] = new_fee
        office.note(SCHEDULE, market=m, size_lots=leverage, amount=new_fee)

    def _write(self, rival: Rival, leverage: int) -> None:
        """New brackets; the margin ladder is rebuilt where maintenance has changed."""
        p, markets, m = self.parameters, self._markets, rival.place.perp
        most, rates, amounts = schedule(rival.own, leverage, p.brackets == "all", p.maintenance_share)
        used = most.size
        changed = not np.array_equal(markets.tier_maintenance[m, :used], rates)
        markets.tier_leverage[m, :used], markets.tier_maintenance[m, :used] = most, rates
        markets.tier_amount[m, :used] = amounts
        rival.leverage = leverage
        if changed:
            next(desk for desk in self._exchanges.desks if desk.market == m).rebuild()

    def _offer(self, rival: Rival, tick: int) -> None:
        """Flat accounts that look at the offer take more leverage, if they want it and their money may use it."""
        place, accounts, m = rival.place, self._accounts, rival.place.perp
        retail, settle = place.retail, int(self._markets.settle[m])
        number = np.flatnonzero(flat(accounts, retail.rows) & (retail.kind != NEWS))
        number = number[uniforms(place.setup.seed, _TAKE_UP, number, tick, 0) < self.parameters.take_up]
        rows = retail.rows[number]
        money = accounts.cash[settle, rows] * (retail.parameters.usage * HEADROOM)
        tables = (self._markets.tier_floor[m], self._markets.tier_leverage[m])
        wanted = usable_leverage(money, rival.appetite[number], *(table[: rival.own[0].size] for table in tables))
        accounts.leverage[rows] = np.maximum(accounts.leverage[rows], wanted)

    # --- what is measured ---------------------------------------------------------------------------------------------

    def shares(self) -> F64:
        """Market shares of the competing venues since the last review, float64 (V,)."""
        volume = np.array([rival.volume_coins for rival in self.rivals])
        interest = np.array([self._interest(rival, 0) for rival in self.rivals])
        w = self.parameters.volume_weight if volume.sum() > 0.0 else 0.0
        found: F64 = w * volume / max(volume.sum(), 1e-12) + (1.0 - w) * interest / max(interest.sum(), 1e-12)
        return found

    def _interest(self, rival: Rival, least: int) -> float:
        """Coins of all long positions at the venue whose accounts chose at least this leverage."""
        m, a = rival.place.perp, self._accounts
        mine = (a.venue == rival.place.number) & (a.leverage >= least)
        lots = np.maximum(a.position[int(self._markets.slot[m]), mine], 0).sum()
        return float(lots) * float(self._markets.lot_coins[m])

    def _high_share(self) -> float:
        """Of the open interest of all competing venues, longs and shorts, what stands at 50x or more."""
        high = total = 0.0
        for rival in self.rivals:
            m, a = rival.place.perp, self._accounts
            lots = np.abs(a.position[int(self._markets.slot[m])]) * float(self._markets.lot_coins[m])
            mine = a.venue == rival.place.number
            total += float(lots[mine].sum())
            high += float(lots[mine & (a.leverage >= HIGH_LEVERAGE)].sum())
        return high / total if total > 0.0 else 0.0

    def measured(self) -> Mapping[str, float]:
        """Leverage, fee and share of each venue; the share of open interest at 50x or more, as of the last review."""
        found = {"interest_at_50x_percent": 100.0 * self.high_share}
        for rival in self.rivals:
            found[f"{rival.key}_leverage_x"] = float(rival.leverage)
            found[f"{rival.key}_taker_fee_bp"] = float(self._markets.taker_fee[rival.place.perp]) / BP
            found[f"{rival.key}_share_percent"] = 100.0 * rival.share
        return found


def highest_allowed(policies: Any) -> int:
    """The regulator's cap on leverage; the largest number when there is none."""
    cap = INT64_MAX
    if policies.leverage_cap is not None:
        cap = min(cap, policies.leverage_cap.most)
    if policies.initial_margin is not None:
        cap = min(cap, max(math.floor(1.0 / policies.initial_margin.rate), 1))
    return cap


def flat(accounts: Any, rows: I64) -> NDArray[np.bool_]:
    """Which of the rows (n,) have neither a position nor money reserved for an order; bool (n,)."""
    busy = accounts.position[:, rows].any(axis=0) | accounts.reserved[:, rows].any(axis=0)
    free: NDArray[np.bool_] = ~busy
    return free
