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
# # Write your own trader
#
# A trader is a class with one method: what does *one* account ask for, now? This notebook writes one that buys falls
# in steps, puts it into a market, follows one of its accounts, asks whether it changes a cascade, and checks that it
# is sound.

# %%
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from abm import MarketModel, load_scenario, outside
from abm.events import FILL_EVENT, REASON_NAMES
from abm.recorder import Recorder

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## The trader
#
# It remembers the highest price it has seen. Below it, it buys one step for every per cent of fall, with bids that
# rest in the book, and sells everything when the price has come back half of the way. Every number has a unit and a
# source, so that it appears in tables and reports; "a guess" is a source too.
#
# `decide_one` is handed what everybody sees (`view`), this account (`me`) and its luck (`rng`), and answers with a
# list of orders. What an account remembers is kept in arrays by its number.

# %%
CODE = '''
"""Buys falls in steps, sells when half of the fall is back."""

import numpy as np

from abm.parameters import quantity
from abm.traders.trader import Trader, TraderParameters


class StairParameters(TraderParameters):
    accounts: int = quantity(50, unit="accounts", source="chosen", ge=1, le=10_000)
    step: float = quantity(0.01, unit="fraction", source="a guess", gt=0, lt=1, text="between purchases")
    size: float = quantity(2.0, unit="BTC", source="chosen", gt=0, text="of a purchase")
    steps: int = quantity(8, unit="purchases", source="a guess", ge=1, le=100)
    cash: float = quantity(2e6, unit="settlement asset", source="chosen: enough for all steps", ge=0)


class Stairs(Trader):
    parameters_class = StairParameters

    def bind(self, world):
        super().bind(world)
        self.high = np.zeros(self.rows.size)
        self.bought = np.zeros(self.rows.size, np.int64)
        # nobody starts at the same step: otherwise all would buy at one price
        self.first = np.linspace(0.5, 1.5, self.rows.size)

    def decide_one(self, view, me, rng):
        p, number, last = self.parameters, me.number, me.last()
        self.high[number] = max(self.high[number], last)
        fall = 1 - last / self.high[number]
        if me.position > 0 and me.entry and last > 0.5 * (me.entry + self.high[number]):
            self.bought[number], self.high[number] = 0, last
            return [*(me.cancel(order) for order in me.orders), me.close()]
        wanted = min(int(fall / p.step + 1 - self.first[number]), p.steps)
        if wanted > self.bought[number] and not me.orders:
            self.bought[number] += 1
            return [me.buy(p.size, limit=last)]
        return []

    def measured(self):
        return {"coins": float(self.positions().sum()), "holders": float((self.positions() > 0).sum())}
'''
folder = Path(tempfile.mkdtemp())
(folder / "stairs.py").write_text(CODE, encoding="utf-8")
outside.allow(folder / "stairs.py")  # a scenario that names somebody's class runs code: only if you say so

# %% [markdown]
# ## A market with it
#
# `[[participants]]` in a scenario file, or the same as an argument: a name, the class as `module:Class`, and its
# parameters.

# %%
shock = {"name": "shock", "at": "20:40:30", "over_s": 20, "change_percent": -6}
stairs = {"name": "stairs", "kind": "stairs:Stairs", "parameters": {"accounts": 50}}
market = {"accounts": 400, "duration_s": 240, "news": [shock], "makers__depth_coins": 600, "makers__spot_share": 0.1}


def run(**more):
    """Steps, figures of participants and events of one run."""
    recorder = Recorder("fills")
    model = MarketModel("tiny", recorder=recorder, **market, **more)
    model.run()
    return model, recorder.run()


model, with_them = run(participants=[stairs])
_, without = run()
figures = with_them.participants
print(figures[["tick", "stairs.coins", "stairs.holders"]].iloc[::40].to_string(index=False))

# %%
figure, (price, held) = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
price.plot(without.steps["tick"], without.steps["perp_usd"] / 1e3, color="0.6", label="without them")
price.plot(with_them.steps["tick"], with_them.steps["perp_usd"] / 1e3, color="#14171C", label="with them")
price.plot(with_them.steps["tick"], with_them.steps["fair_usd"] / 1e3, "--", color="#B02E54", label="fundamental value")
price.set_ylabel("perpetual, thousand dollars")
price.legend(frameon=False)
held.plot(figures["tick"], figures["stairs.coins"], color="#0D877A")
held.set_ylabel("coins they hold")
held.set_xlabel("seconds")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## One of its accounts
#
# All its fills, from the events: price, size, and whether it was the one who traded at once or the one whose order
# was waiting.

# %%
trader = next(one for one in model.people if one.name == "stairs")
row = int(trader.rows[0])
fills = with_them.events[with_them.events["kind"] == FILL_EVENT]
mine = fills[(fills["account"] == row) | (fills["counterparty"] == row)]
markets = pd.DataFrame(with_them.info["markets"]).loc[mine["market"]].set_index(mine.index)
print(
    pd.DataFrame(
        {
            "second": mine["tick"],
            "price": mine["price_ticks"] * markets["tick_dollars"],
            "coins": mine["size_lots"] * markets["lot_coins"],
            "role": ["took" if account == row else "was waiting" for account in mine["account"]],
            "against": [REASON_NAMES[reason] for reason in mine["reason"]],
        }
    )
    .head(12)
    .to_string(index=False)
)

# %% [markdown]
# ## Does it change the fall?
#
# Five seeds, each with and without. Everybody else has the same luck in both, so the differences are theirs.

# %%
rows = []
for seed in range(1, 6):
    low = {}
    for label, more in (("with", {"participants": [stairs]}), ("without", {})):
        _, result = run(seed=seed, **more)
        low[label] = 100 * (result.steps["perp_low_usd"].min() / result.steps["perp_usd"].iloc[0] - 1)
    rows.append({"seed": seed, **low, "difference": low["with"] - low["without"]})
print(pd.DataFrame(rows).round(2).to_string(index=False))

# %% [markdown]
# ## Is it sound?
#
# `deleverage check` puts a class through ten tests: the same bytes twice, exact accounts, no dependence on who is
# asked first, no use of global luck, and more. The same from Python:

# %%
from abm.check import check

found = check("stairs:Stairs")
for one in found:
    print(f"{'ok' if one.ok else 'NO'}  {one.check:<12} {one.seen}")

# %%
assert figures["stairs.coins"].max() > 0
assert all(one.ok for one in found)
assert "stairs" in sys.modules and load_scenario("tiny").participants == ()

# %% [markdown]
# ## Next
#
# * The page [write your own trader](../docs/write-your-own-trader.md): all that `me` can do, and the same rule by
#   arrays for many accounts.
# * A machine that acts in every round inside a tick: `machine = True` in the class.
# * Your class in a sweep: `deleverage sweep study.toml --allow-code`.
