"""Cross margin over several instruments, worked by hand and against exact sums, through the real engine.

BTC at 100,000 $, ETH at 4,000 $, USDe at 1 $; no trading fees. Maintenance 0.4 % of each position in the first tier.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from abm.clearing.formulas import Tier, maintenance_margin
from abm.events import BAD_DEBT, DELEVERAGE, LIQUIDATION, LIQUIDATION_FEE, TAKEOVER
from abm.state import BUY, SELL
from abm.units import INT64_MAX, MICRO, SATOSHI
from abm.venues.exchange import FUND_ROW
from abm.venues.preset import VenuePreset, load_preset
from tests.replayed import Replayed
from tests.venue_world import FIRST, VenueWorld

pytestmark = pytest.mark.kernels

PRICES = {"BTC": 100_000.0, "ETH": 4_000.0, "USDE": 1.0}
BTC, ETH, COIN, DATED = "BTCUSDT", "ETHUSDT", "BTCUSD", "BTCUSDT-251226"


def multi(fee: str = "0", rule: str = "binance-queue", **liquidation: Any) -> VenuePreset:
    """Binance with several instruments, without trading fees and price bands; positions are forced whole."""
    liquidation = {"fee": fee, "sizing": "whole", **liquidation}
    base = load_preset("binance-multi-2025-10")
    free = {"taker_fee": "0", "maker_fee": "0", "price_band": "0.9", "price_filter": "0.9"}
    return base.model_copy(
        update={
            "spot": tuple(m.model_copy(update=free) for m in base.spot),
            "perpetual": tuple(m.model_copy(update=free) for m in base.perpetual),
            "liquidation": base.liquidation.model_copy(update=liquidation),
            "deleverage": base.deleverage.model_copy(update={"rule": rule}),
        }
    )


class Multi(VenueWorld):
    """The world of this file; instruments by name."""

    def __init__(self, n: int, rules: VenuePreset | None = None, fund_usd: int = 1_000_000) -> None:
        super().__init__(n, rules or multi(), PRICES, fund_usd, levels=1 << 18)
        self.accounts.cash[self.assets.index("BTC"), FUND_ROW] = fund_usd * 1_000  # at 100,000 $
        self.settle_outside()

    def at(self, **ticks: int) -> None:
        """Set marks by instrument."""
        for name, mark in ticks.items():
            self.set_mark(mark, self.market_of(name))

    def table(self, name: str, instrument: str, row: int) -> int:
        """An account's figure in one instrument."""
        return int(getattr(self.accounts, name)[self.markets.slot[self.market_of(instrument)], row])

    def events(self, kind: int) -> NDArray[Any]:
        rows = self.log.rows()
        return np.extract(rows["kind"] == kind, rows)


def two_longs(world: Multi, i: int = 0, cross: bool = True) -> int:
    """Long 2 BTC and 30 ETH at 20x: 16,000 $ of margin for 320,000 $."""
    world.hold(i, 2_000, 20, market=world.market_of(BTC), cross=cross)
    return world.hold(i, 30_000, 20, market=world.market_of(ETH), cross=cross)


# --- by hand ----------------------------------------------------------------------------------------------------------
def test_forced_when_all_equity_is_below_all_maintenance() -> None:
    """BTC 95,000, ETH 3,841: 16,000 - 10,000 - 4,770 = 1,230 of equity, 760 + 460.92 of maintenance: safe.

    At 3,840: 1,200 against 1,220.80. Nothing in the book: both positions pass to the fund, and it gains the 1,200.
    """
    world = Multi(1)
    row = two_longs(world)
    replayed = Replayed(world)
    world.at(BTCUSDT=950_000, ETHUSDT=384_100)
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION).size == 0 and world.exchanges.waiting() == 0
    world.at(ETHUSDT=384_000)
    assert world.exchanges.waiting() == 1
    world.liquidate_until_quiet()
    forced, taken = world.events(LIQUIDATION), world.events(TAKEOVER)
    assert forced["market"].tolist() == taken["market"].tolist() == [world.market_of(BTC), world.market_of(ETH)]
    assert forced["size_lots"].tolist() == taken["size_lots"].tolist() == [2_000, 30_000]
    # the equity is shared 760 to 460.80
    share = 1_200 * MICRO * 7_600 // 12_208
    assert forced["amount"].tolist() == [share, 1_200 * MICRO - share]
    # sold at what the share leaves: 190,000 $ less it, 115,200 $ less the rest
    assert taken["amount"].tolist() == [-190_000 * MICRO + share, -115_200 * MICRO + 1_200 * MICRO - share]
    a = world.accounts
    assert not a.cash[:, row].any() and not a.position[:, row].any() and not a.entry_cost[:, row].any()
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == 1_001_200 * MICRO
    replayed.check()


