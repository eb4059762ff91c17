"""A regulated venue that closes while the rest of the world trades on opens with a gap, by one auction."""

from __future__ import annotations

import numpy as np

from abm.events import FILL_EVENT, HALT, REOPEN
from abm.model import MarketModel
from abm.recorder import Recorder
from abm.state import PERPETUAL


def test_weekend_gap() -> None:
    model = MarketModel("weekend-gap", accounts=300, recorder=Recorder("fills"))
    lead, closed = np.flatnonzero(model.markets.kind == PERPETUAL).tolist()
    dollars = model.markets.tick_dollars
    while model.tick < 1_500:
        model.step()
    index = float(model.exchanges.index_ticks[closed] * dollars[closed])
    before = float(model.exchanges.last_ticks()[closed] * dollars[closed])
    events = model.recorder.events_array
    halts, opens = (events[events["kind"] == kind] for kind in (HALT, REOPEN))
    assert halts["market"].tolist() == opens["market"].tolist() == [closed]
    assert (int(halts["tick"][0]), int(opens["tick"][0])) == (300, 1_500)
    fills = events[events["kind"] == FILL_EVENT]
    there = fills[fills["market"] == closed]["tick"]
    assert (there < 300).any() and not ((there > 300) & (there < 1_500)).any(), "nothing trades while it is closed"
    assert (fills[fills["market"] == lead]["tick"] > 300).any()
    auction = float(opens["price_ticks"][0] * dollars[closed])
    last = float(halts["price_ticks"][0] * dollars[closed])
    assert auction < 0.95 * last, "the gap"
    assert abs(auction / index - 1) < 0.03 and abs(before / index - 1) < 0.03, "it opens near the price elsewhere"
