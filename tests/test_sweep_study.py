"""Study files: every mistake at once, designs, seeds, ids; and small sweeps of the market itself."""

from __future__ import annotations

import json
import math
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

from abm.cli import main
from abm.provenance import run_id
from abm.scenario import load_scenario, write_toml
from abm.sweep.design import points_of, seeds_of
from abm.sweep.engine import sweep
from abm.sweep.lanes import SharedLanes
from abm.sweep.parts import collect
from abm.sweep.plan import Plan, plan_study
from abm.sweep.study import Study, StudyError, load_study, salib_problem, study_from
from abm.sweep.worker import CodeMismatchError, Ended, Job, Recipe, flat, run_batch, run_job
from tests.toy_runs import ROOT


def study(**fields: Any) -> Study:
    return study_from({"runner": "tests.toy_runs:steady", **fields})


def problems(file: Path) -> list[str]:
    with pytest.raises(StudyError) as caught:
        plan_study(load_study(file), origin=str(file))
    return caught.value.lines


def test_every_mistake_at_once(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("""
scenario = "tiny"
runner = "a:b"
replicats = 3
seeds = "comon"
limit_s = -1
design = "sobol"
points = 100
[set]
makers.obliged = 0.5
seed = 3
[[vary]]
path = "makers.obliged"
low = 2
high = 1
[[vary]]
path = "makers.count"
values = []
points = 3
[[vary]]
path = "x"
low = 0
high = 1
scale = "log"
[[vary]]
path = "x"
[[vary]]
path = "seed"
values = [1]
""")
    said = "\n".join(problems(file))
    for words in (
        'replicats: 3: unknown name; did you mean "replicates"?',
        'seeds: "comon": ',
        "limit_s: -1",
        "scenario, runner: give one of the two",
        "points: 100 is no power of two, as Sobol sequences need: 64 or 128",
        "set.seed: the seeds of a study",
        "vary.makers.obliged: low 2 is not below high 1",
        "vary.makers.obliged: also in [set]",
        "vary.makers.count: values: none",
        "vary.makers.count: points, scale and integer belong to a range",
        "vary.x: a log scale starts above 0, not at 0",
        "vary.x: give either `values` or `low` and `high`",
        "vary.x: varied 2 times",
        "vary.seed: path: names no parameter",
    ):
        assert words in said, f"{words}\nnot in\n{said}"


def test_every_point_is_checked_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "points.toml"
    file.write_text("""
scenario = "tiny"
series = ["perp_us"]
[[vary]]
path = "makers.cuont"
values = [4, 5]
[[vary]]
path = "accounts"
values = [80, 3]
""")
    said = problems(file)
    assert any('perp_us\' is no column of the ticks; did you mean "perp_usd"' in line for line in said)
    assert any('makers.cuont: unknown name; did you mean "makers.count"' in line or "cuont" in line for line in said)
    assert any(line.startswith("point 3 (makers.cuont=5, accounts=3)") and "accounts" in line for line in said)
    file.write_text('scenario = "tiney"\n')
    assert "did you mean" in problems(file)[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"design": "list", "vary": [{"path": "a", "values": [1, 2]}, {"path": "b", "values": [1]}]}, "a 2, b 1"),
        ({"vary": [{"path": "a", "values": [1, 2, 1]}]}, "twice the same: 1"),
        ({"vary": [{"path": "a", "low": 0, "high": 1}]}, "points: how many"),
        ({"vary": [{"path": "a", "low": 0}]}, "both `low` and `high`"),
        ({"design": "sobol", "vary": [{"path": "a", "low": 0, "high": 1}]}, "needs a number"),
        ({"points": 4, "vary": [{"path": "a", "values": [1]}]}, "follows from the values"),
        ({"design": "morris", "points": 4, "vary": [{"path": "a", "values": [1, 2]}]}, "needs a range"),
        ({"samples": "none.csv", "design": "list"}, "samples"),
        ({"salib": "none.json"}, "salib"),
        ({"series": ["perp_usd"]}, "only for scenarios"),
        ({"runner": "nowhere.to:find"}, "nowhere"),
        ({"runner": "tests.toy_runs:ROOT"}, "not a function"),
    ],
)
def test_mistakes_of_designs(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=r"(?s).*") as caught:
        plan_study(study(**fields))
    assert words in str(caught.value)


