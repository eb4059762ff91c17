"""Parameters of retail behaviour that is off by default, its shares and chances being 0; equations: `retail_wider`."""

from __future__ import annotations

from abm.parameters import Parameters, quantity

UNKNOWN = "not observed"
SEEDS = "press, fourth quarter of 2025; no data behind it was found"


class Beliefs(Parameters):
    """Mixture of fundamental, trend and noise expectations (Chiarella and Iori 2002; with Perello 2009)."""

    share: float = quantity(0.0, unit="-", source="0: off", ge=0.0, le=1.0, text="traders who form expectations")
    value: float = quantity(
        1.0, unit="-", source=UNKNOWN, ge=0.0, likely=(0.0, 10.0), text="mean weight of the fundamental value"
    )
    trend: float = quantity(1.2, unit="-", source=UNKNOWN, ge=0.0, likely=(0.0, 10.0), text="mean weight of the trend")
    noise: float = quantity(1.0, unit="-", source=UNKNOWN, ge=0.0, text="weight of noise, the same for everybody")
    horizon_s: float = quantity(200.0, unit="s", source="200 steps in the 2009 paper", gt=0.0, le=3600.0)
    reversion_s: float = quantity(
        600.0, unit="s", source=UNKNOWN, gt=0.0, text="time in which a gap to fair value is expected to close"
    )
    sigma_bp: float = quantity(
        5.9, unit="bp per sqrt(minute)", source="calm one-minute returns, Oct 2025", gt=0.0, text="size of the noise"
    )
    level: float = quantity(
        0.002, unit="log", source="two taker fees and a spread", ge=0.0, text="expected return worth acting on"
    )
    chance: float = quantity(0.1, unit="a review", source=UNKNOWN, ge=0.0, le=1.0, text="acts on such an expectation")


class Signals(Parameters):
    """Chart signals: the relative strength index, and the gap left by the weekend of a regulated venue."""

    rsi_share: float = quantity(0.0, unit="-", source="0: off", ge=0.0, le=1.0, text="traders who read the RSI")
    rsi_bars: int = quantity(14, unit="bars", source="Wilder 1978", ge=2, le=200, grade="B")
    rsi_bar_s: float = quantity(300.0, unit="s", source=UNKNOWN, gt=0.0, text="length of a bar")
    rsi_low: float = quantity(30.0, unit="-", source="Wilder 1978", ge=0.0, le=50.0, grade="B", text="oversold: buy")
    rsi_high: float = quantity(70.0, unit="-", source="Wilder 1978", ge=50.0, le=100.0, grade="B", text="overbought")
    gap_share: float = quantity(0.0, unit="-", source="0: off", ge=0.0, le=1.0, text="traders who expect gaps to fill")
    gap_usd: float = quantity(
        0.0,
        unit="$",
        source="0: the last price before a venue with hours closed",
        ge=0.0,
        text="level to be filled; press in November 2025: 110,990 to 111,355",
    )
    gap_least: float = quantity(0.003, unit="fraction", source=UNKNOWN, ge=0.0, text="smallest gap anybody trades on")
    chance: float = quantity(0.2, unit="a review", source=UNKNOWN, ge=0.0, le=1.0, text="acts on a signal")


class Copying(Parameters):
    """Herding on the flow of the last minute, and groups that share one signal (copy trading, one tool for all)."""

    herd_chance: float = quantity(0.0, unit="a review", source="0: off", ge=0.0, le=1.0)
    herd_flow: float = quantity(
        0.002, unit="of open interest", source=UNKNOWN, gt=0.0, text="net taker flow in 60 s that counts as one-sided"
    )
    share: float = quantity(0.0, unit="-", source="0: off", ge=0.0, le=1.0, text="traders who belong to a group")
    groups: int = quantity(20, unit="groups", source=UNKNOWN, ge=1, le=10_000)
    level: float = quantity(
        0.006, unit="log", source=UNKNOWN, gt=0.0, text="300-s return at which a group's signal comes, median"
    )
    level_spread: float = quantity(0.5, unit="log", source=UNKNOWN, ge=0.0, le=2.0)
    lag_s: float = quantity(10.0, unit="s", source=UNKNOWN, gt=0.0, le=3600.0, text="all act within this time")
    chance: float = quantity(0.5, unit="a signal", source=UNKNOWN, ge=0.0, le=1.0, text="follows the group")


