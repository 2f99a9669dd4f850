"""The plan of a run, how it grows, and its compiled table."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConditionsDifferError, ConfigError
from benchmark.frameworks import get
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.runs.compiled import CLASSIC, COLUMNS, compile_results
from benchmark.runs.plan import Narrowing, Plan, draft, existing, plan
from benchmark.store import Store

MakePlan = Callable[..., Plan]
MakeConfig = Callable[..., Config]


def objects(store: Store) -> dict[str, bytes | None]:
    return dict(store.get_many(store.list()))


@pytest.mark.parametrize(
    ("datasets", "changes"),
    [
        (("penguins", "cpu"), {"frameworks": ["random-forest", "constant"]}),
        (("concrete", "penguins", "cpu"), {}),
        (("penguins", "cpu"), {"seeds": [1, 75, 2]}),
        (("titanic",), {"frameworks": ["random-forest"], "seeds": [9]}),
    ],
    ids=["framework", "data set", "seed", "all other"],
)
def test_a_run_grows_and_keeps_its_keys_and_ids(
    folder_store: Store, make_plan: MakePlan, datasets: tuple[str, ...], changes: dict[str, Any]
) -> None:
    before = make_plan(folder_store).run.manifest.cells
    grown = make_plan(folder_store, datasets, **changes)
    after = Run.open(folder_store, "default").manifest.cells
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert len(set(after)) == len(after)
    assert {task.key for task in grown.tasks} <= {cell.key for cell in after}
    assert grown.run.manifest.cells == after


def test_the_same_again_changes_nothing(folder_store: Store, make_plan: MakePlan) -> None:
    make_plan(folder_store)
    before = objects(folder_store)
    make_plan(folder_store)
    assert objects(folder_store) == before


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"runtime": 6}, ["'runtime'", "6", "5"]),
        ({"hard_limit": 61}, ["'hard_limit'", "61", "60"]),
        ({"cores": 2}, ["'cores'", "2", "1"]),
        ({"memory": 1600}, ["'memory'", "1600", "1500"]),
        ({"metric": {"binary": "auc"}}, ["'metric'", "auc"]),
        ({"runtime": 6, "cores": 2}, ["'runtime'", "'cores'"]),
        ({"frameworks": [{"name": "constant", "params": {"a": 1}}]}, ["framework 'constant'"]),
    ],
    ids=str,
)
def test_other_conditions_are_refused_and_nothing_is_written(
    folder_store: Store, make_plan: MakePlan, changes: dict[str, Any], shown: list[str]
) -> None:
    make_plan(folder_store)
    before = objects(folder_store)
    with pytest.raises(ConditionsDifferError) as caught:
        make_plan(folder_store, ("penguins", "cpu", "titanic"), **changes)
    for word in (*shown, "--run", "'default'"):
        assert word in str(caught.value)
    assert objects(folder_store) == before


@pytest.mark.parametrize("value", [True, 1.0])
def test_parameters_of_another_type_are_other_conditions(
    folder_store: Store, make_plan: MakePlan, value: Any
) -> None:
    make_plan(folder_store, frameworks=[{"name": "constant", "params": {"a": 1}}])
    before = objects(folder_store)
    with pytest.raises(ConditionsDifferError, match="framework 'constant' has changed"):
        make_plan(folder_store, frameworks=[{"name": "constant", "params": {"a": value}}])
    assert objects(folder_store) == before


@pytest.mark.parametrize(
    ("ends", "is_refused"),
    [
        ((Cause.SETUP, Cause.SETUP), False),
        ((Cause.SETUP,), False),
        ((Cause.SETUP, Cause.FRAMEWORK), True),
        ((Cause.SETUP, None), True),
        ((), True),
    ],
)
def test_an_adapter_that_has_only_failed_to_start_can_be_fixed(
    folder_store: Store,
    make_plan: MakePlan,
    tmp_path: Path,
    ends: tuple[Cause | None, ...],
    is_refused: bool,
) -> None:
    """None is an attempt without an end, which may be running."""
    home = tmp_path / "frameworks" / "mine"
    shutil.copytree(get("constant").folder, home)
    facts = ("name", "mine"), ("description", "x"), ("version_of", "numpy")
    lines = [f'{key} = "{value}"' for key, value in (*facts, ("environment", "random-forest"))]
    (home / "framework.toml").write_text("\n".join(lines))
    asked = {"frameworks": ["constant", "mine"], "frameworks_path": [str(home.parent)]}
    run = make_plan(folder_store, **asked).run
    tasks = [task for task in run.tasks if task.labels["framework"] == "mine"]
    for task, cause in zip(tasks, ends, strict=False):
        attempt = results.begin(run, task)
        if cause:
            results.settle(run, attempt, results.failure(task, cause, "It ended."))
    (home / "adapter.py").write_text("fit = predict = print\n")
    if is_refused:
        before = objects(folder_store)
        with pytest.raises(ConditionsDifferError, match=r"\(its adapter or lock\).*with \"as\""):
            make_plan(folder_store, **asked)
        assert objects(folder_store) == before
    else:
        frameworks = make_plan(folder_store, **asked).run.manifest.frameworks
        assert frameworks["mine"]["environment"] != run.manifest.frameworks["mine"]["environment"]
        assert frameworks["constant"] == run.manifest.frameworks["constant"]


@pytest.mark.parametrize("changes", [{"parallel": 1}, {"max_cost": 5.0}, {"max_attempts": 2}])
def test_what_makes_no_other_conditions(
    folder_store: Store, make_plan: MakePlan, changes: dict[str, Any]
) -> None:
    make_plan(folder_store)
    assert len(make_plan(folder_store, **changes).tasks) == 2


def test_an_unknown_framework_suggests_the_nearest(
    folder_store: Store, make_plan: MakePlan
) -> None:
    with pytest.raises(ConfigError, match=r"randm-forest.*did you mean random-forest"):
        make_plan(folder_store, frameworks=["randm-forest"])
    assert folder_store.list() == []


def test_an_unknown_data_set_is_named(folder_store: Store, make_plan: MakePlan) -> None:
    with pytest.raises(BenchmarkError, match=r"no data set 'pengins'.*penguins"):
        make_plan(folder_store, ("pengins",))
    assert folder_store.list() == []


def test_a_budget_below_a_frameworks_minimum(folder_store: Store, make_plan: MakePlan) -> None:
    with pytest.raises(ConfigError, match=r"'runtime' is 1 s.*tuned-random-forest.*2 s"):
        make_plan(folder_store, frameworks=["tuned-random-forest"], runtime=1)
    assert folder_store.list() == []


def test_an_alias_is_the_framework_and_as_is_another(
    folder_store: Store, make_plan: MakePlan
) -> None:
    frameworks = ["rf", {"name": "rf", "as": "mine", "params": {"trees": 3}}]
    run = make_plan(folder_store, ("cpu",), frameworks=frameworks).run
    assert {cell.framework for cell in run.manifest.cells} == {"random-forest", "mine"}
    assert run.manifest.frameworks["mine"]["name"] == "random-forest"
    assert run.manifest.frameworks["mine"]["params"] == {"trees": 3}


def test_one_framework_by_two_names_is_not_one_row_for_two(
    folder_store: Store, make_plan: MakePlan
) -> None:
    """`rf` and `random-forest` name the same: that is refused, as the same name twice is."""
    with pytest.raises(ConfigError, match=r"frameworks.*twice"):
        make_plan(folder_store, ("cpu",), frameworks=["rf", "random-forest"])


def test_narrowing_what_is_planned_and_what_exists(
    folder_store: Store, make_config: MakeConfig
) -> None:
    config = make_config(seeds=[1, 2], frameworks=["constant", "random-forest"])
    narrow = Narrowing(frameworks=["constant"], datasets=["cpu", "penguins"], seeds=[2])
    planned = plan(folder_store, draft(config, narrow))
    assert {t.key for t in planned.tasks} == {"constant/cpu/2", "constant/penguins/2"}
    found = existing(config, folder_store, Narrowing(datasets=["cpu"]))
    assert [t.key for t in found.tasks] == ["constant/cpu/2"]
    assert len(existing(config, folder_store).tasks) == 2


@pytest.mark.parametrize(
    ("narrowing", "said"),
    [
        (Narrowing(frameworks=["tpot"]), r"no framework 'tpot'.*constant"),
        (Narrowing(datasets=["iris"]), r"no data set 'iris'.*penguins"),
        (Narrowing(seeds=[7]), r"no seed '7'.*75"),
    ],
)
def test_narrowing_to_a_stranger_is_refused(
    folder_store: Store, make_config: MakeConfig, narrowing: Narrowing, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(folder_store, draft(make_config(), narrowing))
    assert folder_store.list() == []


def test_every_task_is_a_row_of_the_table(
    folder_store: Store, make_plan: MakePlan, tmp_path: Path
) -> None:
    run = make_plan(folder_store, ("penguins", "cpu"), seeds=[1, 2, 3]).run
    one, two, three, four, five, _never = run.tasks
    metrics = {"mse": 0.1 + 0.2, "f1_weighted": None}
    search = [[second / 3, 0.5 + second / 1000] for second in range(400)]
    success = Record(
        task=one.key, status="success", metrics=metrics, labels=one.labels, trajectory=search
    )
    results.settle(run, results.begin(run, one), success)
    for task, cause in ((two, Cause.TIMEOUT), (three, Cause.SETUP)):
        failed = results.failure(task, cause, "several\nlines, and a comma")
        results.settle(run, results.begin(run, task), failed)
    results.begin(run, four)
    results.settle(run, results.begin(run, five), results.failure(five, Cause.MEMORY, "much"))
    path = tmp_path / "table.csv"
    path.write_text("an older table")
    counts = compile_results(run, path)
    assert counts == {"success": 1, "failure": 2, "": 3}
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header[:9] == [
        "ID",
        "MODEL",
        "DATASET_ID",
        "TYPE",
        "SEED",
        "MSE",
        "R2_SCORE",
        "LOGLOSS",
        "F1_SCORE",
    ]
    assert tuple(header) == COLUMNS
    assert tuple(header[:9]) == CLASSIC
    assert all(len(row) == len(header) for row in rows)
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [f"{row[1]}/{row[2]}/{row[4]}" for row in rows] == [task.key for task in run.tasks]
    table = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["STATUS"] for row in table] == [
        "success",
        "failure",
        "not run",
        "not run",
        "failure",
        "",
    ]
    causes = ["", "timeout", "setup", "infrastructure", "memory", ""]
    assert [row["CAUSE"] for row in table] == causes
    assert float(table[0]["MSE"]) == 0.1 + 0.2
    assert table[0]["F1_SCORE"] == ""
    assert table[1]["MESSAGE"] == "several lines, and a comma"
    assert {row["TYPE"] for row in table} == {"classification", "regression"}
    shapes = {(row["DATASET_ID"], row["ROWS"], row["FEATURES"], row["CLASSES"]) for row in table}
    assert shapes == {("penguins", "344", "6", "3"), ("cpu", "209", "7", "")}
    assert [row["TRAJECTORY"] == "" for row in table] == [False, *[True] * 5]
    told = json.loads(table[0]["TRAJECTORY"])
    assert len(told) == 50
    assert told[0] == [0.0, 0.5]
    assert told[-1] == [133.0, 0.899]
    assert [path.name for path in tmp_path.iterdir() if "table" in path.name] == ["table.csv"]


def test_the_table_is_written_whole_or_not_at_all(
    folder_store: Store, make_plan: MakePlan, tmp_path: Path
) -> None:
    run = make_plan(folder_store).run
    folder = tmp_path / "out"
    (folder / "table.csv").mkdir(parents=True)
    with pytest.raises((OSError, BenchmarkError)):
        compile_results(run, folder / "table.csv")
    assert [path.name for path in folder.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": {"binary": "f1"}}, ["'metric'", '"f1"', "f1_weighted"]),
        ({"metric": {"regression": "auc"}}, ["'metric'", '"auc"', "rmse"]),
        ({"compute": {"*": "nowhere"}}, ["'compute'", "'nowhere'", "local"]),
    ],
)
def test_what_no_task_could_do_is_refused_before_anything_is_written(
    make_config: Callable[..., Config], changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        draft(make_config(**changes))
    for word in words:
        assert word in str(caught.value)
