"""`deleverage stress`: covenants, puts and dividends of a scenario's treasury companies at falling prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from abm import console

MOST_DROPS = 200


def stress(
    scenario: Annotated[str, typer.Argument(help="packaged name (see `deleverage list`) or a TOML file")],
    drop: Annotated[
        str, typer.Option(metavar="FROM:TO:STEP", help="falls of the price in %; also 30 or 20,40")
    ] = "10:70:5",
    settings: Annotated[
        list[str], typer.Option("--set", metavar="a.b=v", help="change one value; may be repeated")
    ] = [],  # noqa: B006
    population: Annotated[
        str, typer.Option(metavar="NAME", help="packaged companies instead of the scenario's, e.g. november-2025")
    ] = "",
    horizon: Annotated[float, typer.Option(min=0, metavar="DAYS", help="puts and dividends of this time count")] = 365,
    impact: Annotated[
        str, typer.Option(help="price effect of the sale: book (one sweep) or root (worked slowly)")
    ] = "book",
    depth: Annotated[float, typer.Option(min=1e-6, help="bids in the book over those at the opening")] = 1.0,
    run: Annotated[str, typer.Option(metavar="DROPS", help="also run the market at these drops, e.g. 20,30")] = "",
    out: Annotated[Path | None, typer.Option(help="folder to write; must not exist")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the results here")] = None,
) -> None:
    """At which price which covenant, put or dividend of which treasury company trips, and what its sale does."""
    fractions = drops_of(drop, "--drop")
    to_run = drops_of(run, "--run") if run else []
    from abm.provenance import finite
    from abm.results import FolderTakenError, free_folder
    from abm.scenario import load_scenario
    from abm.stress import StressOptions
    from abm.stress import stress as find

    chosen = load_scenario(scenario, settings)
    if population:
        chosen = with_population(chosen, population)
    if out is not None and out.exists():
        raise FolderTakenError(f"{out} exists already and is not overwritten: choose another --out or remove it")
    console.warn_compile()
    found = find(chosen, fractions, StressOptions(horizon_days=horizon, impact=impact, depth=depth))
    show(found)
    runs = run_drops(chosen, to_run) if to_run else []
    folder = out or free_folder(Path("runs") / f"stress-{chosen.name}")
    folder.mkdir(parents=True)
    write(found, runs, folder)
    if json_file is not None:
        from dataclasses import asdict

        data = {
            "scenario": chosen.name, "start_usd": found.start_usd, "options": found.options.model_dump(),
            "marks": [asdict(one) for one in found.marks], "drops": found.drops(), "companies": found.rows(),
            "runs": runs,
        }  # fmt: skip
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(finite(data), indent=1) + "\n", encoding="utf-8")
        console.wrote(json_file)
    console.try_next(f"deleverage stress {scenario} --population november-2025 --drop 20:80:5")


def drops_of(text: str, option: str) -> list[float]:
    """Fractions of "10:70:5", "30" or "20,40" (per cent, above 0 and below 100)."""
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            count = int((last - first) / step + 1e-9) + 1 if step > 0 else 0
            values = [first + step * i for i in range(max(0, min(count, MOST_DROPS + 1)))]
        else:
            values = [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text}: must be FROM:TO:STEP or numbers with commas", param_hint=option) from None
    if not values or len(values) > MOST_DROPS:
        raise typer.BadParameter(f"{text}: must give 1 to {MOST_DROPS} drops, STEP above 0", param_hint=option)
    if not all(0.0 <= value < 100.0 for value in values):
        raise typer.BadParameter(f"{text}: drops are per cent from 0 to below 100", param_hint=option)
    return [value / 100.0 for value in values]


def with_population(scenario: Any, name: str) -> Any:
    """The scenario with a packaged population in the place of its companies."""
    from abm.traders.treasury_population import population_names

    if name not in population_names():
        raise typer.BadParameter(f"{name}: known: {', '.join(population_names())}", param_hint="--population")
    others = [one.model_dump(mode="json") for one in scenario.participants if one.kind != "treasuries"]
    entry = {"name": "companies", "kind": "treasuries", "parameters": {"population": name}}
    return scenario.changed({"treasuries": [], "participants": [*others, entry]})


def show(found: Any) -> None:
    """Both tables on the terminal."""
    n = console.number

    def at(price: float) -> str:
        return "-" if price != price else f"{price / 1e3:,.1f}k {100 * (price / found.start_usd - 1):+.0f}%"

    console.table(
        f"{found.scenario}: prices of the coin at which something trips, from {n(found.start_usd)} (closed form)",
        ("company", "coins", "claims $m", "posts", "covenant", "sells", "loan = coins", "first put", "put in cash",
         "dividends, y"),
        [
            (m.company, n(round(m.coins)), n(round(m.claims_usd / 1e6)), at(m.posts_usd), at(m.covenant_usd),
             at(m.sells_usd), at(m.zero_equity_usd), m.first_put or "-", at(m.put_usd), n(m.cash_years))
            for m in found.marks
        ],
    )  # fmt: skip
    console.out.print(
        "posts: more coins are pledged below it; covenant: all are pledged, limit reached; sells: cash no longer cures "
        "it; put in cash: below it the share is worth less than the first notes convert at; dividends: years that cash "
        "covers",
        markup=False,
    )
    laws = {"book": "one sweep of the bids", "root": "square-root law"}
    law = found.options.impact
    other = "root" if law == "book" else "book"
    console.table(
        f"Sales and price: fixed point over all companies ({law}: {laws[law]}; {other}: {laws[other]})",
        ("fall %", "price", "sell", "at the shock", "post", "coins sold", "sold $m", "shares $m", f"effect {law} %",
         "price after", f"effect {other} %", "unmet $m"),
        [
            (n(d["drop_percent"]), n(round(d["shocked_usd"])), n(d["companies"]), n(d["at_shock"]), n(d["posting"]),
             n(round(d["sold_coins"])), n(round(d["sold_usd"] / 1e6)), n(round(d["issued_usd"] / 1e6)),
             f"{d['effect_percent']:.1f}", n(round(d["price_usd"])), f"{d['other_effect_percent']:.1f}",
             n(round(d["unmet_usd"] / 1e6)))
            for d in found.drops()
        ],
    )  # fmt: skip
    for one in found.settled:
        names = [f"{s.company} ({s.trips}, {s.coins:,.0f} BTC)" for s in one.strains if s.coins > 0.0]
        if names:
            words = f"{100 * one.drop:g} %: " + ", ".join(names)
            words += f"; because of the others' sales: {', '.join(one.by_others)}" if one.by_others else ""
            console.out.print(words, markup=False)


def run_drops(scenario: Any, drops: list[float]) -> list[dict[str, Any]]:
    """Run the market at some drops, with and without the companies."""
    from abm.stress_runs import run_drop

    n = console.number
    rows = []
    for drop in drops:
        console.out.print(
            f"running {scenario.name} at {100 * drop:g} %, with and without the companies ...", markup=False
        )
        rows.append(run_drop(scenario, drop))
    console.table(
        "In the model's market (same seed with and without the companies)",
        ("fall, %", "sold, BTC", "low with", "low without", "end with", "end without", "end effect, %",
         "liquidated with, $m", "without, $m"),
        [
            (n(r["drop_percent"]), n(round(r["sold_coins"])), n(r["low_with_usd"]), n(r["low_without_usd"]),
             n(r["end_with_usd"]), n(r["end_without_usd"]), f"{r['end_effect_percent']:.2f}",
             n(r["liquidated_with_usd"] / 1e6), n(r["liquidated_without_usd"] / 1e6))
            for r in rows
        ],
    )  # fmt: skip
    return rows


def write(found: Any, runs: list[dict[str, Any]], folder: Path) -> None:
    """Tables and picture."""
    import pandas as pd

    from abm.figures.treasury import draw_stress

    tables = {"companies": found.rows(), "drops": found.drops(), **({"runs": runs} if runs else {})}
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
        console.wrote(folder / f"{name}.csv")
    console.wrote(draw_stress(found, folder / "stress.png"))
