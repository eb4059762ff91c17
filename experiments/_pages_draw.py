"""The picture of a page, from the runs that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from abm.figures.spillover import draw_spillover
from abm.figures.treasury_run import draw_sale
from abm.figures.variants import Variant, draw_variants
from abm.recorder import Run
from experiments._pages_kinds import Page
from experiments._pages_table import Row

LARGEST, COLOURS = 200_000, 96
"""Bytes of a PNG from which on it is stored with so many colours."""


def draw_page(page: Page, rows: Sequence[Row], accounts: int, path: Path) -> Path | None:
    """Draw a page's picture, lines for the lowest seed; the path written, None where every seed has a failed run."""
    common = set.intersection(*(set(row.runs) for row in rows))
    if not common:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = min(common)
    runs = [row.runs[seed] for row in rows]
    if page.picture == "spillover":
        draw_spillover(next(run for row, run in zip(rows, runs, strict=True) if not page.variants[row.label]), path)
    elif isinstance(page.picture, str):
        words = f"Model, seed {seed}, {accounts:,} accounts: the same run with the companies' loans and without them."
        title = "Forced sales of treasury companies"
        words += " A stress case: no such sale is known."
        draw_sale(_joined(runs[1]), _joined(runs[0]), "datcos", "funds", title, [words], path)
    else:
        lines = tuple(line.format(seed=seed, accounts=f"{accounts:,}") for line in page.picture.lines)
        variants = [Variant(row.label, row.runs[seed].steps, row.runs[seed].participants, row.figures) for row in rows]
        draw_variants(replace(page.picture, lines=lines), variants, path)
    return smaller(path)


def _joined(run: Run) -> pd.DataFrame:
    """Steps with the participants' figures beside them."""
    own = run.participants.drop(columns=["time"])
    joined: pd.DataFrame = pd.concat([run.steps, own], axis=1)
    return joined


def smaller(path: Path) -> Path:
    """Store a large PNG with few colours; the path."""
    if path.suffix == ".png" and path.stat().st_size > LARGEST:
        from PIL import Image

        with Image.open(path) as held:
            picture = held.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
    return path
