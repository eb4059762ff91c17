"""Parameters of the world outside the market: the fundamental value, what moves it, and the stock index."""

from __future__ import annotations

from datetime import datetime, time

from pydantic import Field

from abm.parameters import Grade, Parameters, quantity


class News(Parameters):
    """One scheduled change of the fundamental value."""

    name: str = Field(description="short name, by which `--set news.NAME.…` finds it", pattern=r"^[a-z][a-z0-9-]*$")
    at: time | datetime = Field(description="when it starts: UTC time of day, or date and time")
    over_s: float = quantity(
        0.0,
        unit="s",
        ge=0,
        source="assumed",
        likely=(20.0, 480.0),
        text="time over which the value moves, evenly in log",
    )
    change_percent: float = quantity(
        ...,
        unit="%",
        gt=-90,
        lt=900,
        source="see the entry's own `source`",
        text="total change of the fundamental value",
    )
    label: str = Field("", description="words for the figure")
    source: str = Field("", description="where time and size come from")
    grade: Grade = Field("assumed", description="how well it is known")
    assumed: bool = Field(True, description="true: nobody observed this impulse or its size")


class MacroStep(Parameters):
    """One scheduled change of the stock index; the coin's fundamental value follows by its beta."""

    name: str = Field(
        description="short name, by which `--set world.macro_steps.NAME.…` finds it", pattern=r"^[a-z][a-z0-9-]*$"
    )
    at: time | datetime = Field(description="when it starts: UTC time of day, or date and time")
    over_s: float = quantity(0.0, unit="s", ge=0, source="assumed", text="time over which it moves, evenly in log")
    change_percent: float = quantity(
        ..., unit="%", gt=-90, lt=900, source="see the entry's own `source`", text="total change of the index"
    )
    label: str = Field("", description="words for the figure")
    source: str = Field("", description="where time and size come from")
    grade: Grade = Field("assumed", description="how well it is known")
    assumed: bool = Field(True, description="true: nobody observed this impulse or its size")


class WorldParameters(Parameters):
    """What the market does not decide: the fundamental value, and the stock index that moves it."""

    start_price_usd: float = quantity(
        116_830.0,
        unit="$",
        gt=0,
        grade="A",
        source="last print before the news, Binance BTCUSDT perpetual, 20:45-20:50",
    )
    fair_volatility_bp: float = quantity(
        4.0,
        unit="bp per sqrt(minute)",
        ge=0,
        le=200,
        source="chosen below the 5.9 bp of real calm one-minute returns, which also hold trading noise",
        likely=(2.0, 6.0),
        text="volatility of the fundamental value between news",
    )
    macro_volatility_percent: float = quantity(
        0.0,
        unit="% a session",
        ge=0,
        le=20,
        source="0 = off; the Nasdaq 100 had about 1.1 in autumn 2025",
        likely=(0.8, 1.4),
        text="volatility of the stock index in its market hours",
    )
    macro_drift_percent: float = quantity(
        0.0,
        unit="% a session",
        ge=-20,
        le=20,
        source="0 = off; +3.7 % in 40 sessions since 17 Sep 2025 are 0.09",
        text="drift of its logarithm in market hours",
    )
    macro_jumps: float = quantity(
        0.0, unit="a session", ge=0, le=1000, source="0 = off", text="expected number of jumps in market hours"
    )
    macro_jump_percent: float = quantity(0.0, unit="%", ge=-50, le=50, source="not observed", text="mean log jump")
    macro_jump_spread_percent: float = quantity(
        1.0, unit="%", ge=0, le=50, source="not observed", text="standard deviation of a jump (normal law)"
    )
    macro_beta_up: float = quantity(
        0.91,
        unit="-",
        ge=-10,
        le=10,
        grade="calibrated",
        source="correlation 0.8 and -18 % against +3.7 % in 40 sessions (Wintermute, 12 Nov 2025); see `abm.world`",
        likely=(0.5, 1.6),
        text="log change of the coin's value to that of the index on a day of rises",
    )
    macro_beta_down: float = quantity(
        2.37,
        unit="-",
        ge=-10,
        le=10,
        grade="calibrated",
        source="as `macro_beta_up`; an upper bound, since October's fall came from within",
        likely=(1.0, 2.5),
        text="on a day of falls",
    )
    macro_steps: tuple[MacroStep, ...] = ()

    @property
    def macro_moves(self) -> bool:
        """Whether the stock index ever leaves its opening level."""
        return bool(self.macro_volatility_percent or self.macro_drift_percent or self.macro_jumps or self.macro_steps)
