"""Scenario tables run on the real engine. Their language stands in `tests/scenarios/README.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from abm import events
from abm.state import BUY, CANCELLED, CROSS, ISOLATED, LIMIT, SELL, UNCOVERED
from abm.venues.exchange import FUND_ROW, OUTSIDE_ROW
from abm.venues.preset import TierRow, VenuePreset, load_preset
from tests.venue_world import DEEP_POCKET, FIRST, VenueWorld

SECONDS, PARTIES = {"s": 1, "min": 60, "h": 3600}, ("account", "counterparty")


class TableError(ValueError):
    """A line that cannot be read, or a table that contradicts itself."""


class Line(NamedTuple):
    number: int
    words: list[str]
    expected: list[str]


@dataclass
class Story:
    """One case of a file: settings and steps, accounts, final balances (the first row is their header)."""

    name: str
    lines: list[Line] = field(default_factory=list)
    accounts: list[tuple[int, list[str]]] = field(default_factory=list)
    after: list[tuple[int, list[str]]] = field(default_factory=list)

    def said(self, word: str) -> list[list[str]]:
        """What stands behind this first word, line by line."""
        return [line.words[1:] for line in self.lines if line.words[0] == word]


def number(text: str) -> Decimal:
    """A number as people write it."""
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise TableError(f"{text!r} is not a number") from None


def plain(value: Decimal) -> str:
    """Without zeros at the end, never in powers of ten."""
    return re.sub(r"\.?0*$", "", f"{value:f}") if "." in f"{value:f}" else f"{value:f}"


def same_words(text: str) -> str:
    """One way of writing it: no notes, no commas in numbers, single spaces."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", re.sub(r"\([^)]*\)", "", text))
    return " ".join(re.sub(r"(?<![\w.])\d+\.\d+", lambda m: plain(Decimal(m[0])), text).split())


def stories(path: Path) -> list[Story]:
    """The cases of a file; what stands before the first belongs to each."""
    shared, found = Story(path.stem), list[Story]()
    now, table = shared, shared.accounts
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        cells = [cell.strip() for cell in text.split("|")]
        statement, arrow, outcome = text.partition("->")
        if text.startswith("case "):
            now = Story(f"{path.stem}: {text[5:]}", [*shared.lines], [*shared.accounts], [*shared.after])
            found.append(now)
        elif arrow:
            if statement.strip():
                now.lines.append(Line(n, statement.split(), []))
            now.lines[-1].expected.extend(same_words(part) for part in outcome.split("|"))
        elif len(cells) > 1:
            table = {"account": now.accounts, "after": now.after}.get(cells[0], table)
            if cells[0] != "account":
                table.append((n, cells))
        elif text:
            now.lines.append(Line(n, text.split(), []))
    return found or [shared]


def changed(preset: VenuePreset, path: str, text: str) -> VenuePreset:
    """The rule book with one other value, checked like a file."""
    group, _, name = path.partition(".")
    part: Any = getattr(preset, group, None)
    update: dict[str, Any] = {}
    if path == "fees":
        update = {"taker_fee": text, "maker_fee": text}
    elif path == "band":
        update = dict.fromkeys(("price_band", "price_filter"), plain(number(text.rstrip("% ")) / 100))
    elif path == "margin":
        rate, leverage = text.replace("%", "").rstrip("x").split()
        tier = {"from_notional": "0", "amount": "0", "maintenance": plain(number(rate) / 100)}
        update = {"tiers": (TierRow(**tier, leverage=int(leverage)),)}
    if update:
        return preset.model_copy(update={"perpetual": tuple(p.model_copy(update=update) for p in preset.perpetual)})
    if not hasattr(part, name):
        raise TableError(f"no rule is called {path!r}")
    return preset.model_copy(update={group: type(part).model_validate({**dict(part), name: text})})


