"""Building blocks of a report: markup that escapes everything it is handed, tables, pictures, one page of HTML.

`element` and the blocks take plain texts and `Html`; a plain text is escaped, so that nothing from a scenario or a file
can become markup. A page loads nothing: style, fonts and pictures are inside it.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from typing import Any

MARKER = "<!-- a report of deleverage -->"
"""Second line of every report, by which an earlier one is known and may be replaced."""
GOOD, BAD, OPEN = "good", "bad", "open"


class Html(str):
    """Text that is markup already; what is added to it is escaped."""

    __slots__ = ()

    def __add__(self, other: str) -> Html:
        return Html(str.__add__(self, escaped(other)))


def escaped(value: object) -> Html:
    """Markup as it is, everything else escaped."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def element(tag: str, *inner: object, **attributes: str) -> Html:
    """`<tag attributes>inner</tag>`; `class_` stands for class, `_` in other names for a hyphen."""
    names = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    head = "".join(f' {name}="{html.escape(value, quote=True)}"' for name, value in names)
    return Html(f"<{tag}{head}>{joined(inner)}</{tag}>")


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after another, each escaped if it is no markup."""
    return Html(between.join(escaped(part) for part in parts))


def code(words: object) -> Html:
    """A short piece of code."""
    return element("code", words)


def block(words: str) -> Html:
    """A command or a file."""
    return element("pre", element("code", words), tabindex="0")


def number(value: Any) -> str:
    """A figure for people: about three digits, a true minus, "n/a" where there is none; other things as they are."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    size = abs(value)
    if value == int(value) or size >= 100:
        text = f"{value:,.0f}"
    elif size < 1e-4:
        text = f"{value:.2e}"
    else:
        text = f"{value:.{2 - math.floor(math.log10(size))}f}"
    return ("0" if text == "-0" else text).replace("-", "\N{MINUS SIGN}")


def percent(value: Any) -> str:
    """A figure in per cent."""
    text = number(value)
    return text if text == "n/a" else f"{text} %"


def dollars(value: Any) -> str:
    """A sum of money, in $ thousand, million or billion."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "n/a"
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    sizes = ((1e9, "bn"), (1e6, "m"), (1e3, "k"), (0.0, ""))
    size, unit = next(pair for pair in sizes if abs(value) >= pair[0])
    return f"{sign}${number(abs(value) / (size or 1.0))}{unit}"


# --- blocks -----------------------------------------------------------------------------------------------------------
def paragraph(*inner: object, class_: str = "") -> Html:
    """A paragraph."""
    return element("p", *inner, **({"class_": class_} if class_ else {}))


def listing(items: Iterable[object]) -> Html:
    """A bulleted list."""
    return element("ul", *(element("li", item) for item in items))


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Terms and what they are."""
    rows = (element("div", element("dt", term), element("dd", value)) for term, value in pairs)
    return element("dl", *rows, class_="facts")


def cards(items: Iterable[tuple[str, str, str]]) -> Html:
    """Key figures: (name, figure, note) each."""
    made = (
        element("div", element("dt", name), element("dd", element("strong", figure), element("span", note)))
        for name, figure, note in items
    )
    return element("dl", *made, class_="cards")


def verdict(kind: str, words: str) -> Html:
    """A judgement in words with a mark: `GOOD`, `BAD` or `OPEN`."""
    mark = {GOOD: "✓", BAD: "✗", OPEN: "○"}[kind]
    return element("span", element("span", mark, aria_hidden="true"), " ", words, class_=f"verdict {kind}")


def notice(kind: str, *inner: object) -> Html:
    """A remark that must not be missed."""
    return element("p", *inner, class_=f"notice {kind}", role="note")


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    words: Sequence[int] = (0,),
    note: str = "",
    class_: str = "",
) -> Html:
    """A table; the first column heads its rows, the columns named in `words` are texts and the others figures."""
    kinds = ["" if i in words else "figure" for i in range(len(heads))]

    def cell(tag: str, value: object, kind: str, **more: str) -> Html:
        return element(tag, value, **({"class_": kind} if kind else {}), **more)

    head = element("tr", *(cell("th", text, kind, scope="col") for text, kind in zip(heads, kinds, strict=True)))
    body = []
    for row in rows:
        first = cell("th", row[0], kinds[0], scope="row")
        body.append(element("tr", first, *(cell("td", v, k) for v, k in zip(row[1:], kinds[1:], strict=True))))
    if not body:
        body = [element("tr", element("td", "none", colspan=str(len(heads))))]
    words_of = element("caption", caption, *([element("span", note)] if note else []))
    whole = element(
        "table",
        words_of,
        element("thead", head),
        element("tbody", Html("\n".join(body))),
        **({"class_": class_} if class_ else {}),
    )
    return element("div", whole, class_="wide", role="region", aria_label=caption, tabindex="0")


