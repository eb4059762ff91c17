# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 October 2025, step by step
#
# The evening on which most leverage was liquidated, in the model: what is put in, what comes out, who caused it, and
# what of the real figures is met. One seed with few accounts is an example, not a result: the pages on results and
# validation have many seeds. Nothing below states a number of its own; whatever the present calibration gives is
# printed.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from abm import MarketModel, load_scenario
from abm.events import KIND_NAMES, LIQUIDATION, REASON_NAMES
from abm.measures import summary
from abm.recorder import Recorder
from abm.targets import comparison

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## What is put in
#
# The news: a path of the fundamental value, declared in the scenario with a source, or as assumed. The announcement
# has a known time. The second impulse is an assumption, and the price path of one evening cannot tell it from
# something that came from within.

# %%
scenario = load_scenario("october-2025").changed(accounts=1_000)
print(
    pd.DataFrame(
        [
            {"at": f"{item.at}", "over, s": item.over_s, "change, %": item.change_percent, "grade": item.grade}
            for item in scenario.news
        ]
    ).to_string(index=False)
)
print(f"\n{scenario.description}")

# %% [markdown]
# ## Run it
#
# A thousand retail accounts stand for the same open interest as a hundred thousand would: `accounts` is a resolution.

# %%
CUT = {"start": "2025-10-10T20:46:00Z", "duration_s": 2_700}


def run(**changes):
    """Steps, events and measures of one run of the evening, from four minutes before the announcement."""
    recorder = Recorder("fills")
    MarketModel(scenario.changed(**CUT, **changes), recorder=recorder).run()
    data = recorder.run()
    return data, summary(data)


data, measured = run()
steps, events = data.steps, data.events
print(f"{len(steps):,} ticks, {len(events):,} events; the price falls by {-measured['fall_percent']:.1f} %")
print(f"{measured['minutes_to_low']:.1f} minutes after the news, on news of {-measured['news_percent']:.1f} %")

# %%
figure, panels = plt.subplots(4, 1, figsize=(9, 9), sharex=True, height_ratios=[3, 1.5, 1.5, 1.5])
time = steps["time"]
panels[0].plot(time, steps["fair_usd"] / 1e3, color="#B02E54", ls="--", lw=1, label="fundamental value")
panels[0].plot(time, steps["perp_usd"] / 1e3, color="#14171C", lw=1, label="perpetual")
panels[0].plot(time, steps["mark_usd"] / 1e3, color="#E3A400", ls=":", lw=1, label="mark")
panels[0].set_ylabel("thousand dollars")
panels[0].legend(frameon=False, ncols=3)
minutes = steps.set_index("time")[["liquidated_long_usd", "liquidated_short_usd"]].resample("1min").sum() / 1e6
width = pd.Timedelta("50s")
panels[1].bar(minutes.index, minutes["liquidated_long_usd"], width, color="#E0401A", align="edge", label="longs")
panels[1].bar(minutes.index, -minutes["liquidated_short_usd"], width, color="#1793E6", align="edge", label="shorts")
panels[1].set_ylabel("liquidated,\nmillion a minute")
panels[1].legend(frameon=False)
panels[2].semilogy(time, steps["depth_bid_usd"].clip(lower=1e4) / 1e6, color="#7FA596", lw=1)
panels[2].set_ylabel("bids within 1 %,\nmillion")
panels[3].plot(time, steps["open_interest_btc"] / 1e3, color="#14171C", lw=1)
panels[3].set_ylabel("open interest,\nthousand BTC")
panels[3].set_xlabel("UTC")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Step by step
#
# When did what begin? The first minute of each, from the steps.

