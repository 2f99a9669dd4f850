"""Pruners of Optuna's see the trials before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.objective import EXTERNAL
from benchmark.hpo.study import Study
from benchmark.hpo.study_file import StudyError, define
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


@pytest.mark.parametrize(
    "pruner",
    [
        {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2},
        {"name": "hyperband", "min_resource": 1, "max_resource": 2, "reduction_factor": 3},
        {"name": "median", "n_startup_trials": 1},
    ],
    ids=lambda pruner: pruner["name"],
)
def test_a_bad_trial_ends_early(
    folder_store: Store, tmp_path: Path, pruner: dict[str, Any]
) -> None:
    (tmp_path / "own.py").write_text(OBJECTIVE)
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "initial": [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}],
        "trials": 3,
        "seed": 1,
        "pruner": pruner,
        "limits": {"time": 20, "memory": 300},
        "objective": "own.py:objective",
    }
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        records = [runner.execute(study.ask()[0]) for _ in range(3)]
    assert [record.status for record in records] == ["success", "prune", "prune"]


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
