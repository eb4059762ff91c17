"""Rows of the collected facts that a run is not held against, each with its reason. Other commands speak to some."""

from __future__ import annotations

from abm.targets.target import Silent

_ALL_COINS = "all coins and venues; the model has bitcoin on one to three of them"
_OUTSIDE = "outside the hours that are simulated"
_INPUT = "an input of the scenario, not a result"
_OTHER_COINS = "another coin or collateral; scenarios altcoin-spillover and collateral-depeg show the mechanism"
_EXPERIMENT = "a law of the book in calm: `deleverage experiment book-impact`"
_TREASURIES = "balance sheets: inputs of the treasury scenarios, `deleverage stress`"
_PRESS = "no primary source or no number"

SILENT = tuple(
    Silent(row, what, reason)
    for row, what, reason in (
        ("1.1", "total liquidated, $19.13bn", _ALL_COINS),
        ("1.2", "total liquidated by Amberdata, $9.89bn", _ALL_COINS),
        ("1.4", "1.62 million accounts", f"{_ALL_COINS}; the number of accounts is the model's granularity"),
        ("1.5", "peak minute $3.21bn at 21:15", "no counterpart in records of single trades; not to be calibrated to"),
        ("1.8", "split between bitcoin and ether", "sources disagree"),
        ("1.10", "Hyperliquid, $1.5bn by another study", "all coins; the bitcoin part of the chain data stands in 1.9"),
        ("2.1", "all-time high on 6 October", _OUTSIDE),
        ("2.2", "close of the day, -7.3 %", _OUTSIDE),
        ("2.8", "recovered after 6, 24 and 48 hours", f"{_OUTSIDE}; taken as bounds of the news (2.8, fall over news)"),
        ("2.9", "volume of the day, 3.3 times the median", _OUTSIDE),
        ("2.11", "lows of other venues", "press, without minute and unit; Hyperliquid's disputed"),
        ("2.12", "falls of altcoins", _OTHER_COINS),
        ("2.13", "turnover by venue", _INPUT),
        ("3.1", "September, $1.5bn, 400,000 traders", _ALL_COINS),
        ("3.2", "November, $1.27bn, largest order $33.95m", f"{_ALL_COINS}; press"),
        ("3.3", "other versions of early November", "contradict each other"),
        ("4.3", "thinning of depth with the size of the move",
         "used for the makers' rule; its level is held against September and November"),
        ("4.4", "top of the book -82 %", "press, no venue"),
        ("4.6", "Hyperliquid spread +130 bp, depth -28 %", "nine coins together, bitcoin not alone"),
        ("4.7", "decline of depth from October to November", _INPUT),
        ("4.7b", "one token's book, -98 %", _OTHER_COINS),
        ("4.7c", "books appeared empty", _PRESS),
        ("4.8", "forced flow over displayed depth in quiet times",
         "27 clusters of quiet days; calm runs force next to nobody"),
        ("4.9", "shape of the book, exponent of impact",
         f"shape: {_INPUT}; impact: `deleverage experiment book-impact`"),
        ("4.10", "aggregate impact, exponent 0.76", "`deleverage experiment stylised-facts`"),
        ("4.11", "square-root impact of large orders", _EXPERIMENT),
        ("5.3", "open interest $72.4bn at 23x", "cannot be verified; not to be calibrated to"),
        ("5.5", "funding before the event", _INPUT),
        ("5.6", "funding after the event", f"{_OUTSIDE}: the next print is at 00:00"),
        ("5.7", "funding in November", f"{_OUTSIDE}; {_INPUT}"),
        ("5.8", "basis of wrapped and synthetic collateral", _OTHER_COINS),
        ("5.9", "their timing, after the low", _OTHER_COINS),
        ("5.10", "perpetual against spot by the minute", "not obtained"),
        ("6.1", "number of ADL fills and accounts", "the number of accounts is the model's granularity"),
        ("6.4", "gains realised by the deleveraged, 11.7 % of notional in BTC",
         "needs entry prices, which events do not hold"),
        ("6.6", "leverage of the deleveraged", "needs their equity at the moment, which events do not hold"),
        ("6.7", "losses of the liquidated, gains of the other shorts",
         "likewise; accounts' long and short shares are held against it"),
        ("6.10", "trading of the deleveraged afterwards", "in the model they wait by a rule; nothing to be found out"),
        ("6.13", "compensation of $283m", "paid later, by decision"),
        ("6.14", "losses of single market makers", "press; the model's makers are nobody in particular"),
        ("6.15", "traders at Hyperliquid, 50,000 to 20,000", _PRESS),
        ("7.1", "capital of treasury companies", _TREASURIES),
        ("7.2", "holdings", _TREASURIES),
        ("7.3", "values over net assets", _TREASURIES),
        ("7.4", "a forced sale of 970 coins", _TREASURIES),
        ("7.5", "overhang of forced sales", "no primary source; a stress case, scenario datco-forced-sale"),
        ("7.6", "covenants", _TREASURIES),
        ("7.7", "weekly buying", _TREASURIES),
        ("7.8", "flows of the exchange-traded funds", "daily; input of the scenario etf-outflow"),
        ("7.9", "correlation with the Nasdaq 100", "input of the scenario macro-selloff"),
        ("7.10", "planned leverage of retail traders", "planned, not held"),
        ("7.11", "highest leverage of venues", "rules, in the presets"),
        ("7.12", "short cluster at 95,000", "input of the scenario short-squeeze-95k"),
        ("8.2", "15-minute returns", "`deleverage experiment stylised-facts`"),
        ("8.3", "hourly returns", "`deleverage experiment stylised-facts`"),
        ("8.4", "daily returns 2015 to 2026", "years; the model runs weeks"),
        ("8.5", "daily returns 2023 to 2025", "years; the model runs weeks"),
        ("8.6", "daily returns 2025", "a year; the model runs weeks"),
        ("8.7", "funding since 2020", "years; its mean of a month stands in `deleverage experiment stylised-facts`"),
        ("8.9", "minute kurtosis, liquidations of a day", "not obtained"),
        ("8.10", "rebound after falls of 3 % in 15 minutes", "an average over hundreds of falls in years"),
    )
)  # fmt: skip
