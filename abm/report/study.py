"""The report of a study (a folder of `deleverage sweep`) and of a comparison (one of `deleverage compare`)."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from abm.report import assumptions
from abm.report.limits import limits
from abm.report.origin import exact_command, file_table
from abm.report.page import (
    BAD,
    Html,
    Page,
    block,
    code,
    element,
    facts,
    joined,
    listing,
    notice,
    number,
    paragraph,
    picture,
    table,
)
from abm.report.run import measure_name
from abm.scenario import Scenario, from_resolved, load_scenario
from abm.settings import SettingsError, plain

COMPARE_FILE, COMPARE_PICTURE = "compare.json", "compare.png"
ANALYSIS = "analysis"
MOST_ROWS = 200
"""Rows of a table of findings; the rest is in the CSV files of `deleverage analyse`."""
MOST_FAILURES = 20


def is_study(folder: Path) -> bool:
    """Whether `deleverage sweep` wrote the folder."""
    from abm.sweep.plan import PLAN_FILE

    return (folder / PLAN_FILE).is_file()


# --- a study ----------------------------------------------------------------------------------------------------------
def study_page(folder: Path) -> tuple[Page, list[str]]:
    """Every section of the report of a study, and what should be said aloud."""
    from abm.analysis import load
    from abm.analysis.load import study_of

    frame, about = load(folder), study_of(folder)
    study, given = frame.attrs, about.get("study", {})
    scenario, problem = _base(given)
    page = Page(str(study["title"] or study["study"]), "Report of a study: many model runs, simulated, not measured")
    remarks = []
    if study["missing"]:
        planned = study["missing"] + len(frame)
        remarks.append(f"INCOMPLETE: {study['missing']:,} of {planned:,} planned runs are missing")
    if study["failed"]:
        remarks.append(f"{study['failed']:,} runs failed")
    page.add(
        "study",
        "What was run",
        *(notice(BAD, words, ". Every table below lacks them.") for words in remarks),
        _what(frame, about),
        _design(given),
        _shared(given),
    )
    page.add("findings", "Findings", *_findings(frame, folder))
    page.add("measures", "All runs together", _spread(frame))
    page.add("failures", "Failures", _failures(frame))
    items = assumptions.assumptions(scenario) if scenario else []
    page.add("limits", "What this cannot tell", listing(limits(scenario, items, one_run=False)))
    if scenario is not None:
        first, rest = assumptions.blocks(scenario)
        page.add("assumptions", "Assumptions of the runs", assumptions.news_table(scenario), first)
        page.add("rules", "Rule books of the venues", assumptions.rule_books(scenario))
        page.add("rest", "Appendix: other values", rest)
    elif problem:
        page.add("assumptions", "Assumptions of the runs", paragraph(problem))
    page.add("files", "Files and hashes", file_table(folder, _files(folder)))
    return page, remarks


def _base(study: Mapping[str, Any]) -> tuple[Scenario | None, str]:
    """The scenario that all runs share, as this version has it, or why there is none."""
    if study.get("runner"):
        return None, f"The runs are calls of a function, {study['runner']}: it has no scenario."
    try:
        sets = [f"{path}={json.dumps(value)}" for path, value in (study.get("set") or {}).items()]
        return load_scenario(str(study.get("scenario")), sets), ""
    except SettingsError as error:
        return None, f"The scenario cannot be read from here: {error}"


def _what(frame: pd.DataFrame, about: Mapping[str, Any]) -> Html:
    from abm.provenance import source_hash, version

    facts_of, given = frame.attrs, about.get("study", {})
    seeds = sorted({int(seed) for seed in frame["seed"].dropna()})
    span = f"{seeds[0]} to {seeds[-1]} ({len(seeds):,})" if len(seeds) > 1 else ", ".join(map(str, seeds)) or "n/a"
    points = f"{number(facts_of['points'])} points × {number(facts_of['replicates'])} replicates"
    source = str(about.get("code", "n/a"))
    same = "the same" if source == source_hash() else "perhaps other" if given.get("runner") else "OTHER"
    seconds = frame["seconds"].dropna() if "seconds" in frame.columns else pd.Series(dtype=float)
    pairs: list[tuple[str, object]] = [
        ("study", facts_of["study"]),
        ("runs of", given.get("scenario") or given.get("runner") or "n/a"),
        ("design", f"{facts_of['design']}: {points}"),
        ("seeds", f"{span}, {given.get('seeds', 'common')}"),
        ("runs there", f"{len(frame):,} of {len(frame) + facts_of['missing']:,}"),
        ("failed", f"{facts_of['failed']:,}"),
        ("sources", code(source)),
        ("this report", f"made by {same} sources, version {version()}"),
        ("time of a run", f"{number(float(seconds.median()))} s, median" if len(seconds) else "n/a"),
        ("varied", ", ".join(facts_of["varied"]) or "nothing"),
    ]
    words = "The command of each run, its id and its seed are columns of the files."
    return joined([facts(pairs), paragraph(words, class_="small")])


def _design(study: Mapping[str, Any]) -> Html:
    rows = []
    for one in study.get("vary", ()):
        if one.get("values") is not None:
            words, scale = ", ".join(plain(value) for value in one["values"]), f"{len(one['values'])} values"
        else:
            words = f"{plain(one.get('low'))} to {plain(one.get('high'))}"
            scale = f"{one.get('scale', 'linear')}{', whole numbers' if one.get('integer') else ''}"
        rows.append((one.get("path", ""), words, scale))
    return table("What was varied", ("parameter", "values", "how"), rows, (0, 1, 2))


def _shared(study: Mapping[str, Any]) -> Html:
    rows = [(path, plain(value)) for path, value in (study.get("set") or {}).items()]
    title = "Set for all runs, other than the scenario has it"
    return table(title, ("parameter", "value"), rows) if rows else Html("")


def _findings(frame: pd.DataFrame, folder: Path) -> list[Html]:
    """Tables and pictures as the design asks, made anew; then what `deleverage analyse` left in the folder besides."""
    from abm.analysis.report import findings

    parts: list[Html] = []
    made: dict[str, str] = {}
    try:
        found = findings(frame)
    except SettingsError as error:
        found, parts = [], [notice(BAD, "No analysis: ", str(error))]
    with tempfile.TemporaryDirectory(prefix="deleverage-") as scratch:
        for one in found:
            made[one.name] = one.table.to_csv(index=False)
            drawn = None
            if one.draw is not None:
                try:
                    drawn = one.draw(Path(scratch) / f"{one.name}.png").read_bytes()
                except Exception as error:
                    parts.append(notice(BAD, f"No picture of {one.name}: {type(error).__name__}: {error}"))
            parts += _shown(one.name, one.table, drawn)
    kept = sorted((folder / ANALYSIS).glob("*.csv")) if (folder / ANALYSIS).is_dir() else []
    for file in kept:
        text = file.read_text(encoding="utf-8")
        if made.get(file.stem) != text:
            png = file.with_suffix(".png")
            picture_of = png.read_bytes() if png.is_file() else None
            parts += _shown(file.stem, pd.read_csv(file), picture_of, f"kept in {ANALYSIS}/{file.name}")
    return parts or [paragraph("Nothing to analyse.")]


TITLES = {
    "curve": "Along",
    "phase": "Phase diagram",
    "crossing": "Where it crosses:",
    "sobol": "Sobol indices of",
    "morris": "Elementary effects on",
    "ranks": "Rank correlations with",
    "tail": "Tail of the bad debt",
}


def _shown(name: str, found: pd.DataFrame, png: bytes | None, kept: str = "") -> list[Html]:
    """A finding: its picture, then its table, or one table a measure where that reads as a map."""
    kind, _, of = name.partition("-")
    title = f"{TITLES.get(kind, kind)} {of}".strip()
    parts = [element("h3", f"{title} ({kept})" if kept else title)]
    if png is not None:
        alt, caption = f"{title}. The table below has the figures.", "Drawn from the runs of this study."
        parts.append(picture(png, None, alt, kept or caption))
    if len(found.columns) == 4 and (found.columns[0], found.columns[3]) == ("measure", "value"):
        return parts + [_map(measure, part) for measure, part in found.groupby("measure", sort=False)]
    numeric = [pd.api.types.is_numeric_dtype(found[column]) for column in found.columns]
    words = tuple(i for i, figures in enumerate(numeric) if i == 0 or not figures)
    rows = [[_cell(value) for value in row] for row in found.head(MOST_ROWS).itertuples(index=False)]
    more = f"The first {MOST_ROWS} of {len(found):,} rows." if len(found) > MOST_ROWS else ""
    return [*parts, table(f"{title}: figures", [str(column) for column in found.columns], rows, words, more)]


def _map(measure: Any, found: pd.DataFrame) -> Html:
    """A measure over two parameters, one of them down, the other across."""
    up, across = (str(name) for name in found.columns[1:3])
    wide = found.pivot(index=up, columns=across, values="value").sort_index(ascending=False)
    rows = [
        [_cell(key), *(_cell(value) for value in row)] for key, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    heads = [up, *(_cell(value) for value in wide.columns)]
    return table(measure_name(str(measure)), heads, rows, (0,), f"{up} down, {across} across")


def _cell(value: Any) -> str:
    return number(value.item() if hasattr(value, "item") else value)


def _spread(frame: pd.DataFrame) -> Html:
    """Each measure over all runs that ended well."""
    from abm.analysis.load import measures_of

    rows = []
    for name in measures_of(frame):
        values = frame[name].astype(float).dropna()
        figures = values.quantile([0.0, 0.1, 0.5, 0.9, 1.0])
        rows.append((measure_name(name), f"{len(values):,}", *(number(float(value)) for value in figures)))
    heads = ("measure", "runs", "lowest", "10 %", "median", "90 %", "highest")
    note = "Points of the design count alike: this is no forecast."
    return table("Measures over all points and seeds", heads, rows, note=note)


def _failures(frame: pd.DataFrame) -> Html:
    failed = frame[frame["error_type"].notna()]
    if failed.empty:
        return paragraph("No run failed.")
    rows = []
    for (kind, message), group in failed.groupby(["error_type", "message"], sort=True, dropna=False):
        first = group.iloc[0]
        rows.append((str(kind), str(message), f"{len(group):,}", code(first.get("command") or "n/a")))
    heads = ("error", "message", "runs", "the first of them, again")
    return table("Failed runs by kind", heads, rows[:MOST_FAILURES], (0, 1, 3))


def _files(folder: Path) -> list[str]:
    parts = sorted(f"parts/{path.name}" for path in (folder / "parts").glob("*.parquet"))
    return [name for name in ("study.json", "plan.parquet", "runs.parquet", *parts) if (folder / name).is_file()]


# --- a comparison -----------------------------------------------------------------------------------------------------
def compare_page(folder: Path) -> tuple[Page, list[str]]:
    """Every section of the report of a paired comparison, and what should be said aloud."""
    try:
        found = json.loads((folder / COMPARE_FILE).read_text(encoding="utf-8"))
        base, settings, rows, runs = (found[key] for key in ("scenario", "set", "rows", "runs"))
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError([f"{folder / COMPARE_FILE} cannot be read: {error!r}"]) from None
    failed = [run for run in runs if run.get("error")]
    remarks = [f"{len(failed):,} of {len(runs):,} runs failed"] if failed else []
    title = f"{base.get('title') or base.get('name', 'scenario')}: {', '.join(settings)}"
    lead = str(base.get("description", "")).strip()
    page = Page(title, "Report of a paired comparison: model runs, simulated, not measured", lead)
    notices = [notice(BAD, words, ". They drop out with their partners.") for words in remarks]
    page.add("compare", "What was compared", *notices, _compared(base, settings, runs, len(failed)))
    page.add(
        "pairs", "Paired differences", _pairs(rows), _compare_picture(folder, base, settings, runs), _by_seed(runs)
    )
    _compare_rest(page, base)
    page.add("files", "Files and hashes", file_table(folder))
    return page, remarks


def _compare_picture(folder: Path, base: Mapping[str, Any], settings: list[str], runs: list[Mapping[str, Any]]) -> Html:
    """The picture of the folder, and the same drawn for dark screens."""
    from abm.figures.compare import draw_compare
    from abm.sweep import pairs_frame
    from abm.sweep.run import Outcome

    file, dark, label = folder / COMPARE_PICTURE, None, ", ".join(settings)
    if not file.is_file():
        return paragraph("The folder has no picture.")
    try:
        outcomes = [Outcome(run["seed"], run["summary"] or {}, error=run["error"] or "") for run in runs]
        frame, labels = pairs_frame(outcomes, ("as it is", label))
        with tempfile.TemporaryDirectory(prefix="deleverage-") as scratch:
            drawn = draw_compare(
                frame, f"{base.get('name')}: {label}", Path(scratch) / "dark.png", labels, theme="dark"
            )
            dark = drawn.read_bytes()
    except Exception:  # the light one serves both
        dark = None
    alt = "Each measure with and without the change, seed by seed. The table above has the figures."
    return picture(file.read_bytes(), dark, alt, "Each line joins the two runs of a seed.")


def _compared(base: Mapping[str, Any], settings: list[str], runs: list[Mapping[str, Any]], failed: int) -> Html:
    """Scenario, change, seeds, and the command."""
    seeds = [str(seed) for seed in dict.fromkeys(run["seed"] for run in runs)]
    pairs: list[tuple[str, object]] = [
        ("scenario", base.get("name", "n/a")),
        ("changed", ", ".join(settings)),
        ("accounts", number(base.get("accounts"))),
        ("seeds", ", ".join(seeds)),
        ("runs", f"{len(runs):,}"),
        ("failed", f"{failed:,}"),
    ]
    words = ["deleverage", "compare", str(base.get("name")), *(word for one in settings for word in ("--set", one))]
    plain_words = ["deleverage", "run", str(base.get("name")), "--seed", str(base.get("seed"))]
    plain_words += ["--accounts", str(base.get("accounts"))]
    words += ["--reps", str(len(seeds)), "--seed", seeds[0] if seeds else "1", "--accounts", str(base.get("accounts"))]
    remark = (
        f"The scenario of {COMPARE_FILE} is no packaged one, or that was changed since: give the file it came from."
    )
    if exact_command({"name": base.get("name"), "seed": base.get("seed"), "scenario": base}) == shlex.join(plain_words):
        remark = "The unchanged scenario was resolved again for this report and is the comparison's in every value."
    head = element("h3", "The command")
    return joined([facts(pairs), head, block(shlex.join(words)), paragraph(remark, class_="small")])


def _compare_rest(page: Page, base: Mapping[str, Any]) -> None:
    """Limits and assumptions of the scenario that was changed."""
    try:
        scenario = from_resolved(base)
    except SettingsError as error:
        page.add("limits", "What this cannot tell", listing(limits(None, [], one_run=False)))
        page.add("assumptions", "Assumptions", notice(BAD, "This version cannot read the scenario: ", str(error)))
        return
    items = assumptions.assumptions(scenario)
    page.add("limits", "What this cannot tell", listing(limits(scenario, items, one_run=False)))
    first, rest = assumptions.blocks(scenario)
    page.add("assumptions", "Assumptions of the unchanged scenario", assumptions.news_table(scenario), first)
    page.add("rules", "Rule books of the venues", assumptions.rule_books(scenario))
    page.add("rest", "Appendix: other values", rest)


def _pairs(rows: Iterable[Mapping[str, Any]]) -> Html:
    keys = ("base", "changed", "difference", "low", "high")
    lines = [
        (f"{row['measure']}, {row['unit']}".rstrip(", "), *(number(row[key]) for key in keys), f"{row['pairs']:,}")
        for row in rows
    ]
    heads = ("measure", "as it is", "changed", "difference", "lowest", "highest", "pairs")
    note = "Medians over common seeds; the difference is taken seed by seed, and lowest and highest are of it."
    return table("With and without the change", heads, lines, note=note)


def _by_seed(runs: Iterable[Mapping[str, Any]]) -> Html:
    keys = ("fall_percent", "liquidated_usd", "bad_debt_usd", "adl_usd")
    rows = []
    for run in runs:
        measured = run.get("summary") or {}
        error = str(run.get("error") or "").partition("\n")[0]
        variant = "changed" if run.get("changed") else "as it is"
        rows.append((str(run["seed"]), variant, *(number(measured.get(key)) for key in keys), error))
    heads = ("seed", "variant", *(measure_name(key) for key in keys), "error")
    return table("Run by run", heads, rows, (0, 1, 6))
