"""What `october` can be asked for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from abm.parameters import Parameters, quantity
from experiments._october_events import EVENTS
from experiments._october_parts import DEPTHS, LEVERAGES, POLICIES

PARTS = ("events", "ablation", "policies", "critical", "convergence")
QUICK: dict[str, Any] = {
    "accounts": 300,
    "seeds": 5,
    "other": "",
    "critical_seeds": 1,
    "convergence_seeds": 2,
    "event_seeds": 1,
    "audited": 1,
    "duration_s": 1_800,
    "tick_s": 20,
    "few": True,
    "leverages": (5, 100),
    "depths": (260, 2_090),
    "ticks_s": (30.0,),
    "rounds": (1,),
    "numbers": (150,),
    "held": ("october-2025", "september-2025"),
    "processes": 1,
    "folder": "runs/october-quick",
}
FULL: dict[str, Any] = {
    "event_seeds": 50,
    "seeds": 100,
    "critical_seeds": 20,
    "convergence_seeds": 50,
    "numbers": (2_000, 5_000, 10_000, 20_000, 50_000, 300_000),
}


class Options(Parameters):
    """What is run. The default rests on 20 pairs a policy, `--full` on 100; `--set do=plan` says how long it takes."""

    do: Literal["run", "plan", "tables"] = Field(
        "run", description="plan: only count; tables: run nothing, tables and pictures of what is there"
    )
    parts: tuple[str, ...] = Field(PARTS, description="of events, ablation, policies, critical, convergence")
    groups: tuple[str, ...] = Field(tuple(group.key for group in POLICIES), description="groups of policies")
    scenario: str = Field("october-2025", description="packaged name or file")
    other: str = Field("september-2025", description="second event, for ablation and policies; empty: none")
    held: tuple[str, ...] = Field(EVENTS, description="scenarios that `events` holds against what was measured")
    accounts: int = quantity(100_000, unit="accounts", source="granularity only", ge=50, le=5_000_000)
    seeds: int = quantity(20, unit="pairs", source="chosen", ge=1, le=10_000)
    block: int = quantity(20, unit="seeds", source="chosen", ge=1, text="all parts get so many, then the next so many")
    event_seeds: int = quantity(10, unit="runs an event", source="chosen", ge=1, le=10_000)
    critical_seeds: int = quantity(5, unit="runs a point", source="chosen", ge=1, le=10_000)
    convergence_seeds: int = quantity(10, unit="pairs", source="chosen", ge=1, le=10_000)
    audited: int = quantity(
        3,
        unit="seeds",
        source="chosen",
        ge=0,
        text="first seeds on which rules that can do nothing are run all the same",
    )
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    lead_in_s: float = quantity(
        120.0, unit="s", source="chosen", ge=0, text="run before the first news; 0: all there is"
    )
    duration_s: float = quantity(
        4_200.0, unit="s", source="an hour and more from the first news", ge=0, text="length; 0: as the scenario has it"
    )
    tick_s: float = quantity(0.0, unit="s", source="0: as the scenario has it", ge=0)
    few: bool = Field(False, description="only the first and the last variant of each group")
    leverages: tuple[int, ...] = quantity(LEVERAGES, unit="x", source="chosen", text="highest leverage")
    depths: tuple[float, ...] = quantity(DEPTHS, unit="BTC within 1 %", source="chosen", text="depth of the makers")
    ticks_s: tuple[float, ...] = quantity((0.25, 1.0, 2.0, 5.0), unit="s", source="chosen", text="other tick lengths")
    rounds: tuple[int, ...] = quantity((1, 2, 4, 16, 32), unit="rounds", source="chosen", text="other caps on rounds")
    numbers: tuple[int, ...] = quantity((2_000, 5_000, 20_000), unit="accounts", source="chosen", text="other numbers")
    processes: int = quantity(2, unit="processes", source="a small machine", ge=1, le=256)
    limit_s: float = quantity(1_800.0, unit="s", source="chosen", gt=0, text="longest time of one run")
    retry_failed: bool = Field(False, description="run failed runs again")
    folder: str = Field("runs/october", description="where runs, tables and pictures of the parts are kept")
    docs: str = Field("", description="folder of pages: what stands between markers there is written afresh")

    @model_validator(mode="after")
    def _known(self) -> Options:
        from abm.settings import nearest

        keys = [group.key for group in POLICIES]
        lines = [f"parts: no part {one!r}{nearest(one, PARTS)}" for one in self.parts if one not in PARTS]
        lines += [f"groups: no group {one!r}{nearest(one, keys)}" for one in self.groups if one not in keys]
        if not self.parts or len(set(self.parts)) < len(self.parts):
            lines.append("parts: name at least one, each once")
        for name in ("leverages", "depths"):
            if len(set(getattr(self, name))) < 2:
                lines.append(f"{name}: at least two, each once")
        if self.scenario == self.other:
            lines.append("other: the same scenario")
        if lines:
            raise ValueError("; ".join(lines))
        return self

    @property
    def events(self) -> list[str]:
        """The scenarios that ablation and policies are run on."""
        return [self.scenario, *([self.other] if self.other else [])]

    @property
    def common(self) -> dict[str, Any]:
        """Values that all runs but those of `events` share."""
        return {"accounts": self.accounts, "duration_s": self.duration_s, "tick_s": self.tick_s}