def test_what_is_sold_in_the_book_may_save_the_rest() -> None:
    """Bids for the BTC at the mark: sold without a fee; 1,200 $ then carry 30 ETH, which need 460.80."""
    world = Multi(1)
    row = two_longs(world)
    replayed = Replayed(world)
    world.quote(BUY, 950_000, 2_000, market=world.market_of(BTC))
    world.at(BTCUSDT=950_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION).size == 2 and world.events(TAKEOVER).size == 0
    assert world.table("position", BTC, row) == 0 and world.table("position", ETH, row) == 30_000
    assert int(world.accounts.cash[0, row]) == 6_000 * MICRO
    replayed.check()


def test_a_profit_carries_a_loss() -> None:
    """Long 2 BTC, short 30 ETH: BTC -20,000 $, ETH +18,000 $, with 16,000 $: the isolated twin loses its BTC."""
    world = Multi(2)
    for i, cross in enumerate((True, False)):
        world.hold(i, 2_000, 20, market=world.market_of(BTC), cross=cross)
        world.hold(i, -30_000, 20, market=world.market_of(ETH), cross=cross)
    replayed = Replayed(world)
    world.at(BTCUSDT=900_000, ETHUSDT=340_000)
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION)["account"].tolist() == [FIRST + 1]
    assert world.table("position", ETH, FIRST + 1) == -30_000 and world.table("margin", ETH, FIRST + 1) == 6_000 * MICRO
    world.at(ETHUSDT=400_000)  # the profit is gone: both are forced
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION)["account"].tolist() == [FIRST + 1, FIRST, FIRST]
    assert not world.accounts.position[:, FIRST].any()
    replayed.check()


