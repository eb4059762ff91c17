"""How a simulation is put together: markets, rows, participants, opening balances. Used once, by `MarketModel`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from abm.book.books import Books
from abm.clearing.trading import TradingFloor
from abm.events import EventLog
from abm.policies import PolicyBook
from abm.scenario_alts import alt_setups
from abm.scenario_venues import VenueSetup
from abm.state import FEES, FUND, FUNDING_REMAINDER, I64, OUTSIDE, PERPETUAL, ROUNDING, SPOT, Accounts
from abm.traders.alt_retail import AltRetail, pledge
from abm.traders.arbitrageurs import Arbitrageurs
from abm.traders.base import Participant, World
from abm.traders.bridges import Bridges
from abm.traders.hedgers import Hedgers
from abm.traders.kinds import kind_class
from abm.traders.makers import Makers
from abm.traders.noise import Noise
from abm.traders.peg_market import PegMarket
from abm.traders.pool import Pool
from abm.traders.retail import RetailCohort
from abm.traders.retail_trader import individually
from abm.traders.treasury import Treasury
from abm.traders.value_buyers import ValueBuyers, ValueSellers
from abm.units import MICRO, rate_units
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW, VENUE_ROWS, Exchange, Exchanges
from abm.venues.preset import asset_names, build_markets
from abm.world_alts import AltFairValue, ValuesBeside, alt_value, pegged_value

if TYPE_CHECKING:
    from abm.model import MarketModel

LEVELS = 1 << 20
"""Ticks that a book covers at first, three quarters of them below the opening price; it grows when needed."""
DAY_S = 86_400


@dataclass(slots=True)
class Place:
    """One venue of the world, or an altcoin at the lead venue: its markets, first account row, and who trades there.

    `number` is that of the venue; `seat` that of its traders' view: venues first, then altcoins. An altcoin has a
    `coin` and a `value`.
    """

    number: int
    setup: VenueSetup
    perp: int
    spot: int
    seat: int
    coin: str = ""
    value: AltFairValue | None = None
    first_row: int = 0
    makers: Makers = field(init=False)
    retail: RetailCohort = field(init=False)
    hedgers: Hedgers = field(init=False)
    treasuries: list[Treasury] = field(init=False)
    joined: list[Participant] = field(init=False)
    in_row_order: list[Participant] = field(init=False)

    @property
    def name(self) -> str:
        """Name of the venue."""
        return self.setup.preset.name


class Opening:
    """Everything a `MarketModel` starts with.

    Row layout: venue by venue, in each the venue's own rows, then its participants, those last that not every
    scenario has, so that nobody else's luck depends on them; at the end those who trade between venues. `level` is
    what the event log keeps (`abm.events.LEVELS`). `start_ticks` int64 (M,): opening price of each market.
    `places` are the venues, the lead venue first.
    """

    def __init__(self, model: MarketModel, level: str) -> None:
        self.model, self.scenario = model, model.setup
        setups = self.scenario.venue_setups()
        presets = [setup.preset for setup in setups]
        self.markets = build_markets(presets)
        self.policies = PolicyBook(self.scenario.policies)
        self.policies.prepare(self.markets)
        self.assets = asset_names(presets)
        self.places = [
            Place(number, setup, self._first(number, PERPETUAL), self._first(number, SPOT), number)
            for number, setup in enumerate(setups)
        ]
        self.log = EventLog(level)
        self.people: list[Participant] = []
        self.machines: list[Participant | Exchange] = []
        for place in self.places:
            self._participants(model, place, RetailCohort(model, place.setup.retail))
        self.alts: list[Place] = []
        self.pegs: list[PegMarket] = []
        self.values = self._beside(model) if self.scenario.alts or self.scenario.collateral else None
        start_usd = self.values.usd if self.values else self.scenario.world.start_price_usd
        self.start_ticks = np.rint(start_usd / self.markets.tick_dollars).astype(np.int64)
        linked = len(self.places) > 1 and self.scenario.bridges.capital_coins > 0
        self.bridges = Bridges(model, self.policies.obeying(self.scenario.bridges)) if linked else None
        self._rows()
        self.books = self._books()
        self.floor = TradingFloor(self.markets, self.accounts, self.books, self.log, self.scenario.seed)
        self._bind()
        self.floor.net_lots[:] = self.accounts.position.reshape(-1)
        self.exchanges = Exchanges(
            [self._exchange(model, place) for place in self.places], self.floor, self.assets, self.start_ticks
        )
        self.policies.begin(self.exchanges)
        self.exchanges.watchers.append(self.policies)
        self.machines += [self.bridges] if self.bridges is not None else []
        self.machines += list(self.exchanges)

    def _first(self, venue: int, kind: int, asset: str = "") -> int:
        here = (self.markets.venue == venue) & (self.markets.kind == kind)
        if asset:
            here &= self.markets.base == self.assets.index(asset)
        return int(np.flatnonzero(here)[0])

    def _beside(self, model: MarketModel) -> ValuesBeside:
        """Altcoins and the markets of other collateral at the lead venue, and what they are worth."""
        s, lead = self.scenario, self.places[0]
        for seat, (coin, setup) in enumerate(alt_setups(s, lead.setup), len(self.places)):
            perp, spot = (self._first(0, kind, coin.name) for kind in (PERPETUAL, SPOT))
            self.alts.append(Place(0, setup, perp, spot, seat, coin.name, alt_value(s, coin, setup.seed)))
            self._participants(model, self.alts[-1], AltRetail(model, setup.retail, coin.shared, lead.retail))
        traded = {int(self.markets.base[place.spot]) for place in (lead, *self.alts)}
        pegged = []
        for item in s.collateral:
            if self.assets.index(item.name) in traded:
                continue  # a coin of this world
            self.pegs.append(PegMarket(model, item.market))
            self.pegs[-1].market, self.pegs[-1].name = self._first(0, SPOT, item.name), item.name
            pegged.append((pegged_value(s, item), self.pegs[-1].market))
        self.people += self.pegs
        coins = [(alt.value, (alt.perp, alt.spot)) for alt in self.alts if alt.value]
        return ValuesBeside(s.world.start_price_usd, self.markets.count, coins, pegged)

    def _participants(self, model: MarketModel, place: Place, retail: RetailCohort) -> None:
        s, obeying = place.setup, self.policies.obeying
        place.retail, place.makers = retail, Makers(model, obeying(self.policies.oblige(s.makers)))
        place.hedgers = Hedgers(model, obeying(s.hedgers))
        noise, value = Noise(model, s.noise), ValueBuyers(model, obeying(s.value_buyers))
        sellers = [ValueSellers(model, obeying(s.value_sellers))] if s.value_sellers.coins > 0 else []
        pool = [Pool(model, obeying(s.pool))] if s.pool.capital_usd > 0 else []
        arbitrage = Arbitrageurs(model, obeying(s.arbitrageurs))
        place.treasuries = [Treasury(model, p) for p in s.treasuries]
        place.joined = self._joined(model, place)
        self.people += [place.retail, noise, value, *sellers, place.hedgers, *place.treasuries]
        self.people += [one for one in place.joined if not one.machine]
        self.machines += [place.makers, *pool, arbitrage, *(one for one in place.joined if one.machine)]
        place.in_row_order = [
            place.makers, *pool, arbitrage, place.hedgers, noise, value, *place.treasuries, place.retail, *sellers,
            *place.joined,
        ]  # fmt: skip
        for participant in place.in_row_order:
            participant.venue, participant.seat = place.number, place.seat

    def _joined(self, model: MarketModel, place: Place) -> list[Participant]:
        """The participants that the scenario names for this venue."""
        lead = self.scenario.venue.name
        found = []
        for entry in self.scenario.participants:
            if (entry.venue or lead) == place.name and not place.coin:
                found.append(kind_class(entry.kind)(model, entry.checked()))
                found[-1].name = entry.name
        return found

    def _rows(self) -> None:
        """Who has which account rows; rows of a venue stand together."""
        at = 0
        self._bridge_rows: list[I64] = []
        for place in self.places:
            place.first_row = at
            at += len(VENUE_ROWS)
            for participant in self._here(place):
                n = participant.rows_needed()
                participant.rows = np.arange(at, at + n, dtype=np.int64)
                at += n
            n = self.bridges.rows_needed() if self.bridges is not None else 0
            self._bridge_rows.append(np.arange(at, at + n, dtype=np.int64))
            at += n
        slots = int(self.markets.slot.max()) + 1
        self.accounts = Accounts.empty(at, len(self.assets), slots)
        for place in self.places:
            self.accounts.venue[place.first_row :] = place.number
            venue_rows = slice(place.first_row, place.first_row + len(VENUE_ROWS))
            self.accounts.kind[venue_rows] = OUTSIDE, FEES, FUNDING_REMAINDER, ROUNDING, FUND

    def _here(self, place: Place) -> list[Participant]:
        """Who has rows at a venue, in their order: behind the lead venue's traders those of altcoins and collateral."""
        beside = [one for alt in self.alts for one in alt.in_row_order] + self.pegs
        return place.in_row_order + (beside if place is self.places[0] else [])

    @property
    def everyone(self) -> list[Participant]:
        """All participants with rows at one venue, in the order of their rows."""
        return [one for place in self.places for one in self._here(place)]

    def _books(self) -> Books:
        base = [max(int(ticks) - (3 * LEVELS) // 4, 1) for ticks in self.start_ticks]
        modes = [self.places[venue].setup.preset.self_trade_mode for venue in self.markets.venue.tolist()]
        return Books(self.markets.count, base, [LEVELS] * self.markets.count, modes, capacity=1 << 16)

    def _exchange(self, model: MarketModel, place: Place) -> Exchange:
        seconds = int(self.scenario.start.timestamp())
        preset, funding = place.setup.preset, place.setup.last_funding_bp
        return Exchange(
            model, place.number, preset, self.floor, place.first_row, self.start_ticks, funding, seconds % DAY_S,
            seconds // DAY_S * DAY_S * 1000,
        )  # fmt: skip

    def _bind(self) -> None:
        """Opening state of every venue; then what comes from outside is booked there."""
        worlds = [self._bind_place(place) for place in self.places]
        for place in self.places:
            fund: I64 = np.array([place.first_row + FUND_ROW])
            self.accounts.cash[worlds[place.number].usdt, fund] += place.setup.preset.backstop.size_usd * MICRO
            here = self.markets.venue == place.number
            self.floor.seeds[here], self.floor.first_row[here] = place.setup.seed, place.first_row
        if self.values:
            self._bind_beside(worlds[0])
        outside = [place.first_row + OUTSIDE_ROW for place in self.places]
        if self.bridges is not None:
            self.bridges.bind_all(worlds, self._bridge_rows, outside)
        a = self.accounts
        for place, world in zip(self.places, worlds, strict=True):
            own = a.venue == place.number
            row = place.first_row + OUTSIDE_ROW
            a.cash[:, row] = -a.cash[:, own].sum(axis=1)
            a.cash[world.usdt, row] -= int((a.margin[:, own] - a.entry_cost[:, own]).sum())
        for place in (*self.places, *self.alts) if self.scenario.individual else ():
            individually(place.retail)

    def _bind_beside(self, world: World) -> None:
        """Altcoins, then other collateral; `world` is the lead venue's."""
        for place in self.alts:
            self._bind_place(place)
        for peg in self.pegs:
            peg.bind(world)
        preset, markets = self.places[0].setup.preset, self.markets
        stated = {asset.name: asset.haircut for asset in preset.assets}
        for item in self.scenario.collateral:
            asset, spot = self.assets.index(item.name), self._first(0, SPOT, item.name)
            price = int(self.start_ticks[spot] * markets.tick_value[spot])
            haircut = rate_units(stated[item.name] or "0")
            unit = int(markets.lot_units[spot])
            pledge(self.places[0].retail, asset, price, unit, haircut, item.accounts, item.replaced)

    def _bind_place(self, place: Place) -> World:
        """Deposits and opening positions; the hedgers hold what makes the positions sum to zero."""
        start, markets, setup = self.scenario.start, self.markets, place.setup
        usdt, btc = int(markets.settle[place.perp]), int(markets.base[place.spot])
        world = World(
            setup.seed, markets, self.accounts, self.books, place.perp, place.spot, usdt, btc, self.start_ticks,
            float(start.hour * 3600 + start.minute * 60 + start.second), start,
        )  # fmt: skip
        for participant in place.in_row_order:
            participant.bind(world)
        own = self.accounts.venue == place.number
        place.hedgers.balance(world, -int(self.accounts.position[int(markets.slot[place.perp]), own].sum()))
        return world
