"""The report of one run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abm.recorder import Run
from abm.report import assumptions, events, origin
from abm.report.limits import limits
from abm.report.page import (
    BAD,
    GOOD,
    OPEN,
    Html,
    Page,
    block,
    cards,
    dollars,
    element,
    facts,
    flat,
    gauge,
    joined,
    listing,
    notice,
    number,
    paragraph,
    percent,
    picture,
    table,
    verdict,
)
from abm.results import load_run
from abm.scenario import Scenario, from_resolved
from abm.settings import SettingsError

UNITS = {"_usd": "$", "_percent": "%", "_btc": "BTC", "_min": "min", "_bp": "bp", "_s": "s"}


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` said; `ok` is None when it did not judge."""

    ok: bool | None
    words: str


def verified(folder: Path, wanted: bool = True) -> Verified:
    """Replay a run; a folder that cannot be replayed is not an error of the report."""
    from abm.verify import VerifyError, verify_run

    if not wanted:
        return Verified(None, "Not verified: left out on request.")
    try:
        found = verify_run(folder)
    except VerifyError as error:
        return Verified(None, f"Not verified: {str(error).replace(str(folder), folder.name)}.")
    return Verified(found.ok, found.text)


def run_page(folder: Path, verify: bool = True) -> tuple[Page, Verified]:
    """Every section of the report of a run, and whether its books were found in order."""
    run = load_run(folder)
    info = run.info
    made = _json(folder / "manifest.json")
    scenario, problem = _scenario(info)
    summary = dict(info.get("summary") or {})
    complete = bool(info.get("complete", True))
    if not summary:
        summary = _measured(run)
    checked = verified(folder, verify)
    title = str(info.get("title") or info.get("name") or folder.name)
    lead = str(info.get("scenario", {}).get("description", "")).strip()
    page = Page(title, "Report of one model run, simulated, not measured", lead)
    items = assumptions.assumptions(scenario) if scenario else []
    page.add(
        "run",
        "What was run",
        *_warnings(info, complete, checked, problem),
        _what(info, checked, scenario),
        element("h3", "The command that repeats it"),
        origin.again(info),
    )
    if summary.get("ticks"):
        page.add("figures", "Key figures", _cards(summary), _venues(summary))
    page.add("picture", "Overview", _overview(run, summary))
    page.add("real", "Beside the real evening", _real(info.get("comparison") or []))
    page.add("events", "What happened", paragraph(f"{events.fills_words(summary)}."), events.event_blocks(run, summary))
    page.add("limits", "What this cannot tell", listing(limits(scenario, items, one_run=True)))
    rest = Html("")
    if scenario is not None:
        first, rest = assumptions.blocks(scenario)
        page.add("assumptions", "Assumptions", assumptions.news_table(scenario), first)
        page.add("rules", "Rule books of the venues", assumptions.rule_books(scenario))
    page.add("verification", "Verification", _verification(checked))
    page.add("origin", "Origin, seeds, hashes", origin.origin(info, made), origin.file_table(folder))
    page.add("appendix", "Appendix", _measures(summary), rest, _file(info))
    return page, checked


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _scenario(info: Mapping[str, Any]) -> tuple[Scenario | None, str]:
    """The run's scenario, or why this version cannot read it."""
    try:
        return from_resolved(info["scenario"]), ""
    except (SettingsError, KeyError) as error:
        return None, str(error)


def _measured(run: Run) -> dict[str, Any]:
    """Measures of a run that was broken off, as far as it went."""
    from abm.measures import summary
    from abm.provenance import finite

    try:
        found: dict[str, Any] = finite(summary(run))
    except (OSError, ValueError, KeyError, IndexError):
        return {}
    return found


# --- sections ---------------------------------------------------------------------------------------------------------
def _warnings(info: Mapping[str, Any], complete: bool, checked: Verified, problem: str) -> list[Html]:
    lines = []
    if not complete:
        planned = info.get("scenario", {})
        ticks = round(planned["duration_s"] / planned["tick_s"]) if {"duration_s", "tick_s"} <= set(planned) else None
        of = f" of {ticks:,}" if ticks else ""
        words = f"The run was broken off after {info.get('ticks', 0):,}{of} ticks. Every figure below is of that part."
        lines.append(notice(BAD, element("strong", "INCOMPLETE. "), words))
    if checked.ok is False:
        strong = element("strong", "THE BOOKS DO NOT ADD UP. ")
        lines.append(notice(BAD, strong, "See Verification: do not use this run."))
    if problem:
        lines.append(notice(BAD, "This version cannot read the scenario, so nothing is graded: ", problem))
    return lines


