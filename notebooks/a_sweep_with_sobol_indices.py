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
# # A sweep with Sobol indices
#
# Which parameter matters? Change one at a time, and the answer holds for one corner of the space. Sobol indices share
# the variance of a result out over the parameters, each alone and with all it does together with others, over whole
# ranges.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from abm import MarketModel
from abm.analysis import Problem, saltelli, sobol
from abm.measures import summary
from abm.recorder import Recorder

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## Three parameters, three ranges
#
# How large the news is, how deep the books are, how much leverage anybody may have. The range is a part of the
# question: a wide one makes a parameter important. In your own study take the *likely* ranges of the parameter table.

# %%
problem = Problem.of(
    {
        "news.shock.change_percent": (-25, -2),
        "makers.depth_coins": (200, 1_600),
        "retail.most_leverage": (2, 20),
    }
)
BASE = 16  # a power of two; the intervals below show how few that is
design = saltelli(problem, BASE)
print(f"{len(design)} points = {BASE} x ({len(problem.names)} + 2)")
print(design.head(5).round(2).to_string())

# %% [markdown]
# ## Run every point
#
# Everything else is the market of the first notebook. All points have the same seed: what differs between them is the
# point, not the luck. (`deleverage sweep` does the same on many processes, survives a kill and goes on where it was.)

# %%
MARKET = {
    "accounts": 300,
    "duration_s": 45,
    "makers.spot_share": 0.1,
    "venue.backstop.size_usd": 100_000_000,
    "retail.class_notional": [0.2, 0.2, 0.2, 0.4],
    "retail.slip": 0.05,
    "arbitrageurs.rate_coins": 5_000,
    "arbitrageurs.capital_coins": 20_000,
}
MEASURES = ["fall_percent", "liquidated_usd", "adl_usd"]


def measures_at(point, seed):
    """Measures of one run at a point of the design."""
    news = [{"name": "shock", "at": "20:40:10", "over_s": 5, "change_percent": -1.0}]
    settings = {**MARKET, **point, "retail.most_leverage": round(point["retail.most_leverage"])}
    news[0]["change_percent"] = settings.pop("news.shock.change_percent")
    recorder = Recorder("fills")
    keywords = {name.replace(".", "__"): value for name, value in settings.items()}
    MarketModel("tiny", seed=seed, news=news, recorder=recorder, **keywords).run()
    found = summary(recorder.run())
    return {name: found[name] for name in MEASURES}


runs = pd.DataFrame(
    [
        {"point": number, "replicate": 0, **point, **measures_at(point, seed=1)}
        for number, point in enumerate(design.to_dict("records"))
    ]
)
print(runs[MEASURES].describe().loc[["min", "50%", "max"]].to_string(float_format="{:,.1f}".format))

# %% [markdown]
# ## The indices
#
# *First*: the share of the variance that goes if this parameter alone were known. *Total*: the share that stays as
# long as it is not known. The distance between the two is what it does together with others. Intervals are from a
# bootstrap over the base points.

# %%
indices = {measure: sobol(runs, problem.names, measure) for measure in MEASURES}
for measure, table in indices.items():
    print(f"\n{measure}")
    print(table[["first", "first_low", "first_high", "total", "total_low", "total_high"]].round(2).to_string())

# %%
figure, panels = plt.subplots(1, len(MEASURES), figsize=(9, 3.2), sharey=True)
place = np.arange(len(problem.names))
for axes, (measure, table) in zip(panels, indices.items(), strict=True):
    for shift, kind, colour in ((-0.17, "first", "#1793E6"), (0.17, "total", "#14171C")):
        low, high = table[f"{kind}_low"], table[f"{kind}_high"]
        axes.hlines(place + shift, low, high, color=colour, lw=1)
        axes.plot(table[kind], place + shift, "o", color=colour, label=kind)
    axes.set_title(measure, loc="left", fontsize=10)
    axes.axvline(0, color="0.8", lw=0.8, zorder=0)
panels[0].set_yticks(place, [name.split(".")[-1] for name in problem.names])
panels[0].legend(frameon=False)
panels[1].set_xlabel("share of the variance")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## How far to trust this
#
# With so few base points the intervals are wide, and an index below zero is noise. Where two intervals overlap, the
# order of the two parameters is not known. Doubling the base narrows an interval by about 1.4; a study that should
# tell parameters apart has 512 or more, and several seeds a point, so that luck can be told from the parameter.
#
# What the parameter does is not in an index: it has no sign. Look at it:

# %%
figure, panels = plt.subplots(1, len(problem.names), figsize=(9, 3), sharey=True)
for axes, name in zip(panels, problem.names, strict=True):
    axes.plot(runs[name], runs["fall_percent"], "o", color="#E0401A", alpha=0.5, ms=4)
    axes.set_xlabel(name.split(".")[-1])
panels[0].set_ylabel("fall, %")
figure.tight_layout()
plt.show()

# %%
assert len(runs) == BASE * (len(problem.names) + 2)
assert all(np.isfinite(table.to_numpy()).all() for table in indices.values())
assert all((table["total"] > table["first"] - 0.5).all() for table in indices.values())

# %% [markdown]
# ## The same as a study
#
# Save as `sobol.toml`, then `deleverage sweep sobol.toml --workers 8` and `deleverage analyse runs/sweep-sobol`:
#
# ```toml
# scenario = "october-2025"
# design = "saltelli"
# points = 512
# record = ["fall_percent", "liquidated_usd", "adl_usd"]
#
# [set]
# accounts = 5000
#
# [[vary]]
# path = "makers.depth_coins"
# low = 1000
# high = 4000
#
# [[vary]]
# path = "retail.most_leverage"
# low = 5
# high = 100
# integer = true
# ```
