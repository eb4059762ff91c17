"""Compiled margin checks: a ladder of liquidation prices and a full scan, for the classes of `margin`.

Ladder state of one market, rows of accounts R, price levels L:
heads int32 (2L,): first row + 1 of each bucket, 0 = empty; buckets 0..L-1 hold longs, L..2L-1 shorts.
after, before int32 (R,): neighbours in the bucket, -1 = none; of a pending row `after` is its index in `pending`.
place int32 (R,): bucket, OUT or PENDING.
threshold int64 (R,): exact liquidation tick, negative for shorts, 0 = none. A row is below maintenance when
side * mark <= threshold, with the sign of the threshold as side.
pending int32 (R,): rows below maintenance at the last mark, the first state[1] entries, unordered.
state int64 (2,): last mark in ticks, number of pending rows.
Between calls no bucket holds a row that is below maintenance at state[0].
"""

from __future__ import annotations

from typing import Any

from abm.compiled import kernel
from abm.state import FUND, ISOLATED
from abm.units import BEYOND_ANY_PRICE, INT64_MAX, RATE_ONE, at_rate_ceil, inverse_price, mul_div_floor

OUT = -1
PENDING = -2


@kernel
def rebucket(
    rows: Any,
    venue_id: int,
    slot: int,
    tick_value: int,
    inverse: int,
    margin_share: int,
    base_tick: int,
    levels: int,
    kind: Any,
    venue: Any,
    mode: Any,
    backed: Any,
    peers: Any,
    cash: Any,
    margin: Any,
    position: Any,
    entry_cost: Any,
    tier_floor: Any,
    tier_rate: Any,
    tier_amount: Any,
    heads: Any,
    after: Any,
    before: Any,
    place: Any,
    threshold: Any,
    pending: Any,
    state: Any,
) -> None:
    """Recompute the liquidation tick of `rows` and put each where it belongs.

    cash, margin and entry_cost are the (R,) rows of the market's settlement asset and slot, position the whole (K, R)
    table, `peers` bool (K,) the slots that settle in the same asset, the tiers (T,). Left out: rows without a position
    here, of other venues or of the venue itself, longs that owe nothing, and cross rows that also hold a peer or other
    collateral (`backed`): these have no single liquidation price (`abm.clearing.cross` covers them).
    """
    mark = state[0]
    count = state[1]
    for n in range(rows.size):
        row = rows[n]
        where = place[row]
        if where >= 0:
            a = after[row]
            b = before[row]
            if b >= 0:
                after[b] = a
            else:
                heads[where] = a + 1
            if a >= 0:
                before[a] = b
        elif where == PENDING:
            count -= 1
            other = pending[count]
            pending[after[row]] = other
            after[other] = after[row]
        place[row] = OUT
        threshold[row] = 0
        lots = position[slot, row]
        if lots == 0 or venue[row] != venue_id or kind[row] >= FUND:
            continue
        if mode[row] == ISOLATED:
            cushion = margin[row] - at_rate_ceil(margin[row], margin_share) - entry_cost[row]
        else:
            elsewhere = backed[row]
            for k in range(peers.size):
                if k != slot and peers[k] and position[k, row] != 0:
                    elsewhere = True
            if elsewhere:
                continue
            cushion = cash[row] - entry_cost[row]
        # Maintenance is the largest of the tiers' lines: each tier bounds the safe notional, the tightest bound holds.
        # Tiers that begin beyond the bound found so far cannot bind.
        if (lots > 0) == (inverse == 0):
            safe_from = -INT64_MAX
            for t in range(tier_floor.size):
                if t > 0 and tier_floor[t] > safe_from:
                    break
                bound = -mul_div_floor(cushion + tier_amount[t], RATE_ONE, RATE_ONE - tier_rate[t])
                safe_from = max(safe_from, bound)
            if safe_from <= 0:
                continue
            if inverse == 0:
                tick = (safe_from - 1) // (lots * tick_value)
            else:
                tick = inverse_price(-lots, safe_from - 1, inverse)
            if tick <= 0:
                continue
        else:
            safe_to = INT64_MAX
            for t in range(tier_floor.size):
                if tier_floor[t] > safe_to or tier_floor[t] == INT64_MAX:
                    break
                bound = mul_div_floor(cushion + tier_amount[t], RATE_ONE, RATE_ONE + tier_rate[t])
                safe_to = min(safe_to, bound)
            if inverse == 0:
                tick = max(1, safe_to // (-lots * tick_value) + 1)
            elif safe_to < 0:
                tick = BEYOND_ANY_PRICE
            else:
                tick = inverse_price(lots, safe_to, inverse) - 1
                if tick <= 0:
                    continue
        side = 1 if lots > 0 else -1
        threshold[row] = side * tick
        if side * mark <= side * tick:
            place[row] = PENDING
            after[row] = count
            pending[count] = row
            count += 1
        else:
            where = min(max(tick - base_tick, 0), levels - 1)
            if side < 0:
                where += levels
            head = heads[where] - 1
            after[row] = head
            before[row] = -1
            if head >= 0:
                before[head] = row
            heads[where] = row + 1
            place[row] = where
    state[1] = count


@kernel
def advance(
    mark: int,
    base_tick: int,
    levels: int,
    heads: Any,
    after: Any,
    before: Any,
    place: Any,
    threshold: Any,
    pending: Any,
    state: Any,
) -> None:
    """Move the mark: pending rows that are safe again go back, rows between the old and the new mark become pending.

    End buckets also hold rows whose tick lies outside the ladder, so a popped row is checked against its exact tick.
    """
    last = state[0]
    count = state[1]
    i = 0
    while i < count:
        row = pending[i]
        tick = threshold[row]
        side = 1 if tick > 0 else -1
        if side * mark <= tick:
            i += 1
            continue
        count -= 1
        other = pending[count]
        pending[i] = other
        after[other] = i
        where = min(max(side * tick - base_tick, 0), levels - 1)
        if side < 0:
            where += levels
        head = heads[where] - 1
        after[row] = head
        before[row] = -1
        if head >= 0:
            before[head] = row
        heads[where] = row + 1
        place[row] = where
    side = 1 if mark < last else -1
    first = min(max(last - side - base_tick, 0), levels - 1)
    end = min(max(mark - base_tick, 0), levels - 1)
    crossed_levels = side * (first - end) + 1 if mark != last else 0
    where = first if side > 0 else first + levels
    for _ in range(crossed_levels):
        row = heads[where] - 1
        heads[where] = 0
        while row >= 0:
            following = after[row]
            if side * mark <= threshold[row]:
                place[row] = PENDING
                after[row] = count
                pending[count] = row
                count += 1
            else:
                head = heads[where] - 1
                after[row] = head
                before[row] = -1
                if head >= 0:
                    before[head] = row
                heads[where] = row + 1
            row = following
        where -= side
    state[0] = mark
    state[1] = count


@kernel
def scan(
    first_row: int,
    end_row: int,
    venue_id: int,
    marks: Any,
    tick_values: Any,
    kind: Any,
    venue: Any,
    mode: Any,
    cash: Any,
    margin: Any,
    position: Any,
    entry_cost: Any,
    tier_floor: Any,
    tier_rate: Any,
    tier_amount: Any,
    found: Any,
) -> int:
    """Rows of a venue from first_row to end_row - 1 below maintenance, ascending, into `found`; returns their number.

    marks, tick_values (K,); cash (R,) of the settlement asset; margin, position, entry_cost (K, R); tiers (K, T). A
    cross row is below when cash plus profits < the sum of its requirements; an isolated row when any of its positions
    is.
    """
    instruments = marks.size
    tiers = tier_floor.shape[1]
    candidates = 0
    if instruments == 1:
        # First sweep: a row is safe for certain if its equity exceeds the next power of two above the lowest rate, e.g.
        # 1/128 of its notional value, and its tier asks for no more than that. Keep the others, which are few.
        shift = 0
        while shift < 26 and tier_rate[0, 0] << (shift + 1) <= RATE_ONE:
            shift += 1
        light = INT64_MAX
        for t in range(tiers - 1, -1, -1):
            if tier_rate[0, t] << shift > RATE_ONE:
                light = tier_floor[0, t]
        # Slices counted from 0: the compiler then knows that no index is negative, which halves the time.
        lots_of = position[0, first_row:end_row]
        cost_of = entry_cost[0, first_row:end_row]
        margin_of = margin[0, first_row:end_row]
        cash_of = cash[first_row:end_row]
        mode_of = mode[first_row:end_row]
        unit = marks[0] * tick_values[0]
        for i in range(lots_of.size):
            value = lots_of[i] * unit
            notional = abs(value)
            wealth = cash_of[i] + mode_of[i] * (margin_of[i] - cash_of[i])
            equity = wealth + value - cost_of[i]
            if (notional >= light or equity <= (notional >> shift)) and notional > 0:
                found[candidates] = first_row + i
                candidates += 1
    else:
        for row in range(first_row, end_row):
            found[candidates] = row
            for k in range(instruments):
                if position[k, row] != 0:
                    candidates += 1
                    break
    count = 0
    for i in range(candidates):
        row = found[i]
        isolated = mode[row] == ISOLATED
        below = False
        spare = cash[row]
        for k in range(instruments):
            value = position[k, row] * marks[k] * tick_values[k]
            notional = abs(value)
            t = 0
            while t + 1 < tiers and tier_floor[k, t + 1] <= notional:
                t += 1
            # ceil(notional * rate) in two parts, as the whole product may not fit.
            whole = notional // RATE_ONE
            rest = (notional - whole * RATE_ONE) * tier_rate[k, t]
            owed = whole * tier_rate[k, t] + (rest + RATE_ONE - 1) // RATE_ONE - tier_amount[k, t]
            own = value - entry_cost[k, row] - owed
            spare += own
            if isolated and margin[k, row] + own < 0 and value != 0:
                below = True
        if not isolated:
            below = spare < 0
        if below and venue[row] == venue_id and kind[row] < FUND:
            found[count] = row
            count += 1
    return count


FINE, BROKEN_LIST, IS_BELOW, WRONG_BUCKET, BROKEN_PENDING, LOST = range(6)
"""What `inspect` finds."""


@kernel
def inspect(
    filled: Any,
    base_tick: int,
    levels: int,
    heads: Any,
    after: Any,
    before: Any,
    place: Any,
    threshold: Any,
    pending: Any,
    state: Any,
    seen: Any,
) -> tuple[int, int]:
    """Follow every list: (FINE, 0), or what is wrong and with which row.

    `filled` int64: the buckets that hold a row; `seen` int64 (R,) is overwritten.
    """
    seen[:] = OUT
    mark = state[0]
    for n in range(filled.size):
        where = filled[n]
        row = heads[where] - 1
        previous = -1
        while row >= 0:
            if seen[row] != OUT or before[row] != previous:
                return BROKEN_LIST, row
            side = 1 if where < levels else -1
            tick = side * threshold[row]
            if tick <= 0 or side * mark <= side * tick:
                return IS_BELOW, row
            if where % levels != min(max(tick - base_tick, 0), levels - 1):
                return WRONG_BUCKET, row
            seen[row] = where
            previous = row
            row = after[row]
    for i in range(state[1]):
        row = pending[i]
        if seen[row] != OUT or after[row] != i:
            return BROKEN_PENDING, row
        seen[row] = PENDING
    for row in range(seen.size):
        if seen[row] != place[row]:
            return LOST, row
    return FINE, 0
