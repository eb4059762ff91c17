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
# # A treasury under stress
#
# A company holds coins and owes money. At which price does which clause trip, what does it sell, and what does the
# sale do to the price? First on paper, then in a market.

# %%
import matplotlib.pyplot as plt
import pandas as pd

from abm import MarketModel, load_scenario
from abm.events import COVENANT
from abm.recorder import Recorder
from abm.stress import StressOptions, companies_of, marks, stress
from abm.traders.treasury_sheet import coins_to_sell, covenant_price

plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ## One clause
#
# A loan D on H coins with a covenant "loan to value at most l" trips at the price D / (l H). To come back to a target
# t the company must sell (D − t H P) / (P (1 − t)) coins and repay: the lower the price, the more coins.

# %%
debt, coins, limit, target = 280e6, 5_000.0, 0.5, 0.45
trip = covenant_price(debt, coins, limit)
print(f"trips at {trip:,.0f} dollars")
for price in (trip, 0.9 * trip, 0.8 * trip, 0.7 * trip):
    sold = coins_to_sell(debt, coins, price, target)
    print(f"at {price:9,.0f}: loan to value {debt / (coins * price):.2f}, sells {sold:7,.0f} of {coins:,.0f} coins")

# %% [markdown]
# ## The companies of November 2025
#
# A packaged population: holdings, notes and preferred shares as published, with date and source of each figure
# (`abm/traders/treasuries/november-2025.toml`). Most large notes of that autumn were unsecured and have no price
# trigger: what presses are dividends, and notes whose holders may ask for cash.

# %%
entry = {"name": "companies", "kind": "treasuries", "parameters": {"population": "november-2025"}}
scenario = load_scenario("october-2025").changed(treasuries=[], participants=[entry], accounts=1_000)
start = scenario.world.start_price_usd
rows = [marks(one, start) for one in companies_of(scenario)]
table = pd.DataFrame(
    {
        "coins": [one.coins for one in rows],
        "claims, $m": [one.claims_usd / 1e6 for one in rows],
        "covenant at, $": [one.covenant_usd for one in rows],
        "first put": [one.first_put for one in rows],
        "put in cash below, $": [one.put_usd for one in rows],
        "dividends covered, years": [one.cash_years for one in rows],
    },
    index=[one.company for one in rows],
)
print(table.sort_values("coins", ascending=False).head(10).round(1).to_string())

# %% [markdown]
# ## Falls from 10 to 80 per cent
#
# At each fall every company is asked what it must sell; the sales move the price, which may trip others; that is
# repeated until nothing changes. `by others` names those who sell only because others did. The price effect is one
# sweep of the bids that stand in the model's book, beside the square-root law for orders that are worked slowly.

# %%
found = stress(scenario, [0.1 * k for k in range(1, 9)], StressOptions())
falls = pd.DataFrame(found.drops())
shown = ["drop_percent", "companies", "posting", "sold_coins", "effect_percent", "other_effect_percent", "by_others"]
print(falls[shown].round(2).to_string(index=False))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
left.bar(falls["drop_percent"], falls["sold_coins"] / 1e3, width=6, color="#5C4300")
left.set_ylabel("sold, thousand BTC")
right.plot(falls["drop_percent"], falls["effect_percent"], "o-", color="#14171C", label="one sweep of the bids")
right.plot(falls["drop_percent"], falls["other_effect_percent"], "s--", color="#8F949E", label="square-root law")
right.set_ylabel("effect on the price, %")
right.legend(frameon=False)
for axes in (left, right):
    axes.set_xlabel("fall of the coin, %")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## In a market
#
# Now the sale meets a book with other people in it. One company with the loan from above, news that takes the price
# below the trigger, and the same evening without the loan, on the same seed: the difference is the company's doing.
# The company is a stress case, not a firm.

# %%
market = {"accounts": 500, "duration_s": 420, "makers__depth_coins": 800}
news = {"name": "shock", "at": "20:40:30", "over_s": 10, "change_percent": -15}
company = {"name": "company", "coins": coins, "cash_usd": 1e6, "ltv_limit": limit, "ltv_target": target}
company |= {"review_s": 5, "least_rate_coins": 10}  # it looks every five seconds, and sells ten coins a second
runs, events = {}, {}
for label, owed in (("with the loan", debt), ("without", 0.0)):
    recorder = Recorder("fills")
    sheet = {**company, "debt_usd": owed}
    MarketModel("tiny", news=[news], treasuries=[sheet], recorder=recorder, **market).run()
    runs[label], events[label] = recorder.run().steps, recorder.run().events

tripped = events["with the loan"]
tripped = tripped[tripped["kind"] == COVENANT]
held = runs["with the loan"]["treasury_btc"]
print(f"covenant tripped in tick {int(tripped['tick'].iloc[0])}, loan to value {tripped['amount'].iloc[0] / 1e4:.1f} %")
print(f"sold {held.iloc[0] - held.iloc[-1]:,.0f} BTC by the end")

# %%
figure, (price, stock) = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
for (label, steps), colour in zip(runs.items(), ("#14171C", "#1793E6"), strict=True):
    price.plot(steps["tick"], steps["spot_usd"] / 1e3, color=colour, label=label)
price.plot(steps["tick"], steps["fair_usd"] / 1e3, color="0.7", label="fundamental value")
price.set_ylabel("spot price, thousand dollars")
price.legend(frameon=False)
stock.plot(runs["with the loan"]["tick"], held, color="#5C4300")
stock.set_ylabel("coins of the company")
stock.set_xlabel("seconds")
figure.tight_layout()
plt.show()

with_loan, without = (steps["spot_usd"].iloc[60:].mean() for steps in runs.values())
print(f"mean spot price after the first minute: {with_loan:,.0f} with the loan, {without:,.0f} without")

# %%
assert abs(covenant_price(debt, coins, limit) * limit * coins / debt - 1) < 1e-12
assert falls["sold_coins"].is_monotonic_increasing
assert len(tripped) and held.iloc[-1] < held.iloc[0]
assert (runs["without"]["treasury_btc"] == coins).all()

# %% [markdown]
# ## Try
#
# * A cure period: `"cure_s": 120.0` in `company`. Does it help, when the price does not come back?
# * A second company with a trigger just below: does the first one's sale trip it?
# * Your own balance sheet on the command line: `deleverage stress SCENARIO --drop 10:70:5`.
