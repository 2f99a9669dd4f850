"""Every shipped framework for real: whole data sets, the hard frame, no silent failure."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.worker.trees import descendants
from benchmark.frameworks import get, locks, scan
from prove.program import configure
from tests.frameworks.conftest import fake_java

BASELINES = ("constant", "random-forest", "tuned-random-forest")
SETS = {"credit-g": "auc", "penguins": "log_loss", "auto-mpg": "rmse"}
HARD = {"hard-binary": "auc", "hard-multiclass": "log_loss", "hard-regression": "rmse"}


def of_tier(tier: int) -> list[str]:
    """The shipped frameworks of a tier, baselines left out."""
    found = scan().frameworks.values()
    return [one.name for one in found if one.tier == tier and one.name not in BASELINES]


# The framework that stands for all in `make integration`; the others are tried by `make soak`.
ONE = "flaml"


def one_and_the_others(tier: int) -> list[Any]:
    marks = {name: () if name == ONE else pytest.mark.soak for name in of_tier(tier)}
    return [pytest.param(name, marks=mark) for name, mark in marks.items()]


def shortest(framework: str) -> float:
    """What ends with the number of its models has time for them, also on a busy machine."""
    return 250.0 if framework == ONE else max(10.0, get(framework).minimum_runtime)


def quick(framework: str) -> Any:
    """The entry of a framework: the one that stands for all tries a few models."""
    return {"name": ONE, "params": {"max_iter": 8}} if framework == ONE else framework


@pytest.fixture(autouse=True)
def _nothing_left(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """No process of a framework outlives its task, and nothing lies in the temporary folder."""
    if "integration" not in request.keywords:
        yield
        return
    services = set(descendants(os.getpid()))  # of other tests, which last as long as all do
    tmp_path_factory.getbasetemp()  # made now, where pytest wants it
    # A folder of the test's own, so that whatever is left there is ours.
    with tempfile.TemporaryDirectory(prefix="tiers-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield
        assert [_name(pid) for pid in set(descendants(os.getpid())) - services] == []
        assert sorted(path.name for path in Path(folder).iterdir()) == []


def better(record: Any, least: Any, metric: str) -> bool:
    got, floor = record.metrics[metric], least.metrics[metric]
    return bool(got > floor if metric == "auc" else got < floor)


def test_the_tiers_are_whole() -> None:
    assert set(of_tier(1)) >= {"autogluon", "autosklearn", "flaml", "h2o", "optuna", "tpot"}
    assert set(of_tier(2)) >= {"auto_ml", "gama", "lightautoml", "mljar"}


@pytest.mark.integration
@pytest.mark.parametrize("framework", one_and_the_others(1))
def test_tier_one_beats_the_constant(run_tasks: Callable[..., Any], framework: str) -> None:
    records = run_tasks(["constant", quick(framework)], list(SETS), runtime=shortest(framework))
    for name, metric in SETS.items():
        record, least = records[framework, name], records["constant", name]
        assert record.status == "success", f"{name}: {record.message}"
        assert better(record, least, metric), f"{name}: {record.metrics[metric]}"
        assert record.models >= 1
        assert record.leaderboard
        assert record.version[0].isdigit()


@pytest.mark.integration
@pytest.mark.parametrize("framework", one_and_the_others(1))
def test_the_hard_frame(run_tasks: Callable[..., Any], hard_data: str, framework: str) -> None:
    """A success that beats the constant, or a failure of the framework with a sentence."""
    runtime = shortest(framework)
    records = run_tasks(
        ["constant", quick(framework)], list(HARD), datasets=[hard_data], runtime=runtime
    )
    for name, metric in HARD.items():
        record, least = records[framework, name], records["constant", name]
        if record.status == "success":
            assert better(record, least, metric), f"{name}: {record.metrics[metric]}"
        else:
            assert record.cause == "framework", f"{name}: {record.cause}, {record.message}"
            assert len(record.message) > 20, name


@pytest.mark.integration
@pytest.mark.parametrize(
    "frameworks", [[ONE], pytest.param(of_tier(1), marks=pytest.mark.soak)], ids=["one", "all"]
)
def test_one_class_in_train(
    run_tasks: Callable[..., Any], hard_data: str, frameworks: list[str]
) -> None:
    """Nothing can be learnt: a success without skill, or a failure that says so."""
    names = ["constant", *frameworks]
    changes = {"datasets": [hard_data], "runtime": 60, "split": "openml", "seeds": [0]}
    for (framework, _), record in run_tasks(names, ["hard-one-class"], **changes).items():
        if record.status != "success":
            assert record.cause == "framework", f"{framework}: {record.cause}, {record.message}"
            assert len(record.message) > 20, framework


@pytest.mark.integration
@pytest.mark.soak
@pytest.mark.parametrize("framework", of_tier(2))
def test_tier_two_runs(run_tasks: Callable[..., Any], framework: str) -> None:
    records = run_tasks(["constant", framework], ["credit-g"], runtime=shortest(framework))
    record = records[framework, "credit-g"]
    if get(framework).find_links and record.cause == "setup":
        pytest.skip(f"no wheels from beside the package index: {record.message}")
    assert record.status == "success", record.message
    assert better(record, records["constant", "credit-g"], "auc")


@pytest.mark.integration
@pytest.mark.soak
def test_auto_sklearn_without_a_model_is_a_failure(run_tasks: Callable[..., Any]) -> None:
    """Where no inner run ends well it keeps a dummy and says nothing."""
    # No support vector machine is done with 22,000 rows in two seconds; the dummy may be.
    params = {"per_run_time_limit": 2, "include": {"classifier": ["libsvm_svc"]}}
    entry = {"name": "autosklearn", "as": "hasty", "params": params}
    record = run_tasks([entry], ["census-income"], runtime=30)["hasty", "census-income"]
    assert (record.status, record.cause) == ("failure", "framework")
    assert "auto-sklearn succeeded" in record.message or "Dummy prediction" in record.message


@pytest.mark.integration
def test_two_h2o_tasks_side_by_side_do_not_meet(run_tasks: Callable[..., Any]) -> None:
    """Two servers at a time, each on a port of its own, and both are gone at the end."""
    params = {"max_models": 2, "nfolds": 0}
    entries = [{"name": "h2o", "as": name, "params": params} for name in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(
                lambda entry: run_tasks([entry], ["penguins"], runtime=250, run=entry["as"]),
                entries,
            )
        )
    for records in both:
        for record in records.values():
            assert record.status == "success", record.message


@pytest.mark.integration
@pytest.mark.soak
def test_a_release_beside_an_older_one(
    program: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are installed by `setup`, run in one run and have rows of their own in the results."""
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    # A Java that H2O does not know is passed over, although it is the first.
    fake_java(tmp_path / "bin", "21.0.1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    new, old = both = ["h2o", "h2o@3.44.0.3"]
    params = {"max_models": 2, "nfolds": 0}
    work = configure(
        tmp_path / "work",
        frameworks=[{"name": name, "params": params} for name in both],
        memory=3500,
        runtime=60,
        hard_limit=900,
    )

    def main(*arguments: str) -> dict[str, Any]:
        done = program(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    built = {row["version"]: row for row in main("setup", *both)["frameworks"]}
    assert len(built) == 2
    assert built["3.44.0.3"]["folder"] != built[_locked_h2o()]["folder"]
    assert main("execute-compute", "--dataset", "penguins")["success"] == 2
    main("fetch-results")
    with (work / "compiled_results.csv").open(newline="") as file:
        rows = {row["MODEL"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(both)
    assert [rows[name]["VERSION"] for name in both] == [_locked_h2o(), "3.44.0.3"]
    assert rows[new]["ENVIRONMENT_HASH"] != rows[old]["ENVIRONMENT_HASH"]
    for name in both:
        assert rows[name]["STATUS"] == "success"
        assert float(rows[name]["LOGLOSS"]) < 0.5  # a constant has more than 1
    board = main("run-analysis")["leaderboards"]["classification"]
    assert {row["framework"] for row in board} == set(both)
    main("setup", "--remove", old)
    assert [one["name"] for one in main("setup", "--list-size")["environments"]] == [new]
    main("setup", "--remove", new)


def _locked_h2o() -> str:
    return max(locks.versions(get("h2o").lock.read_text())["h2o"])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
