"""The sliders and switches of the lab: what each changes in a scenario, with unit and one line of explanation.

Bounds of the schema are enforced by the schema; `low` and `high` here are only how far a slider reaches.
"""

from __future__ import annotations

import math
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from abm.clearing.adl.rules import RULES
from abm.scenario import SCENARIOS, Scenario, ScenarioError, from_resolved, load_scenario, load_table, scenario_names
from abm.settings import SettingsError, Table, put, to_toml
from abm.world_parameters import News

Values = Mapping[str, Any]
"""Values of controls by key, as the page sends them: numbers, texts, true and false."""
RULE_WORDS = {
    "binance-queue": "Queue: profit × leverage (Binance)",
    "bybit-queue": "Queue: return × leverage (Bybit)",
    "hyperliquid-queue": "Queue (Hyperliquid)",
    "pro-rata": "Pro rata: all winners a share",
    "capped-pro-rata": "Pro rata with a cap",
    "socialised": "Losses shared in cash",
    "none": "None: the fund goes below zero",
}


@dataclass(frozen=True)
class Control:
    """One input. `factor` turns what is shown into what the scenario holds; `path` is the scenario's own name of it."""

    key: str
    group: str
    label: str
    path: str
    unit: str
    line: str
    low: float = 0.0
    high: float = 1.0
    step: float = 1.0
    kind: str = "slider"  # slider, number, select or switch
    factor: float = 1.0
    whole: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Scenario], Any] | None = None
    write: Callable[[Any, Scenario], Mapping[str, Any]] | None = None

    def value(self, scenario: Scenario) -> Any:
        """The value of a scenario as the page shows it; None where the scenario has no such thing."""
        if self.read is not None:
            return self.read(scenario)
        found = at_path(scenario.resolved(), self.path)
        if found is None or isinstance(found, str | bool):
            return found
        shown = found / self.factor
        return round(shown) if self.whole and self.factor == 1 else round(shown, 10)

    def changes(self, value: Any, scenario: Scenario) -> Mapping[str, Any]:
        """Scenario values by path for a value from the page. Raises ValueError with words for the person."""
        if self.kind in ("slider", "number"):
            value = number(value, whole=self.whole and self.factor == 1)
        elif self.kind == "switch" and not isinstance(value, bool):
            raise ValueError("is either on or off")
        elif self.kind == "select" and value not in self.choices:
            raise ValueError(f"{value!r} is none of {', '.join(self.choices)}")
        if self.write is not None:
            return self.write(value, scenario)
        if not isinstance(value, str | bool):
            value = value * self.factor
            value = round(value) if self.whole else float(value)
        return {self.path: value}

    def described(self, scenario: Scenario) -> dict[str, Any]:
        """Everything the page needs to draw it."""
        names = ("key", "group", "label", "path", "unit", "line", "low", "high", "step", "kind")
        return {name: getattr(self, name) for name in names} | {
            "choices": dict(self.choices),
            "value": self.value(scenario),
        }


def number(value: Any, whole: bool = False) -> float:
    """A finite number from what a person typed. Raises ValueError with words for the person."""
    if isinstance(value, str):
        text = value.strip().replace("−", "-").replace(",", "")
        try:
            value = float(text) if text else None
        except ValueError:
            raise ValueError("is not a number") from None
    if value is None:
        raise ValueError("a number is needed here")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is not a number")
    if whole and value != round(value):
        raise ValueError("a whole number is needed here")
    return value


