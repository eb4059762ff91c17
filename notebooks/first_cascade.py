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
# # A first cascade
#
# A small market, a piece of bad news, and what leverage makes of it. You need nothing but this package; the first run
# compiles for a few seconds.

# %%
import matplotlib.pyplot as plt

from abm import MarketModel
from abm.events import DELEVERAGE, KIND_NAMES, LIQUIDATION, NEWS, REASON_NAMES, TAKEOVER
from abm.recorder import Recorder

# %% [markdown]
# ## Build
#
# Four hundred traders with a great deal of leverage, thin order books, a small insurance fund. Every keyword is a
# value of the scenario, with `__` for the dot: `makers__depth_coins` is `makers.depth_coins`. Half a minute into the
# run the fundamental value falls by 25 per cent within five seconds. That is the only thing that comes from outside.

# %%
shock = {"name": "shock", "at": "20:40:30", "over_s": 5, "change_percent": -25}
market = {
    "accounts": 400,
    "duration_s": 120,
    "makers__depth_coins": 400,
    "makers__spot_share": 0.1,
    "venue__backstop__size_usd": 1_000_000,
    "retail__class_notional": [0.5, 0.2, 0.1, 0.2],
    "retail__news_coins": 20_000,
    "retail__news_s": 10,
    "retail__news_width": 0.02,
    "retail__slip": 0.05,
    "arbitrageurs__rate_coins": 5_000,
    "arbitrageurs__capital_coins": 20_000,
}
recorder = Recorder("fills")
model = MarketModel("tiny", news=[shock], recorder=recorder, **market)

for kind, agents in model.agents_by_type.items():
    print(f"{len(agents):4d} {kind.__name__}")

# %% [markdown]
# ## Run
#
# One step is one second. `model.step()` is the whole model; read it in `abm/model.py`.

# %%
for _ in range(29):
    model.step()
print(f"before the news: {model.latest['perp_usd']:,.0f} dollars")

model.run()
run = recorder.run()
steps, events = run.steps, run.events
print(f"at the end: {steps['perp_usd'].iloc[-1]:,.0f} dollars, {len(events):,} events")

# %% [markdown]
# ## Look
#
# The price, what was liquidated in each second, and how many dollars of bids stood within one per cent of the price.

# %%
figure, (price, forced, depth) = plt.subplots(3, 1, figsize=(9, 8), sharex=True)
price.plot(steps["tick"], steps["fair_usd"], color="0.6", label="fundamental value")
price.plot(steps["tick"], steps["perp_usd"], label="perpetual")
price.plot(steps["tick"], steps["mark_usd"], linestyle=":", label="mark price")
price.set_ylabel("dollars")
price.legend()
forced.bar(steps["tick"], -steps["liquidated_long_usd"] / 1e6, width=1, color="tab:red", label="longs")
forced.bar(steps["tick"], steps["liquidated_short_usd"] / 1e6, width=1, color="tab:green", label="shorts")
forced.set_ylabel("liquidated, million dollars")
forced.legend()
depth.semilogy(steps["tick"], steps["depth_bid_usd"] / 1e6)
depth.set_ylabel("bids within 1 %, million dollars")
depth.set_xlabel("seconds")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Count
#
# What happened, by kind of event. A *takeover*: the book did not take a forced order, so the insurance fund did. A
# *deleverage*: the fund was empty, so the position of a winner was closed.

# %%
counts = events["kind"].map(dict(enumerate(KIND_NAMES))).value_counts()
print(counts.to_string())

# %% [markdown]
# ## Follow one trader
#
# The trader whose first liquidation was the largest, and everything that happened to the account.

# %%
liquidations = events[(events["kind"] == LIQUIDATION) & (events["tick"] > 30)]
largest = liquidations.loc[liquidations["size_lots"].idxmax()]
victim = int(largest["account"])

mine = events[(events["account"] == victim) | (events["counterparty"] == victim)].copy()
mine["what"] = mine["kind"].map(dict(enumerate(KIND_NAMES)))
mine["why"] = mine["reason"].map(dict(enumerate(REASON_NAMES)))
print(mine[["tick", "round", "seq", "what", "side", "price_ticks", "size_lots", "why", "cause"]].to_string(index=False))

# %% [markdown]
# ## Why?
#
# Every event knows the one that tripped it. Follow the causes of that liquidation back to where the chain begins: the
# fill that moved the mark, the forced order behind that fill, the liquidation behind the order, and so on. A chain ends
# with somebody who traded on their own account.

# %%
by_seq = events.set_index("seq")


def causes(seq: int) -> list[int]:
    """The event and what caused it, what caused that, ... as far as it goes."""
    chain = [seq]
    while (cause := int(by_seq.loc[chain[-1], "cause"])) in by_seq.index:
        chain.append(cause)
    return chain


chain = causes(int(largest["seq"]))
for seq in chain:
    row = by_seq.loc[seq]
    print(
        f"tick {row['tick']:3d} round {row['round']}  {KIND_NAMES[row['kind']]:12s} account {row['account']:4d}"
        f"  {row['size_lots']:9,d} lots  {REASON_NAMES[row['reason']]}"
    )

# %% [markdown]
# How long are the chains of all liquidations? Chains with more than one liquidation are the cascade proper: one
# trader's forced sale was another's margin call.

# %%
links = [
    sum(int(by_seq.loc[seq, "kind"]) == LIQUIDATION for seq in causes(int(start))) for start in liquidations["seq"]
]
for length in sorted(set(links)):
    print(f"{links.count(length):4d} liquidations with {length} liquidation(s) in their chain")

# %% [markdown]
# ## Check
#
# The price fell, longs were liquidated, and the fund or the winners had to step in. If you change the numbers above,
# these lines may fail: that is what they are for.

# %%
assert (events["kind"] == NEWS).any()
assert steps["perp_usd"].min() < 0.9 * steps["perp_usd"].iloc[0]
assert steps["liquidated_long_usd"].sum() > steps["liquidated_short_usd"].sum()
assert events["kind"].isin([TAKEOVER, DELEVERAGE]).any()
assert max(links) >= 1

# %% [markdown]
# ## Try
#
# * The same people without leverage: `retail__class_notional=[0, 0, 0, 1]`.
# * Makers who have to stay: `makers__obliged=0.5`.
# * Another draw of luck: `seed=2`. Everything else stays as it was, so runs can be compared pair by pair.
