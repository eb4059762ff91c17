"""The audit of a tick: what changed in the accounts that anything was posted to must add up to nothing."""

from __future__ import annotations

from abm.compiled import kernel
from abm.state import I32, I64, NOBODY


@kernel
def add_changes(
    rows: I64,
    venue: I32,
    perp_of_slot: I32,
    market_settle: I32,
    cash: I64,
    margin: I64,
    position: I64,
    entry_cost: I64,
    seen_money: I64,
    seen_lots: I64,
    money: I64,
    lots: I64,
    longs: I64,
) -> None:
    """Add what is new since the last audit of `rows` (n,), in which a row may stand twice; then it counts as seen.

    venue (R,), perp_of_slot (V, K), market_settle (M,), cash (A, R), margin, position and entry_cost (K, R) as in
    `Accounts`. Changed: seen_money (A, R), cash + margin - entry cost at the last audit; seen_lots (K, R); the sums
    money (V, A) units, lots and longs (V, K).
    """
    for i in range(rows.size):
        row = rows[i]
        v = venue[row]
        for asset in range(cash.shape[0]):
            now = cash[asset, row]
            for slot in range(position.shape[0]):
                perp = perp_of_slot[v, slot]
                if perp != NOBODY and market_settle[perp] == asset:
                    now += margin[slot, row] - entry_cost[slot, row]
            money[v, asset] += now - seen_money[asset, row]
            seen_money[asset, row] = now
        for slot in range(position.shape[0]):
            held, before = position[slot, row], seen_lots[slot, row]
            lots[v, slot] += held - before
            longs[v, slot] += max(held, 0) - max(before, 0)
            seen_lots[slot, row] = held
