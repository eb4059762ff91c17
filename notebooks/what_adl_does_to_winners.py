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
# # What auto-deleveraging does to winners
#
# A trader is liquidated, the book does not take the position, the insurance fund is empty. Somebody has to close the
# other side. Who, depends on the venue: a queue by profit and leverage, a share from everybody, a charge on all. Here
# the same loss is handed to each rule, account by account, with the project's own clearing engine.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from abm.state import BUY, ISOLATED, SELL
from abm.unwind import BookLevels, Snapshot, unwind
from abm.venues.preset import load_preset

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## Forty accounts
#
# One long of 30 coins at 20x, whose margin is gone, and forty shorts who opened above the present price. They differ
# in what decides in a queue: how much they have won, and with how much leverage. Nobody quotes: the book is empty.
# That is an extreme, and it makes the rule visible.

# %%
draw = np.random.Generator(np.random.Philox(7))
count, mark = 40, 100_000.0
size = np.round(draw.pareto(1.5, count) + 0.5, 3)
size *= 120 / size.sum()
entry = mark * (1 + draw.uniform(0.005, 0.15, count))
leverage = draw.choice([1, 2, 5, 10, 20], count)
lost_coins, bankrupt_entry = 30.0, mark * 1.08

snapshot = Snapshot(
    names=["bankrupt long", *(f"short {i:02d}" for i in range(count))],
    side=np.array([BUY] + count * [SELL]),
    size=np.append(lost_coins, size),
    entry=np.append(bankrupt_entry, entry),
    margin=np.append(lost_coins * bankrupt_entry / 20, size * entry / leverage),
    mode=np.full(count + 1, ISOLATED),
)
profit = size * (entry - mark)
lost = lost_coins * (bankrupt_entry - mark)
print(f"the long has lost {lost / 1e3:.0f} thousand dollars on {snapshot.margin[0] / 1e3:.0f} thousand of margin")
print(f"forty winners have {profit.sum() / 1e3:.0f} thousand of profit on {size.sum():.0f} coins")

# %% [markdown]
# ## Seven rules, one loss
#
# Every rule runs on the same accounts at the same mark, with a fund of nothing. `deleveraged` is what an account
# loses against the mark because its position was closed at another price; `charged` is what it pays in cash.

# %%
preset = load_preset("binance-2025-10")
rules = [
    "binance-queue", "bybit-queue", "hyperliquid-queue", "pro-rata", "capped-pro-rata", "socialised", "none",
]  # fmt: skip
tables = {}
for rule in rules:
    done = unwind(snapshot, BookLevels.empty(), mark, preset, rule, fund=0.0)
    table = pd.DataFrame(done.accounts).set_index("id").drop("bankrupt long")
    tables[rule] = table.assign(
        profit=profit, leverage=leverage, paid=-(table["deleveraged"] + table["charged"]), fund=done.others["fund"][1]
    )

summary = pd.DataFrame(
    {
        "winners hit": {rule: int((table["paid"] > 1).sum()) for rule, table in tables.items()},
        "they pay, $": {rule: table["paid"].sum() for rule, table in tables.items()},
        "hardest hit, % of profit": {
            rule: 100 * (table["paid"] / table["profit"]).max() for rule, table in tables.items()
        },
        "coins closed": {rule: (table["size_before"] - table["size_after"]).sum() for rule, table in tables.items()},
        "fund afterwards, $": {rule: table["fund"].iloc[0] for rule, table in tables.items()},
    }
)
print(summary.round(1).to_string())

# %% [markdown]
# The loss is the same in every row; what differs is who carries it. A queue takes few accounts and takes them whole:
# they lose their position, which may have been a hedge, and the profit they would have made from there on. Sharing
# takes a little from everybody. *none* leaves it with the fund, which is then below zero: somebody outside the model
# would have to pay.
#
# Winners are closed at the price at which the long was bankrupt, which lies above the mark here. A short who sold
# between the two prices buys back above the price of the sale: chosen by a queue, a winner can leave with a loss.

# %%
figure, panels = plt.subplots(2, 2, figsize=(9, 6), sharex=True, sharey=True)
shown = ("binance-queue", "bybit-queue", "hyperliquid-queue", "pro-rata")
for axes, rule in zip(panels.flat, shown, strict=True):
    table = tables[rule]
    closed = 100 * (1 - table["size_after"] / table["size_before"])
    dots = axes.scatter(table["profit"] / 1e3, closed, c=np.log2(table["leverage"]), cmap="cividis", s=25)
    axes.set_title(rule, loc="left", fontsize=10)
    axes.set_xscale("log")
for axes in panels[-1]:
    axes.set_xlabel("profit, thousand dollars")
for axes in panels[:, 0]:
    axes.set_ylabel("closed, % of the position")
bar = figure.colorbar(dots, ax=panels, label="leverage")
bar.set_ticks(np.log2([1, 2, 5, 10, 20]), labels=["1x", "2x", "5x", "10x", "20x"])
plt.show()

# %% [markdown]
# ## With a fund
#
# A fund that covers the loss leaves the winners alone. How large it would have to be, seen from this one loss:

# %%
loss = tables["binance-queue"]["paid"].sum()
for fund in (0.0, 0.5 * loss, 2.0 * loss):
    done = unwind(snapshot, BookLevels.empty(), mark, preset, "binance-queue", fund=fund)
    hit = int((np.array(done.accounts["deleveraged"]) < -1).sum())
    before, after = done.others["fund"]
    print(f"fund {before / 1e3:7.0f} thousand dollars: {hit:2d} winners hit, {after / 1e3:7.0f} thousand left")

# %% [markdown]
# A fund that is too small for the whole position is not drawn on at all: it refuses the position, and the winners
# take it. That is the rule of this venue; others share.

# %%
assert abs(tables["pro-rata"]["paid"].sum() / loss - 1) < 0.01
assert (tables["pro-rata"]["paid"] > 1).sum() > (tables["binance-queue"]["paid"] > 1).sum()
assert tables["none"]["paid"].abs().sum() == 0 and tables["none"]["fund"].iloc[0] < 0
assert summary["they pay, $"].drop("none").max() - summary["they pay, $"].drop("none").min() < 1

# %% [markdown]
# ## Try
#
# * Real accounts: `deleverage unwind accounts.csv --mark 100000 --adl pro-rata`, with a book if you have one.
# * The winners of 10 October 2025: `deleverage experiment adl-2025`.
# * A rule of your own: an object with `allocate(needed_lots, winners) -> lots`; see `abm/clearing/adl/`.