class Stops(Parameters):
    """Algorithmic stop-losses: at a share of the initial margin, so the nearer the higher the leverage."""

    share: tuple[float, ...] = quantity(
        (0.0,), unit="-", source="0: off", text="traders who set one, by leverage class; the last counts for the rest"
    )
    margin: float = quantity(0.5, unit="of margin", source=UNKNOWN, gt=0.0, lt=1.0, text="loss at which it sells")
    trails: float = quantity(
        0.0, unit="of its distance", source="0: stays", ge=0.0, text="moves after the price once it has run so far"
    )


class LevelPanic(Parameters):
    """A price below which many leave."""

    usd: float = quantity(0.0, unit="$", source="0: off; 91,500 reported for November 2025", ge=0.0)
    spread: float = quantity(0.01, unit="log", source=UNKNOWN, ge=0.0, le=0.5, text="sd of the personal level")
    chance: float = quantity(0.1, unit="a review", source=UNKNOWN, ge=0.0, le=1.0)


class Carry(Parameters):
    """Reaction to funding."""

    free_bp: float = quantity(
        1.0, unit="bp per 8 h", source="the interest part of the usual formula", ge=0.0, text="nobody minds"
    )
    leave: float = quantity(0.0, unit="a review per bp", source="0: off", ge=0.0, text="chance that the payer leaves")
    enter: float = quantity(0.0, unit="a review per bp", source="0: off", ge=0.0, text="chance to enter as receiver")


class Caution(Parameters):
    """Leverage that adapts to losses and volatility."""

    share: float = quantity(
        0.0, unit="-", source="0: off. 0.65 reported: " + SEEDS, ge=0.0, le=1.0, text="traders who adapt"
    )
    loss: float = quantity(
        1.0, unit="-", source=UNKNOWN, ge=0.0, likely=(0.5, 2.0), text="exponent of what is left of the money"
    )
    volatility: float = quantity(
        1.0, unit="-", source="1: leverage times volatility constant (Aymanns and Farmer 2015)", ge=0.0, le=3.0
    )
    calm_bp: float = quantity(
        5.9, unit="bp per sqrt(minute)", source="calm one-minute returns, October 2025", gt=0.0, grade="A"
    )
    memory_s: float = quantity(2_592_000.0, unit="s", source=UNKNOWN, gt=0.0, text="time in which losses are forgotten")
    past_loss: float = quantity(
        0.0, unit="log", source="set by scenarios", ge=0.0, le=3.0, text="loss before the start, ln(before / after)"
    )
    trim_chance: float = quantity(0.0, unit="a review", source="0: only new positions", ge=0.0, le=1.0)
    trim_band: float = quantity(0.25, unit="-", source=UNKNOWN, ge=0.0, text="excess over the wanted leverage endured")


class Remedies(Parameters):
    """What a trader can do for himself: smaller size, a reserve, money elsewhere."""

    share: float = quantity(0.0, unit="-", source="0: off", ge=0.0, le=1.0, text="traders who do")
    size: float = quantity(
        1.0, unit="-", source=UNKNOWN, gt=0.0, le=1.0, text="part of the money not set aside that is put to work"
    )
    reserve: tuple[float, float] = quantity(
        (0.0, 0.0), unit="of wealth", source="press, 2025: 0.05 to 0.15", text="stablecoins kept aside, from and to"
    )
    top_up: float = quantity(
        0.0,
        unit="of margin",
        source="0: never used; 0.5: when half of the margin is lost",
        ge=0.0,
        lt=1.0,
        text="equity of an isolated position below which the reserve goes in",
    )
    outside: float = quantity(0.0, unit="of wealth", source=UNKNOWN, ge=0.0, lt=1.0, text="held as spot coins")
