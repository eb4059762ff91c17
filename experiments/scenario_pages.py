"""The measured tables and pictures of the scenario pages, on common seeds.

Each page of `docs/scenarios` that is listed in `experiments/_pages_list.py` has variants of its scenario, columns and a
picture. Runs go through the sweep engine into `folder`, a study a page; the same call goes on where it was left, and
more seeds are added to those that are there. With `docs` the table is put between the markers of NAME.md there, and
the picture beside it as NAME.png; otherwise both lie in `folder`.

    deleverage experiment scenario-pages --set docs=docs/scenarios

A table carries the settings it was measured with: where a number of the scenario changes later, a test says which page
is to be measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from abm.parameters import Parameters, quantity
from experiments._pages_draw import draw_page
from experiments._pages_kinds import Page, digest
from experiments._pages_list import PAGES
from experiments._pages_run import RUNNER
from experiments._pages_table import BLOCK, cell_text, markdown, put_into, rows_of, table_of
from experiments._studies import finished, finished_of

SLOW = True
QUICK = {"scenarios": ["two-venues"], "seeds": 1, "accounts": 100}
FULL = {"seeds": 20}


class Options(Parameters):
    """What is measured. A run takes 10 to 40 s; all pages take about forty minutes of one core."""

    scenarios: tuple[str, ...] = Field(tuple(PAGES), description="names of pages, as in `experiments/_pages_list.py`")
    seeds: int = quantity(0, unit="seeds", source="0: as many as the page says", ge=0, le=1_000)
    accounts: int = quantity(0, unit="accounts", source="0: as many as the page says", ge=0, le=5_000_000)
    seed: int = quantity(1, unit="-", source="first of the common seeds", ge=0)
    processes: int = quantity(1, unit="processes", source="chosen", ge=1, le=256)
    folder: str = Field("runs/scenario-pages", description="where runs are kept; they are not repeated")
    docs: str = Field("", description="folder of the pages that get table and picture; empty: none")

    @model_validator(mode="after")
    def _known(self) -> Options:
        from abm.settings import nearest

        known = list(PAGES)
        lines = [f"scenarios: no page {name!r}{nearest(name, known)}" for name in self.scenarios if name not in PAGES]
        if not self.scenarios or len(set(self.scenarios)) < len(self.scenarios):
            lines.append("scenarios: name at least one, each once")
        if self.docs and not lines:
            pages = {name: Path(self.docs) / f"{name}.md" for name in self.scenarios}
            lines += [
                f"docs: {path} has no markers for a table"
                for path in pages.values()
                if not path.is_file() or not BLOCK.search(path.read_text(encoding="utf-8"))
            ]
        if lines:
            raise ValueError("; ".join(lines))
        return self


def study(name: str, page: Page, options: Options) -> dict[str, Any]:
    """The runs of a page as a study of the sweep engine: one point a variant; common seeds."""
    return {
        "name": f"pages-{name}",
        "title": f"Page of {name}",
        "runner": RUNNER,
        "set": {"scenario": name, "accounts": options.accounts or page.accounts, "record": page.record},
        "design": "list",
        "vary": [
            {"path": "variant", "values": list(page.variants)},
            {"path": "settings", "values": [list(settings) for settings in page.variants.values()]},
        ],
        "replicates": options.seeds or page.seeds,
        "seed": options.seed,
    }


def run(options: Options, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row a page: its table, and the files written."""
    found = []
    for name in options.scenarios:
        folder = Path(options.folder) / name
        runs = finished(study(name, PAGES[name], options), folder, options.processes, say)
        found.append(made(name, runs, options))
        say(f"{name}: {', '.join(found[-1]['files'])}")
    return found


def made(name: str, runs: list[dict[str, Any]], options: Options) -> dict[str, Any]:
    """Table and picture of a page from its runs, written where the options say."""
    page, accounts = PAGES[name], options.accounts or PAGES[name].accounts
    rows = rows_of(page, runs)
    table = table_of(page, rows)
    block = markdown(name, page, table, accounts, digest(name, page))
    target = Path(options.docs or options.folder)
    words = target / f"{name}.md"
    if options.docs:
        put_into(words, block)
    else:
        words.write_text(block + "\n", encoding="utf-8")
    picture = draw_page(page, rows, accounts, target / f"{name}.png")
    failed = sorted({f"{one['error_type']}: {one['message']}" for one in runs if one.get("error_type")})
    return {
        "scenario": name,
        "accounts": accounts,
        "table": table,
        "files": [str(path) for path in (words, picture) if path],
        "folder": options.folder,
        "error": "; ".join(failed),
    }


def text(results: list[dict[str, Any]]) -> str:
    """Every table, a line a figure."""
    lines = []
    for found in results:
        page = PAGES[found["scenario"]]
        lines.append(f"{found['scenario']}, {found['accounts']:,} accounts")
        for row in found["table"]:
            lines.append(f"  {row['row']} ({row['seeds']} seeds)")
            lines += [
                f"    {f'{one.words}, {one.unit}'.rstrip(', '):<44}{cell_text(row[one.words], one.digits)}"
                for one in page.measures
            ]
    return "\n".join(lines)


def draw(results: list[Mapping[str, Any]], path: Path) -> Path:
    """The picture of the first page, from the runs that were kept."""
    name, accounts, folder = (results[0][key] for key in ("scenario", "accounts", "folder"))
    drawn = draw_page(PAGES[name], rows_of(PAGES[name], finished_of(Path(folder) / name)), accounts, path)
    if drawn is None:
        raise ValueError(f"{name}: no seed has a run of every variant")
    return drawn
