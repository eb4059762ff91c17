"""Sensitivity, tails and curves against exact answers; incomplete designs are refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator, Philox
from scipy import stats

from abm.analysis import (
    Factor,
    IncompleteDesignError,
    Problem,
    crossings,
    curve,
    expected_shortfall,
    morris,
    morris_effects,
    phase_diagram,
    rank_correlations,
    saltelli,
    sobol,
    tails,
    value_at_risk,
)
from abm.analysis.tails import quantile_interval
from abm.settings import SettingsError
from tests.study_tables import (
    G_WEIGHTS,
    ISHIGAMI,
    ISHIGAMI_FIRST,
    ISHIGAMI_TOTAL,
    g_function,
    g_indices,
    ishigami,
    runs_of,
)

UNIT = Problem.of({f"x{i}": (0.0, 1.0) for i in range(len(G_WEIGHTS))})


# --- Sobol ------------------------------------------------------------------------------------------------------------
def cases():
    exact = np.array(ISHIGAMI_FIRST), np.array(ISHIGAMI_TOTAL)
    return [(Problem.of(ISHIGAMI), ishigami, *exact), (UNIT, g_function, *g_indices())]


@pytest.mark.parametrize(("problem", "function", "first", "total"), cases(), ids=["ishigami", "g"])
def test_sobol_indices_are_the_analytic_ones(problem, function, first, total) -> None:
    """4,096 base rows: right to two decimals, and inside the interval of 99.99 %."""
    frame = runs_of(saltelli(problem, 4096), function)
    found = sobol(frame, problem.names, "y", level=0.9999, resamples=2000)
    for kind, exact in (("first", first), ("total", total)):
        low, high = found[f"{kind}_low"].to_numpy(), found[f"{kind}_high"].to_numpy()
        assert ((low <= exact) & (exact <= high)).all(), found
        assert np.abs(found[kind] - exact).max() < 0.005
    assert found.attrs["base"] == 4096 and found.attrs["runs"] == len(frame)


def test_intervals_hold_as_often_as_they_say() -> None:
    """30 designs of 256 base rows, 90 intervals of 95 %; quasi-random points err less than a bootstrap thinks."""
    problem = Problem.of(ISHIGAMI)
    inside = 0
    for seed in range(30):
        found = sobol(runs_of(saltelli(problem, 256, seed), ishigami), problem.names, "y", resamples=200)
        low, high, exact = found["total_low"], found["total_high"], np.array(ISHIGAMI_TOTAL)
        inside += int(((low <= exact) & (high >= exact)).sum())
    assert inside >= stats.binom.ppf(0.0001, 90, 0.95)


def test_scipy_finds_the_same() -> None:
    """The same estimators on the same numbers, from SciPy."""
    problem = Problem.of(ISHIGAMI)
    points = saltelli(problem, 512)
    y = ishigami(points.to_numpy()).reshape(512, 5)
    theirs = stats.sobol_indices(func={"f_A": y[:, :1].T, "f_B": y[:, -1:].T, "f_AB": y[:, 1:-1].T[:, None]}, n=512)
    ours = sobol(runs_of(points, ishigami), problem.names, "y", resamples=10)
    assert np.allclose(ours["first"], theirs.first_order, atol=1e-12)
    assert np.allclose(ours["total"], theirs.total_order, atol=1e-12)


def test_noise_is_told_from_variance() -> None:
    """Noise of standard deviation s over r replicates adds s²/r to the variance of points."""
    draw = Generator(Philox(5))
    problem = Problem.of(ISHIGAMI)
    frame = runs_of(saltelli(problem, 512), ishigami, replicates=4)
    frame["y"] += 2.0 * draw.standard_normal(len(frame))
    found = sobol(frame, problem.names, "y", resamples=10)
    variance = 13.845 + 1.0
    assert found.attrs["noise_share"] == pytest.approx(1.0 / variance, rel=0.1)


def test_an_incomplete_design_is_refused_naming_its_gaps() -> None:
    problem = Problem.of(ISHIGAMI)
    frame = runs_of(saltelli(problem, 8), ishigami, replicates=2)
    attrs = frame.attrs
    whole = frame.copy()
    frame.loc[frame["point"] == 3, "y"] = np.nan
    frame.loc[(frame["point"] == 7) & (frame["replicate"] == 1), ["error_type", "y"]] = ["MarginError", np.nan]
    frame = frame[~((frame["point"] == 12) & (frame["replicate"] == 0)) & (frame["point"] < 38)]
    frame.attrs = attrs
    with pytest.raises(IncompleteDesignError) as refused:
        sobol(frame, problem.names, "y")
    assert refused.value.missing == [3, 7, 12, 38, 39]
    said = str(refused.value)
    assert "point 3 (x1=" in said and "without a value of y" in said
    assert "1 of 2 replicates failed" in said and "1 of 2 replicates run" in said and "point 39: not run" in said
    frame = whole.assign(y=whole["y"].where(whole["point"] != 3))
    frame.attrs = attrs
    assert sobol(frame, problem.names, "y", fill=0.0)["first"].notna().all()


def test_a_design_that_is_none_is_refused() -> None:
    problem = Problem.of(ISHIGAMI)
    points = saltelli(problem, 8)
    points.iloc[6, 2] += 0.1
    with pytest.raises(SettingsError, match=r"no Saltelli design.* 5"):
        sobol(runs_of(points, ishigami), problem.names, "y")
    with pytest.raises(SettingsError, match="no variance"):
        sobol(runs_of(saltelli(problem, 8), lambda x: 0 * x[:, 0]), problem.names, "y")
    with pytest.raises(SettingsError, match="power of 2"):
        saltelli(problem, 100)


# --- Morris -----------------------------------------------------------------------------------------------------------
def test_morris_on_a_linear_function_is_exact() -> None:
    """y = 3 a - 2 log10 b + 0 c: effects over whole ranges are 3 (10 - 2), -2 · 3 and 0, without spread."""
    problem = Problem((Factor("a", 2, 10), Factor("b", 1, 1000, "log"), Factor("c", -1, 1)))
    frame = runs_of(morris(problem, 12), lambda x: 3 * x[:, 0] - 2 * np.log10(x[:, 1]))
    found = morris_effects(frame, problem, "y")
    assert np.allclose(found["mu"], [24, -6, 0], atol=1e-9)
    assert np.allclose(found["mu_star"], [24, 6, 0], atol=1e-9)
    assert np.allclose(found["sigma"], 0, atol=1e-9)
    assert np.allclose(found[["mu_star_low", "mu_star_high"]], [[24, 24], [6, 6], [0, 0]], atol=1e-9)


def test_morris_sees_interactions() -> None:
    problem = Problem.of({"a": (0, 1), "b": (0, 1), "c": (0, 1)})
    found = morris_effects(runs_of(morris(problem, 40), lambda x: x[:, 0] * x[:, 1] + x[:, 2]), problem, "y")
    assert found.loc["c", "sigma"] == pytest.approx(0, abs=1e-9)
    assert (found.loc[["a", "b"], "sigma"] > 0.2).all()


def test_trajectories_stay_on_the_grid_and_gaps_are_named() -> None:
    problem = Problem.of({"a": (0, 3), "b": (0, 3)})
    points = morris(problem, 20)
    assert set(np.unique(points)) == {0.0, 1.0, 2.0, 3.0}
    frame = runs_of(points, lambda x: x[:, 0])
    cut = frame[frame["point"] != 4].copy()
    cut.attrs = frame.attrs
    with pytest.raises(IncompleteDesignError, match="point 4: not run"):
        morris_effects(cut, problem, "y")
    with pytest.raises(SettingsError, match="no trajectories"):
        shifted = points.iloc[1:58].reset_index(drop=True).rename_axis("point")
        morris_effects(runs_of(shifted, lambda x: x[:, 0]), problem, "y")


# --- SALib ------------------------------------------------------------------------------------------------------------
def test_salib_problems_go_in_and_out() -> None:
    theirs = {"num_vars": 2, "names": ["a", "b"], "bounds": [[0.0, 1.0], [1.0, 10.0]], "dists": ["unif", "logunif"]}
    assert Problem.from_salib(theirs).to_salib() == theirs
    with pytest.raises(SettingsError, match="triang"):
        Problem.from_salib({**theirs, "dists": ["unif", "triang"]})
    with pytest.raises(SettingsError, match="groups"):
        Problem.from_salib({**theirs, "groups": ["x", "x"]})
    with pytest.raises(SettingsError, match=r"(?s)a: low 2 .*b: a log scale"):
        Problem((Factor("a", 2, 1), Factor("b", 0, 1, "log")))


def test_salib_analyses_our_points_and_we_theirs() -> None:
    samples, analyses = pytest.importorskip("SALib.sample"), pytest.importorskip("SALib.analyze")
    from SALib.analyze import morris as their_effects
    from SALib.analyze import sobol as their_indices
    from SALib.sample import sobol as their_points

    assert samples and analyses
    problem = Problem.of(ISHIGAMI)
    ours = saltelli(problem, 1024)
    y = ishigami(ours.to_numpy())
    theirs = their_indices.analyze(problem.to_salib(), y, calc_second_order=False, seed=1)
    found = sobol(runs_of(ours, ishigami), problem.names, "y", resamples=10)
    # SALib centres by the mean of all points, not of A and B; with 1,024 rows that is a difference of a thousandth.
    assert np.allclose(found["first"], theirs["S1"], atol=0.01) and np.allclose(found["total"], theirs["ST"], atol=1e-9)
    drawn = their_points.sample(problem.to_salib(), 256, calc_second_order=False, seed=3)
    there = pd.DataFrame(drawn, columns=problem.names).rename_axis("point")
    assert sobol(runs_of(there, ishigami), problem.names, "y").attrs["base"] == 256
    points = morris(problem, 25)
    effects = their_effects.analyze(problem.to_salib(), points.to_numpy(), ishigami(points.to_numpy()), num_levels=4)
    mine = morris_effects(runs_of(points, ishigami), problem, "y")
    assert np.allclose(mine["mu"], effects["mu"]) and np.allclose(mine["mu_star"], effects["mu_star"])
    assert np.allclose(mine["sigma"], effects["sigma"])


# --- tails ------------------------------------------------------------------------------------------------------------
def test_value_at_risk_and_shortfall_of_known_distributions() -> None:
    """Exponential: VaR = -log(1 - p), shortfall = VaR + 1. Normal: shortfall = density(VaR) / (1 - p)."""
    draw = Generator(Philox(11))
    n = 400_000
    for p in (0.95, 0.99):
        error = 4 * np.sqrt(p * (1 - p) / n)
        losses = draw.standard_exponential(n)
        exact = -np.log(1 - p)
        assert value_at_risk(losses, p) == pytest.approx(exact, abs=error / (1 - p))
        assert expected_shortfall(losses, p) == pytest.approx(exact + 1, abs=4 * np.sqrt((1 + p) / (n * (1 - p))))
        losses = draw.standard_normal(n)
        density = stats.norm.pdf(stats.norm.ppf(p))
        assert value_at_risk(losses, p) == pytest.approx(stats.norm.ppf(p), abs=error / density)
        assert expected_shortfall(losses, p) == pytest.approx(density / (1 - p), abs=4 / np.sqrt(n * (1 - p)))


def test_shortfall_by_hand() -> None:
    """Ten losses 1 to 10: the worst 25 % are 10, 9 and half of 8."""
    losses = np.arange(1.0, 11.0)
    assert value_at_risk(losses, 0.75) == 8
    assert expected_shortfall(losses, 0.75) == pytest.approx((10 + 9 + 8 / 2) / 2.5)


def test_intervals_of_quantiles_hold_and_admit_too_few_runs() -> None:
    draw = Generator(Philox(12))
    exact = -np.log(0.05)
    held = 0
    for _ in range(1000):
        low, high = quantile_interval(draw.standard_exponential(300), 0.95)
        held += low <= exact <= high
    assert held >= stats.binom.ppf(0.0001, 1000, 0.95)
    # The largest of n runs bounds the 99 % quantile with 97.5 %: 1 - 0.99**n >= 0.975 from n = 368 on.
    assert quantile_interval(np.arange(367.0), 0.99)[1] == np.inf
    assert quantile_interval(np.arange(368.0), 0.99)[1] == 367.0


def test_tails_by_group() -> None:
    draw = Generator(Philox(13))
    frame = pd.DataFrame({"cap": np.repeat([10, 50], 2000), "bad_debt_usd": draw.standard_exponential(4000)})
    frame.loc[frame["cap"] == 50, "bad_debt_usd"] *= 10
    found = tails(frame, by=["cap"], resamples=100)
    assert found["cap"].tolist() == [10, 10, 50, 50] and found["share"].tolist() == [0.95, 0.99] * 2
    assert (found["var_low"] <= found["var"]).all() and (found["var"] <= found["var_high"]).all()
    assert (found["shortfall_low"] <= found["shortfall"]).all() and (found["shortfall"] > found["var"]).all()
    with pytest.raises(SettingsError, match=r"(?s)bad_debt: no such column.*share 95"):
        tails(frame, "bad_debt", (95,))


# --- curves -----------------------------------------------------------------------------------------------------------
def noisy_grid(replicates: int = 20) -> pd.DataFrame:
    """y = x / z + noise shared by all points of a replicate; its mean crosses 1 at x = z."""
    draw = Generator(Philox(21))
    luck = 0.05 * draw.standard_normal(replicates)
    rows = [
        {"x": x, "z": z, "replicate": r, "y": x / z + luck[r], "error_type": None}
        for x in (1.0, 2.0, 3.0, 4.0)
        for z in (1.5, 2.5, 3.5)
        for r in range(replicates)
    ]
    frame = pd.DataFrame(rows)
    frame["point"] = frame.groupby(["x", "z"], sort=False).ngroup()
    return frame


def test_a_curve_has_the_mean_and_an_interval_that_holds() -> None:
    draw = Generator(Philox(22))
    frame = pd.DataFrame({"x": np.repeat(np.arange(200.0), 30), "error_type": None})
    frame["y"] = frame["x"] + draw.standard_normal(len(frame))
    found = curve(frame, "x", "y", resamples=300)
    held = int(((found["low"] <= found["x"]) & (found["x"] <= found["high"])).sum())
    assert held >= stats.binom.ppf(0.0001, 200, 0.92)  # the percentile bootstrap of 30 values is a little narrow
    assert np.allclose(found["middle"], frame.groupby("x")["y"].mean())
    wide = curve(frame, "x", "y", interval="quantile", level=0.8)
    inside = frame.merge(wide, on="x")
    share = ((inside["y"] >= inside["low"]) & (inside["y"] <= inside["high"])).mean()
    assert share == pytest.approx(0.8, abs=0.02)


def test_failures_and_gaps_do_not_bend_a_curve() -> None:
    frame = pd.DataFrame({
        "x": [1, 1, 1, 2, 2], "y": [2.0, 4.0, 99.0, np.nan, 6.0], "error_type": [None, None, "E", None, None]
    })  # fmt: skip
    found = curve(frame, "x", "y")
    assert found["middle"].tolist() == [3.0, 6.0]
    assert found["runs"].tolist() == [2, 2] and found["without"].tolist() == [0, 1]
    with pytest.raises(SettingsError, match="w: no such column"):
        curve(frame, "w", "y")


def test_phase_diagram_and_where_it_crosses() -> None:
    frame = noisy_grid()
    table = phase_diagram(frame, "x", "z", "y")
    assert table.shape == (3, 4) and table.attrs["replicates"] == (20, 20)
    luck = frame.groupby("replicate")["y"].mean().mean() - (frame["x"] / frame["z"]).mean()
    assert table.loc[2.5, 3.0] == pytest.approx(3 / 2.5 + luck)
    found = crossings(frame, "x", "z", "y", 1.0)
    assert np.allclose(found["place"], found["z"] * (1 - luck))
    assert ((found["low"] <= found["z"]) & (found["z"] <= found["high"])).all()
    never = crossings(frame, "x", "z", "y", 50.0)
    assert never["place"].isna().all() and (never["share"] == 0).all()
    held = phase_diagram(frame.assign(w=frame["replicate"] % 2), "x", "z", "y", at={"w": 1})
    assert held.attrs["runs"] == len(frame) / 2


def test_rank_correlations_see_monotone_effects() -> None:
    draw = Generator(Philox(23))
    places = draw.uniform(size=(300, 3))
    frame = runs_of(
        pd.DataFrame(places, columns=list("abc")).rename_axis("point"), lambda x: np.exp(5 * x[:, 0]) - x[:, 1]
    )
    found = rank_correlations(frame, list("abc"), "y", resamples=200)
    assert found.loc["a", "rank"] > 0.95
    theirs = stats.spearmanr(places, frame["y"].to_numpy()[:, None]).statistic[:3, 3]
    assert np.allclose(found["rank"], theirs)
    assert found.loc["c", "low"] < 0 < found.loc["c", "high"]