def picture(light: bytes, dark: bytes | None, alt: str, caption: str) -> Html:
    """A PNG in the page; `dark` is shown on dark screens, and without it the light one on its own paper."""
    source = ""
    if dark is not None:
        source = Html(f'<source media="screen and (prefers-color-scheme: dark)" srcset="{_data(dark)}">')
    image = Html(f'<img src="{_data(light)}" alt="{html.escape(alt, quote=True)}">')
    return element(
        "figure",
        element("picture", source, image),
        element("figcaption", caption),
        class_="plate" if dark is None else "plate themed",
    )


def gauge(model: float, real: float, low: float, high: float) -> Html:
    """A band, the real figure in it (tick) and the model's (disc; hollow outside the band) as a small drawing."""
    room = max(high - low, 1e-12)
    left, right = min(low, real) - 0.75 * room, max(high, real) + 0.75 * room
    width, inside = 132.0, low <= model <= high

    def at(value: float) -> float:
        return 8 + (width - 16) * (min(max(value, left), right) - left) / (right - left)

    beyond = "" if left <= model <= right else ("<" if model < left else ">")
    disc = f'<circle class="{"in" if inside else "out"}" cx="{at(model):.1f}" cy="8" r="4"/>'
    if beyond:
        tip, base = (2.0, 9.0) if beyond == "<" else (width - 2, width - 9)
        disc = f'<path class="out" d="M{tip:.1f} 8L{base:.1f} 4V12Z"/>'
    return Html(
        f'<svg class="gauge" width="{width:.0f}" height="16" viewBox="0 0 {width:.0f} 16" aria-hidden="true">'
        f'<line class="axis" x1="2" x2="{width - 2:.0f}" y1="8" y2="8"/>'
        f'<rect class="band" x="{at(low):.1f}" y="3" width="{at(high) - at(low):.1f}" height="10"/>'
        f'<line class="real" x1="{at(real):.1f}" x2="{at(real):.1f}" y1="1" y2="15"/>{disc}</svg>'
    )


# --- the page ---------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Page:
    """A report that grows section by section."""

    title: str
    kind: str
    lead: str = ""
    sections: list[tuple[str, str, Html]] = field(default_factory=list)

    def add(self, name: str, title: str, *blocks: object) -> None:
        """A section; `name` is its anchor."""
        self.sections.append((name, title, joined(blocks, "\n")))

    def render(self) -> str:
        """The whole file."""
        links = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in self.sections)
        contents = element("nav", element("ol", *links), aria_label="contents")
        bodies = [
            element("section", element("h2", title, id=name), body, aria_labelledby=name)
            for name, title, body in self.sections
        ]
        head = element(
            "header",
            element("p", self.kind, class_="kind"),
            element("h1", self.title),
            *(paragraph(" ".join(part.split()), class_="lead") for part in self.lead.split("\n\n") if part.strip()),
        )
        return (
            f'<!DOCTYPE html>\n{MARKER}\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"{_POLICY}\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escaped(self.title)}</title>\n<style>\n{style()}</style>\n</head>\n<body>\n"
            f"{head}\n{contents}\n<main>\n{joined(bodies, chr(10))}\n</main>\n</body>\n</html>\n"
        )


_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
"""The browser itself refuses any request and any script."""


def style() -> str:
    """The style sheet, with the palettes and the typeface of the figures."""
    from abm.figures.style import DARK, FONT_FILES, FONTS, LIGHT

    def variables(colours: Any) -> str:
        return " ".join(f"--{item.name.replace('_', '-')}: {getattr(colours, item.name)};" for item in fields(colours))

    faces = []
    for weight, name in zip((400, 700), FONT_FILES, strict=True):
        if (FONTS / name).is_file():
            data = base64.b64encode((FONTS / name).read_bytes()).decode()
            faces.append(
                f"@font-face {{ font-family: 'IBM Plex Sans'; font-weight: {weight}; "
                f"src: url(data:font/ttf;base64,{data}); }}\n"
            )
    sheet = (files("abm.report") / "report.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"
    return "".join(faces) + f":root {{ {variables(LIGHT)} }}\n{dark}{sheet}"


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def flat(value: Any, prefix: str = "") -> Mapping[str, Any]:
    """Dotted path -> leaf of nested tables and lists; list items are called by name where they have one."""
    found: dict[str, Any] = {}
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            found |= flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            found |= flat(item, f"{prefix}.{item.get('name', i)}")
    else:
        found[prefix] = value
    return found
