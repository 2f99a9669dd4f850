"""Pruners of Optuna's see the trials before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.objectives.objective import EXTERNAL
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.store import Store

OBJECTIVE = """
import optuna
def objective(trial):
    x = trial.suggest_float("x", 0, 9)
    for step in range(1, 10):
        trial.report(x, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return x
"""
X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 9}

pytestmark = pytest.mark.usefixtures("warm")


@pytest.mark.parametrize("algorithm", ["random", "optuna_tpe"])
def test_a_failure_is_not_a_result_for_a_pruner(
    folder_store: Store, tmp_path: Path, algorithm: str
) -> None:
    """A sampler learns from it as from a bad result, where the objective declares its space."""
    shaky = OBJECTIVE.replace(
        "    for step", "    if trial.number in (0, 2): raise OSError\n    for step"
    )
    (tmp_path / "own.py").write_text(shaky.replace("report(x,", "report(trial.number,"))
    values = {"name": "s", "direction": "minimize", "objective": "own.py:objective", "trials": 5}
    values |= {"algorithm": algorithm, "seed": 1, "stop": {"failures": 0}}
    values |= {"pruner": {"name": "median", "n_startup_trials": 2}}
    study = Study.begin(folder_store, define(values, tmp_path))
    found = []
    with Runner(study.run) as runner:
        for _ in range(5):
            record = runner.execute(study.ask()[0])
            assert study.tell(record)
            found.append(record.status)
    assert found == ["failure", "success", "failure", "success", "prune"]


def statuses(store: Store, folder: Path, objective: str, pruner: dict[str, Any]) -> list[str]:
    """How three trials with rising values ended, one after the other."""
    (folder / "own.py").write_text(objective)
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "initial": [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}],
        "trials": 3,
        "seed": 1,
        "pruner": pruner,
        "limits": {"time": 200, "memory": 300},
        "objective": "own.py:objective",
    }
    study = Study.begin(store, define(values, folder))
    with Runner(study.run) as runner:
        records = [runner.execute(study.ask()[0]) for _ in range(3)]
    return [record.status for record in records]


@pytest.mark.slow
@pytest.mark.parametrize(
    "pruner",
    [
        {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2},
        {"name": "hyperband", "min_resource": 1, "max_resource": 2, "reduction_factor": 3},
        {"name": "median", "n_startup_trials": 1},
        {"name": "threshold", "upper": 1.5},
        {"name": "wilcoxon", "p_threshold": 0.2},
    ],
    ids=lambda pruner: pruner["name"],
)
def test_a_bad_trial_ends_early(
    folder_store: Store, tmp_path: Path, pruner: dict[str, Any]
) -> None:
    found = statuses(folder_store, tmp_path, OBJECTIVE, pruner)
    assert found == ["success", "prune", "prune"]


def test_patience_spares_trials_that_do_not_get_worse(folder_store: Store, tmp_path: Path) -> None:
    patient = {"name": "median", "n_startup_trials": 1, "patience": 3}
    assert statuses(folder_store, tmp_path, OBJECTIVE, patient) == ["success"] * 3


def test_patience_ends_with_trials_that_get_worse(folder_store: Store, tmp_path: Path) -> None:
    worse = OBJECTIVE.replace("report(x,", "report(10 * x + step,")
    patient = {"name": "median", "n_startup_trials": 1, "patience": 3}
    assert statuses(folder_store, tmp_path, worse, patient) == ["success", "prune", "prune"]


@pytest.mark.parametrize(
    ("pruner", "said"),
    [
        ({"name": "threshold"}, "refuses"),
        ({"name": "patient"}, "refuses"),
        ({"name": "median", "patience": -1}, "refuses"),
        ({"name": "wilcoxon", "p_threshold": 2}, "refuses"),
        ({"name": "wilcoxn"}, "did you mean 'wilcoxon'"),
    ],
)
def test_a_pruner_s_parameters_are_checked(
    tmp_path: Path, pruner: dict[str, Any], said: str
) -> None:
    values = {"name": "s", "direction": "minimize", "tunables": [X], "objective": "own.py:f"}
    with pytest.raises(StudyError, match=said):
        define(values | {"pruner": pruner}, tmp_path)


@pytest.mark.parametrize(
    ("objective", "more", "said"),
    [
        ({"command": ["true"]}, {"pruner": "median"}, "'pruner' has no effect beside 'command'"),
        ("own.py:objective", {"resources": {"nodes": 2}}, "no effect beside 'python'"),
    ],
)
def test_what_would_have_no_effect_is_refused(objective: Any, more: Any, said: str) -> None:
    values = {"name": "s", "direction": "minimize", "tunables": [X], "objective": objective}
    with pytest.raises(StudyError, match=said):
        define(values | more, Path())
    define(values | {"pruner": "none", "resources": {"time_s": 5}}, Path())


def test_a_command_that_takes_over_drops_the_pruner_of_clients(
    folder_store: Store, tmp_path: Path
) -> None:
    values = {"name": "s", "direction": "minimize", "tunables": [X], "pruner": "median"}
    Study.begin(folder_store, define(values | {"objective": dict(EXTERNAL)}, tmp_path))
    taken = Study.open(folder_store, "s", {"objective": {"command": "echo 5"}})
    assert "pruner" not in taken.definition.source
    assert Study.open(folder_store, "s").definition.objective.argv == ("echo", "5")
