"""Studies whose objective is a Python function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.report.export import LEADER
from benchmark.hpo.report.repeats import leader_tasks
from benchmark.hpo.sandboxed import python_trial
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.records.results import Record
from benchmark.store import Store
from tests.support.small_studies import declared

OBJECTIVE = """
import optuna
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("gc", ["G1", "Z"])
    for step in range(3):
        trial.report(x + step, step)
        if step == 1 and x > 0.4:
            raise optuna.TrialPruned()
    return x
"""

pytestmark = pytest.mark.usefixtures("warm")


def test_a_python_objective_reports_and_prunes(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OBJECTIVE)
    values = declared("x", trials=2, initial=[{"x": 0.25, "gc": "G1"}])
    study = Study.begin(folder_store, define(values | {"objective": "own.py:objective"}, tmp_path))
    with Runner(study.run) as runner:
        pruned, good = (runner.execute(task) for task in study.ask(2))
    assert (pruned.status, pruned.labels["intermediate"]) == ("prune", {"0": 0.5, "1": 1.5})
    assert (good.status, good.labels["values"]) == ("success", [0.25])
    assert study.tell(pruned)
    assert study.tell(good)
    states = [trial.state.name for trial in study.optimizer.trials()]
    assert states == ["PRUNED", "COMPLETE"]


@pytest.fixture
def of_function(folder_store: Store, tmp_path: Path) -> Callable[..., Record]:
    """The record of the first trial of a Python function, given its body."""

    def run(body: str, **more: Any) -> Record:
        (tmp_path / "own.py").write_text(f"import os, random, sys\ndef objective(t): {body}\n")
        values = declared("x", algorithm="random")
        values["objective"] = {"python": "own.py:objective", **more}
        study = Study.begin(folder_store, define(values, tmp_path))
        with Runner(study.run) as runner:
            return runner.execute(study.ask()[0])

    return run


def test_a_function_that_ends_its_process(of_function: Callable[..., Record]) -> None:
    record = of_function("sys.exit('no disk')")
    assert (record.cause, "no disk" in record.message) == ("framework", True)


def test_chance_is_another_in_each_run(of_function: Callable[..., Record]) -> None:
    record = of_function("return random.random()", repeats=3)
    assert len({run["value"] for run in record.labels["runs"]}) == 3


def test_a_module_of_the_user_s_is_not_taken_for_ours(
    of_function: Callable[..., Record], tmp_path: Path
) -> None:
    (tmp_path / "benchmark.py").write_text("value = 7")
    record = of_function("import benchmark; return benchmark.value", files=["benchmark.py"])
    assert record.labels["values"] == [7.0], record.message


def test_variables_of_the_interpreter_count(
    of_function: Callable[..., Record], tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "deep.py").write_text("value = 8")
    variables = {"PYTHONPATH": str(tmp_path / "lib")}
    record = of_function("import deep; return deep.value", environment=variables)
    assert record.labels["values"] == [8.0], record.message


ASKING = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    kind = trial.suggest_categorical("kind", [1, True, "1", None, 2.5])
    # Under a name of its own: two trials of a study take no two kinds of range for one name.
    size = trial.suggest_int("n", 1, 9) if kind is None else trial.suggest_float("size", 1, 9)
    return x * 100 + size
"""


def test_an_asking_objective_is_repeated_at_its_own_point(
    folder_store: Store, tmp_path: Path
) -> None:
    """Repeats, and leaders that are measured again, are of the point that the first run chose."""
    (tmp_path / "own.py").write_text(ASKING)
    values = {"name": "asking", "direction": "minimize", "algorithm": "random", "trials": 2}
    values["objective"] = {"python": "own.py:objective", "repeats": 3}
    definition = define(values | {"remeasure": {"top": 2, "runs": 1}}, tmp_path)
    study = Study.begin(folder_store, definition)
    with Runner(study.run) as runner:
        records = [runner.execute(task) for task in study.ask(2)]
        again = [
            runner.execute(task) for task in leader_tasks(study.run, definition, records, runs=1)
        ]
    assert [record.message for record in (*records, *again)] == [""] * 4
    first = {record.task: record.labels["values"] for record in records}
    for record in (*records, *again):
        assert len({run["value"] for run in record.labels["runs"]}) == 1
        assert record.labels["values"] == first[record.labels.get(LEADER, record.task)]
    assert {len(record.labels["params"]) for record in records} == {3}
    assert study.tell(records[0])


