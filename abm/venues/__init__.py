"""Venues: presets of their rules as data, and the exchange that applies them."""
