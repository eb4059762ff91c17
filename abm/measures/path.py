"""The path of the price: the fall, its legs, its minutes, what came back, and prices at stated moments.

Arrays: `steps` is the table of a run, one row a tick; `seconds` (ticks,) the end of each tick, `minutes` (ticks,) the
minute it lies in, other values likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.targets.events import OCTOBER, Event

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
RECOVERY_MINUTES = (5, 10, 30, 60)
LEFT_MINUTES = {"60min": 60, "24h": 1440, "48h": 2880}
"""When the part of the fall that is still there is taken for its news."""
LEG_FALL, LEG_PAUSE = 0.02, 0.025
"""A leg falls by 2 % or more from its top and ends when the price is 2.5 % above its bottom.

On the candles of 10 October 2025 that gives the three waves that are told of; with pauses of half a per cent to 2 %
there are five, with 4 % two.
"""


def seconds_of(steps: pd.DataFrame, start: str) -> Floats:
    """Seconds since the start at the end of each tick."""
    begin = np.datetime64(datetime.fromisoformat(start).astimezone(UTC).replace(tzinfo=None), "ms")
    times = steps["time"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    elapsed: Floats = (times - begin).astype(np.int64) / 1000.0
    return elapsed


def first_news_s(steps: pd.DataFrame, seconds: Floats) -> float:
    """Seconds at the end of the last tick before any news; nan without news."""
    moved = np.flatnonzero(steps["news_fair_change"].to_numpy() != 0)
    if not moved.size:
        return math.nan
    return float(seconds[moved[0] - 1]) if moved[0] else 0.0


def at_second(seconds: Floats, values: Floats, when: float) -> float:
    """Value at the last tick that ended by `when`; nan outside the run (half a minute of grace at the end)."""
    if not seconds.size or when > seconds[-1] + 30 or when < seconds[0]:
        return math.nan
    return float(values[int(np.searchsorted(seconds, when + 1e-9, side="right")) - 1])


def price_path(steps: pd.DataFrame, seconds: Floats, first_news: float) -> dict[str, Any]:
    """Fall, its time, its size beside the news, and how much came back."""
    price, low = steps["perp_usd"].to_numpy(), steps["perp_low_usd"].to_numpy()
    after = seconds > first_news if math.isfinite(first_news) else np.ones(price.size, bool)
    before = np.flatnonzero(~after)
    start = float(price[before[-1]]) if before.size else float(price[0])
    begin = first_news if math.isfinite(first_news) else 0.0
    at = int(np.flatnonzero(after)[np.argmin(low[after])]) if after.any() else int(np.argmin(low))
    bottom = float(low[at])
    fall = 100 * (bottom / start - 1)
    news = 100 * (float(np.prod(1 + steps["news_fair_change"].to_numpy())) - 1)
    result = {
        "start_usd": start,
        "low_usd": bottom,
        "end_usd": float(price[-1]),
        "fall_percent": fall,
        "minutes_to_low": (float(seconds[at]) - begin) / 60,
        "news_percent": news,
        "multiplier": fall / news if news < 0 else math.nan,
    }
    shares = {
        name: recovered(seconds, price, float(seconds[at]) + 60 * minutes, bottom, start)
        for name, minutes in {**{f"{m}min": m for m in RECOVERY_MINUTES}, **LEFT_MINUTES}.items()
    }
    result |= {f"recovery_{minutes}min_percent": 100 * shares[f"{minutes}min"] for minutes in RECOVERY_MINUTES}
    # what is left by then is taken for the news, as it is done with the real path
    result |= {f"multiplier_left_{name}": 1 / (1 - shares[name]) if shares[name] < 1 else math.nan
               for name in LEFT_MINUTES}  # fmt: skip
    calm = price[~after] if before.size else price
    per_minute = max(1, round(60 / max(float(seconds[0]), 1e-9))) if seconds.size else 1
    returns = np.diff(np.log(calm[::per_minute]))
    result["calm_volatility_bp"] = 1e4 * float(np.std(returns)) if returns.size > 2 else math.nan
    return result


def recovered(seconds: Floats, price: Floats, when: float, bottom: float, start: float) -> float:
    """Share of the way from `bottom` back to `start` at a moment; nan outside the run."""
    return (at_second(seconds, price, when) - bottom) / (start - bottom) if start > bottom else math.nan


# --- minutes ----------------------------------------------------------------------------------------------------------
def minute_of(seconds: Floats, start: str) -> NDArray[np.int64]:
    """Number of the UTC minute in which each tick lies, 0 for that of the start; a tick belongs to the one it ends."""
    begin = datetime.fromisoformat(start)
    inside = begin.second + begin.microsecond / 1e6
    return np.maximum(np.ceil((seconds + inside) / 60 - 1e-9).astype(np.int64) - 1, 0)


def candles(steps: pd.DataFrame, minutes: NDArray[np.int64]) -> Floats:
    """One-minute candles: open, high, low, close, (4, minutes that have ticks); the open is the close before."""
    first = np.flatnonzero(np.diff(minutes, prepend=-1))
    price = steps["perp_usd"].to_numpy()
    high = np.maximum.reduceat(np.fmax(steps["perp_high_usd"].to_numpy(), price), first)
    low = np.minimum.reduceat(np.fmin(steps["perp_low_usd"].to_numpy(), price), first)
    close = price[np.append(first[1:], price.size) - 1]
    opened = np.concatenate([price[:1], close[:-1]])
    return np.stack([opened, np.maximum(high, opened), np.minimum(low, opened), close])


def legs(bars: Floats, fall: float = LEG_FALL, pause: float = LEG_PAUSE) -> list[float]:
    """Falls (negative, in %) of the separate legs on the way to the low of candles (4, n).

    A leg falls by `fall` or more from the highest price since the last one ended, and ends when the price has risen by
    `pause` from its bottom. Inside a candle that closed lower the high came first, else the low. What comes after the
    low does not count.
    """
    opened, high, low, close = bars
    down = close < opened
    points = np.stack([opened, np.where(down, high, low), np.where(down, low, high), close]).T.ravel()
    found, top, bottom = [], float(points[0]), math.nan
    for point in points[: int(np.argmin(points)) + 1].tolist():
        if math.isnan(bottom):
            top = max(top, point)
            bottom = point if point <= top * (1 - fall) else math.nan
        elif point >= bottom * (1 + pause):
            found.append(100 * (bottom / top - 1))
            top, bottom = point, math.nan
        else:
            bottom = min(bottom, point)
    return found if math.isnan(bottom) else [*found, 100 * (bottom / top - 1)]


def by_minute(steps: pd.DataFrame, seconds: Floats, start: str, first_news: float) -> dict[str, Any]:
    """Legs of the fall, the widest minute, and the volume of the busiest one."""
    minutes = minute_of(seconds, start)
    bars = candles(steps, minutes)
    numbers = np.unique(minutes)
    news = first_news if math.isfinite(first_news) else math.nan
    later = numbers >= minute_of(np.array([news + 1e-3]), start)[0] if math.isfinite(news) else np.zeros(0, bool)
    after = bars[:, later] if later.any() else bars[:, :0]
    ranges = 100 * (bars[1] - bars[2]) / bars[0]
    falls = legs(after) if after.size else []
    volume = np.bincount(minutes, steps["volume_btc"].to_numpy())
    return {
        "legs": len(falls) if after.size else math.nan,
        "largest_leg_percent": min(falls, default=math.nan),
        "minute_range_max_percent": float(ranges.max()),
        "peak_minute_volume_btc": float(volume.max()),
    }


# --- moments of known evenings ----------------------------------------------------------------------------------------
def moments(steps: pd.DataFrame, seconds: Floats, start: str, path: Mapping[str, Any], event: Event) -> dict[str, Any]:
    """Prices at stated moments of an evening against the last price before its news, as `price_HHMM_percent`."""
    begin, price = datetime.fromisoformat(start), steps["perp_usd"].to_numpy()
    found: dict[str, Any] = {}
    for when in event.moments:
        value = at_second(seconds, price, (when - begin).total_seconds())
        found[f"price_{when:%H%M}_percent"] = 100 * (value / path["start_usd"] - 1)
    first, last = event.window
    inside = ((steps["time"] > first) & (steps["time"] <= last)).to_numpy()
    covered = bool(inside.any()) and steps["time"].iloc[-1] >= last and begin <= first
    found["event_volume_btc"] = float(steps["volume_btc"].to_numpy()[inside].sum()) if covered else math.nan
    if event is OCTOBER:
        late = at_second(seconds, price, (OCTOBER.at(21, 15) - begin).total_seconds())
        found["last_leg_percent"] = 100 * (path["low_usd"] / late - 1)
        found["calm_minute_range_percent"] = _range_before(steps, seconds, start)
        real = event.fall_percent
        for name, share in event.left.items():
            # the multiplier if the news was as large as what was left of the real fall by then
            found[f"multiplier_news_{name}"] = path["fall_percent"] / (share * real)
    return found


def _range_before(steps: pd.DataFrame, seconds: Floats, start: str) -> float:
    """Median range of the minutes 21:01 to 21:10, in % of their open; nan when the run does not hold them."""
    begin = datetime.fromisoformat(start)
    first, last = OCTOBER.at(21, 1), OCTOBER.at(21, 10) + timedelta(minutes=1)
    if begin > first or seconds[-1] < (last - begin).total_seconds():
        return math.nan
    minutes = minute_of(seconds, start)
    bars, numbers = candles(steps, minutes), np.unique(minutes)
    ends = [minute_of(np.array([(when - begin).total_seconds() + 1e-3]), start)[0] for when in (first, last)]
    inside = (numbers >= ends[0]) & (numbers < ends[1])
    return float(np.median(100 * (bars[1] - bars[2])[inside] / bars[0][inside]))


# --- returns ----------------------------------------------------------------------------------------------------------
BAR_S = 300
LEAST_BARS = 200
"""Five-minute bars below which no statistic of them is given."""


def returns(steps: pd.DataFrame, seconds: Floats) -> dict[str, Any]:
    """Statistics of five-minute log returns: sd, excess kurtosis, tail index of the top 5 %, ACFs; volume a bar."""
    names = ("sd_bp", "kurtosis", "hill_5", "acf_return", "acf_size_1", "acf_size_12", "acf_size_288", "volume_btc")
    bar = np.ceil(seconds / BAR_S - 1e-9).astype(np.int64) - 1
    last = np.flatnonzero(np.diff(bar, append=bar[-1] + 1))
    prices = steps["perp_usd"].to_numpy()[last]
    if last.size < LEAST_BARS:
        return {f"bar_{name}": math.nan for name in names}
    r = np.diff(np.log(prices))
    sizes = np.sort(np.abs(r))[::-1]
    tail = max(int(0.05 * r.size), 2)
    hill = 1 / float(np.mean(np.log(sizes[:tail] / sizes[tail]))) if sizes[tail] > 0 else math.nan
    spread = r - r.mean()
    second = float(np.mean(spread**2))
    kurtosis = float(np.mean(spread**4)) / second**2 - 3 if second > 0 else math.nan
    lags = [autocorrelation(np.abs(r), lag) for lag in (1, 12, 288)]
    volume = float(np.median(np.bincount(bar, steps["volume_btc"].to_numpy())))
    values = (1e4 * math.sqrt(second), kurtosis, hill, autocorrelation(r, 1), *lags, volume)
    return {f"bar_{name}": value for name, value in zip(names, values, strict=True)}


def autocorrelation(values: Floats, lag: int) -> float:
    """Sample autocorrelation of values (n,) at one lag; nan when they are too few or all the same."""
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / total if values.size > 2 * lag and total > 0 else math.nan