def _what(info: Mapping[str, Any], checked: Verified, scenario: Scenario | None) -> Html:
    pairs: list[tuple[str, object]] = [
        ("scenario", info.get("name", "n/a")),
        ("seed", number(info.get("seed")).replace(",", "")),
        ("accounts", number(info.get("scenario", {}).get("accounts"))),
        ("ticks", f"{number(info.get('ticks'))} of {number(info.get('tick_s'))} s"),
        ("venues", ", ".join(info.get("venues", ())) or "n/a"),
        ("recorded", str(info.get("record", "n/a"))),
    ]
    if scenario is not None:
        pairs.insert(1, ("simulated", _window(scenario)))
    pairs += [
        ("version", str(info.get("version", "n/a"))),
        ("sources", str(info.get("source_hash", "n/a"))[:16]),
        ("run id", str(info.get("run_id", "n/a"))[:16]),
        ("books", verdict(*_judgement(checked))),
    ]
    return facts(pairs)


def _window(scenario: Scenario) -> str:
    """From when to when, with the second date only where it is another day."""
    first, last = scenario.start, scenario.end
    day = "" if first.date() == last.date() else f"{last:%d %b %Y} "
    return f"{first:%d %b %Y} {first:%H:%M} to {day}{last:%H:%M} UTC"


def _cards(summary: Mapping[str, Any]) -> Html:
    get = summary.get
    share = f"{percent(get('long_share_percent'))} longs, {number(get('liquidation_starts'))} liquidations"
    depth = f"{dollars(get('depth_normal_usd'))} to {dollars(get('depth_min_usd'))}, bids within 1 %"
    path = f"lowest; from ${number(get('start_usd'))}, end ${number(get('end_usd'))}"
    return cards(
        [
            ("fall to the low", percent(get("fall_percent")), f"news {percent(get('news_percent'))}"),
            ("price", f"${number(get('low_usd'))}", path),
            ("fall / news", f"{number(get('multiplier'))}", "1: the market adds nothing to the news"),
            ("time to the low", f"{number(get('minutes_to_low'))} min", "from the first news"),
            ("liquidated", dollars(get("liquidated_usd")), share),
            ("as a public feed shows it", dollars(get("reported_liquidated_usd")), "one order a second at most"),
            ("liquidations set off by others", number(get("flow_branching_ratio")), "branching ratio, by flow"),
            ("fall of depth", f"{number(get('depth_ratio'))} times", depth),
            (
                "insurance fund",
                dollars(get("fund_largest_loss_usd")),
                f"largest loss, of {dollars(get('fund_start_usd'))}",
            ),
            ("auto-deleveraged", dollars(get("adl_usd")), f"{number(get('adl_accounts'))} accounts"),
            ("bad debt", dollars(get("bad_debt_usd")), "losses nobody had the money for"),
            ("recovered after 30 min", percent(get("recovery_30min_percent")), "of the fall"),
        ]
    )


def _venues(summary: Mapping[str, Any]) -> Html:
    """Each venue's, and each coin's, own measures side by side."""
    parts = []
    for key, title in (("venues", "Venue by venue"), ("alts", "Other coins")):
        own = summary.get(key) or {}
        names = list(own)
        measures = list(dict.fromkeys(name for found in own.values() for name in found))
        rows = [
            (measure_name(measure), *(number(own[name].get(measure)) for name in names))
            for measure in measures
            if not any(isinstance(own[name].get(measure), dict) for name in names)
        ]
        if rows:
            parts.append(table(title, ("measure", *names), rows))
    return Html("\n".join(parts))


def measure_name(key: str) -> str:
    """`fall_percent` as "fall, %"."""
    for ending, unit in UNITS.items():
        if key.endswith(ending):
            return f"{key.removesuffix(ending).replace('_', ' ')}, {unit}"
    return key.replace("_", " ")


def _overview(run: Run, summary: Mapping[str, Any]) -> Html:
    """The picture of the run folder, and the same drawn for dark screens."""
    if run.steps.empty:
        return paragraph("The run has no ticks: nothing to draw.")
    path = f"from ${number(summary.get('start_usd'))} to a low of ${number(summary.get('low_usd'))}"
    alt = "Price, liquidations, depth, open interest and insurance fund over time. "
    alt += f"Price {path}; {dollars(summary.get('liquidated_usd'))} liquidated."
    caption = "One seed. Orange: longs liquidated, blue: shorts. The price line is the perpetual of the lead venue."
    return _drawn(run, "overview", alt, caption) + _several(run)


