"""One style for figures and page: a colour has one meaning everywhere, one typeface in two weights, no global state.

Figures are drawn with `Figure` and the Agg canvas, never with pyplot, and saved without date or software tags, so that
the same data give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import floor, log10
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FONT_FAMILY = "IBM Plex Sans"
FALLBACK_FAMILY = "DejaVu Sans"
FONTS = Path(__file__).parent / "fonts"
FONT_FILES = ("IBMPlexSans-Regular-Latin1.ttf", "IBMPlexSans-Bold-Latin1.ttf")
DOTS_PER_INCH = 160

TITLE_PT, BODY_PT, SOURCE_PT = 10.0, 9.0, 8.0
"""Type sizes in print: panel titles, ticks and labels, sources. Nothing is smaller than `SOURCE_PT`."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by role, as `#RRGGBB`. The first block are meanings, the second is furniture."""

    long: str
    short: str
    adl: str
    fund: str
    depth: str
    depth_edge: str
    treasury: str
    spot: str
    perp: str
    mark: str
    news: str
    forced: str

    text: str
    note: str
    axis: str
    grid: str
    band: str
    paper: str


LIGHT = Palette(
    long="#E0401A",
    short="#1793E6",
    adl="#633089",
    fund="#0D877A",
    depth="#B7CEC4",
    depth_edge="#7FA596",
    treasury="#5C4300",
    spot="#8F949E",
    perp="#14171C",
    mark="#E3A400",
    news="#B02E54",
    forced="#5F6B7A",
    text="#2B313A",
    note="#667080",
    axis="#D5D9DF",
    grid="#ECEEF1",
    band="#F4F5F7",
    paper="#FFFFFF",
)
DARK = Palette(
    long="#F75A1A",
    short="#6ED0FF",
    adl="#9F57DE",
    fund="#2FBD8A",
    depth="#48675B",
    depth_edge="#7FA596",
    treasury="#A4744A",
    spot="#858B92",
    perp="#F2F4F7",
    mark="#F7DC3A",
    news="#FD81C2",
    forced="#9AA6B6",
    text="#D8DDE4",
    note="#8D97A6",
    axis="#343B46",
    grid="#232931",
    band="#1B2027",
    paper="#12161B",
)
PALETTES = {"light": LIGHT, "dark": DARK}


def palette(theme: str = "light") -> Palette:
    """The colours of a theme, "light" or "dark". Raises ValueError for any other name."""
    if theme not in PALETTES:
        raise ValueError(f"theme {theme!r} is not known; take one of {', '.join(PALETTES)}")
    return PALETTES[theme]


def register_fonts(folder: Path = FONTS) -> list[str]:
    """Make the vendored font known to Matplotlib; font families to ask for, best first.

    Without the files (or with broken ones) only the fallback is named, and figures are drawn all the same.
    """
    try:
        for name in FONT_FILES:
            font_manager.fontManager.addfont(folder / name)
    except (OSError, RuntimeError):
        return [FALLBACK_FAMILY]
    return [FONT_FAMILY, FALLBACK_FAMILY]


@cache
def families() -> tuple[str, ...]:
    """Font families in use, registered once in a process."""
    return tuple(register_fonts())


def rc_parameters(theme: str = "light") -> dict[str, Any]:
    """Matplotlib settings of the style: type, axes furniture, mathtext off."""
    colours = palette(theme)
    return {
        "font.family": list(families()),
        "font.size": BODY_PT,
        "text.color": colours.text,
        "text.parse_math": False,
        "axes.edgecolor": colours.axis,
        "axes.facecolor": "none",
        "axes.labelcolor": colours.text,
        "axes.linewidth": 0.8,
        "axes.unicode_minus": True,
        "figure.facecolor": colours.paper,
        "savefig.facecolor": colours.paper,
        "grid.color": colours.grid,
        "xtick.color": colours.axis,
        "ytick.color": colours.axis,
        "xtick.labelcolor": colours.text,
        "ytick.labelcolor": colours.text,
        "hatch.linewidth": 0.6,
        "lines.solid_capstyle": "butt",
        "path.simplify": True,
        "path.simplify_threshold": 0.1,
        "agg.path.chunksize": 20_000,
        "svg.hashsalt": "deleverage",
    }


@contextmanager
def styled(theme: str = "light") -> Iterator[Palette]:
    """The style for the duration of a `with` block; Matplotlib's settings are as before afterwards."""
    settings: Any = rc_parameters(theme)
    with matplotlib.rc_context(settings):
        yield palette(theme)


def tint(colour: str, paper: str, share: float) -> str:
    """`share` of a colour over paper, both `#RRGGBB`."""
    pairs = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1.0 - share)):02X}" for a, b in pairs)


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure with an Agg canvas at `DOTS_PER_INCH`."""
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure; the ending of `path` (.png or .pdf) chooses the format. No date, host or software is stored."""
    target = Path(path)
    ending = target.suffix.lower()
    metadata: dict[str, dict[str, Any]] = {
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    if ending not in metadata:
        raise ValueError(f"cannot write {target.name}: the ending must be .png or .pdf")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata=metadata[ending])
    return target


def with_commas(value: float, decimals: int = 0) -> str:
    """A number with thousands separators and a true minus sign; "n/a" when it is not finite."""
    if value != value or value in (float("inf"), float("-inf")):
        return "n/a"
    text = f"{value:,.{decimals}f}"
    if text.strip("-0.,") == "":
        text = text.lstrip("-")
    return text.replace("-", "\N{MINUS SIGN}")


def round_number(value: float) -> str:
    """A round number without needless decimals: 30, 2.5, 0.1."""
    decimals = next((n for n in range(9) if abs(round(value, n) - value) <= 1e-9 * max(1.0, abs(value))), 9)
    return with_commas(value, decimals)


def short_number(value: float) -> str:
    """Two or three significant digits, plain: 101,234 / 42.7 / 0.0031."""
    if value != value:
        return "n/a"
    size = abs(value)
    if size >= 100 or size == 0:
        return with_commas(value)
    decimals = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else min(1 - floor(log10(size)), 9)
    return with_commas(value, decimals)
