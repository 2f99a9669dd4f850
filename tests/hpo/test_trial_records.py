"""The record of a command's trial: which number is its value, and that no other is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.work import Outcome
from benchmark.hpo import telling
from benchmark.hpo.evaluation import TrialEvaluation
from benchmark.hpo.study import Study
from benchmark.hpo.study_file import define
from benchmark.results import Record
from benchmark.store import Store

THREADS = {"name": "threads", "value_type": "integer", "lower_bound": 8, "upper_bound": 8}


def study_of(store: Store, folder: Path, objective: dict[str, Any], **more: Any) -> Study:
    values = {"name": "s", "direction": "minimize", "tunables": [THREADS], "objective": objective}
    return Study.begin(store, define(values | more, folder))


def record_of(store: Store, folder: Path, stdout: str, **objective: Any) -> Record:
    """The record of a trial that printed this."""
    study = study_of(store, folder, {"command": ["true"], **objective})
    (task,) = study.ask()
    outcome = Outcome(
        folder=folder,
        said={},
        cause=None,
        message="",
        code=0,
        stage=None,
        wall_s=1.0,
        peak_memory_mb=None,
        baseline_memory_mb=None,
        sandbox="none",
        log=stdout.encode(),
        afterwards="",
        gone=0.0,
        follow_up=lambda _: pytest.fail("no follow-up"),
        stdout=stdout.encode(),
    )
    return TrialEvaluation().finish(task, study.run, outcome)


@pytest.mark.parametrize(
    ("stdout", "objective", "said"),
    [
        ('{"epoch": 3, "loss": NaN}', {}, "There is no metric 'value'"),
        ('{"epoch": 3, "error": "diverged"}', {}, "There is no metric 'value'"),
        ('{"loss": 0.5}\n{"epoch": 3}', {"value": "loss"}, "needs 'loss'"),
        ('{"loss": 0.5}\n{"value": 3, "loss": null}', {"value": "loss"}, "measured as null"),
        ('{"loss": 0.5}\n{"loss": "0.4"}', {"value": "loss"}, "has no finite number"),
        ('{"loss": 1}\n{"loss": true, "a": 1}', {"value": "loss"}, "measured as true"),
        ('{"loss": 1, "p99": NaN}', {"value": "loss", "constraints": ["p99 <= 9"]}, "'p99'"),
        ('{"loss": 1, "p99": NaN}', {"value": "loss", "failure": "p99 > 9"}, "'p99'"),
        ('{"loss": 1, "threads": 4}', {"value": "loss / threads"}, "is 8 as a tunable and was"),
        ('{"loss": 1, "threads": 4}', {"value": "loss", "prune": "threads < 5"}, "measured as 4"),
    ],
)
def test_another_number_is_no_value(
    folder_store: Store, tmp_path: Path, stdout: str, objective: dict[str, Any], said: str
) -> None:
    record = record_of(folder_store, tmp_path, stdout, **objective)
    assert record.status == "failure"
    assert said in record.message
    assert record.labels["params"] == {"threads": 8}


@pytest.mark.parametrize(
    ("stdout", "objective", "value"),
    [
        ("0.5", {}, 0.5),
        ("0.5", {"value": "loss"}, 0.5),
        ('{"loss": 0.5}', {}, 0.5),
        ('{"loss": 0.5, "grad": NaN}', {"value": "loss"}, 0.5),
        ('{"loss": 1, "threads": 8}', {"value": "loss / threads"}, 0.125),
        ('{"loss": 1, "threads": 4}', {"value": "loss"}, 1.0),
    ],
)
def test_a_value(
    folder_store: Store, tmp_path: Path, stdout: str, objective: dict[str, Any], value: float
) -> None:
    record = record_of(folder_store, tmp_path, stdout, **objective)
    assert (record.status, record.labels["values"]) == ("success", [value])


def test_a_result_that_lies_among_the_files_is_not_the_trials(
    folder_store: Store, tmp_path: Path
) -> None:
    """A command that writes none has measured nothing."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "r.json").write_text('{"value": 99}')
    (tmp_path / "old" / "data.txt").write_text("input")
    objective = {"command": ["true"], "files": ["old"], "metrics": {"json": "old/r.json"}}
    study = study_of(folder_store, tmp_path, objective)
    (task,) = study.ask()
    work = tmp_path / "work"
    work.mkdir()
    TrialEvaluation().prepare(task, study.run).inputs(work)
    assert [path.name for path in (work / "old").iterdir()] == ["data.txt"]


def test_choices_with_one_text_are_shown_apart(folder_store: Store, tmp_path: Path) -> None:
    c = {"name": "c", "value_type": "categorical", "choices": [1, "1", True, "x"]}
    study = study_of(folder_store, tmp_path, {"command": ["true"]}, tunables=[c])
    shown = [
        telling.line(Record("0", "prune", labels={"params": {"c": choice}}), study.definition)
        for choice in c["choices"]
    ]
    assert [line.partition("[")[2] for line in shown] == ["c=1]", 'c="1"]', "c=True]", "c=x]"]