def test_the_study_of_the_documentation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.S)[0])
    assert len(plan_study(load_study(tmp_path / "study.toml"))) == 60
    named = set(re.findall(r"`(\w+)`", page))
    assert set(Study.model_fields) - {"set", "vary", "name", "title"} <= named


# --- designs ----------------------------------------------------------------------------------------------------------
RANGES = [{"path": "a", "low": 1.0, "high": 100.0, "scale": "log"}, {"path": "b", "low": -1.0, "high": 1.0}]


def test_grid_and_list() -> None:
    vary = [{"path": "a", "values": [3, 1]}, {"path": "b", "low": 1.0, "high": 100.0, "points": 3, "scale": "log"}]
    assert points_of(study(vary=vary)) == {"a": [3, 3, 3, 1, 1, 1], "b": [1.0, 10.0, 100.0] * 2}
    vary[0]["values"] = [3, 1, True]
    assert points_of(study(vary=vary, design="list")) == {"a": [3, 1, True], "b": [1.0, 10.0, 100.0]}
    whole = points_of(study(vary=[{"path": "n", "low": 1, "high": 4, "points": 7, "integer": True}]))
    assert whole == {"n": [1, 2, 2, 2, 3, 4, 4]}
    assert len(plan_study(study(design="list", vary=[{"path": "a", "values": [1, 1]}])).ids) == 2


def test_sobol_and_latin_hypercube_are_scipys_and_seeded() -> None:
    found = points_of(study(vary=RANGES, design="sobol", points=16, design_seed=7))
    cube = qmc.Sobol(2, rng=7).random_base2(4)
    assert np.allclose(found["b"], 2 * cube[:, 1] - 1) and np.allclose(found["a"], 100 ** cube[:, 0])
    found = points_of(study(vary=RANGES, design="latin-hypercube", points=50))
    assert found == points_of(study(vary=RANGES, design="latin-hypercube", points=50))
    assert found != points_of(study(vary=RANGES, design="latin-hypercube", points=50, design_seed=2))
    strata = np.floor(50 * (np.array(found["b"]) + 1) / 2)
    assert sorted(strata) == list(range(50))  # one in each fiftieth of the range


def test_saltelli_and_morris_have_their_sizes() -> None:
    assert len(points_of(study(vary=RANGES, design="saltelli", points=8))["a"]) == 8 * 4
    assert len(points_of(study(vary=RANGES, design="morris", points=5))["a"]) == 5 * 3


def test_salib_problems_in_and_out(tmp_path: Path) -> None:
    problem = {"num_vars": 2, "names": ["a", "b"], "bounds": [[1.0, 100.0], [-1.0, 1.0]], "dists": ["logunif", "unif"]}
    (tmp_path / "problem.json").write_text(json.dumps(problem))
    file = tmp_path / "s.toml"
    file.write_text('runner = "tests.toy_runs:steady"\nsalib = "problem.json"\ndesign = "sobol"\npoints = 8\n')
    read = load_study(file)
    assert salib_problem(read) == problem
    assert points_of(read) == points_of(study(vary=RANGES, design="sobol", points=8))
    (tmp_path / "points.csv").write_text("a,b\n1,0.5\n2,0.25\n")
    file.write_text('runner = "tests.toy_runs:steady"\nsamples = "points.csv"\ndesign = "list"\n')
    assert points_of(load_study(file)) == {"a": [1, 2], "b": [0.5, 0.25]}


def test_seeds_common_and_independent() -> None:
    vary = [{"path": "a", "values": [1, 2, 3]}]
    common = study(vary=vary, replicates=2, seed=10)
    assert seeds_of(common, points_of(common)) == [10, 11] * 3
    own = study(vary=vary, replicates=2, seed=10, seeds="independent")
    seeds = seeds_of(own, points_of(own))
    assert len(set(seeds)) == 6 and all(0 <= seed < 2**56 for seed in seeds)
    more = study(vary=[{"path": "a", "values": [0, 1, 2, 3]}], replicates=2, seed=10, seeds="independent")
    assert seeds_of(more, points_of(more))[2:] == seeds  # a seed goes with the values, not with the place


