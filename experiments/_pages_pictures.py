"""The pictures of `scenario-pages` whose panels are lines, dots and bars; {seed} and {accounts} are filled in.

Those of `altcoin-spillover`, `collateral-depeg` and `datco-forced-sale` are drawn by `abm.figures.spillover` and
`abm.figures.treasury_run`.
"""

from __future__ import annotations

from abm.figures.variants import Dots, Picture, Series

PRICE = Series("Spot price", "thousand $", "spot_usd", 1e-3)
PERPETUAL = Series("Price of the perpetual", "thousand $", "perp_usd", 1e-3)
LONGS = Series("Longs liquidated", "$ million", "liquidated_long_usd", 1e-6, "since the start", summed=True)
SHORTS = Series("Shorts liquidated", "$ million", "liquidated_short_usd", 1e-6, "since the start", summed=True)
INTEREST = Series("Open interest", "thousand BTC", "open_interest_btc", 1e-3)
FALL = Dots("Fall to the low, seed by seed", "%", "fall_percent", note="after the news; same seed, same luck")
FORCED = Dots("Liquidated, seed by seed", "$ million", "liquidated_usd", 1e-6, "longs and shorts")

PICTURES = {
    "macro-selloff": Picture(
        "Stocks fall by 3.6 %: 10 October 2025, before the evening",
        ("Seed {seed}, {accounts} accounts. Fall of the index observed, its path assumed.",),
        (PRICE, Series("Fundamental value", "thousand $", "fair_usd", 1e-3, "moved by the index"), INTEREST, LONGS),
    ),
    "staking-yield": Picture(
        "A yield outside draws capital from leverage, then bad news comes",
        ("Seed {seed}, {accounts} accounts. A what-if: yield, holders and news are assumed.",),
        (
            PRICE,
            Series("Positions of the holders", "thousand BTC", "stakers.position_btc", 1e-3),
            Series("Staked", "$ million", "stakers.staked_usd", 1e-6),
            LONGS,
        ),
    ),
    "etf-outflow": Picture(
        "Funds sell $867m in a session: 13 November 2025",
        ("Seed {seed}, {accounts} accounts. The flow is observed, its execution assumed; no other news.",),
        (
            PRICE,
            Series("Net flow traded", "$ million", "etfs.traded_usd", 1e-6, "since the start"),
            Series("Exchange reserve", "thousand BTC", "etfs.reserve_btc", 1e-3, "coins of participants at the venue"),
            LONGS,
        ),
    ),
    "short-squeeze-95k": Picture(
        "Good news where $1.59bn of shorts stand: a what-if of late November 2025",
        ("Seed {seed}, {accounts} accounts. Cluster reported, its make-up and the news assumed.",),
        (
            PERPETUAL,
            Series("Fundamental value", "thousand $", "fair_usd", 1e-3, "moved by the news"),
            INTEREST,
            SHORTS,
        ),
    ),
    "calm-month": Picture(
        "Six hours without news",
        ("From 15 September 2025, 00:00 UTC. Lines: seed {seed}. Model, {accounts} accounts.",),
        (
            PERPETUAL,
            Series("Fundamental value", "thousand $", "fair_usd", 1e-3),
            Dots("Perpetual, start to end, seed by seed", "%", "change perp_usd"),
            Dots("Fundamental value, seed by seed", "%", "change fair_usd"),
        ),
    ),
    "two-venues": Picture(
        "Two venues: a toy for tests and first steps",
        ("Seed {seed}, {accounts} accounts. Nothing here is calibrated.",),
        (PERPETUAL, LONGS),
    ),
    "small-fund": Picture(
        "October with an insurance fund of one million dollars: a stress",
        ("Seed {seed}, {accounts} accounts. The size of the small fund is assumed.",),
        (
            PERPETUAL,
            Series("Taken over by the fund", "$ million", "taken_over_usd", 1e-6, "since the start", summed=True),
            Series("Auto-deleveraged", "$ million", "adl_usd", 1e-6, "since the start", summed=True),
            LONGS,
        ),
    ),
    "retail-delevers": Picture(
        "The shock of October before and after retail has cut its leverage",
        ("10 October 2025 from 20:48 UTC. Lines: seed {seed}. Model, {accounts} accounts.",),
        (PERPETUAL, LONGS, FALL, FORCED),
    ),
    "bots-and-people": Picture(
        "A sixth of the positions run by programs, or by people in their place",
        ("10 October 2025 from 20:48 UTC. Lines: seed {seed}. Model, {accounts} accounts and two crowds of 10,000.",),
        (PERPETUAL, LONGS, FALL, FORCED),
    ),
    "reserve-and-stops": Picture(
        "Reserve, stops, smaller size: who survives October",
        (
            "Four groups of 1,000 twins in the market of 10 October 2025, 20:48 to 21:33 UTC, {accounts} accounts",
            "beside them. Bars: median over seeds; dots: each seed.",
        ),
        (
            Dots("Liquidated", "% of traders", "last {group}.liquidated_share", 100.0, grouped=True),
            Dots("Keep half of their money", "% of traders", "last {group}.kept_half_share", 100.0, grouped=True),
            Dots("Money of the group", "% of the opening", "last {group}.wealth_ratio", 100.0, grouped=True),
        ),
        columns=3,
        panel_in=(3.0, 2.3),
    ),
}
