"""Capital rule: the insurance fund holds at least a share of the open interest that it stands behind."""

from __future__ import annotations

from abm.parameters import Parameters, quantity
from abm.state import FUND
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW, Exchanges


class FundCapital(Parameters):
    """At the opening each venue's owners bring its fund up to `share` of its open interest; never less than it had."""

    share: float = quantity(..., unit="share", gt=0, le=1, source="policy", text="of the open interest at the mark")

    def begin(self, exchanges: Exchanges) -> None:
        """Opening balances of the funds, paid in from outside; before the opening is recorded."""
        floor = exchanges.floor
        accounts, markets = floor.accounts, floor.markets
        for venue in exchanges:
            missing: dict[int, int] = {}
            for desk in venue.desks:
                mine = (accounts.venue == venue.venue) & (accounts.position[desk.slot] > 0) & (accounts.kind < FUND)
                lots = int(accounts.position[desk.slot, mine].sum())
                worth = abs(int(markets.value(desk.market, lots, exchanges.mark_ticks[desk.market])))
                missing[desk.settle] = missing.get(desk.settle, 0) + round(self.share * worth)
            for asset, wanted in missing.items():
                more = wanted - int(accounts.cash[asset, venue.fund_row])
                if more > 0:
                    accounts.cash[asset, venue.fund_row] += more
                    accounts.cash[asset, venue.fund_row - FUND_ROW + OUTSIDE_ROW] -= more
        exchanges.note_opening_funds()
