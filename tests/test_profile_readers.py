"""Readers of published liquidation prices: the published lots, who sells ahead of them, who waits there, by formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abm.model import MarketModel
from abm.scenario import load_scenario
from abm.state import BUY, CANCEL, IOC, LIMIT, MESSAGE, NOBODY, POST_ONLY, SELL
from abm.traders.base import Batch, View
from abm.traders.profile_readers import (
    Predators,
    PredatorsParameters,
    Providers,
    ProvidersParameters,
)
from abm.venues.profile import Profile
from tests.traders_world import PERP, Stage

MARK = 1_000_000
"""100,000 dollars in ticks of 0.1; a lot is 0.001 BTC, 100 dollars."""


class Published:
    """In place of the policy: whatever the test says was published."""

    def __init__(self, profile: Profile | None) -> None:
        self.profile = profile

    def published(self, market: int) -> Profile | None:
        assert market == PERP
        return self.profile


def profile_of(lots: list[float], step: float = 0.01) -> Profile:
    """The given lots in steps around the mark."""
    half = len(lots) // 2
    return Profile(MARK, MARK * (1.0 + step * np.arange(-half, half + 1)), np.array(lots))


LONGS = profile_of([6_000.0, 2_000.0, 8_000.0, 0.0, 1_000.0, 0.0])
"""8 BTC of longs fail within 1 % below the mark, 2 in the next step, 6 in the third; 1 BTC of shorts 1 to 2 % above."""


def staged(profile: Profile | None, kind: type[Any], parameters: Any) -> tuple[Stage, Any]:
    stage = Stage(1, (kind, parameters))
    readers = stage.people[0]
    readers._disclosure = Published(profile)
    batch = np.zeros(2, MESSAGE)
    batch["op"], batch["market"], batch["account"], batch["order"] = LIMIT, PERP, NOBODY, NOBODY
    batch["side"], batch["price_ticks"], batch["size_lots"] = (BUY, SELL), (MARK - 1, MARK + 1), 10**8
    stage.trade(batch)
    return stage, readers


def seen(stage: Stage, last: int = MARK, **changes: Any) -> View:
    at = np.array([last] * 2)
    return stage.view(last_ticks=at, mark_ticks=at, **changes)


def turn(stage: Stage, readers: Any, view: View) -> np.ndarray:
    """Ask one by one, execute, hand back the handles."""
    batch = Batch()
    readers.decide(view, batch)
    messages = batch.messages().copy()
    readers.after_trade(stage.trade(messages.copy())[2], 0)
    return messages


# --- what is published ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("low", "high", "longs", "shorts"),
    [
        (0.98, 1.0, 10_000, 0),
        (0.985, 1.0, 9_000, 0),  # half of the second step
        (0.9, 1.1, 16_000, 1_000),
        (0.97, 0.98, 6_000, 0),
        (1.0, 1.015, 0, 500),
        (1.0, 0.98, 0, 0),
    ],
)
def test_lots_between_prices(low: float, high: float, longs: float, shorts: float) -> None:
    assert LONGS.longs_between(MARK * low, MARK * high) == pytest.approx(longs)
    assert LONGS.shorts_between(MARK * low, MARK * high) == pytest.approx(shorts)


# --- predators --------------------------------------------------------------------------------------------------------
def hunters(**changes: Any) -> PredatorsParameters:
    values = {"traders": 1, "share": 0.5, "hunt_reach": 0.02, "least_usd": 0.0, "speed_s": 10.0, "slip": 0.05}
    return PredatorsParameters(**{**values, **changes})


def test_predators_go_to_the_formula_at_their_speed() -> None:
    """Share 0.5 of shorts less longs within 2 %: 0.5 (1 - 10) BTC, approached with a time constant of 10 s."""
    stage, readers = staged(LONGS, Predators, hunters())
    for tick in range(1, 41):
        stage.tick = tick
        messages = turn(stage, readers, seen(stage))
        held = int(stage.accounts.position[0, 0])
        assert held == pytest.approx(-4_500 * (1.0 - np.exp(-tick / 10.0)), abs=20)
        assert (messages["side"] == SELL).all() and (messages["op"] == IOC).all()


def test_predators_buy_back_when_the_longs_are_gone() -> None:
    """Behind the published lots nothing is left to hunt: below the third step they cover, whatever the price."""
    stage, readers = staged(LONGS, Predators, hunters(speed_s=1e-3))
    turn(stage, readers, seen(stage))
    assert stage.accounts.position[0, 0] == -4_500
    stage.tick = 1
    turn(stage, readers, seen(stage, round(0.985 * MARK)))  # half of the second step is left, and all of the third
    assert stage.accounts.position[0, 0] == pytest.approx(-3_500, abs=1)
    stage.tick = 2
    turn(stage, readers, seen(stage, round(0.97 * MARK)))
    assert stage.accounts.position[0, 0] == 0


def test_a_small_cluster_is_not_hunted() -> None:
    """10 BTC of longs at 100,000 dollars are a million."""
    for least, held in ((0.99e6, -5_000), (1.01e6, 0)):
        stage, readers = staged(profile_of([0.0, 2_000.0, 8_000.0, 0.0, 0.0, 0.0]), Predators,
                                hunters(least_usd=least, speed_s=1e-3))  # fmt: skip
        turn(stage, readers, seen(stage))
        assert stage.accounts.position[0, 0] == held


def test_capital_bounds_the_position() -> None:
    """100,000 dollars at 3x are 3 BTC."""
    stage, readers = staged(LONGS, Predators, hunters(capital_usd=1e5, leverage=3.0, speed_s=1e-3))
    turn(stage, readers, seen(stage))
    assert stage.accounts.position[0, 0] == pytest.approx(-3_000, abs=2)
    assert readers.measured()["position_btc"] == pytest.approx(-3.0, abs=0.002)
    assert readers.measured()["gained_usd"] == pytest.approx(0.0, abs=100.0)


# --- providers --------------------------------------------------------------------------------------------------------
def waiting(**changes: Any) -> ProvidersParameters:
    return ProvidersParameters(**{"traders": 2, "share": 0.5, "reach": 0.03, "hold_s": 60.0, **changes})


def test_providers_bid_a_share_where_longs_fail_and_replace_it() -> None:
    """Lower edges of the steps, half of the lots between two traders; the next profile takes the old quotes away."""
    stage, readers = staged(LONGS, Providers, waiting())
    messages = turn(stage, readers, seen(stage))
    mine = messages[messages["account"] == 0]
    found = [(int(m["side"]), int(m["price_ticks"]), int(m["size_lots"])) for m in mine]
    assert found == [(BUY, 990_000, 2_000), (BUY, 980_000, 500), (BUY, 970_000, 1_500), (SELL, 1_020_000, 250)]
    assert (messages["op"] == POST_ONLY).all()
    assert turn(stage, readers, seen(stage)).size == 0, "the same profile, no position: nothing to do"
    readers._disclosure.profile = profile_of([0.0, 0.0, 4_000.0, 0.0, 0.0, 0.0])
    messages = turn(stage, readers, seen(stage))
    assert (messages["op"] == CANCEL).sum() == 8
    assert messages[messages["op"] == POST_ONLY]["size_lots"].tolist() == [1_000, 1_000]


def test_providers_money_bounds_the_nearest_bids_first() -> None:
    """50,000 dollars each at 3x are 1.5 BTC: nothing is left for the second step."""
    stage, readers = staged(LONGS, Providers, waiting(capital_usd=1e5, leverage=3.0))
    messages = turn(stage, readers, seen(stage))
    bids = messages[(messages["account"] == 0) & (messages["side"] == BUY)]
    assert bids["size_lots"].tolist() == [1_500]


def test_providers_hand_on_what_they_hold_with_their_time_constant() -> None:
    stage, readers = staged(LONGS, Providers, waiting(traders=1))
    stage.accounts.position[0, 0] = 4_000
    readers.prepare(seen(stage))  # the profile has been read
    for tick in range(1, 121):
        stage.tick = tick
        turn(stage, readers, seen(stage))
        assert int(stage.accounts.position[0, 0]) == pytest.approx(4_000 * np.exp(-tick / 60.0), abs=40)


# --- in a market ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [Predators, Providers])
def test_nothing_published_nothing_done(kind: type[Any]) -> None:
    parameters = hunters() if kind is Predators else waiting()
    stage, readers = staged(None, kind, parameters)
    assert turn(stage, readers, seen(stage)).size == 0
    readers._disclosure = None
    assert turn(stage, readers, seen(stage)).size == 0


def minute(*kinds: str, published: bool = True, **parameters: Any) -> MarketModel:
    """A minute with news of -6 %, with readers of these kinds."""
    scenario = load_scenario("tiny").changed(
        {"policies.disclosure.every_s": 5} if published else {},
        duration_s=60,
        accounts=500,
        news=[{"name": "news", "at": "20:40:10", "over_s": 10, "change_percent": -6}],
        participants=[{"name": kind, "kind": f"profile-{kind}", "parameters": parameters} for kind in kinds],
    )
    model = MarketModel(scenario)
    while model.running:
        model.step()
    return model


def test_publishing_alone_changes_nothing() -> None:
    one, other = minute(published=False), minute()
    assert one.recorder.steps_array.tobytes() == other.recorder.steps_array.tobytes()


def test_in_a_fall_predators_earn_and_deepen_it_and_providers_buy() -> None:
    """The signs of both: who sells ahead makes it fall further; who waits is handed coins and makes it less deep."""
    nobody, hunted, caught = (
        minute(),
        minute("predators", least_usd=0.0, hunt_reach=0.02, speed_s=2.0),
        minute("providers", share=1.0),
    )
    lows = [model.recorder.steps_array["perp_usd"].min() for model in (nobody, hunted, caught)]
    predators, providers = hunted._joined[0].measured(), caught._joined[0].measured()
    assert predators["gained_usd"] > 0.0 >= predators["position_btc"]
    assert providers["position_btc"] > 0.0
    assert lows[1] < lows[0] < lows[2], lows
