"""`warm_start`: earlier studies of similar spaces, as far as they prove related."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.samplers.transfer import Transfer
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.deletion import delete
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.store import Store

X = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 100, "default": 90}
C = {"name": "c", "value_type": "categorical", "choices": ["a", "b"], "default": "a"}


def declared(name: str, tunables: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "direction": "maximize",
        "tunables": tunables,
        "trials": 60,
        "seed": 1,
        "algorithm": "optuna_tpe",
        "objective": {"command": ["true"]},
        **more,
    }


def measured(study: Study, value: float) -> dict[str, Any]:
    """The labels of the next trial, which has this value less the distance of x from 40."""
    (task,) = study.ask(1)
    params = task.payload["params"]
    value -= abs(params.get("x", params.get("old_x")) - 40)
    labels = task.labels | {"values": [value], "constraints": []}
    record = Record(task.key, "success", metrics={"value": value}, labels=labels)
    study.tell(results.settle(study.run, results.begin(study.run, task), record))
    return labels


@pytest.fixture
def past(folder_store: Store, tmp_path: Path) -> Study:
    """Another name, a wider range, a choice that is gone, and another level of values."""
    wider = {**X, "name": "old_x", "upper_bound": 200}
    gone = {**C, "choices": ["a", "z"]}
    points = [{"old_x": x, "c": "z" if x == 40 else "a"} for x in (40, 42, 60, 80, 150, 180, 200)]
    values = declared("old", [wider, gone], initial=points)
    study = Study.begin(folder_store, define(values, tmp_path))
    for _ in range(8):
        measured(study, 1000)
    return study


WARM = [{"study": "old", "names": {"x": "old_x"}}]


def test_points_of_the_past_are_moved_into_the_space(past: Study, tmp_path: Path) -> None:
    """The best one has a choice that is gone; 150 and more are at the bound of the new range."""
    values = declared("new", [X, C], warm_start=WARM)
    study = Study.begin(past.run.store, define(values, tmp_path))
    said = "7 points of old are used as far as they prove related; 5 are run first."
    assert study._warm.note == said
    told = [measured(study, 10) for _ in range(5)]
    found = [(one["warm_start"], one["params"]) for one in told if "warm_start" in one]
    assert found[:2] == [("old/0", {"x": 90, "c": "a"}), ("old/2", {"x": 42, "c": "a"})]
    moved = {"old/3": 60, "old/4": 80, "old/5": 100}
    assert all(params == {"x": moved[source], "c": "a"} for source, params in found[2:])
    assert len(found) == 5


def test_a_related_past_proposes_points_near_the_best(
    past: Study, folder_store: Store, tmp_path: Path
) -> None:
    values = declared("new", [X, C], warm_start=WARM)
    study = Study.begin(folder_store, define(values, tmp_path))
    told = [measured(study, 10) for _ in range(12)]
    proposed = [one["params"]["x"] for one in told if one.get("warm_start") == "predicted"]
    assert proposed
    assert min(abs(x - 40) for x in proposed) <= 1


def test_a_resumed_study_proposes_what_an_uninterrupted_one_does(
    past: Study, folder_store: Store, tmp_path: Path
) -> None:
    parts = {"whole": [12], "parts": [7, 1, 4]}
    for name in parts:
        Study.begin(folder_store, define(declared(name, [X, C], warm_start=WARM), tmp_path))
    delete(past.run, past.definition)
    points: dict[str, list[Any]] = {name: [] for name in parts}
    for name, counts in parts.items():
        for count in counts:
            study = Study.open(folder_store, name)
            points[name] += [measured(study, 10)["params"] for _ in range(count)]
    assert points["whole"] == points["parts"]


def test_a_study_of_an_earlier_version_goes_on_without_more_first_points(
    past: Study, folder_store: Store, tmp_path: Path
) -> None:
    study = Study.begin(folder_store, define(declared("new", [X, C], warm_start=WARM), tmp_path))
    path = f"{study.run.name}/warm_start.json"
    kept = json.loads(folder_store.get(path) or b"")
    del kept["first"]
    folder_store.put(path, json.dumps(kept).encode())
    again = Study.open(folder_store, "new")
    assert again._warm.first == []
    assert len(again._warm.past) == 7
    told = [measured(again, 10) for _ in range(6)]
    assert {one.get("warm_start") for one in told} <= {None, "predicted"}


@pytest.mark.parametrize("algorithm", ["random", "cmaes", "nsga2", "grid"])
def test_algorithms_without_a_model_begin_with_the_points_only(
    past: Study, folder_store: Store, tmp_path: Path, algorithm: str
) -> None:
    values = declared("new", [X, C], warm_start=WARM, algorithm=algorithm)
    study = Study.begin(folder_store, define(values, tmp_path))
    sources = [measured(study, 10).get("warm_start", "") for _ in range(8)]
    assert [one.startswith("old/") for one in sources] == [True] * 5 + [False] * 3


def transfer_of(past: list[tuple[dict[str, Any], float]]) -> Transfer:
    space = read_space({"tunables": [X, C]})
    return Transfer(space, [past], seed=1)


def test_a_misleading_past_proposes_nothing_after_ten_trials() -> None:
    transfer = transfer_of([({"x": x, "c": "a"}, -x) for x in range(0, 100, 10)])
    assert transfer.first(2)[0]["x"] == 90
    for number, x in enumerate((90, 5, 70, 40, 20, 60, 10, 50, 30, 80)):
        transfer.add({"x": x, "c": "a"}, float(x))
        assert number < 9 or transfer.propose() is None


def test_the_past_is_no_longer_used_where_its_points_fail() -> None:
    past = [({"x": x, "c": c}, x / 10 + (c == "a")) for x in range(0, 100, 9) for c in "ab"]
    transfer = transfer_of(past)
    for x in (3, 50, 90):
        transfer.add({"x": x, "c": "a"}, x / 10)
    for x in (0, 10, 20, 60, 90):
        transfer.add({"x": x, "c": "b"}, None)
    proposed = transfer.propose()
    assert proposed is not None
    assert proposed["c"] == "a"


def test_points_that_are_used_up_forbidden_or_running_are_not_proposed() -> None:
    few = [{**X, "upper_bound": 3, "default": 0}, C]
    space = read_space({"tunables": few, "forbidden": ["x == 0 and c == 'b'"]})
    points: list[dict[str, Any]] = [{"x": x, "c": c} for x in range(4) for c in "ab"][:1]
    points += [{"x": x, "c": c} for x in range(1, 4) for c in "ab"]
    transfer = Transfer(space, [[(one, float(one["x"])) for one in points]], seed=1)
    for one in points[:5]:
        transfer.add(one, float(one["x"]))
    first = transfer.propose([points[5]])
    assert first == points[6]
    assert transfer.propose(points[5:]) is None


@pytest.mark.filterwarnings("error")
def test_the_largest_scores_have_an_order() -> None:
    space = read_space({"tunables": [X]})
    points = [({"x": x}, (x - 45) * 2e306) for x in range(0, 100, 10)]
    transfer = Transfer(space, [points], seed=1)
    for params, score in points[5:] + points[:3]:
        transfer.add(params, score)
    assert transfer.propose() is not None


@pytest.mark.parametrize(
    ("warm_start", "said"),
    [
        (["odl"], "There is no study 'odl'"),
        ([1], "'warm_start' has 1; write names of studies"),
        ([{"study": "old", "names": {"y": "old_x"}}], "the name 'y', which is not a tunable"),
        ([{"study": "old", "name": {}}], "did you mean 'names'"),
        ([{"names": {"x": "old_x"}}], "write names of studies of this store"),
    ],
)
def test_faults_of_warm_start(past: Study, tmp_path: Path, warm_start: Any, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        Study.begin(past.run.store, define(declared("n", [X], warm_start=warm_start), tmp_path))
    assert said in str(caught.value)


def test_several_directions_have_no_best_points(folder_store: Store, tmp_path: Path) -> None:
    both = {"direction": ["minimize", "minimize"]}
    with pytest.raises(StudyError, match="needs declared tunables and one direction"):
        define(declared("n", [X], warm_start="old", **both), tmp_path)
    Study.begin(folder_store, define(declared("two", [X], **both), tmp_path))
    with pytest.raises(StudyError, match="which has several directions and so no best points"):
        Study.begin(folder_store, define(declared("n", [X], warm_start="two"), tmp_path))


def test_points_of_the_past_are_converted_into_the_new_units(
    folder_store: Store, tmp_path: Path
) -> None:
    heap = {"name": "heap", "value_type": "integer", "lower_bound": "256Mi", "upper_bound": "8Gi"}
    values = declared("old", [X, heap | {"default": "1Gi"}], initial=[{"x": 40, "heap": 2048}])
    past = Study.begin(folder_store, define(values, tmp_path))
    for _ in range(2):
        measured(past, 1000)
    wider = heap | {"lower_bound": "1Gi", "upper_bound": "64Gi"}
    new = define(declared("new", [X, wider], warm_start="old"), tmp_path)
    assert [point["heap"] for point in Study.begin(folder_store, new)._warm.first] == [2, 1]
    time = heap | {"lower_bound": "1s", "upper_bound": "9s", "default": "2s"}
    other = define(declared("other", [X, time], warm_start="old"), tmp_path)
    assert Study.begin(folder_store, other)._warm.first == []


def test_a_past_without_a_usable_point_is_reported(
    folder_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past = Study.begin(folder_store, define(declared("old", [X]), tmp_path))
    (task,) = past.ask(1)
    record = Record(task.key, "success", metrics={"value": 1.0})
    record.labels.update(task.labels | {"values": [1.0], "constraints": [0.5]})
    past.tell(results.settle(past.run, results.begin(past.run, task), record))
    new = declared("new", [X], warm_start=["old"])
    Study.begin(folder_store, define(new, tmp_path))
    assert "'warm_start' uses no point of 'old': no trial there" in capsys.readouterr().err
