"""From a preset's words to the engine's numbers: rates in 1e-8, money in settlement units, times in milliseconds."""

from __future__ import annotations

from abm.clearing.backstop import AT_BANKRUPTCY, AT_MARK, AT_PREVIOUS_MARK, BackstopRules
from abm.clearing.liquidation import LiquidationRules
from abm.clearing.liquidation_kernel import (
    BRING_BACK,
    LIMIT_BAND,
    LIMIT_BANKRUPTCY,
    LIMIT_NONE,
    LOWER_TIER,
    SHARE,
    WHOLE,
)
from abm.units import rate_units
from abm.venues.preset import VenuePreset

LIMITS = {"bankruptcy": LIMIT_BANKRUPTCY, "band": LIMIT_BAND, "none": LIMIT_NONE}
SIZINGS = {"bring-back": BRING_BACK, "whole": WHOLE, "share": SHARE, "lower-tier": LOWER_TIER}
PRICES = {"bankruptcy": AT_BANKRUPTCY, "mark": AT_MARK, "previous-mark": AT_PREVIOUS_MARK}
HOUR_MS = 3_600_000


def liquidation_rules(preset: VenuePreset, dollar_units: int) -> LiquidationRules:
    """How the venue forces; `dollar_units`: settlement units of a dollar."""
    rules = preset.liquidation
    return LiquidationRules(
        limit_rule=LIMITS[rules.order_limit],
        fee_rate=rate_units(rules.fee),
        sizing=SIZINGS[rules.sizing],
        step_share=rate_units(rules.step_share),
        step_above=rules.step_above_usd * dollar_units,
        tiers_down=rules.tiers_down,
        whole_up_to=rules.whole_up_to_tier,
        recheck_ms=rules.recheck_s * 1000,
        cooldown_ms=rules.cooldown_s * 1000,
        takeover_step=rate_units(rules.takeover_partial),
        takeover_whole=rate_units(rules.takeover_whole),
        margin_share=rate_units(rules.margin_share),
        deadline_ms=rules.deadline_s * 1000,
        straight_to_backstop=rules.straight_to_backstop,
    )


def backstop_rules(preset: VenuePreset, dollar_units: int) -> BackstopRules:
    """When the fund takes nothing more, and at what price winners are closed."""
    fund, closing = preset.backstop, preset.deleverage
    return BackstopRules(
        floor_units=fund.floor_usd * dollar_units,
        drawdown=rate_units(fund.drawdown) if fund.trigger == "drawdown" else 0,
        window_ms=fund.drawdown_window_h * HOUR_MS,
        price=PRICES[closing.price],
        mark_beyond=rate_units(closing.mark_beyond),
    )