def at_path(data: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    for part in path.split("."):
        if isinstance(data, list):
            data = data[int(part)] if part.isdigit() and int(part) < len(data) else None
        else:
            data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _leveraged(scenario: Scenario) -> float:
    return round(100.0 * sum(scenario.retail.notional_shares()[:-1]), 1)


def _set_leveraged(percent: float, scenario: Scenario) -> Mapping[str, Any]:
    """Scale the leveraged classes in proportion; the lowest class takes the rest."""
    if not 0 < percent < 100:
        raise ValueError("lies between 0 and 100 %, both excluded")
    retail = scenario.retail
    now = sum(retail.notional_shares()[:-1])
    if now == 0:
        raise ValueError("this scenario has nothing there that could be scaled")
    return {"retail.leverage_density": percent / 100.0 * retail.leverage_density / now}


def _policy(name: str, on: Mapping[str, Any]) -> tuple[Callable[[Scenario], Any], Callable[..., Mapping[str, Any]]]:
    def read(scenario: Scenario) -> bool:
        return getattr(scenario.policies, name) is not None

    def write(value: bool, scenario: Scenario) -> Mapping[str, Any]:
        if value == read(scenario):
            return {}
        return {f"policies.{name}": dict(on) if value else None}

    return read, write


def _switch(key: str, label: str, line: str, name: str, on: Mapping[str, Any]) -> Control:
    read, write = _policy(name, on)
    return Control(
        key, "Policies", label, f"policies.{name}", "", line, kind="switch", read=read, write=write
    )  # fmt: skip


CONTROLS: tuple[Control, ...] = (
    Control("seed", "Run", "Seed", "seed", "", "all random streams; the same seed gives the same run", 0, 99, 1,
            "number", whole=True),
    Control("accounts", "Run", "Accounts", "accounts", "", "how fine the crowd is; totals stay", 50, 100_000, 50,
            "number", whole=True),
    Control("leveraged", "Leverage", "Held at 5× and more", "retail.leverage_density", "%",
            "share of the longs’ value; higher leverage scales along", 1, 60, 0.5,
            read=_leveraged, write=_set_leveraged),
    Control("most_leverage", "Leverage", "Nobody above", "retail.most_leverage", "×",
            "same positions, more money behind them", 1, 150, 1, whole=True),
    Control("open_interest", "Leverage", "Open interest", "retail.open_interest_coins", "BTC",
            "of all longs together, at the start", 5_000, 200_000, 1_000),
    Control("short_share", "Leverage", "Retail shorts", "retail.short_share", "% of longs",
            "the rest of the other side are hedgers", 0, 100, 1, factor=0.01),
    Control("depth", "Liquidity", "Depth within 1 %", "makers.depth_coins", "BTC",
            "bids in calm hours, all makers; 2,090 was measured", 100, 6_000, 10),
    Control("withdrawal", "Liquidity", "Maker withdrawal", "makers.thinning_power", "",
            "how fast quotes thin out as volatility rises; 0: never", 0, 8, 0.05),
    Control("obliged", "Liquidity", "Makers obliged", "makers.obliged", "%",
            "of the normal size that they may never withdraw", 0, 100, 1, factor=0.01),
    Control("fund", "Backstop", "Insurance fund", "venue.backstop.size_usd", "$M",
            "pays before auto-deleveraging begins", 0, 3_000, 1, factor=1e6, whole=True),
    Control("rule", "Backstop", "ADL rule", "venue.deleverage.rule", "", "who pays what the fund cannot", kind="select",
            choices={name: RULE_WORDS.get(name, name) for name in RULES}),
    Control("treasury", "Treasury", "Coins", "treasuries.0.coins", "BTC",
            "of a company with a secured loan", 0, 30_000, 100),
    Control("treasury_debt", "Treasury", "Loan", "treasuries.0.debt_usd", "$M",
            "loan to value above the limit forces a sale", 0, 2_000, 5, factor=1e6),
    _switch("breaker", "Circuit breaker", "5 % in 5 minutes halts trading for 5 minutes", "circuit_breaker", {}),
    _switch("cap", "Leverage cap 10×", "on every venue, from the start", "leverage_cap", {"most": 10}),
    _switch("dynamic", "Dynamic margin", "margins rise with volatility, up to threefold", "dynamic_margin", {}),
)  # fmt: skip
BY_KEY = {control.key: control for control in CONTROLS}


def described(scenario: Scenario) -> list[dict[str, Any]]:
    """All controls that mean something in this scenario."""
    return [one for one in (control.described(scenario) for control in CONTROLS) if one["value"] is not None]


def presets() -> list[dict[str, str]]:
    """Packaged scenarios: name, title and the first sentence of what they are."""
    found = []
    for name in scenario_names():
        table = load_table(name)
        found.append({"name": name, "title": str(table.get("title", ""))})
    return found


class FieldError(ValueError):
    """Bad input: `by_key` has a message for each control, "" that of no single one."""

    def __init__(self, by_key: Mapping[str, str]) -> None:
        super().__init__("; ".join(by_key.values()))
        self.by_key = dict(by_key)


def applied(base: Scenario, values: Values) -> Scenario:
    """The scenario with the page's values; those that say what `base` has already change nothing.

    Raises `FieldError` with a message for each field.
    """
    errors: dict[str, str] = {}
    changes: dict[str, Any] = {}
    paths: dict[str, str] = {}
    for key, value in values.items():
        control = BY_KEY.get(key)
        if control is None:
            errors[key] = "there is no such control"
        elif value != (now := control.value(base)):
            try:
                if now is None:
                    raise ValueError("the scenario has no such thing")
                for path, wanted in control.changes(value, base).items():
                    changes[path], paths[path] = wanted, key
            except ValueError as error:
                errors[key] = str(error)
    try:
        scenario = _changed(base, changes) if changes else base
    except SettingsError as error:
        for line in error.lines:
            key, words = _whose(line, paths)
            errors.setdefault(key, words)
    if errors:
        raise FieldError(errors)
    return scenario


def _changed(base: Scenario, changes: Mapping[str, Any]) -> Scenario:
    data: Table = base.resolved()
    for path, value in changes.items():
        data = put(data, path, value)
    if "accounts" in changes:
        data["retail"]["accounts"] = data["accounts"]
    return from_resolved(data)


def _whose(line: str, paths: Mapping[str, str]) -> tuple[str, str]:
    """The control that a message of the schema is about, and the message without the path."""
    where, _, words = line.partition(": ")
    every = {control.path: control.key for control in CONTROLS}
    for path, key in {**every, **paths}.items():
        if where == path or where.startswith(f"{path}.") or path.startswith(f"{where}."):
            return key, words
    last = where.rpartition(".")[2]
    named = [key for path, key in paths.items() if path.rpartition(".")[2] == last]
    return (named[0], words) if len(named) == 1 else ("", line)


# --- shocks -----------------------------------------------------------------------------------------------------------
def shocked(scenario: Scenario, tick: int, percent: Any) -> tuple[Scenario, News]:
    """The scenario with a sudden change of the fair value after `tick`, and that piece of news.

    It lies in the middle of the next tick, so that rounding of times cannot move it to another. Raises `FieldError`.
    """
    try:
        change = number(percent)
    except ValueError as error:
        raise FieldError({"shock": str(error)}) from None
    if not -90 < change < 900 or change == 0:
        raise FieldError({"shock": "a change between −90 and 900 %, not 0"})
    if tick >= scenario.ticks:
        raise FieldError({"shock": "the run is over: reset first"})
    taken = {item.name for item in scenario.news}
    serial = next(n for n in range(1, len(taken) + 2) if f"shock-{n}" not in taken)
    at = scenario.start + timedelta(seconds=(tick + 0.5) * scenario.tick_s)
    item = News(
        name=f"shock-{serial}", at=at, over_s=0.0, change_percent=change, label=f"shock {change:+g} %",
        source="by hand", grade="assumed", assumed=True,
    )  # fmt: skip
    data = scenario.resolved()
    data["news"] = [*data["news"], item.model_dump(mode="json")]
    try:
        return from_resolved(data), item
    except SettingsError as error:
        raise FieldError({"shock": "; ".join(error.lines)}) from None


# --- the scenario as text ---------------------------------------------------------------------------------------------
def as_toml(scenario: Scenario, source: str) -> str:
    """A scenario file that the command line runs to identical events: short if that is possible, else with every value.

    `source` is the name of the scenario it started from. The text is read back and compared before it is given out.
    """
    file = f"{scenario.name}-lab.toml"
    head = f"# Made by the lab from {source}. Save as {file}; then: deleverage run {file}\n"
    if (SCENARIOS / f"{source}.toml").is_file():
        own = _differences(load_scenario(source).resolved(), scenario.resolved())
        text = head + to_toml({"extends": source, "name": scenario.name, **own})
        if _reads_as(text, scenario):
            return text
    text = head + to_toml(scenario.resolved())
    if not _reads_as(text, scenario):
        raise ScenarioError(["this scenario cannot be written as one file"])
    return text


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Table:
    """Entries of `new` that differ, tables within tables; lists whole."""
    found: Table = {}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = _differences(before, value)
            if inner:
                found[key] = inner
        elif value != before:
            found[key] = value
    return found


def _reads_as(text: str, scenario: Scenario) -> bool:
    """Whether the text, as a file, is this scenario."""
    try:
        tomllib.loads(text)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{scenario.name}.toml"
            file.write_text(text, encoding="utf-8")
            return load_scenario(file).resolved() == scenario.resolved()
    except (SettingsError, ValueError):
        return False
