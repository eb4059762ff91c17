"""Every published figure with the command that makes it: `python -m abm.gallery > docs/gallery.md`.

A figure that carries the name of an experiment is that experiment's; one beside a page of `docs/scenarios` is made by
the first commands of that page; one of a validation by the command that its table in `docs/validation.md` rests on; the
others are listed here. A test compares page and generator and knows every command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from abm.experiment import experiments

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
OCTOBER = "deleverage experiment october --set seeds=10 --set critical_seeds=4 --set duration_s=3000 --set docs=docs"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure below docs/: its file, what it shows, the commands that make it, the page that reads it."""

    file: str
    title: str
    commands: tuple[str, ...]
    page: str = ""


VARIANTS = '["as packaged","value capital near","beliefs"]'
LISTED = (
    Figure("october-2025.png", "The evening of 10 October 2025, one seed: `overview.png` of a run",
           ("deleverage run october-2025",), "results.md"),
    Figure("october-2025-venues.png", "The same evening with three venues: `overview.png` of a run",
           ("deleverage run october-2025-venues",), "results.md"),
    Figure("figures/calibration-october.png", "The search on 10 October 2025",
           ("deleverage calibrate docs/studies/calibrate-october.toml",), "calibration.md"),
    Figure("figures/growth.png", "Cost of a tick against accounts, resting orders and venues",
           ("python -m benchmarks.growth --out docs/figures/growth.png",), "performance.md"),
    Figure("figures/stylised-facts-variants.png", "Stylised facts of three variants",
           (f"deleverage experiment stylised-facts --set 'variants={VARIANTS}'",),
           "stylised-facts.md"),
    Figure("treasuries.png", "Treasury companies under stress",
           ("deleverage stress october-2025 --population november-2025 --drop 10:70:5",), "treasuries.md"),
)  # fmt: skip
PAGES = {
    "october": "policies.md",
    "october-switches": "results.md",
    "stylised-facts": "stylised-facts.md",
    "who-matters": "who-matters.md",
}
"""Pages of experiments that are not on the page of theory."""
LAB = "python -m tests.lab_pictures docs/lab"


def figures(docs: Path = DOCS) -> tuple[list[Figure], list[str]]:
    """Every picture below `docs` as a figure, those of the lab apart; and the files of which no command is known."""
    known = {one.file: one for one in LISTED}
    tests, text = experiments(), (docs / "validation.md").read_text(encoding="utf-8")
    held = {one.file: one for one in validations(text)}
    known |= held
    found, unknown = [], []
    for path in sorted(docs.rglob("*.png")):
        file, name = path.relative_to(docs).as_posix(), path.stem
        if file in known:
            found.append(known[file])
        elif path.parent.name == "scenarios" and (page := path.with_suffix(".md")).is_file():
            title = page.read_text(encoding="utf-8").split("\n")[0].removeprefix("# ")
            found.append(Figure(file, title, commands_of(page), f"scenarios/{page.name}"))
        elif path.parent.name == "october":
            found.append(Figure(file, f"October: {name.replace('-', ' ')}", (OCTOBER,), "policies.md"))
        elif path.parent.name != "scenarios" and name in tests:
            page_name = PAGES.get(name, "papers.md")
            found.append(Figure(file, tests[name], (f"deleverage experiment {name}",), page_name))
        elif path.parent.name != "lab":
            unknown.append(file)
    return found, unknown


def validations(text: str) -> list[Figure]:
    """One for each table of the page of validation: seeds and accounts are those that its first line states."""
    form = r"<!-- begin validate-([\w-]+) -->\s*([^\n]+?): \*\*.*?([\d,]+) seeds, ([\d,]+) accounts"
    found = []
    for name, title, seeds, accounts in re.findall(form, text):
        size = f"--seeds {seeds} --accounts {accounts}".replace(",", "")
        words = f"{title}: model and real, {seeds} seeds"
        file = f"figures/validation-{name}.png"
        found.append(Figure(file, words, (f"deleverage validate {name} {size}",), "validation.md"))
    return found


def commands_of(page: Path) -> tuple[str, ...]:
    """The commands that stand before the first picture of a page, without their comments."""
    text = page.read_text(encoding="utf-8").split("](")[0].replace("\\\n", " ")
    lines = re.findall(r"^(?: {4})?((?:deleverage|python -m) .*)$", text, re.M)
    return tuple(" ".join(line.split(" #")[0].split()) for line in lines)


def section(title: str, shown: list[Figure]) -> str:
    """A part of the page."""
    parts = [f"## {title}\n"]
    for one in shown:
        commands = "\n".join(one.commands)
        read = f" Read it on [its page]({one.page})." if one.page else ""
        parts.append(f"### {Path(one.file).stem}\n\n{one.title.rstrip('.')}.{read}\n\n```sh\n{commands}\n```\n")
        parts.append(f"![{one.title.rstrip('.').replace('`', '')}]({one.file})\n")
    return "\n".join(parts)


def page(docs: Path = DOCS) -> str:
    """`docs/gallery.md`."""
    every, unknown = figures(docs)
    scenarios = [one for one in every if one.page.startswith("scenarios/")]
    listed = [one for one in every if one in LISTED or one.page == "validation.md"]
    tested = [one for one in every if one not in scenarios and one not in listed]
    lab = sorted(path.name for path in (docs / "lab").glob("*.png"))
    missing = [f"No command is known for: {', '.join(unknown)}.\n"] if unknown else []
    lines = [
        f"""# Gallery

{len(every) + len(lab)} pictures, each with the commands that make it; this page is made by
`python -m abm.gallery > docs/gallery.md`. `deleverage experiment NAME` writes `runs/experiments/NAME.png`; `--quick`
makes a small one in seconds, `--full` one as large as published. Colours mean the same everywhere: orange longs
liquidated, blue shorts liquidated, violet auto-deleveraging, green the insurance fund, grey-green the makers' depth.
""",
        *missing,
        section("Events, calibration, studies", listed),
        section("Experiments", tested),
        section("Scenarios", scenarios),
        f"## The lab\n\nAll by `{LAB}`, which needs Chromium; [the lab](lab.md) says what each tab shows.\n",
        *(f"![{Path(name).stem.replace('-', ' ')}](lab/{name})\n" for name in lab),
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
