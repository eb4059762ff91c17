"""One self-contained HTML file about a run, a study or a comparison, for people who have nothing but a browser.

The file loads nothing from anywhere: style, typeface and pictures are inside. The same folder and the same sources give
the same bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from abm.report.page import MARKER, Page
from abm.results import FolderTakenError
from abm.settings import SettingsError

__all__ = ["Report", "report_of", "write_report"]


@dataclass(frozen=True, slots=True)
class Report:
    """A report as text; `ok` is False when the books of its run do not add up; `remarks` should be said aloud."""

    html: str
    ok: bool
    remarks: tuple[str, ...] = ()


def report_of(folder: Path, verify: bool = True) -> Report:
    """The report of a folder that `run`, `sweep` or `compare` wrote. Raises `SettingsError` for any other."""
    if (folder / "run.json").is_file():
        from abm.report.run import run_page

        page, checked = run_page(folder, verify)
        remarks = [] if "INCOMPLETE" not in _first(page) else [f"{folder} is incomplete: the report says so"]
        if checked.ok is not True:
            remarks.append(checked.words.partition("\n")[0])
        return Report(page.render(), checked.ok is not False, tuple(remarks))
    from abm.report.study import COMPARE_FILE, compare_page, is_study, study_page

    if (folder / COMPARE_FILE).is_file():
        page, remarks = compare_page(folder)
    elif is_study(folder):
        page, remarks = study_page(folder)
    else:
        words = "no run, study or comparison: it has no run.json, plan.parquet or compare.json"
        raise SettingsError([f"{folder} is {words if folder.is_dir() else 'no folder'}"])
    return Report(page.render(), True, tuple(remarks))


def write_report(report: Report, file: Path) -> Path:
    """Write a report; an earlier report is replaced, anything else is not. Raises `FolderTakenError`."""
    if file.exists() and not (file.is_file() and MARKER.encode() in file.read_bytes()[:200]):
        raise FolderTakenError(f"{file} exists already and is no report: choose another --out or remove it")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(report.html, encoding="utf-8", newline="\n")
    os.replace(partial, file)
    return file


def _first(page: Page) -> str:
    return page.sections[0][2]
