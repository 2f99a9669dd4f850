"""Optuna and FLAML in their own environments, which uv installs in seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration
QUICK = {"optuna": {"n_trials": 6}, "flaml": {"max_iter": 4}}


@pytest.mark.parametrize("framework", QUICK)
def test_few_models_beat_the_constant(run_tasks: Callable[..., Any], framework: str) -> None:
    entry = {"name": framework, "as": "mine", "params": QUICK[framework]}
    records = run_tasks(["constant", entry], ["penguins", "auto-mpg"], runtime=250)
    for name, metric in (("penguins", "log_loss"), ("auto-mpg", "rmse")):
        record, least = records["mine", name], records["constant", name]
        assert record.status == "success", record.message
        assert record.metrics[metric] < least.metrics[metric]
        assert 1 <= record.models <= 6
        assert len(record.leaderboard) == record.models
        assert record.version[0].isdigit()
        assert record.trajectory
        # Fewer models than the budget allows: params have reached the adapter.
        assert record.fit_s < 250


def test_optunas_params_are_checked(run_tasks: Callable[..., Any]) -> None:
    entries = [
        {"name": "optuna", "as": "unknown", "params": {"trials": 3}},
        {"name": "optuna", "as": "no-model", "params": {"models": ["svm"]}},
    ]
    records = run_tasks(entries, ["penguins"])
    assert "unknown params: trials" in records["unknown", "penguins"].message
    assert "not ['svm']" in records["no-model", "penguins"].message


def test_optuna_is_the_same_for_the_same_seed(run_tasks: Callable[..., Any]) -> None:
    params = {"n_trials": 8}
    entries = [{"name": "optuna", "as": name, "params": params} for name in ("first", "second")]
    # A trial may take a share of the budget: of a short one, on a busy machine, it is cut.
    records = run_tasks(entries, ["penguins"], runtime=280)
    first, second = records["first", "penguins"], records["second", "penguins"]
    assert first.status == "success", first.message
    assert first.metrics == second.metrics
    scores = [[row["score"] for row in one.leaderboard] for one in (first, second)]
    assert scores[0] == scores[1]
