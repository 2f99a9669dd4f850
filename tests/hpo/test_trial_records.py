"""The record of a command's trial: which number is its value, and that no other is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.work import Outcome
from benchmark.hpo.report import export, trial_line
from benchmark.hpo.sandboxed import python_trial
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.evaluation import TrialEvaluation
from benchmark.hpo.trials.trial_record import medians
from benchmark.records.results import Cause, Record
from benchmark.store import Store, open_store

THREADS = {"name": "threads", "value_type": "integer", "lower_bound": 8, "upper_bound": 8}


def study_of(store: Store, folder: Path, objective: dict[str, Any], **more: Any) -> Study:
    values = {"name": "s", "direction": "minimize", "tunables": [THREADS], "objective": objective}
    return Study.begin(store, define(values | more, folder))


def record_of(store: Store, folder: Path, stdout: str, **objective: Any) -> Record:
    """The record of a trial that printed this."""
    study = study_of(store, folder, {"command": ["true"], **objective})
    (task,) = study.ask()
    return TrialEvaluation().finish(task, study.run, outcome_of(folder, stdout))


def outcome_of(folder: Path, stdout: str, later: Sequence[Outcome] = ()) -> Outcome:
    """A run that printed this; the `later` ones are those of the repeats."""
    left = iter(later)
    return Outcome(
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
        follow_up=lambda _: next(left),
        stdout=stdout.encode(),
    )


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


def test_constraints_are_the_medians_of_the_repeats(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def objective(trial): return 1\n")
    study = study_of(folder_store, tmp_path, {"python": "own.py:objective", "repeats": 3})
    (task,) = study.ask()
    outcomes: list[Outcome] = []
    # The last run first; it sets one constraint only.
    for number, (p99, mb) in enumerate([(-1, None), (5, 2), (5, -1)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        attrs = {"constraints:p99": p99} | ({} if mb is None else {"constraints:mb": mb})
        answer = {"status": "success", "values": [number], "system_attrs": attrs}
        (folder / python_trial.ANSWER).write_text(json.dumps(answer))
        outcomes.append(outcome_of(folder, "", [*reversed(outcomes)]))
    record = TrialEvaluation().finish(task, study.run, outcomes[-1])
    assert record.labels["values"] == [1.0], record.message
    assert record.labels["constraints"] == [5.0, 0.5]
    assert not export.is_feasible(record)


def test_a_log_is_named_as_it_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = "studies/s/logs/fail/2/1.log"
    assert open_store("runs").place_of(path) == f"runs/{path}"
    assert open_store("memory://").place_of(path) == f"memory://{path}"
    (tmp_path / "elsewhere").mkdir()
    store = open_store("runs")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.place_of(path) == f"{tmp_path}/runs/{path}"


def test_a_trial_says_how_it_ended_and_where_its_log_is(
    folder_store: Store, tmp_path: Path
) -> None:
    objective = {"command": ["true"], "constraints": ["p99 <= 20 ms", "2 >= tps"]}
    study = study_of(folder_store, tmp_path, objective)
    infeasible = {"values": [3.0], "constraints": [0.1, -1.0]}
    records = [
        Record("0", "success", metrics={"value": 3.0, "p99": 0.03025}, labels=infeasible),
        Record("1", "success", metrics={"value": 4.0}, labels={"imported": "a"}),
        Record("2", "failure", Cause.FRAMEWORK, "Exit code 3.", log="logs/fail/2/1.log"),
        Record("3", "failure", Cause.DATA, "Gone."),
        Record("4", "failure", Cause.INTERRUPTED, "Killed."),
        Record("5", "prune", message="Too slow."),
        Record("6", "failure", Cause.TIMEOUT, "It was ended at the hard limit of 20 s."),
        Record("7", "failure", Cause.MEMORY, "It took more than its 30 MB."),
    ]
    assert [trial_line.line(record, study.definition, folder_store) for record in records] == [
        "trial 0: success: value 3 (infeasible: p99 <= 20 ms (p99 30.25 ms)) []",
        "trial 1: success: value 4 []",
        f"trial 2: failed: Exit code 3. Log: {folder_store.url}/logs/fail/2/1.log []",
        "trial 3: not run: data: Gone. []",
        "trial 4: interrupted: Killed. []",
        "trial 5: pruned: Too slow. []",
        "trial 6: timed out: It was ended at the hard limit of 20 s. []",
        "trial 7: out of memory: It took more than its 30 MB. []",
    ]
    assert trial_line.counts(records[:3], study.definition) == (
        f"2 of {study.definition.trials} trials (+1 imported): 2 successes (1 infeasible), "
        "1 failure, 0 pruned"
    )


def test_a_key_of_the_objective_or_a_pattern_says_where_it_belongs(
    folder_store: Store, tmp_path: Path
) -> None:
    objective = {"command": ["true"], "metrics": {"lat": "lat=(.*)"}}
    with pytest.raises(StudyError) as caught:
        study_of(folder_store, tmp_path, objective, constraints=["lat <= 20"])
    assert "'constraints'; it belongs in 'objective'." in str(caught.value)
    assert "'lat'; it belongs in 'patterns'." in str(caught.value)


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
        trial_line.line(
            Record("0", "prune", labels={"params": {"c": choice}}), study.definition, folder_store
        )
        for choice in c["choices"]
    ]
    assert [line.partition("[")[2] for line in shown] == ["c=1]", 'c="1"]', "c=true]", "c=x]"]


@pytest.mark.parametrize(
    ("stdout", "objective", "value"),
    [
        ('{"p(95)": 7, "tps": 1}', {"value": "p_95 + tps"}, 8.0),
        ('{"http": {"p(95)": "7ms"}}', {"value": "http_p_95", "failure": "http_p_95 > 1 s"}, 0.007),
        ('{"p(95)": 7}', {}, 7.0),
    ],
)
def test_a_name_that_no_expression_can_have_is_usable(
    folder_store: Store, tmp_path: Path, stdout: str, objective: dict[str, Any], value: float
) -> None:
    record = record_of(folder_store, tmp_path, stdout, **objective)
    assert (record.status, record.labels.get("values")) == ("success", [value])


def test_two_names_that_become_one_are_not(folder_store: Store, tmp_path: Path) -> None:
    record = record_of(folder_store, tmp_path, '{"p(95)": 7, "p[95]": 8}', value="p_95")
    assert "needs 'p_95'" in record.message


def test_medians_of_repeats() -> None:
    """Opposite infinities have none, and NaN is none."""
    runs: list[dict[str, Any]] = [
        {"a": 1, "b": math.inf, "c": math.inf, "d": "x"},
        {"a": 4, "b": math.inf, "c": -math.inf, "d": "y", "e": 7},
    ]
    found = {"a": 2.5, "b": math.inf, "c": -math.inf, "d": "y", "e": 7}
    assert medians(runs) == found