ODD = """
CHOICES = [0.0, -0.0, float("nan"), 0]
def objective(trial):
    return list(map(repr, CHOICES)).index(repr(trial.suggest_categorical("c", CHOICES)))
"""


def test_a_choice_that_is_equal_to_another_is_recorded_as_it_was_given(
    folder_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(ODD)
    values = {"name": "odd", "direction": "minimize", "algorithm": "random", "trials": 9, "seed": 4}
    values["objective"] = {"python": "own.py:objective", "repeats": 2}
    study = Study.begin(folder_store, define(values, tmp_path))
    choices = [0.0, -0.0, float("nan"), 0]
    with Runner(study.run) as runner:
        records = [runner.execute(task) for task in study.ask(9)]
    given = [record.labels["params"]["c"] for record in records]
    assert {"0.0", "-0.0", "nan"} <= set(map(repr, given))
    for record, choice in zip(records, given, strict=True):
        assert record.labels["values"] == [list(map(repr, choices)).index(repr(choice))]
        assert study.tell(record)
    stored = study.optimizer.trials()
    assert [repr(trial.params["c"]) for trial in stored] == list(map(repr, given))


def test_a_repeat_that_asks_for_another_tunable_fails(folder_store: Store, tmp_path: Path) -> None:
    body = "return t.suggest_float(os.urandom(8).hex(), 0, 1)"
    (tmp_path / "own.py").write_text(f"import os\ndef objective(t): {body}\n")
    values = {"name": "asking", "direction": "minimize", "trials": 2}
    values["objective"] = {"python": "own.py:objective", "repeats": 2}
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert record.status == "failure"
    assert "which its first run did not" in record.message


@pytest.mark.parametrize(
    ("given", "suggested"),
    [(16, np.int64(16)), (0.1, np.float32(0.1)), (0.5, np.float64(0.5)), (True, np.bool_(True))],
)
@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choices_may_be_numbers_of_numpy(given: Any, suggested: Any) -> None:
    """Such as those of `list(np.arange(16, 64, 16))`; their kind is that of Python's number."""
    kind = optuna.distributions.CategoricalDistribution([suggested])
    trial = optuna.trial.create_trial(params={"c": suggested}, distributions={"c": kind}, value=1.0)
    assert python_trial._unlike({"c": given}, trial) is None
    other = float(given) if isinstance(given, int) else 1
    assert "from another range" in str(python_trial._unlike({"c": other}, trial))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('first\\n\\udcff last')", "The objective failed: ValueError: first"),
        ("sys.exit(0)", "The objective failed: it called sys.exit(0)."),
        ("return 1, 2", "The objective returned 2 values; the study has 1 direction."),
        ("return []", "The objective returned 0 values; the study has 1 direction."),
        ("return t.study.best_value", "RuntimeError: study.best_value is not known within"),
        ("return len(t.study.get_trials())", "RuntimeError: study.get_trials is not known within"),
    ],
)
def test_an_objective_without_a_value_is_a_failure_in_one_line(
    of_function: Callable[..., Record], body: str, said: str
) -> None:
    record = of_function(body)
    assert (record.cause, said in record.message) == ("framework", True), record.message
    assert "\n" not in record.message


def test_a_pruned_trial_has_its_text_in_one_line(of_function: Callable[..., Record]) -> None:
    record = of_function("import optuna; raise optuna.TrialPruned('too\\n\\nslow ' + 'x' * 999)")
    assert (record.status, record.message) == ("prune", f"too slow {'x' * 291}")


def test_without_a_pruner_a_trial_is_asked_to_prune_and_goes_on(
    of_function: Callable[..., Record],
) -> None:
    record = of_function("t.report(3.0, 0); return 2.0 + t.should_prune()")
    assert (record.status, record.labels.get("values")) == ("success", [2.0]), record.message
