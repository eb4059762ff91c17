"""The systems S1 to S25 and where each is shown: `python -m abm.coverage > docs/coverage.md`.

A row names commands, a figure and what is open. The page shows what exists: a scenario, experiment or figure that is
named here and not there makes its row partly covered, or open, and the page says so.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from abm.experiment import experiments
from abm.scenario import ScenarioError, load_scenario, scenario_names

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@dataclass(frozen=True, slots=True)
class System:
    """One system: what must work, in words; how to see it; a figure below docs/; what is open ("" = nothing known)."""

    number: int
    words: str
    commands: tuple[str, ...] = ()
    figure: str = ""
    open: str = ""

    def seen(self) -> list[str]:
        """The commands that would work."""
        return [command for command in self.commands if not missing(command)]

    def drawn(self, docs: Path) -> bool:
        """Whether the figure is there."""
        return bool(self.figure) and (docs / self.figure).is_file()

    def left(self, docs: Path) -> list[str]:
        """What is open: as stated, and what is named and not there."""
        lines = [self.open] if self.open else []
        lines += [missing(command) for command in self.commands if missing(command)]
        if self.figure and not self.drawn(docs):
            lines.append("no figure yet")
        return lines or ([] if self.commands and self.figure else ["nothing shows it"])

    def state(self, docs: Path) -> str:
        """In a word: `shown`, `partly` or `open`."""
        if not self.seen():
            return "open"
        return "partly" if self.left(docs) else "shown"


def _run(scenario: str, settings: str = "") -> str:
    return f"deleverage run {scenario}{settings}"


def _experiment(name: str) -> str:
    return f"deleverage experiment {name}"


def _picture(scenario: str) -> str:
    return f"scenarios/{scenario}.png"


ROWS: tuple[System, ...] = (
    System(1, "leveraged longs liquidated in a cascade, per account on the mark price; totals by side, venue, minute",
           (_run("october-2025"), _run("october-2025-venues"),
            _run("november-2025-early")), "october-2025.png",
           "in one run of six of November a cascade goes off that did not happen"),
    System(2, "the venues' automatic risk controls: liquidation, backstop, insurance fund, auto-deleveraging",
           (_run("small-fund"), _run("october-2025-venues"), _experiment("adl-2025")),
           "figures/adl-2025.png",
           "Hyperliquid deleverages only with a vault of half the assumed size: $173m, late; real $621m"),
    System(3, "liquidation statistics: accounts, notional, largest order; true and as reported",
           (_run("october-2025"),), "october-2025.png",
           "one coin: totals of all coins and exchanges are not modelled"),
    System(4, "several venues with own books, rules and traders; arbitrage between them",
           (_run("october-2025-venues"), _experiment("venue-dislocation")),
           "october-2025-venues.png"),
    System(5, "a cluster of shorts is liquidated by buying: an upward cascade", (_run("short-squeeze-95k"),),
           _picture("short-squeeze-95k")),
    System(6, "spill-over to another coin: cross margin, thinner book, correlated beliefs",
           (_run("altcoin-spillover"),), _picture("altcoin-spillover")),
    System(7, "a stock index with asymmetric beta", (_run("macro-selloff"),), _picture("macro-selloff")),
    System(8, "herding and copy groups, algorithmic stop-losses, leverage that adapts",
           (_run("retail-delevers"), _experiment("who-matters")), "figures/who-matters.png"),
    System(9, "ETFs: flow-performance, creations and redemptions executed in spot", (_run("etf-outflow"),),
           _picture("etf-outflow")),
    System(10, "remedies of a regulator, each a switchable policy",
           ("deleverage compare october-2025 --set policies.leverage_cap.most=10", _experiment("october")),
           "figures/october/leverage-cap.png", "eight pairs on October and on September"),
    System(11, "remedies of a trader: size, diversification, stablecoin reserve, and survival",
           (_run("reserve-and-stops"),), _picture("reserve-and-stops")),
    System(12, "venues that compete by leverage and fees, up to 1001x", (_run("leverage-arms-race"),),
           _picture("leverage-arms-race")),
    System(13, "treasury companies: covenants, converts, issuance, forced sales in spot",
           (_run("datco-forced-sale"),), _picture("datco-forced-sale")),
    System(14, "makers who thin and leave; obliged makers as the contrast",
           (_experiment("october-switches"), _experiment("who-matters")), "october-switches.png"),
    System(15, "a regulated venue with limits, halts and hours beside the crypto venues", (_run("weekend-gap"),),
           _picture("weekend-gap")),
    System(16, "retail leaves early: panic exits, also at a level",
           (_experiment("october-switches"), _experiment("who-matters")), "october-switches.png",
           "panic below a level ($91,500) is built and tested; no scenario uses it"),
    System(17, "recovery: weekend gap, RSI, coins that leave the exchanges",
           (_run("weekend-gap"), _experiment("who-matters")), _picture("weekend-gap"),
           "the belief that gaps close is built and tested; no picture shows it"),
    System(18, "an outside yield that competes with leverage", (_run("staking-yield"),), _picture("staking-yield")),
    System(19, "coin collateral, hedgers who lose their hedge, correlated collateral", (_run("collateral-depeg"),),
           _picture("collateral-depeg")),
    System(20, "funding by the real formula, and positions that react",
           (_experiment("funding-peg"), _experiment("who-matters")), "figures/who-matters.png"),
    System(21, "stop-losses in the book, by last or mark price", (_run("reserve-and-stops"),),
           _picture("reserve-and-stops")),
    System(22, "shorts are hurt by rises: the same engine, the right sign", (_run("short-squeeze-95k"),),
           _picture("short-squeeze-95k")),
    System(23, "latency classes inside a tick: programs act before people", (_run("bots-and-people"),),
           _picture("bots-and-people")),
    System(24, "accounts that move between venues and to ETFs", (_run("venue-migration"),),
           _picture("venue-migration")),
    System(25, "22 September 2025, with the parameters of October", (_run("september-2025"),),
           _picture("september-2025"), "errs on the shallow side: half of the liquidations, no rebound"),
)  # fmt: skip


def page(rows: tuple[System, ...] = ROWS, docs: Path = DOCS) -> str:
    """The page as Markdown."""
    states = [row.state(docs) for row in rows]
    count = ", ".join(f"{states.count(state)} {state}" for state in ("shown", "partly", "open"))
    lines = [
        "# Coverage",
        "",
        "Made by `python -m abm.coverage > docs/coverage.md`; a test holds it against the scenarios, experiments and",
        "figures that exist. *Shown*: a command and its figure. *Partly*: something is open, as the last column says.",
        "",
        f"{count}.",
        "",
        "| | system | state | see it | figure | open |",
        "|---|---|---|---|---|---|",
    ]
    for row, state in zip(rows, states, strict=True):
        commands = "<br>".join(f"`{command}`" for command in row.seen())
        figure = f"[figure]({row.figure})" if row.drawn(docs) else ""
        lines.append(f"| S{row.number} | {row.words} | {state} | {commands} | {figure} | {'; '.join(row.left(docs))} |")
    return "\n".join(lines) + "\n"


@cache
def missing(command: str) -> str:
    """What keeps a command from working, "" when nothing does."""
    words = shlex.split(command)
    if len(words) < 3 or words[0] != "deleverage":
        return f"{command}: no command of the project"
    action, name = words[1], words[2]
    if action in ("run", "compare", "stress"):
        if name not in scenario_names():
            return f"no scenario {name}"
        sets = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--set"]
        try:
            load_scenario(name, sets)
        except ScenarioError as error:
            return f"{name}: {error.lines[0]}"
        return ""
    if action == "experiment":
        return "" if name in experiments() else f"no experiment {name}"
    return f"{command}: unknown command"


if __name__ == "__main__":
    print(page(), end="")
