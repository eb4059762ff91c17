"""Remedies: what a regulator or a venue could have changed, one file each, each off unless the scenario sets it.

A policy may change the markets before anybody opens a position (`prepare`), act once after the opening (`begin`), and
act after each new mark (`after_mark`). What it does not define it does not do.
"""

from abm.policies.policies import Policies, PolicyBook

__all__ = ["Policies", "PolicyBook"]
