"""Adapters that a test writes, and tasks run with them."""

import os
from pathlib import Path

from benchmark.config.loading import load_config
from benchmark.execution.runner import Runner
from benchmark.runs.plan import draft, plan
from benchmark.store import open_store

TOML = """
name = "{name}"
description = "misbehaves"
python = ">=3.11,<3.14"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
secrets = ["GIVEN_TOKEN"]
"""

GOOD = """
import numpy as np

def fit(train, problem, limits):
    return problem

def predict(model, frame, problem):
    share = np.full((len(frame), len(problem.classes)), 1 / len(problem.classes))
    return {"predictions": [problem.classes[0]] * len(frame), "probabilities": share,
            "classes": problem.classes}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""

FIT = "\ndef fit(train, problem, limits):\n"


def executed(
    folder: Path, codes: dict[str, str], dataset: str, hard_limit: float = 600, means=None
):
    """All of them in one runner, one after the other, with a well-behaved one at the end."""
    for name, code in codes.items():
        framework = folder / "frameworks" / name
        framework.mkdir(parents=True)
        (framework / "framework.toml").write_text(TOML.format(name=name))
        (framework / "adapter.py").write_text(code)
    overrides = {
        "frameworks_path": [str(folder / "frameworks")],
        "frameworks": list(codes),
        "seeds": 1,
        "runtime": 2,
        "hard_limit": hard_limit,
        "memory": 700,
    }
    config = load_config(overrides=overrides, environment={}).values
    planned = plan(open_store(str(folder / "runs")), draft(config, datasets=[dataset]))
    tasks = sorted(planned.tasks, key=lambda task: task.labels["framework"] == "well")
    with Runner(planned.run, [min(os.sched_getaffinity(0))], means) as runner:
        found = {task.labels["framework"]: runner.execute(task) for task in tasks}
    return planned.run, found
