"""Pinned summaries: results change only on purpose, with an entry in CHANGELOG.md.

`python -m tests.test_baseline` writes `tests/baseline.json` anew. On a processor whose logarithms and exponentials
differ in the last bit (the file keeps a fingerprint of them) paths may part, and the pinned numbers hold within stated
tolerances.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abm import MarketModel
from abm.measures import summary
from abm.recorder import Recorder
from abm.rng import normals, stream
from abm.scenario import Scenario, load_scenario, scenario_names
from tests.stressed import stressed

FILE = Path(__file__).with_name("baseline.json")
KEYS = (
    "fall_percent",
    "liquidated_usd",
    "liquidated_accounts",
    "taken_over_usd",
    "adl_usd",
    "adl_accounts",
    "volume_btc",
    "messages",
    "fills",
)
ACCOUNTS, LEAD_TICKS, TICKS = 400, 20, 300
"""Of the short runs of every packaged scenario."""
ELSEWHERE = 0.25
"""Relative tolerance on another kind of processor: a run is chaotic, its size is not."""


def cases() -> dict[str, Scenario]:
    """The pinned runs: a quiet one, one that goes through everything, and ten minutes of October around the impulse."""
    evening = {"start": "2025-10-10T21:09:00Z", "duration_s": 600, "accounts": 3000}
    late = [n.model_dump(mode="json") for n in load_scenario("october-2025").news if n.name == "second"]
    return {
        "tiny": load_scenario("tiny"),
        "stressed": stressed(),
        "october impulse": load_scenario("october-2025").changed(**evening, news=late),
    }


def measured(scenario: Scenario) -> dict[str, Any]:
    recorder = Recorder("fills")
    MarketModel(scenario, recorder=recorder).run()
    found = summary(recorder.run())
    pinned = {key: round(float(found[key]), 6) for key in KEYS if found.get(key) is not None}
    return pinned | {"events": hashlib.sha256(recorder.events_array.tobytes()).hexdigest()}


def first_ticks(name: str) -> dict[str, Any]:
    """A packaged scenario with few accounts from shortly before its first news; the same world, not the same event."""
    scenario = load_scenario(name)
    first_s = min((scenario.news_seconds(news) for news in scenario.news), default=0.0)
    start = scenario.start + timedelta(seconds=max(0.0, first_s - LEAD_TICKS * scenario.tick_s))
    recorder = Recorder("fills")
    model = MarketModel(scenario.changed(accounts=ACCOUNTS, start=f"{start:%Y-%m-%dT%H:%M:%SZ}"), recorder=recorder)
    for _ in range(TICKS):
        model.step()
    events = recorder.events_array
    return {"count": len(events), "events": hashlib.sha256(events.tobytes()).hexdigest()}


def fingerprint() -> str:
    """How this processor rounds transcendental functions."""
    x = np.linspace(0.01, 3.0, 4096)
    parts = (np.exp(x), np.log(x), np.power(x, 1.13), normals(1, stream("fingerprint"), np.arange(4096), 0, 0))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("name", ["tiny", "stressed", "october impulse"])
def test_pinned_summaries(name: str) -> None:
    baseline = json.loads(FILE.read_text(encoding="utf-8"))
    found, pinned = measured(cases()[name]), baseline["runs"][name]
    if fingerprint() == baseline["fingerprint"]:
        assert found == pinned, "changed: if on purpose, python -m tests.test_baseline and an entry in CHANGELOG.md"
    else:
        for key in set(pinned) - {"events"}:
            assert found[key] == pytest.approx(pinned[key], rel=ELSEWHERE, abs=1.0), key


@pytest.mark.parametrize("name", scenario_names())
def test_first_ticks_of_every_scenario(name: str) -> None:
    baseline = json.loads(FILE.read_text(encoding="utf-8"))
    found, pinned = first_ticks(name), baseline["first ticks"].get(name)
    assert pinned is not None, "a new scenario: python -m tests.test_baseline"
    if fingerprint() == baseline["fingerprint"]:
        assert found == pinned, "changed: if on purpose, python -m tests.test_baseline and an entry in CHANGELOG.md"
    else:
        assert found["count"] == pytest.approx(pinned["count"], rel=ELSEWHERE)


if __name__ == "__main__":
    runs = {name: measured(scenario) for name, scenario in cases().items()}
    short = {name: first_ticks(name) for name in scenario_names()}
    pinned = {"fingerprint": fingerprint(), "runs": runs, "first ticks": short}
    FILE.write_text(json.dumps(pinned, indent=1) + "\n", encoding="utf-8")
