"""Experiments: one module each, found by name."""