def _several(run: Run) -> Html:
    if len(run.info.get("venues", ())) < 2:
        return Html("")
    alt = "Prices, depth and liquidations of each venue over time; the table above has the figures."
    return _drawn(run, "venues", alt, "All venues of the run.")


def _drawn(run: Run, what: str, alt: str, caption: str) -> Html:
    """One of the two pictures in both themes; a report is not lost because of a picture."""
    from abm.figures.overview import draw_overview
    from abm.figures.venues import draw_venues

    kept = run.path / "overview.png"
    info = {**run.info, "real_points": _points(run.info)}
    pictures: list[bytes] = []
    try:
        with tempfile.TemporaryDirectory(prefix="deleverage-") as scratch:
            for theme in ("light", "dark"):
                file = Path(scratch) / f"{theme}.png"
                if what == "venues":
                    draw_venues(run.venues, run.participants, info, file, theme)
                elif theme == "light" and kept.is_file():
                    file = kept
                else:
                    draw_overview(run.steps, run.forced_events, info, file, theme)
                pictures.append(file.read_bytes())
    except Exception as error:  # the same care as when the run was made
        if not pictures:
            return paragraph(f"No picture: {type(error).__name__}: {error}")
    return picture(pictures[0], pictures[1] if len(pictures) > 1 else None, alt, caption)


def _points(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    from abm.targets import real_points

    scenario, _ = _scenario(info)
    return real_points(scenario) if scenario is not None else []


def _real(rows: list[Mapping[str, Any]]) -> Html:
    if not rows:
        return paragraph("This scenario is not about an evening with published figures: there is nothing to compare.")
    words = {True: verdict(GOOD, "inside"), False: verdict(BAD, "OUTSIDE"), None: verdict(OPEN, "not measured")}
    judged = [row["inside"] for row in rows if row["inside"] is not None]
    lines = []
    for row in rows:
        drawn = gauge(row["model"], row["real"], row["low"], row["high"]) if row["model"] is not None else ""
        figures = (number(row["model"]), number(row["real"]), f"{number(row['low'])} to {number(row['high'])}")
        source = (row["grade"], row["source"])
        lines.append((f"{row['measure']}, {row['unit']}", *figures, drawn, words[row["inside"]], *source))
    heads = ("measure", "model", "real", "band", "drawn", "the model is", "grade", "source of the real figure")
    note = "Grey: the band; tick: the real figure; disc: this run, hollow outside the band; triangle: off the scale."
    title = f"Model beside the real figures: {sum(judged)} of {len(judged)} inside their bands"
    grades = "Grades: A computed from exchange records, B from a data vendor or the exchange, C press."
    return Html(table(title, heads, lines, (0, 4, 5, 6, 7), note) + paragraph(grades, class_="small"))


def _judgement(checked: Verified) -> tuple[str, str]:
    marks = {True: (GOOD, "every balance is explained"), False: (BAD, "NOT EXPLAINED"), None: (OPEN, "not judged")}
    return marks[checked.ok]


def _verification(checked: Verified) -> Html:
    words = "An independent accountant rebuilds every closing balance from the opening balances and the events, "
    words += "without the code that cleared the trades. It follows the money; "
    words += "it does not judge whether a liquidation was due."
    kind, short = _judgement(checked)
    first, _, rest = checked.words.partition("\n")
    details = [block(rest)] if rest else []
    return joined([notice(kind, verdict(kind, short), ". ", first), *details, paragraph(words, class_="small")])


def _measures(summary: Mapping[str, Any]) -> Html:
    own = {key: value for key, value in summary.items() if key not in ("venues", "alts")}
    rows = [(measure_name(key), number(value)) for key, value in flat(own).items()]
    return table("All measures of the run", ("measure", "value"), rows)


def _file(info: Mapping[str, Any]) -> Html:
    words = "Every value of the scenario, as one file that deleverage run accepts."
    whole = element(
        "details",
        element("summary", f"The resolved scenario ({origin.SCENARIO_FILE})"),
        paragraph(words),
        block(origin.scenario_file(info.get("scenario", {}))),
    )
    return whole
