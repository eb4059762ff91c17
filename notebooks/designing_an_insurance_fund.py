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
# # Designing an insurance fund
#
# How large must a fund be? The question has no answer before somebody says against what, and how often it may fail.
# Here: a small made-up market, shocks of random size, and the distribution of what the fund loses, what winners lose
# to auto-deleveraging, and what is left as bad debt.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from abm import MarketModel
from abm.analysis.tails import expected_shortfall, value_at_risk
from abm.measures import summary
from abm.recorder import Recorder

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## The market
#
# Four hundred traders with much leverage and thin books, as in the notebook on the first cascade. One function runs
# it once and returns its measures. The seed decides everybody's luck: two funds on one seed meet the same people.

# %%
MARKET = {
    "accounts": 400,
    "duration_s": 90,
    "makers__depth_coins": 400,
    "makers__spot_share": 0.1,
    "retail__class_notional": [0.5, 0.2, 0.1, 0.2],
    "retail__news_coins": 20_000,
    "retail__news_s": 10,
    "retail__news_width": 0.02,
    "retail__slip": 0.05,
    "arbitrageurs__rate_coins": 5_000,
    "arbitrageurs__capital_coins": 20_000,
}
KEPT = ["fall_percent", "taken_over_usd", "fund_largest_loss_usd", "adl_usd", "adl_accounts", "bad_debt_usd"]


def one_run(fund_usd, fall_percent, seed, **changes):
    """Measures of one run: a fund of so many dollars, news of so many per cent after ten seconds."""
    news = [{"name": "shock", "at": "20:40:10", "over_s": 5, "change_percent": float(fall_percent)}]
    settings = {**MARKET, "news": news, "venue__backstop__size_usd": int(fund_usd), **changes}
    recorder = Recorder("fills")
    MarketModel("tiny", seed=seed, recorder=recorder, **settings).run()
    measured = summary(recorder.run())
    return {"fund": fund_usd, "news": fall_percent, "seed": seed} | {name: measured[name] for name in KEPT}


# %% [markdown]
# ## What it would take
#
# First a fund that never runs dry: what it loses at worst is what is asked of it. Shocks are drawn once, between 5
# and 30 per cent.

# %%
SEEDS = 16
shocks = -np.round(np.random.Generator(np.random.Philox(11)).uniform(5, 30, SEEDS), 1)
deep = pd.DataFrame([one_run(20e9, shock, seed) for seed, shock in enumerate(shocks, 1)])
print(deep[["news", "fall_percent", "taken_over_usd", "fund_largest_loss_usd"]].round(1).to_string(index=False))

# %%
losses = deep["fund_largest_loss_usd"].to_numpy()
for share in (0.5, 0.8, 0.95):
    var, beyond = value_at_risk(losses, share), expected_shortfall(losses, share)
    print(
        f"{100 * share:.0f} % of shocks need {var / 1e6:,.0f} million or less; the rest {beyond / 1e6:,.0f} on average"
    )

# %% [markdown]
# With so few shocks the 95 % value is nearly the largest one: a tail is not known from sixteen runs. A study for a
# decision would have thousands (`deleverage sweep`, then `deleverage analyse`, which prints the interval of each such
# number).

# %% [markdown]
# ## What a smaller fund does
#
# Sizes from nothing to the largest need, on the same shocks and seeds.

# %%
sizes = [1e6, *(losses.max() * np.array([0.25, 0.5, 1.25])).round(-6)]
table = pd.DataFrame([one_run(size, shock, seed) for size in sizes for seed, shock in enumerate(shocks[:8], 1)])
by_size = table.groupby("fund")[["fund_largest_loss_usd", "adl_usd", "bad_debt_usd"]].agg(["median", "max"]) / 1e6
print("million dollars\n", by_size.to_string(float_format=lambda value: f"{value:,.1f}"))

# %%
figure, axes = plt.subplots(figsize=(9, 3.6))
for _, runs in table.groupby("seed"):
    axes.plot(runs["fund"] / 1e6, runs["adl_usd"] / 1e6, color="0.75", lw=1, zorder=1)
middle = table.groupby("fund")["adl_usd"].median()
axes.plot(middle.index / 1e6, middle / 1e6, "D-", color="#633089", label="auto-deleveraged, median")
lost = table.groupby("fund")["fund_largest_loss_usd"].median()
axes.plot(lost.index / 1e6, lost / 1e6, "s-", color="#0D877A", label="largest loss of the fund, median")
axes.set_xlabel("fund at the opening, million dollars")
axes.set_ylabel("million dollars")
axes.legend(frameon=False)
figure.tight_layout()
plt.show()

# %% [markdown]
# What the fund does not carry, winners do: the two lines are the two ends of one loss. Money between them is not the
# whole story, because a deleveraged position is gone, and its owner must come back into a falling market, or was
# hedged by it.

# %% [markdown]
# ## Or less leverage
#
# Capital is one answer. Margin is another: the same shocks with at most 10x, and the same fund as the smallest above.

# %%
capped = pd.DataFrame([one_run(sizes[0], s, seed, retail__most_leverage=10) for seed, s in enumerate(shocks[:8], 1)])
free = table[table["fund"] == sizes[0]].reset_index(drop=True)
pairs = pd.DataFrame({"as it is": free["adl_usd"] / 1e6, "at most 10x": capped["adl_usd"] / 1e6})
pairs["difference"] = pairs["at most 10x"] - pairs["as it is"]
print(pairs.round(1).to_string())
print(f"less is deleveraged in {int((pairs['difference'] < 0).sum())} of {len(pairs)} pairs")

# %% [markdown]
# The cap leaves positions of the opening as large as they are and puts more money behind them. What it would do to
# the size of positions people want is not in this comparison.

# %%
assert (deep["adl_usd"] == 0).all()
assert table.groupby("fund")["adl_usd"].sum().is_monotonic_decreasing
assert (table["bad_debt_usd"] >= 0).all()

# %% [markdown]
# ## Try
#
# * Who pays, when it is not enough: `venue__deleverage__rule="pro-rata"` in `one_run`.
# * The floor at which the fund gives up: `venue__backstop__floor_usd`.
# * October instead of a made-up market: `deleverage run small-fund --accounts 20000`.
