"""What a Mesa user expects of a model: `batch_run`, stock `SolaraViz`, and memory that comes back."""

from __future__ import annotations

import gc
import importlib.util
import sys
import weakref
from pathlib import Path
from typing import Any

import mesa
import pytest

from abm import MarketModel

APP = [name for name in ("solara", "altair", "networkx") if importlib.util.find_spec(name) is None]
# The README's test line installs the extra, so CI runs this; who has only `dev` installed may lack the page's 0.5 GB.
needs_app = pytest.mark.skipif(bool(APP), reason=f"the `app` extra is not installed: {', '.join(APP)} missing")
CALM: dict[str, Any] = {"accounts": 60, "duration_s": 5, "news": ()}


class Calm(MarketModel):
    """Scalar parameters only, as the stock tools hand them over."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**(CALM | kwargs))


def test_stock_batch_run() -> None:
    rows = mesa.batch_run(
        Calm, {"makers__count": [5, 9], "seed": [1, 2]}, data_collection_period=1, display_progress=False, max_steps=100
    )
    assert len({row["RunId"] for row in rows}) == 4
    last = {(row["makers__count"], row["seed"]): row for row in rows}
    assert all(row["perp_usd"] > 0 and row["open_interest_btc"] > 0 for row in last.values())
    assert last[5, 1]["perp_usd"] != last[5, 2]["perp_usd"]
    assert len({row["Step"] for row in rows}) >= 5


def test_batch_run_hands_over_seeds_by_its_own_name() -> None:
    """Newer versions of Mesa pass `rng` by themselves; on older ones it is a parameter like others."""
    if "rng" in mesa.batch_run.__code__.co_varnames:
        rows = mesa.batch_run(Calm, {}, rng=[1, 2], display_progress=False)
    else:
        rows = mesa.batch_run(Calm, {"rng": [1, 2]}, display_progress=False)
    assert rows[0]["perp_usd"] != rows[1]["perp_usd"]


def test_each_model_has_its_own_view() -> None:
    """Agents of two models do not mix up whose arrays they read."""
    one, other = Calm(seed=1), Calm(seed=2)
    one.step()
    assert {agent.model for agent in one.agents} == {one}
    assert other.tick == 0 and other.steps == 0


@needs_app
def test_stock_page_renders_and_steps() -> None:
    """`SolaraViz` with a slider and a plot: built, rendered, stepped, reset to another parameter."""
    import ipyvuetify
    import solara
    from mesa.visualization import SolaraViz, make_plot_component

    parameters = {
        "seed": 3,
        "makers__count": {"type": "SliderInt", "value": 8, "label": "makers", "min": 2, "max": 20, "step": 1},
    }
    model = solara.reactive(Calm(seed=3, makers__count=8))
    first = model.value

    @solara.component
    def page() -> None:
        with solara.AppLayout():  # the controls live in its sidebar
            SolaraViz(model, components=[make_plot_component("perp_usd")], model_params=parameters, name="market")

    _, rendered = solara.render(page(), handle_error=False)

    def click(word: str) -> None:
        buttons = rendered.find(ipyvuetify.Btn).widgets
        next(b for b in buttons if any(str(part).strip().lower() == word for part in b.children)).click()

    try:
        rendered.find(ipyvuetify.Slider, label="makers").widget.v_model = 5
        click("step")
        assert first.tick == 1 and model.value is first
        click("reset")
        assert model.value is not first and model.value.tick == 0
        assert model.value.setup.makers.count == 5 and model.value.setup.seed == 3
    finally:
        rendered.close()


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def grow(models: int) -> tuple[float, float]:
    """Resident memory after a quarter of the models and at the end."""
    early = 0.0
    for number in range(models):
        Calm(accounts=50, duration_s=10).step()
        if number == models // 4:
            early = resident_mb()
    return early, resident_mb()


def test_a_model_is_freed() -> None:
    model = Calm()
    model.step()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None, "somebody still holds the model"


# Only Linux tells a process its present memory without another dependency; `test_a_model_is_freed` covers the rest.
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("models", [40, pytest.param(200, marks=pytest.mark.full)])
def test_many_models_do_not_grow_memory(models: int) -> None:
    """A model holds some 60 MB: kept alive, forty of them would be 2 GB."""
    early, late = grow(models)
    assert late - early < 400, f"{early:.0f} MB after {models // 4} models, {late:.0f} MB after {models}"
