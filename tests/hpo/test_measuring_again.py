"""Trials that run again: against drift, and leaders before one is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.report import export
from benchmark.hpo.report.drift import drift, noticed
from benchmark.hpo.report.repeats import leader_tasks
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Task
from benchmark.store import Store
from tests.support.searches import declared, told


def test_the_default_runs_again_against_drift(folder_store: Store, tmp_path: Path) -> None:
    study = Study.begin(folder_store, define(declared(trials=7, default_every=3), tmp_path))
    points = told(study, lambda p: p["a"])
    assert [n for n, point in enumerate(points) if point["drift"]] == [3, 6]
    assert all((points[n]["a"], points[n]["b"]) == (9, 3) for n in (0, 3, 6))
    records = [
        Record(str(n), "success", metrics={"value": n + 1}, labels={"params": {"a": 9, "b": 3}})
        for n in (0, 6, 3)
    ]
    said = "The default ran 3 times: value 1 at first, 7 at last, median 4, spread 3."
    assert drift(records, study.definition) == said
    labels = records[0].labels | {"imported": "0f"}
    elsewhere = replace(records[0], task="7", metrics={"value": 99}, labels=labels)
    assert drift([*records, elsewhere], study.definition) == said


@pytest.mark.parametrize(
    ("objective", "shown"),
    [
        ({"value": "tps"}, "tps 1 at first"),
        ({"value": "tps / 2"}, "value 1 at first"),
        ({}, "value 1 at first"),
    ],
)
def test_the_drift_of_a_metric_has_its_name(objective: dict[str, str], shown: str) -> None:
    objective = {"command": "true", **objective}
    definition = define(declared(objective=objective), Path())
    labels = {"params": definition.space.default()}
    records = [Record(str(n), "success", metrics={"value": 1}, labels=labels) for n in range(2)]
    assert f"ran 2 times: {shown}, 1 at last" in str(drift(records, definition))


@pytest.mark.parametrize(
    ("defaults", "best", "seconds", "hints"),
    [
        ([100, 101, 100, 101], 50.0, 9.0, ["varies by"]),
        ([100, 120, 90, 110, 100, 115], 80.0, 9.0, ["varies by", "--confirm until-decided"]),
        ([100, 120, 90, 110, 100, 115], 5.0, 0.2, ["varies by", "A run takes 0.2 s"]),
        ([100, 120, 90], 80.0, 0.2, []),
    ],
)
def test_hints_about_the_measurement(
    tmp_path: Path, defaults: list[float], best: float, seconds: float, hints: list[str]
) -> None:
    """From the default's runs: noise, a gain within the noise, runs that are too short."""
    records = [
        Record(
            str(n),
            "success",
            fit_s=seconds,
            metrics={"value": value},
            labels={"params": {"a": 9 if n else 4, "b": 3}, "values": [value]},
        )
        for n, value in enumerate([best, *defaults])
    ]
    definition = define(declared(default_every=3), tmp_path)
    said = noticed(records, definition)[1:]
    assert len(said) == len(hints)
    for sentence, hint in zip(said, hints, strict=True):
        assert hint in sentence
    assert noticed(records, define(declared(), tmp_path)) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"top": 1}, "write false, or {top: 4, runs: 3}"),
        ({"top": 4, "run": 3}, "write false"),
        ({"runs": 3.0}, "write false"),
        (True, "write false"),
    ],
)
def test_faults_of_measuring_again(entry: Any, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(declared(remeasure=entry), Path())
    assert said in str(caught.value)


def settled(study: Study, task: Task, value: float | None) -> None:
    """A record in the store; a failure without a value."""
    if value is None:
        record = results.failure(task, Cause.FRAMEWORK, "failed", labels=task.labels)
    else:
        labels = task.labels | {"values": [value]}
        record = Record(task.key, "success", metrics={"value": value}, labels=labels)
    study.run.store.put(study.run.task_path(task.key), task.to_json().encode())
    results.settle(study.run, results.begin(study.run, task), record)
    study.tell(record) if task.key.isdigit() else None


FRESH_VALUES = {"leader-1-0": 8.0, "leader-1-1": 8.5, "leader-2-0": None, "leader-2-1": None}


def test_leaders_are_measured_again_before_one_is_chosen(
    folder_store: Store, tmp_path: Path
) -> None:
    """A fresh run that failed counts as worse than all; a new leader has no fresh runs yet."""
    again = {"top": 3, "runs": 2}
    definition = define(declared(trials=6, remeasure=again, algorithm="random"), tmp_path)
    study = Study.begin(folder_store, definition)
    for value in (9.0, 4.0, 5.0, 6.0, 7.0):
        settled(study, study.ask()[0], value)
    found, why = export.to_measure_again(export.trial_records(study.run), definition)
    assert ([record.task for record in found], why) == (["1", "2", "3"], "'remeasure' says so")
    tasks = leader_tasks(study.run, definition, found, 2)
    assert sorted(task.key for task in tasks[:3]) == ["leader-1-0", "leader-2-0", "leader-3-0"]
    for count, task in enumerate(tasks[:-1]):  # before all have ended they decide nothing
        if count:
            assert export.best(study.run, definition)[0].task == "1"
        settled(study, task, FRESH_VALUES.get(task.key, 6.5))
    settled(study, tasks[-1], FRESH_VALUES.get(tasks[-1].key, 6.5))
    (best,) = export.best(study.run, definition)
    assert export.configuration(best) == {
        "trial": 3,
        "values": [6.0],
        "params": found[2].labels["params"],
        "fresh": [6.5, 6.5],
    }
    assert len(export.trial_records(study.run)) == 5
    settled(study, study.ask()[0], 1.0)
    assert [record.task for record in export.best(study.run, definition)] == ["5"]


@pytest.mark.parametrize(
    ("again", "trials", "best"),
    [
        # Trial 1 was a leader before Ctrl-C in its first round; it is none of the best three now.
        (
            {"top": 3, "runs": 3},
            [(1.0, [3] * 3), (1.1, [2.9]), (1.05, [2] * 3), (1.06, [2.5] * 3)],
            2,
        ),
        ({"top": 3, "runs": 1}, [(1.0, [3.0]), (1.1, [2.9]), (1.2, [])], 0),
        ({"top": 2, "runs": 1}, [(1.0, [3.0]), (1.1, [2.9]), (1.2, [1.0])], 1),
        (False, [(1.0, []), (1.1, [2.9])], 0),
    ],
)
def test_fresh_runs_decide_among_the_current_leaders(
    again: Any, trials: list[tuple[float, list[float]]], best: int
) -> None:
    definition = define(declared(remeasure=again), Path())
    records = [
        Record(
            str(number),
            "success",
            labels={"params": {"a": number, "b": 0}, "values": [value]}
            | ({export.FRESH: fresh} if fresh else {}),
        )
        for number, (value, fresh) in enumerate(trials)
    ]
    assert [one.task for one in export.best_of(records, definition)] == [str(best)]


def test_leaders_within_the_noise_are_measured_again_unasked(tmp_path: Path) -> None:
    defaults = [100.0, 120.0, 90.0, 110.0, 100.0, 115.0]
    points = [{"a": n, "b": 3} for n in (1, 2, 3)] + [{"a": 9, "b": 3}] * len(defaults)
    records = [
        Record(str(n), "success", metrics={"value": v}, labels={"params": p, "values": [v]})
        for n, (p, v) in enumerate(zip(points, [70.0, 75.0, 300.0, *defaults], strict=True))
    ]
    definition = define(declared(default_every=3), tmp_path)
    found, why = export.to_measure_again(records, definition)
    assert [record.task for record in found] == ["0", "1", "5"]
    assert "less than the noise of one run" in why
    for other in (replace(definition, remeasure=None), replace(definition, default_every=None)):
        assert export.to_measure_again(records, other) == ([], "")


@pytest.mark.parametrize(
    ("fresh", "best"),
    [
        ({0: [90.0] * 3, 1: [80.0] * 3, 5: [85.0] * 3}, "1"),
        # Trial 2 was within the noise when only it and trial 5 were there.
        ({0: [90.0] * 3, 1: [80.0] * 3, 2: [10.0] * 3, 5: [85.0] * 3}, "1"),
        # Trial 1 is new: it has none yet.
        ({0: [90.0] * 3, 2: [10.0] * 3, 5: [85.0] * 3}, "0"),
        ({0: [90.0] * 3, 1: [80.0] * 2, 5: [85.0] * 3}, "0"),
        ({2: [10.0] * 3}, "0"),
    ],
)
def test_unasked_the_leaders_within_the_noise_decide(
    tmp_path: Path, fresh: dict[int, list[float]], best: str
) -> None:
    """Each of them needs all of its fresh runs; those of other trials do not count."""
    defaults = [100.0, 120.0, 90.0, 110.0, 100.0, 115.0]
    points = [{"a": n, "b": 3} for n in (1, 2, 3)] + [{"a": 9, "b": 3}] * len(defaults)
    records = [
        Record(
            str(n),
            "success",
            metrics={"value": v},
            labels={"params": p, "values": [v]} | ({export.FRESH: fresh[n]} if n in fresh else {}),
        )
        for n, (p, v) in enumerate(zip(points, [70.0, 75.0, 130.0, *defaults], strict=True))
    ]
    definition = define(declared(default_every=3), tmp_path)
    (found,) = export.best_of(records, definition)
    assert found.task == best