def test_a_loss_beyond_everything_is_shared_by_requirement_and_borne_by_the_fund() -> None:
    """BTC 93,000: 16,000 - 14,000 - 4,800 = -2,800 $; requirements 744 and 460.80."""
    world = Multi(1)
    row = two_longs(world)
    replayed = Replayed(world)
    world.at(BTCUSDT=930_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    first = -(2_800 * MICRO * 7_440 // 12_048)
    assert world.events(LIQUIDATION)["amount"].tolist() == [first, -2_800 * MICRO - first]
    assert not world.accounts.cash[:, row].any() and not world.accounts.position[:, row].any()
    assert world.exchange.fund_equity(world.exchanges.mark_ticks) == (1_000_000 - 2_800) * MICRO
    replayed.check()


def test_a_close_beyond_bankruptcy_is_topped_up_once_nothing_is_left() -> None:
    """Orders without limit, bids 1 % below the mark: 2,000 $ short of equity 0, paid by the fund as one debt.

    16,000 - 2 x 6,000 (sold at 94,000) - 30 x 200 (at 3,800) = -2,000.
    """
    world = Multi(1, multi(order_limit="none"))
    row = two_longs(world)
    replayed = Replayed(world)
    world.quote(BUY, 940_000, 2_000, market=world.market_of(BTC))
    world.quote(BUY, 380_000, 30_000, market=world.market_of(ETH))
    world.at(BTCUSDT=950_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    debts = world.events(BAD_DEBT)
    assert debts["amount"].tolist() == [2_000 * MICRO] and debts["counterparty"].tolist() == [row]
    assert not world.accounts.cash[:, row].any()
    replayed.check()


def test_fees_never_exceed_what_the_account_has() -> None:
    """1.25 % of 190,000 $ would be 2,375 $: the first sale takes all of the 1,200 $, nothing is left for the second."""
    world = Multi(1, multi("0.0125"))
    row = two_longs(world)
    replayed = Replayed(world)
    world.quote(BUY, 950_000, 2_000, market=world.market_of(BTC))
    world.quote(BUY, 384_000, 30_000, market=world.market_of(ETH))
    world.at(BTCUSDT=950_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    fees = world.events(LIQUIDATION_FEE)
    assert fees["amount"].tolist() == [1_200 * MICRO]
    assert not world.accounts.cash[:, row].any() and world.events(BAD_DEBT).size == 0
    replayed.check()


def test_isolated_positions_stand_alone() -> None:
    """The same two positions isolated: at 95,000 the BTC have nothing left, the ETH keep 1,200 of 460.80 needed."""
    world = Multi(1)
    row = two_longs(world, cross=False)
    world.at(BTCUSDT=950_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION)["market"].tolist() == [world.market_of(BTC)]
    assert world.table("position", ETH, row) == 30_000 and world.table("margin", ETH, row) == 6_000 * MICRO
    assert row not in world.exchange.cross.members(world.market_of(BTC))


def test_a_coin_margined_position_is_another_wallet() -> None:
    """A loss in dollars does not touch what is settled in coins, and the debt in dollars is paid all the same."""
    world = Multi(1)
    row = two_longs(world)
    world.hold(0, 1_000, 20, market=world.market_of(COIN), cross=True)
    replayed = Replayed(world)
    world.at(BTCUSDT=930_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    assert world.table("position", COIN, row) == 1_000 and int(world.accounts.cash[0, row]) == 0
    assert int(world.accounts.cash[1, row]) == SATOSHI // 20
    replayed.check()


def test_steps_and_cooldowns_are_of_each_position() -> None:
    """A fifth of both positions at once; neither waits for the other's step."""
    rules = multi(sizing="share", step_share="0.2", recheck_s=30, cooldown_s=30, takeover_partial="0")
    world = Multi(1, rules)
    two_longs(world)
    world.at(BTCUSDT=950_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    assert world.events(LIQUIDATION)["size_lots"].tolist() == [400, 6_000]


def test_winners_of_a_cross_account_are_deleveraged_in_its_markets_only() -> None:
    """No fund: the loss of 2,800 $ goes to the shorts of both markets at the bankruptcy value of each share."""
    world = Multi(3, fund_usd=0)
    row = two_longs(world)
    shorts = [
        world.hold(1 + i, -n, 10, market=world.market_of(m)) for i, (m, n) in enumerate(((BTC, 2_000), (ETH, 30_000)))
    ]
    replayed = Replayed(world)
    world.at(BTCUSDT=930_000, ETHUSDT=384_000)
    world.liquidate_until_quiet()
    closed = world.events(DELEVERAGE)
    assert closed["counterparty"].tolist() == shorts and closed["size_lots"].tolist() == [2_000, 30_000]
    first = -(2_800 * MICRO * 7_440 // 12_048)
    assert closed["amount"].tolist() == [-186_000 * MICRO + first, -115_200 * MICRO - 2_800 * MICRO - first]
    assert not world.accounts.cash[:, row].any() and not world.accounts.position[:, FUND_ROW].any()
    # each winner: his margin and his profit, less the share
    assert int(world.accounts.cash[0, shorts[0]]) == (20_000 + 14_000) * MICRO + first
    replayed.check()


# --- against exact sums -----------------------------------------------------------------------------------------------
def tiers(world: Multi, m: int) -> list[Tier]:
    markets = world.markets
    used = markets.tier_floor[m] < INT64_MAX
    columns = (markets.tier_floor, markets.tier_maintenance, markets.tier_amount, markets.tier_leverage)
    return [Tier(*(int(c[m, n]) for c in columns)) for n in np.flatnonzero(used)]


size = st.integers(1, 300_000) | st.integers(3_000_000, 40_000_000)


@settings(max_examples=60, deadline=None)
@given(
    lots=st.tuples(size, size), signs=st.tuples(st.sampled_from((1, -1)), st.sampled_from((1, -1))),
    moves=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)), near=st.integers(-3, 3),
)  # fmt: skip
def test_the_condition_is_exact(
    lots: tuple[int, int], signs: tuple[int, int], moves: tuple[float, float], near: int
) -> None:
    """Random positions and marks; the cash is set a few units around the maintenance: forced if and only if below."""
    world = WORLD
    a, row = world.accounts, FIRST
    names = (BTC, ETH)
    a.mode[row] = 0
    owed = -near
    for name, size_lots, sign, move in zip(names, lots, signs, moves, strict=True):
        m = world.market_of(name)
        slot, start, unit = int(world.markets.slot[m]), int(world.start[m]), int(world.markets.tick_value[m])
        mark = round(start * (1 + move))
        world.set_mark(mark, m)
        a.position[slot, row], a.entry_cost[slot, row] = sign * size_lots, sign * size_lots * start * unit
        owed += maintenance_margin(size_lots * mark * unit, tiers(world, m))
        owed -= sign * size_lots * (mark - start) * unit
    a.cash[0, row] = owed  # equity - maintenance = -near
    a.touched[row] = True
    world.exchanges.rebucket()
    for name in names:
        found = world.exchange.cross.below(world.market_of(name)).tolist()
        assert found == ([row] if near > 0 else [])
    shares = [int(world.exchange.cross.wealth(np.array([row]), world.market_of(name))[0]) for name in names]
    assert sum(shares) == owed


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_who_is_safe_within_reach_need_not_be_looked_at(seed: int) -> None:
    """Members are scanned afresh only when prices have moved far: the same rows as by a scan at every step."""
    rng = np.random.default_rng(seed)
    world = random_world(rng)
    cross = world.exchange.cross
    step = 10.0 ** rng.uniform(-5, -1.5)
    for _ in range(30):
        for name in (*MOST, "USDEUSDT-SPOT"):
            m = world.market_of(name)
            world.set_mark(round(int(world.exchanges.mark_ticks[m]) * (1 + step * rng.normal())), m)
        for name in MOST:
            m = world.market_of(name)
            rows = cross.members(m)
            equity, owed = cross.equity(rows, m)
            held = world.accounts.position[world.markets.slot[m], rows] != 0
            assert cross.below(m).tolist() == rows[(equity < owed) & held].tolist()


WORLD = Multi(1)


def random_world(rng: np.random.Generator) -> Multi:
    """Six accounts with any positions in four instruments and any mode, one of them perhaps with collateral."""
    rule = str(rng.choice(["binance-queue", "pro-rata", "socialised", "none", "hyperliquid-queue"]))
    choices: list[dict[str, Any]] = [{}, {"order_limit": "none"}, {"sizing": "bring-back"}]
    rules = multi(str(rng.choice(["0", "0.001", "0.0125"])), rule, **choices[rng.integers(3)])
    world = Multi(6, rules, fund_usd=int(rng.choice([0, 5_000, 10**9])))
    for i in range(6):
        cross = bool(rng.integers(2))
        for name, most in MOST.items():
            if rng.random() < 0.7:
                lots = int(rng.integers(1, most)) * int(rng.choice([-1, 1]))
                world.hold(i, lots, int(rng.choice([5, 20, 50])), market=world.market_of(name), cross=cross)
        if rng.random() < 0.5:
            world.accounts.cash[world.assets.index("USDE"), FIRST + i] = rng.integers(0, 20_000 * MICRO)
    world.settle_outside()
    return world


MOST = {BTC: 3_000, ETH: 60_000, COIN: 2_000, DATED: 3_000}


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_every_unit_is_explained(seed: int) -> None:
    """Random accounts, books, marks and loss rules; audits in every round, then the verifier's replay.

    Afterwards nobody is below maintenance, and nobody without a position owes anything that he has no coins to pay.
    """
    rng = np.random.default_rng(seed)
    world = random_world(rng)
    replayed = Replayed(world)
    for _ in range(3):
        for name, most in MOST.items():
            m = world.market_of(name)
            mark = round(int(world.start[m]) * rng.uniform(0.8, 1.2))
            world.set_mark(mark, m)
            for side in (BUY, SELL):
                world.quote(side, mark - side * int(rng.integers(1, 300)), int(rng.integers(1, most)), market=m)
        world.at(**{"USDEUSDT-SPOT": round(10_000 * rng.uniform(0.6, 1.1))})
        world.liquidate_until_quiet(30)
        replayed.check()
        assert world.exchanges.waiting() == 0
        flat = FIRST + np.flatnonzero(~world.accounts.position[:, FIRST:].any(axis=0))
        cash = world.accounts.cash[:, flat]
        assert not ((cash < 0).any(axis=0) & ~(cash > 0).any(axis=0)).any()
