"""The same traders in PAMS (EPL-1.0, `pip install pams`), where it is there: another interpreter may have it.

PAMS needs an older numpy than this project on most Pythons, so it runs as a program of its own and gives back prices.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments._fcn_market import SCALE, START, Population

SECONDS = 1_800
PROGRAM = """
import json, random, sys, warnings
warnings.simplefilter("ignore")
from pams.runners import SequentialRunner
asked = json.load(sys.stdin)
found = []
for seed in asked["seeds"]:
    runner = SequentialRunner(settings=asked["settings"], prng=random.Random(seed))
    runner.main()
    found.append(runner.simulator.markets[0].get_market_prices())
print("PRICES" + json.dumps(found))
"""


def settings(kind: Population, traders: int, warm: int, steps: int) -> dict[str, Any]:
    """A configuration of PAMS, in its own words."""
    session = {"withOrderPlacement": True, "withPrint": False}
    return {
        "simulation": {
            "markets": ["Market"],
            "agents": ["Agents"],
            "sessions": [
                session | {"sessionName": 0, "iterationSteps": warm, "withOrderExecution": False},
                session | {"sessionName": 1, "iterationSteps": steps, "withOrderExecution": True},
            ],
        },
        "Market": {"class": "Market", "tickSize": 1e-5, "marketPrice": START},
        "Agents": {
            "class": "FCNAgent", "numAgents": traders, "markets": ["Market"], "assetVolume": 50, "cashAmount": 10_000,
            "fundamentalWeight": {"expon": [1.0]}, "chartWeight": {"expon": [0.0]}, "noiseWeight": {"expon": [1.0]},
            "meanReversionTime": {"uniform": list(kind.reversion)}, "noiseScale": SCALE,
            "timeWindowSize": list(kind.window), "orderMargin": [0.0, kind.margin],
        },
    }  # fmt: skip


def missing(python: str) -> str:
    """Why PAMS cannot be run by this interpreter ("" = it can)."""
    try:
        tried = subprocess.run([python, "-c", "import pams"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{python}: {error}"
    last = tried.stderr.strip().splitlines()[-1:] or [f"exit {tried.returncode}"]
    return "" if tried.returncode == 0 else f"{python}: {last[0]}"


def pams_prices(python: str, kind: Population, traders: int, warm: int, steps: int, seeds: int) -> NDArray[np.float64]:
    """Prices (steps, seeds) of runs 0, 1, ... from the end of the warm-up on. Raises RuntimeError where PAMS fails."""
    asked = json.dumps({"settings": settings(kind, traders, warm, steps), "seeds": list(range(seeds))})
    command = [python or sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=SECONDS, check=False)
    _, mark, found = ran.stdout.partition("PRICES")
    if ran.returncode != 0 or not mark:
        raise RuntimeError(f"PAMS: {ran.stderr.strip()[-300:]}")
    return np.array(json.loads(found), np.float64).T[warm + 1 :]
