"""A venue without traders, for tests of the engine: accounts are given, the book is filled by hand, the mark is set."""

from __future__ import annotations

from experiments._venue_world import DEEP_POCKET, FIRST, VenueWorld, preset

__all__ = ["DEEP_POCKET", "FIRST", "VenueWorld", "preset"]
