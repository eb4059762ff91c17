"""The measured pages of `docs/scenarios`: variants, columns of the table, seeds and accounts of each."""

from __future__ import annotations

from experiments._pages_kinds import Measure, Page
from experiments._pages_pictures import PICTURES

FALL = Measure("fall to the low", "%", "fall_percent")
TO_LOW = Measure("news to low", "min", "minutes_to_low")
FORCED = Measure("liquidated", "$m", "liquidated_usd", 1e-6, 0)
LONGS = Measure("longs liquidated", "$m", "liquidated_long_usd", 1e-6, 0)
SHORTS = Measure("shorts liquidated", "$m", "liquidated_short_usd", 1e-6, 0)
STARTS = Measure("accounts liquidated", "", "liquidation_starts", digits=0)
ADL = Measure("auto-deleveraged", "$m", "adl_usd", 1e-6, 0)
BAD_DEBT = Measure("bad debt", "$m", "bad_debt_usd", 1e-6, 1)
SPOT = Measure("spot, start to end", "%", "change spot_usd")
FAIR = Measure("fundamental value", "%", "change fair_usd")
DEPTH = Measure("fall of depth", "times", "depth_ratio", digits=0)
COMMON = "participants.datcos.parameters.common"

PAGES = {
    "altcoin-spillover": Page(
        {"none shared": ("alts.ETH.shared=0",), "margin of 30 % shared": ()},
        (
            Measure("fall of BTC", "%", "fall_percent"),
            Measure("fall of ETH", "%", "alts.ETH.fall_percent"),
            Measure("BTC, news to low", "min", "minutes_to_low"),
            Measure("ETH, news to low", "min", "alts.ETH.minutes_to_low"),
            Measure("depth of BTC falls", "times", "depth_ratio", digits=0),
            Measure("depth of ETH falls", "times", "alts.ETH.depth_ratio", digits=0),
            Measure("BTC liquidated", "$m", "liquidated_usd", 1e-6, 0),
            Measure("ETH liquidated", "$m", "alts.ETH.liquidated_usd", 1e-6, 0),
            Measure("accounts liquidated in both", "", "alts.ETH.liquidated_in_both_accounts", digits=0),
            ADL,
        ),
        picture="spillover",
        record="fills",
    ),
    "collateral-depeg": Page(
        {"peg kept": ("collateral.USDE.depegs=[]",), "peg lost": ()},
        (
            FALL,
            TO_LOW,
            FORCED,
            Measure("longs liquidated after 21:36", "$m", "since 21:36 liquidated_long_usd", 1e-6),
            STARTS,
            Measure("taken over by the fund", "$m", "taken_over_usd", 1e-6),
            Measure("BTC at the end", "$", "last perp_usd", digits=0),
        ),
        picture="spillover",
    ),
    "macro-selloff": Page(
        {"beta on falls 1.0": ("world.macro_beta_down=1.0",), "beta on falls 2.37": ()},
        (FAIR, SPOT, Measure("spot at 20:20", "$", "last spot_usd", digits=0), LONGS),
        PICTURES["macro-selloff"],
        seeds=5,
        accounts=20_000,
    ),
    "staking-yield": Page(
        {
            "stays at 3 %": ("participants.stakers.parameters.yields=[]",),
            "60 % throughout": ("participants.stakers.parameters.yield_percent=60",),
            "rises to 60 %": (),
        },
        (
            Measure("holders' longs before the news", "BTC", "before stakers.position_btc", digits=0),
            Measure("spot until the news", "%", "drift spot_usd"),
            Measure("longs liquidated until then", "$m", "ahead liquidated_long_usd", 1e-6, 0),
            Measure("fall after the news", "%", "fall_percent"),
            Measure("longs liquidated after it", "$m", "after liquidated_long_usd", 1e-6, 0),
        ),
        PICTURES["staking-yield"],
        accounts=20_000,
    ),
    "datco-forced-sale": Page(
        {
            "no loans": (f"{COMMON}.debt_usd=0",),
            "loans": (),
            "twice the pace": (f"{COMMON}.least_rate_coins=0.3", "participants.funds.parameters.least_rate_coins=1"),
        },
        (
            SPOT,
            FAIR,
            Measure("lowest spot", "$", "spot_low_usd", digits=0),
            Measure("companies sold", "thousand BTC", "last datcos.sold_btc", 1e-3),
            Measure("still to sell", "thousand BTC", "last datcos.to_sell_btc", 1e-3),
            Measure("funds sold", "$m", "last funds.traded_usd", -1e-6, 0),
            LONGS,
            SHORTS,
            Measure("insurance fund", "$m", "fund_change_usd", 1e-6, 0),
        ),
        picture="sale",
        seeds=2,
        accounts=20_000,
    ),
    "calm-month": Page(
        {"first six hours": ("duration_s=21600",)},
        (
            Measure("one-minute returns, sd", "bp", "minute_sd_bp"),
            Measure("largest", "bp", "minute_most_bp", digits=0),
            Measure("bids within 1 %, middle", "$m", "depth_normal_usd", 1e-6, 0),
            Measure("least", "$m", "depth_min_usd", 1e-6, 0),
            Measure("perpetual", "%", "change perp_usd"),
            FAIR,
            LONGS,
        ),
        PICTURES["calm-month"],
        seeds=5,
        accounts=20_000,
    ),
    "short-squeeze-95k": Page(
        {"no news": ("news=[]",), "good news": ()},
        (
            FAIR,
            Measure("perpetual to its high", "%", "rise perp_high_usd"),
            Measure("perpetual at 15:00", "%", "change perp_usd"),
            SHORTS,
            Measure("of it below 98,000", "$m", "below 98000 liquidated_short_usd", 1e-6, 0),
            LONGS,
            Measure("largest loss of the fund", "$m", "fund_largest_loss_usd", 1e-6),
            ADL,
        ),
        PICTURES["short-squeeze-95k"],
        accounts=20_000,
    ),
    "small-fund": Page(
        {"fund of $1.23bn": ("venue.backstop.size_usd=1230000000",), "fund of $1m": ()},
        (FALL, LONGS, Measure("largest loss of the fund", "$m", "fund_largest_loss_usd", 1e-6), BAD_DEBT, ADL,
         Measure("winners deleveraged", "", "adl_accounts", digits=0)),
        PICTURES["small-fund"],
        seeds=5,
    ),
    "two-venues": Page(
        {"the first alone": ("others=[]",), "two venues": ()},
        (FALL, Measure("fall at the second", "%", "venues.bybit.fall_percent"), FORCED,
         Measure("liquidated at the second", "$m", "venues.bybit.liquidated_usd", 1e-6, 0)),
        PICTURES["two-venues"],
        accounts=300,
        record="fills",
    ),
    "retail-delevers": Page(
        {
            "before": ("retail.caution.past_loss=0", "retail.caution.share=0", "retail.stops.share=[0]"),
            "after": (),
            "after, no stops": ("retail.stops.share=[0]",),
        },
        (FALL, TO_LOW, FORCED, Measure("open interest at the start", "thousand BTC", "first open_interest_btc", 1e-3)),
        PICTURES["retail-delevers"],
        seeds=8,
    ),
    "bots-and-people": Page(
        {"people": ("participants.programs.kind=retail",), "programs": ()},
        (
            FALL,
            TO_LOW,
            FORCED,
            Measure("money that the owners of the second crowd keep", "%", "last programs.wealth_ratio", 100.0),
            Measure("the people beside them", "%", "last people.wealth_ratio", 100.0),
        ),
        PICTURES["bots-and-people"],
        seeds=4,
        accounts=40_000,
    ),
    "reserve-and-stops": Page(
        {"all four": ()},
        (
            Measure("liquidated", "% of traders", "last {group}.liquidated_share", 100.0, 0),
            Measure("keep half of their money", "% of traders", "last {group}.kept_half_share", 100.0, 0),
            Measure("money of the group", "% of the opening", "last {group}.wealth_ratio", 100.0, 0),
            Measure("of the trader in the middle", "%", "last {group}.median_kept_ratio", 100.0, 0),
        ),
        PICTURES["reserve-and-stops"],
        groups=("plain", "reserve", "stops", "smaller"),
        seeds=6,
        record="fills",
    ),
    "etf-outflow": Page(
        {
            "no flow": ('participants.etfs.parameters.flows=[{day="2025-11-13",flow_usd=0}]',),
            "outflow of $867m": (),
        },
        (
            SPOT,
            FAIR,
            Measure("traded by the funds", "$m", "last etfs.traded_usd", 1e-6, 0),
            LONGS,
            Measure("one-minute returns, sd", "bp", "minute_sd_bp"),
        ),
        PICTURES["etf-outflow"],
        accounts=20_000,
    ),
}  # fmt: skip
