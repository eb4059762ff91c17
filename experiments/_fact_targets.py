"""Real figures of `stylised-facts`, one row a fact; where they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact by its measure's key: words, unit, and real figures (None: not known) of the month and the half year.

    The measure times `scale` is in `unit`.
    """

    key: str
    words: str
    unit: str
    month: float | None = None
    half_year: float | None = None
    scale: float = 1.0


def known(*values: float | None) -> float | None:
    """The first value that is known."""
    return next((value for value in values if value is not None), None)


_BARS: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "1 min": {"std_bp": (5.9, None)},
    "5 min": {
        "std_bp": (9.03, 13.1),
        "kurtosis": (10.9, 329.6),
        "hill_2.5": (3.56, 3.17),
        "hill_5": (3.01, 2.84),
        "acf_return": (0.018, -0.029),
        "acf_size_1": (0.266, 0.36),
        "acf_size_12": (0.152, 0.18),
        "acf_size_50": (0.079, 0.12),
        "acf_size_288": (0.082, 0.11),
        "volume_volatility": (0.498, None),
    },
    "15 min": {
        "std_bp": (15.5, 21.5),
        "kurtosis": (5.15, 32.6),
        "hill_2.5": (3.56, 3.05),
        "hill_5": (3.17, 2.79),
        "acf_return": (-0.034, -0.021),
        "acf_size_1": (0.236, 0.30),
        "acf_size_12": (0.110, 0.16),
        "acf_size_50": (0.036, 0.07),
        "acf_size_288": (0.030, 0.08),
        "volume_volatility": (0.503, None),
    },
    "1 h": {
        "std_bp": (31.2, 42.2),
        "kurtosis": (4.93, 11.5),
        "hill_2.5": (3.62, 3.15),
        "hill_5": (3.27, 2.72),
        "acf_return": (0.016, 0.007),
        "acf_size_1": (0.239, 0.28),
        "acf_size_12": (0.023, 0.10),
        "acf_size_50": (0.019, 0.05),
        "acf_size_288": (None, 0.07),
        "volume_volatility": (0.533, None),
    },
}
"""(month, half year): Binance BTCUSDT perpetual, 5-minute bars, 15 September to 9 October and July to December 2025.

The one-minute figure is the calm volatility before the news of 10 October; minute bars of a month were not at hand.
"""
_WORDS = {
    "std_bp": ("standard deviation", "bp"),
    "kurtosis": ("excess kurtosis", "-"),
    "hill_2.5": ("tail index, top 2.5 %", "-"),
    "hill_5": ("tail index, top 5 %", "-"),
    "acf_return": ("ACF of r, lag 1", "-"),
    "acf_size_1": ("ACF of |r|, lag 1", "-"),
    "acf_size_12": ("ACF of |r|, lag 12", "-"),
    "acf_size_50": ("ACF of |r|, lag 50", "-"),
    "acf_size_288": ("ACF of |r|, lag 288", "-"),
    "volume_volatility": ("volume and |r|, rank corr.", "-"),
    "impact": ("impact exponent", "-"),
}
_IMPACT = 0.76
"""Aggregate impact against net flow on 1.97 billion trades of Binance futures, https://github.com/somtri/impact-lab;
the length of its bars is not stated, so that one minute is a choice."""

FACTS: tuple[Fact, ...] = (
    *(
        Fact(f"{bar}.{key}", f"{bar}: {words}", unit, *known_bar.get(key, (None, None)))
        for bar, known_bar in _BARS.items()
        for key, (words, unit) in _WORDS.items()
        if key != "impact"
    ),
    Fact("1 min.impact", "1 min: impact exponent", "-", None, _IMPACT),
    Fact("5 min.impact", "5 min: impact exponent", "-"),
    # cumulative depth of BTC against distance, order-book snapshots, https://github.com/min66633/liquidation-cascade-research
    Fact("depth_exponent", "depth, exponent", "-", None, 1.13),
    Fact("depth_usd", "bids within 1 %", "$m", 244, None, 1e-6),
    Fact("volume_btc_day", "volume a day", "BTC", 119_360, None),
    # mean of 75 prints, 15 September to 9 October 2025; 2025: 0.47
    Fact("funding_mean_bp", "funding, mean", "bp/8 h", 0.55, 0.47),
    Fact("liquidated_usd_day", "liquidated a day", "$m", scale=1e-6),
    Fact("open_interest_change_percent", "open interest, change", "%"),
    Fact("gap_percent", "from fair value, mean", "%"),
    Fact("range_percent", "highest over lowest, ln", "%", 14.8, None),
)
TAIL = ((0.5, 0.486), (1, 0.212), (1.5, 0.102), (2, 0.0494), (3, 0.014), (4, 0.00556), (5, 0.00278), (6, 0.00111))
"""Real month, 5-minute bars: share of |r| above so many standard deviations."""
MEMORY = (0.266, 0.236, 0.205, 0.194, 0.182, 0.152, 0.111, 0.079, 0.028, 0.003, 0.082)
"""Real month, 5-minute bars: ACF of |r| at `MEMORY_LAGS`."""