# --- ids and workers --------------------------------------------------------------------------------------------------
def tiny(tmp_path: Path, **fields: Any) -> Plan:
    """A study of a market of 80 accounts and a third of a minute."""
    file = tmp_path / "small.toml"
    news = {"name": "shock", "at": "20:40:05", "over_s": 5, "change_percent": -6}
    changes = {"duration_s": 20, "accounts": 80, "makers__count": 4, "makers__steps": 12}
    write_toml(load_scenario("tiny").changed(name="small", news=[news], **changes), file)
    vary = [{"path": "makers.obliged", "values": [0.0, 1.0]}]
    return plan_study(study_from({"scenario": str(file), "vary": vary, **fields}), tmp_path / "out")


def test_ids_are_those_of_runs(tmp_path: Path) -> None:
    plan = tiny(tmp_path, replicates=2)
    scenario = load_scenario(tmp_path / "small.toml", ["makers.obliged=1.0"], seed=2)
    assert plan.ids[3] == run_id(scenario.resolved(), 2) and plan.job(3).seed == 2
    words = shlex.split(plan.command(3))
    assert words[:2] == ["deleverage", "run"] and words[3:] == ["--seed", "2", "--set", "makers.obliged=1.0"]


def test_a_market_is_swept_and_ids_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny(tmp_path, record=["fall_percent", "liquid*"], series=["perp_usd"], series_points=10)
    pool = ThreadPoolExecutor(1)
    tally = sweep(plan, tmp_path / "out", lambda _: SharedLanes(pool, lambda: 1, lambda _: pool.shutdown()), say=print)
    rows = collect(tmp_path / "out")[0].to_pylist()
    assert tally.complete and tally.failed == 0 and [row["makers.obliged"] for row in rows] == [0.0, 1.0]
    assert all(row["fall_percent"] < 0 and len(row["series.perp_usd"]) == 10 for row in rows)
    assert "liquidated_usd" in rows[0] and "volume_btc" not in rows[0]
    monkeypatch.setattr("abm.sweep.plan.run_id", lambda *_: pytest.fail("computed again"))
    assert tiny(tmp_path).ids == plan.ids
    monkeypatch.undo()
    wider = tiny(tmp_path)
    with pytest.raises(ValueError, match="recorded"):
        sweep(wider, tmp_path / "out", lambda _: pytest.fail("started"), say=print)


def test_a_job_keeps_plain_values() -> None:
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
    job = Job(0, {"a": 1}, 5)
    ended = run_job(job, Recipe(target="tests.toy_runs:steady", record=("figure", "inner.*")))
    assert sorted(ended.measures) == ["figure", "inner.x"] and ended.error_type is None
    whole = run_job(job, Recipe(target="tests.toy_runs:steady", whole=True))
    assert json.loads(whole.measures["summary_json"])["inner"] == {"x": 1}
    assert isinstance(whole, Ended) and math.isfinite(whole.seconds)
    assert run_job(job, Recipe(target="tests.toy_runs:nothing")).error_type == "AttributeError"


def test_a_worker_with_other_sources_refuses() -> None:
    with pytest.raises(CodeMismatchError, match="other sources"):
        run_batch([Job(0, {"a": 1}, 5)], Recipe(target="tests.toy_runs:steady", code="0" * 64))


def test_compare_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from abm import cli_sweep

    tiny(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["compare", "small.toml", "--set", "makers.obliged=1", "--reps", "2", "--processes", "1"]
    real = cli_sweep.run_plan

    def first_two(plan: Plan, folder: Path, *rest: Any, **options: Any) -> Any:
        return real(plan, folder, *rest, shard=(1, 2), **options)  # every other run, as if stopped half way

    monkeypatch.setattr(cli_sweep, "run_plan", first_two)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 130 and (tmp_path / "runs" / "compare-small.partial" / "parts").is_dir()
    monkeypatch.setattr(cli_sweep, "run_plan", real)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code in (0, None)
    assert "2 of them are there already" in capsys.readouterr().out
    folder = tmp_path / "runs" / "compare-small"
    assert sorted(path.name for path in folder.iterdir()) == ["compare.json", "compare.png"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["compare-small"]
    runs = json.loads((folder / "compare.json").read_text())["runs"]
    assert [(run["seed"], run["changed"]) for run in runs] == [(1, False), (1, True), (2, False), (2, True)]
    assert isinstance(runs[0]["summary"]["ticks"], int)
