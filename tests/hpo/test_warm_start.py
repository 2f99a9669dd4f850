"""`warm_start`: earlier studies of similar spaces, as far as they prove related."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.deletion import delete
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.warm_start import WarmStart
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
    told = [measured(study, 10) for _ in range(6)]
    found = [(one["warm_start"], one["params"]) for one in told if "warm_start" in one]
    assert found == [
        ("old/0", {"x": 90, "c": "a"}),  # the default, which comes first
        ("old/2", {"x": 42, "c": "a"}),
        ("old/3", {"x": 60, "c": "a"}),
        ("old/4", {"x": 80, "c": "a"}),
        ("old/5", {"x": 100, "c": "a"}),
    ]


def test_a_related_past_is_seen_by_the_sampler_and_a_shuffled_one_is_not(
    past: Study, folder_store: Store, tmp_path: Path
) -> None:
    values = declared("new", [X, C], warm_start=WARM)
    study = Study.begin(folder_store, define(values, tmp_path))
    lessons = []
    for _ in range(7):
        measured(study, 10)
        lessons.append(len(study._warm.lessons()))
    assert (lessons[0], lessons[-1]) == (0, 7)
    params, value = study._warm.lessons()[0]
    assert (params["x"], value == pytest.approx(8, abs=5)) == (42, True)
    delete(past.run, past.definition)
    again = Study.open(folder_store, "new")
    assert measured(again, 10)["study"] == "new"
    # The eighth of its own trials leaves less of the past.
    assert len(again._warm.lessons()) == 6
    warm = WarmStart.of(study.run, study.definition)
    for number, x in enumerate((42, 60, 80, 90, 100, 20)):
        labels = {"params": {"x": x, "c": "a"}, "values": [abs(x - 40)]}
        warm.add(Record(str(number), "success", metrics={}, labels=labels))
    assert warm.lessons() == []


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
