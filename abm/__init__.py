"""Deleverage: a laboratory for leverage cascades. `from abm import MarketModel` is where to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abm.book.order_book import OrderBook
    from abm.model import MarketModel
    from abm.scenario import Scenario, load_scenario

__all__ = ["MarketModel", "OrderBook", "Scenario", "load_scenario"]
_HOMES = {
    "MarketModel": "abm.model",
    "OrderBook": "abm.book.order_book",
    "Scenario": "abm.scenario",
    "load_scenario": "abm.scenario",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `import abm` alone loads neither Mesa nor Numba."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'abm' has no attribute {name!r}")
