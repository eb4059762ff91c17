"""The venues' liquidation ladders, step by step, on a book filled by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abm.clearing.margin import maintenance_of
from abm.events import BAD_DEBT, FILL_EVENT, LIQUIDATION, MARGIN_CALL, TAKEOVER
from abm.state import BUY
from abm.venues.exchange import FUND_ROW
from abm.venues.preset import VenuePreset, load_preset
from tests.venue_world import VenueWorld, preset

MS = 1000


def without_fees(name: str, **liquidation: Any) -> VenuePreset:
    """A packaged venue without trading fees and with wide bands."""
    base = load_preset(name)
    perp = base.perpetual[0].model_copy(
        update={"taker_fee": "0", "maker_fee": "0", "price_band": "0.5", "price_filter": "0.5"}
    )
    rules = base.liquidation.model_copy(update=liquidation)
    return base.model_copy(update={"perpetual": (perp,), "liquidation": rules})


def of_kind(world: VenueWorld, kind: int) -> Any:
    rows = world.log.rows()
    return rows[rows["kind"] == kind]


def one_round(world: VenueWorld) -> None:
    world.liquidate_until_quiet(1)


def test_hyperliquid_sells_a_fifth_then_everything_within_the_cooldown() -> None:
    """Above $100,000: 20 % first; below maintenance again within 30 s: the whole rest; later: 20 % again."""
    world = VenueWorld(1, without_fees("hyperliquid-2025-10"))
    row = world.hold(0, 10_000, 20)  # 10 BTC; equity meets maintenance (1.25 %) at 96,202.5
    world.quote(BUY, 96_200, 100_000)
    world.set_mark(96_200)
    one_round(world)
    assert of_kind(world, LIQUIDATION)["size_lots"].tolist() == [2_000]
    assert world.accounts.position[0, row] == 8_000 and of_kind(world, TAKEOVER).size == 0
    world.set_mark(95_800)
    world.quote(BUY, 95_800, 100_000)
    one_round(world)
    assert of_kind(world, LIQUIDATION)["size_lots"].tolist() == [2_000, 8_000]
    assert world.accounts.position[0, row] == 0 and int(world.accounts.cash[0, row]) > 0
    later = VenueWorld(1, without_fees("hyperliquid-2025-10"))
    later.hold(0, 10_000, 20)
    for tick, mark in ((0, 96_200), (31, 95_800)):
        later.model.tick = tick
        later.quote(BUY, mark, 100_000)
        later.set_mark(mark)
        one_round(later)
    assert of_kind(later, LIQUIDATION)["size_lots"].tolist() == [2_000, 1_600]


def test_hyperliquid_closes_small_positions_whole() -> None:
    world = VenueWorld(1, without_fees("hyperliquid-2025-10"))
    row = world.hold(0, 1_000, 20)  # $96,200
    world.quote(BUY, 96_200, 5_000)
    world.set_mark(96_200)
    one_round(world)
    assert of_kind(world, LIQUIDATION)["size_lots"].tolist() == [1_000] and world.accounts.position[0, row] == 0


def test_hyperliquid_vault_takes_over_below_two_thirds_of_maintenance() -> None:
    """With no bids: at 96,000 equity is 1.04 % and the position stays; at 95,700 it is 0.73 %, and the vault has it."""
    world = VenueWorld(1, without_fees("hyperliquid-2025-10"))
    row = world.hold(0, 10_000, 20)
    world.set_mark(96_000)
    one_round(world)
    assert world.accounts.position[0, row] == 10_000 and of_kind(world, TAKEOVER).size == 0
    world.set_mark(95_700)
    one_round(world)
    assert world.accounts.position[0, row] == 0 and world.accounts.position[0, FUND_ROW] == 10_000
    assert int(world.accounts.cash[0, row]) == int(world.accounts.margin[0, row]) == 0
    gain = world.exchanges.fund_equity() - 1_000_000_000 * 10**6
    assert gain == 10 * 700 * 10**6  # bankruptcy at 95,000: what was left of the margin is the vault's


def test_bybit_goes_down_tier_by_tier() -> None:
    """A position in the third tier falls into the second, then the first, then goes whole; always below maintenance."""
    rules = without_fees("bybit-2025-10")
    world = VenueWorld(1, rules)
    row = world.hold(0, 30_000, 50)  # 30 BTC; margin 2 %
    floors = [float(t.from_notional.replace("_", "")) for t in rules.perpetual[0].tiers]
    for mark, tier in ((98_500, 2), (98_400, 1)):
        world.quote(BUY, 10 * mark, 1_000_000)
        world.set_mark(10 * mark)
        one_round(world)
        held = int(world.accounts.position[0, row])
        assert held * mark / 1000 < floors[tier] <= (held + 1) * mark / 1000
    world.quote(BUY, 982_500, 1_000_000)
    world.set_mark(982_500)
    one_round(world)
    assert world.accounts.position[0, row] == 0 and of_kind(world, LIQUIDATION).size == 3


def test_okx_cuts_two_tiers_and_looks_again_after_a_minute() -> None:
    rules = without_fees("okx-2025-10")
    tiers = [float(t.from_notional.replace("_", "")) for t in rules.perpetual[0].tiers]
    coins = float(rules.perpetual[0].lot)
    start = round((tiers[3] + tiers[4]) / 2 / 100_000 / coins)  # in the fourth tier
    world = VenueWorld(1, rules)
    row = world.hold(0, start, 20)
    ticks = int(world.desk.ladder.liquidation_ticks([row])[0])
    world.quote(BUY, ticks, 10**8)
    world.set_mark(ticks)
    one_round(world)
    held = int(world.accounts.position[0, row])
    assert tiers[1] <= held * coins * ticks / 10 < tiers[2]
    ticks = int(world.desk.ladder.liquidation_ticks([row])[0])
    world.quote(BUY, ticks, 10**8)
    world.set_mark(ticks)
    assert world.desk.ladder.crossed(world.desk.mark_ticks).size == 1
    one_round(world)
    assert world.accounts.position[0, row] == held, "it is not looked at again within the minute"
    world.model.tick = 61
    one_round(world)
    assert world.accounts.position[0, row] == 0


def test_share_of_margin_decides_where_the_pool_says_so() -> None:
    """Aster Simple: at 1001x a loss of 85 % of the margin, 0.0849 % of the price, ends the position."""
    rules = preset(mmr="0.00000001", leverage=1001, margin_share="0.15", sizing="whole", order_limit="none")
    world = VenueWorld(2, rules)
    long, short = world.hold(0, 1_000, 1001), world.hold(1, -1_000, 1001)
    ticks = world.desk.ladder.liquidation_ticks([long, short])
    move = 1_000_000 * 0.85 / 1001
    assert ticks.tolist() == pytest.approx([1_000_000 - move, 1_000_000 + move], abs=1.01)
    world.set_mark(int(ticks[0]) + 1)
    assert world.exchanges.liquidate() is None
    world.set_mark(int(ticks[0]))
    assert world.exchanges.liquidate() is not None


def test_a_margin_call_has_a_deadline() -> None:
    """Called at once, forced when the time is up; a call that was answered lapses."""
    rules = preset(deadline_s=60, sizing="whole", order_limit="none", takeover_whole="0", takeover_partial="0")
    world = VenueWorld(2, rules)
    rows = [world.hold(i, 1_000, 20) for i in range(2)]
    world.quote(BUY, 953_000, 10_000)
    world.set_mark(954_000)
    one_round(world)
    assert of_kind(world, MARGIN_CALL)["account"].tolist() == rows and of_kind(world, LIQUIDATION).size == 0
    world.accounts.margin[0, rows[1]] += 10**9  # the second account answers
    world.settle_outside()
    world.set_mark(954_000)
    world.model.tick = 59
    one_round(world)
    assert of_kind(world, LIQUIDATION).size == 0
    world.model.tick = 60
    one_round(world)
    assert of_kind(world, LIQUIDATION)["account"].tolist() == [rows[0]]
    assert of_kind(world, FILL_EVENT)["account"].tolist() == [rows[0]]
    assert world.accounts.call_until_ms[0, rows[1]] == 0


def test_the_clearing_house_stands_in_for_what_the_margin_does_not_cover() -> None:
    """A regulated member closed beyond bankruptcy: the default fund pays the difference, nobody is deleveraged."""
    rules = preset(sizing="whole", order_limit="none", takeover_whole="0", takeover_partial="0", fee="0")
    closing = load_preset("regulated-2025-10").deleverage
    world = VenueWorld(1, rules.model_copy(update={"deleverage": closing}))
    row = world.hold(0, 1_000, 20)
    world.quote(BUY, 940_000, 10_000)
    world.set_mark(948_000)
    one_round(world)
    assert world.accounts.position[0, row] == 0 and int(world.accounts.cash[0, row]) == 0
    assert of_kind(world, BAD_DEBT)["amount"].tolist() == [1_000 * 10**6]


@pytest.mark.parametrize("name", ["binance-2025-10", "bybit-2025-10", "okx-2025-10", "hyperliquid-2025-10"])
def test_liquidation_price_is_the_root_at_every_tier_edge(name: str) -> None:
    """At the ladder's price equity is below maintenance, one tick further it is not: both sides, around each edge."""
    rules = load_preset(name)
    perp = rules.perpetual[0]
    sizes = []
    lot_value = float(perp.lot) * 100_000
    for tier in perp.tiers[1:12]:
        edge = round(float(tier.from_notional.replace("_", "")) / lot_value)
        sizes += [(edge - 1, tier.leverage), (edge, tier.leverage), (edge + 1, tier.leverage), (edge + edge // 7, 1)]
    sizes = [(size, leverage) for size, leverage in sizes if 0 < size < 10**8]
    world = VenueWorld(2 * len(sizes), rules)
    rows = [
        world.hold(2 * i + n, side * size, max(leverage, 1))
        for i, (size, leverage) in enumerate(sizes)
        for n, side in enumerate((1, -1))
    ]
    a, m, markets = world.accounts, world.perp, world.markets
    for row, ticks in zip(rows, world.desk.ladder.liquidation_ticks(rows).tolist(), strict=True):
        held = int(a.position[0, row])
        side = 1 if held > 0 else -1
        if ticks == 0:
            continue
        for price, below in ((ticks, True), (ticks + side, False)):
            value = held * price * int(markets.tick_value[m])
            equity = int(a.margin[0, row]) + value - int(a.entry_cost[0, row])
            owed = int(maintenance_of(np.array([abs(value)]), markets, m)[0])
            assert (equity < owed) == below, f"{name}, {held} lots at {price}"