# %%
normal = measured["depth_normal_usd"]
after = steps["time"] > steps["time"].iloc[int(np.flatnonzero(steps["news_fair_change"].to_numpy() != 0)[0])]
moments = {
    "first news": steps["news_fair_change"] != 0,
    "half of the bids gone": after & (steps["depth_bid_usd"] < 0.5 * normal),
    "first long liquidated": steps["liquidated_long_accounts"] > 0,
    "a tenth of the bids left": after & (steps["depth_bid_usd"] < 0.1 * normal),
    "worst second": steps["liquidated_long_usd"] == steps["liquidated_long_usd"].max(),
    "low": steps["perp_low_usd"] == steps["perp_low_usd"].min(),
    "the fund takes something over": steps["taken_over_usd"] > 0,
    "winners deleveraged": steps["adl_usd"] > 0,
}
told = {name: steps["time"][where].min() for name, where in moments.items()}
for name, when in sorted(told.items(), key=lambda item: f"{item[1]}"):  # "NaT" comes last
    print(f"{'never' if pd.isna(when) else f'{when:%H:%M:%S}':>8}  {name}")

# %% [markdown]
# ## Who caused the liquidations?
#
# Every liquidation carries the fill that moved the mark past its threshold; the reason of that fill says who traded.
# Forced fills are the cascade proper: their share is the branching ratio.

# %%
started = events[events["kind"] == LIQUIDATION]
causes = pd.Series(measured["liquidation_causes"]).sort_values(ascending=False)
print((100 * causes / causes.sum()).round(1).rename("% of liquidations").to_string())
print(f"\nbranching ratio {measured['branching_ratio']:.2f}: liquidations caused by forced fills, per liquidation")

# %%
sold = events[events["kind"] == KIND_NAMES.index("fill")]
perpetuals = [number for number, market in enumerate(data.info["markets"]) if market["kind"] == "perpetual"]
falling = sold[(sold["side"] == -1) & sold["market"].isin(perpetuals) & (sold["time"] <= told["low"])]
lots = pd.Series([market["lot_coins"] for market in data.info["markets"]])
coins = falling["size_lots"] * lots[falling["market"]].to_numpy()
by_reason = coins.groupby(falling["reason"].map(dict(enumerate(REASON_NAMES)))).sum().sort_values(ascending=False)
print("who sold on the perpetual until the low, % of the coins sold by takers")
print((100 * by_reason / by_reason.sum()).round(1).head(8).to_string())

# %% [markdown]
# ## Beside the real evening
#
# Each published figure that the model can speak to, with its band and grade. Misses are shown like hits. One seed of
# a cut evening misses more than the median of many would.

# %%
beside = pd.DataFrame(comparison(measured, scenario.changed(**CUT)))
beside["verdict"] = beside["inside"].map({True: "inside", False: "OUTSIDE"}).fillna("cannot be told")
shown = ["measure", "unit", "model", "real", "low", "high", "grade", "verdict"]
print(beside[shown].round(2).to_string(index=False))

# %% [markdown]
# ## What did leverage do?
#
# The same people, the same luck, nobody with more than 1x: nobody can be liquidated. What is left of the fall is
# news, fear and makers who step back. One pair of runs is an anecdote: `deleverage experiment october-switches` has
# many.

# %%
_, unlevered = run(retail={**scenario.retail.model_dump(mode="json"), "most_leverage": 1})
rows = {"as it is": measured, "leverage 1x": unlevered}
names = ["fall_percent", "minutes_to_low", "multiplier", "liquidated_usd", "depth_min_usd", "recovery_5min_percent"]
pair = pd.DataFrame({label: {name: row[name] for name in names} for label, row in rows.items()})
print(pair.to_string(float_format="{:,.2f}".format))

# %%
assert measured["fall_percent"] < 0 and len(started) > 0
assert measured["long_share_percent"] > 50
assert unlevered["liquidated_usd"] < measured["liquidated_usd"]

# %% [markdown]
# ## Try
#
# * Makers who may not leave: `run(makers={**scenario.makers.model_dump(mode="json"), "obliged": 0.5})`.
# * Another seed: `run(seed=2)`. How different is the evening?
# * Three venues: `load_scenario("october-2025-venues")`.