class Run:
    """One story on the engine: prices in ticks, sizes in lots, money in units; the text has dollars and coins."""

    def __init__(self, story: Story) -> None:
        self.story = story
        for word in ("venue", "price", "fund"):
            if not story.said(word):
                raise TableError(f"{story.name}: no line '{word} ...'")
        prices = {words[0] if len(words) > 1 else "": float(number(words[-1])) for words in story.said("price")}
        self.preset = self._preset(*story.said("venue")[0], priced=set(prices))
        prices = {asset.name: prices.get(asset.name, prices.get("", 1.0)) for asset in self.preset.assets}
        rows = list(dict.fromkeys(cells[0] for _, cells in story.accounts))
        self.world = world = VenueWorld(len(rows), self.preset, prices, fund_usd=0, level="orders")
        self.rows = {name: FIRST + i for i, name in enumerate(rows)} | {"book": DEEP_POCKET, "fund": FUND_ROW}
        self.rules = {world.market_of(r.name): r for r in (*self.preset.spot, *self.preset.perpetual)}
        self.units = [Decimal(asset.unit) for asset in self.preset.assets]
        self.settle = int(world.markets.settle[world.perp])
        world.accounts.cash[self.settle, FUND_ROW] = self.whole(self.units[self.settle], story.said("fund")[0][0])
        for n, cells in story.accounts:
            with self.at(n):
                if len(cells) != 4:
                    raise TableError("an account has a name, a position, an entry price and money")
                self.open(*cells)
        for desk in world.exchange.desks:
            if lots := world.accounts.position[desk.slot].sum():
                raise TableError(f"{story.name}: positions add up to {self.size(desk.market, lots)}, not 0")
        world.settle_outside()
        world.exchanges.rebucket()

    def _preset(self, venue: str, *instruments: str, priced: set[str]) -> VenuePreset:
        """The rule book, no larger than the story needs, with the story's own values."""
        preset = load_preset(venue)
        perps = tuple(p for p in preset.perpetual if p.name in instruments) or preset.perpetual[:1]
        spots = tuple(s for s in preset.spot if s.base in priced | {p.base for p in perps})
        assets = tuple(a for a in preset.assets if a.name in {name for s in spots for name in (s.base, s.settle)})
        preset = preset.model_copy(update={"perpetual": perps, "spot": spots, "assets": assets})
        for line in self.story.lines:
            if line.words[0] == "set":
                path, _, value = " ".join(line.words[1:]).partition(" = ")
                with self.at(line.number):
                    preset = changed(preset, path, value)
        return preset

    def open(self, name: str, position: str, entry: str, money: str) -> None:
        """A row of the table of accounts: a position, and what the account has if it is not said before."""
        a, row, (size, m) = self.world.accounts, self.rows[name], self.sized(position.split())
        slot, words, assets = int(self.world.markets.slot[m]), money.split(), self.world.assets
        cost = int(self.world.markets.value(m, size, self.whole(Decimal(self.rules[m].tick), entry)))
        a.position[slot, row], a.entry_cost[slot, row] = size, cost
        for n, word in enumerate(words):
            if word in ("cross", "isolated"):
                a.mode[row] = CROSS if word == "cross" else ISOLATED
            elif word.endswith("x"):
                a.leverage[row] = int(word[:-1])
            elif word not in assets:
                asset = assets.index(words[n + 1]) if words[n + 1] in assets else self.settle
                a.cash[asset, row] = self.whole(self.units[asset], word)
        if "isolated" in words:
            a.margin[slot, row] = a.cash[self.settle, row] or -(-abs(cost) // int(a.leverage[row]))
            a.cash[self.settle, row] = 0

    def sized(self, words: list[str]) -> tuple[int, int]:
        """Lots and market of `6` or `6 ETHUSDT`."""
        m = self.world.market_of(words[1]) if len(words) > 1 else self.world.perp
        return self.whole(Decimal(self.rules[m].lot), words[0]), m

    def whole(self, step: Decimal, text: str) -> int:
        """A number in ticks, lots or units; raises TableError where it is no multiple."""
        if number(text) % step:
            raise TableError(f"{text} is no multiple of {plain(step)}")
        return int(number(text) / step)

    @contextmanager
    def at(self, line: int) -> Iterator[None]:
        """Mistakes are reported with their line."""
        try:
            yield
        except (TableError, LookupError) as error:
            raise TableError(f"{self.story.name}, line {line}: {error}") from error

    def act(self, words: list[str]) -> None:
        """One step."""
        world, verb = self.world, words[0]
        if verb == "mark":
            m = self.sized(["0", *words[1:-1]])[1]
            world.set_mark(self.whole(Decimal(self.rules[m].tick), words[-1]), m)
        elif verb == "round":
            world.liquidate_until_quiet(1)
        elif verb == "wait":
            world.model.tick += int(number(words[1])) * SECONDS[words[2]]
            world.exchanges.begin_tick()
        elif verb == "halt":
            now = world.desk.now_ms(world.model.tick, 1.0)
            world.exchanges.halts.halt(world.perp, now + int(number(words[1])) * 1000 * SECONDS[words[2]], now)
        elif verb == "unload" and (order := world.desk.unloading(1.0)) is not None:
            world.send(order)
        elif verb in self.rows and words[1] == "deposits":
            units = self.whole(self.units[self.settle], words[2])
            world.floor.transfer(OUTSIDE_ROW, self.rows[verb], self.settle, units)
            world.exchanges.rebucket()
        elif verb in self.rows and words[1] in ("buys", "sells"):
            size, m = self.sized(words[2:-2])
            side, ticks = BUY if words[1] == "buys" else SELL, self.whole(Decimal(self.rules[m].tick), words[-1])
            order = world.message(self.rows[verb], LIMIT, side, size, price_ticks=ticks, market=m)
            world.send(world.exchanges.passing(order))
        elif verb not in ("venue", "set", "price", "fund"):
            raise TableError(f"nobody knows what {' '.join(words)!r} means")

    def run(self) -> None:
        """All steps and the final balances; AssertionError with both sides where they differ."""
        for line in self.story.lines:
            self.world.log.clear()
            with self.at(line.number):
                self.act(line.words)
            found = [text for e in self.world.log.rows() if (text := self.outcome(e))]
            self.compare(line.number, " ".join(line.words), line.expected, found)
        for n, cells in self.story.after[1:]:
            header = self.story.after[0][1][1:]
            with self.at(n):
                found = [f"{what} {self.figure(cells[0], what)}" for what in header]
            wanted = [f"{what} {same_words(cell)}" for what, cell in zip(header, cells[1:], strict=True)]
            self.compare(n, f"{cells[0]} after", wanted, found)

    def compare(self, line: int, what: str, expected: list[str], found: list[str]) -> None:
        """Raise AssertionError with the two sides beside each other."""
        if expected != found:
            pairs = [("expected", "found"), *zip_longest(expected, found, fillvalue="nothing")]
            width = max(len(wanted) for wanted, _ in pairs)
            rows = [f"{' ' if wanted == got else '>'} {wanted:{width}} | {got}" for wanted, got in pairs]
            raise AssertionError("\n".join([f"{self.story.name}, line {line}: {what}", " " + rows[0][1:], *rows[1:]]))

    def size(self, market: int, lots: int) -> str:
        return plain(int(lots) * Decimal(self.rules[market].lot))

    def figure(self, name: str, what: str) -> str:
        """One balance of an account."""
        world, a = self.world, self.world.accounts
        if name not in self.rows:
            raise TableError(f"there is no account {name!r}")
        row, unit = self.rows[name], self.units[self.settle]
        held = {desk.market: int(a.position[desk.slot, row]) for desk in world.exchange.desks}
        desks = [desk for desk in world.exchange.desks if desk.settle == self.settle]
        cash, margin = int(a.cash[self.settle, row]), sum(int(a.margin[desk.slot, row]) for desk in desks)
        profits = [d.backstop.value(held[d.market], d.mark_ticks) - int(a.entry_cost[d.slot, row]) for d in desks]
        money = {"cash": cash, "margin": margin, "money": cash + margin, "equity": cash + margin + sum(profits)}
        texts = {self.rules[m].name: f"{'+' if lots > 0 else ''}{self.size(m, lots)}" for m, lots in held.items()}
        texts |= {"position": texts[self.rules[world.perp].name], **{k: plain(n * unit) for k, n in money.items()}}
        texts |= {key: plain(int(n) * u) for key, n, u in zip(world.assets, a.cash[:, row], self.units, strict=True)}
        texts["orders"] = str((a.open_bid[:, row] > 0).sum() + (a.open_ask[:, row] > 0).sum())
        if what not in texts:
            raise TableError(f"{what!r} is none of {', '.join(texts)}")
        return texts[what]

    def outcome(self, e: Any) -> str:
        """An event in words; nothing where tables do not speak of it."""
        kind, amount, lots, reason, asset = (int(e[key]) for key in ("kind", "amount", "size_lots", "reason", "asset"))
        name, other = (next((n for n, row in self.rows.items() if row == e[k]), "fees") for k in PARTIES)
        unit, buy, halted = self.units[asset], e["side"] == BUY, self.world.exchanges.halts.halted.any()
        size, price = self._size_and_price(e) if e["market"] >= 0 else ("", "")
        # what a halted market refuses may be kept for its call
        removed = {CANCELLED: "cancelled", UNCOVERED: "" if halted else "refused"}.get(reason)
        fees = "".join(f", {w} fee {plain(int(e[f'fee_{w}']) * unit)}" for w in ("taker", "maker") if e[f"fee_{w}"])
        money, limit = plain(amount * unit), f"{price} or better" if price != "0" else "any price"
        texts = {
            events.LIQUIDATION: f"{name} {'buys' if buy else 'sells'} {size} at {limit}",
            events.FILL_EVENT: f"{name} {f'bought {size} from' if buy else f'sold {size} to'} {other} at {price}{fees}",
            events.LIQUIDATION_FEE: f"{name} pays liquidation fee {money}",
            events.TAKEOVER: f"fund takes over {name} {'short' if buy else 'long'} {size} at {price}",
            events.DELEVERAGE: f"adl {other} {size} for {name} at {price}",
            events.BAD_DEBT: f"fund pays {money} for {other}",
            events.MARGIN_CALL: f"margin call to {name}, {amount // 1000} s",
            events.HALT: f"halt {amount // 1000} s",
            events.REOPEN: f"reopens at {price}",
            events.TRANSFER: {
                events.BY_SEIZURE: f"{name} gives {money} {self.world.assets[asset]} to {other}",
                events.BY_LOSS_SHARING: f"{name} pays {money} of the loss",
            }.get(reason, ""),
            events.REMOVE: f"{name}'s order to {'buy' if buy else 'sell'} {size} is {removed}" if removed else "",
        }
        return f"{name} is not offered to the book" if kind == events.LIQUIDATION and not lots else texts.get(kind, "")

    def _size_and_price(self, e: Any) -> tuple[str, str]:
        """In coins and dollars; where a position passed off the book, its exact value by its size, to the cent."""
        m, markets, lots, value = int(e["market"]), self.world.markets, int(e["size_lots"]), abs(int(e["amount"]))
        tick, inverse = Decimal(self.rules[m].tick), int(markets.inverse[m])
        price = int(e["price_ticks"]) * tick
        if e["kind"] in (events.TAKEOVER, events.DELEVERAGE):
            parts = Decimal(value), Decimal(lots * (inverse or int(markets.tick_value[m])))
            price = (tick * (parts[1] / parts[0] if inverse else parts[0] / parts[1])).quantize(Decimal("0.01"))
        named = f" {self.rules[m].name}" if len(self.world.exchange.desks) > 1 else ""
        return self.size(m, lots) + named, plain(price)
