"""Pruners of Optuna's see the trials before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.study import Study
from benchmark.hpo.study_file import define
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
