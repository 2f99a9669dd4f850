"""A run with a question on the embedded suite, killed and resumed: its claims are the same."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from prove.playground import Playground
from prove.program import configure, run_main
from prove.rows import until

pytestmark = pytest.mark.integration

TOML = """
name = "shrunk"
description = "A linear model, drawn towards the constant prediction"
python = ">=3.11,<3.14"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""
# Better the larger its share, on most data sets; it imports and trains next to nothing.
ADAPTER = """
import numpy as np
import pandas as pd

def _matrix(frame, problem, columns=None):
    made = pd.get_dummies(frame.drop(columns=problem.target, errors="ignore"), dtype=float)
    return made if columns is None else made.reindex(columns=columns)

def fit(train, problem, limits):
    made, target = _matrix(train, problem), train[problem.target]
    middle, spread = made.mean(), made.std().replace(0, 1)
    x = ((made - middle) / spread).fillna(0).to_numpy()
    if problem.type == "regression":
        y = target.to_numpy(float)[:, None]
    else:
        y = (target.astype(str).to_numpy()[:, None] == np.array(problem.classes)).astype(float)
    inner = x.T @ x + len(x) / 20 * np.eye(x.shape[1])
    return middle, spread, np.linalg.solve(inner, x.T @ (y - y.mean(0))), y.mean(0)

def predict(model, frame, problem):
    middle, spread, slopes, level = model
    x = ((_matrix(frame, problem, middle.index) - middle) / spread).fillna(0).to_numpy()
    y = level + problem.params["share"] * (x @ slopes)
    if problem.type == "regression":
        return {"predictions": y[:, 0], "probabilities": None, "classes": None}
    y = np.clip(y, 0.01, 1)
    y /= y.sum(1, keepdims=True)
    most = np.array(problem.classes, dtype=object)[y.argmax(1)]
    return {"predictions": most, "probabilities": y, "classes": problem.classes}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""
SHARES = (0.02, 0.1, 1.0)
UNTIL = ("--until", "best", "--order-seed", "3")


def looked(ground: Playground) -> Any:
    data = ground.store.get("default/manifest.json")
    assert data is not None
    return json.loads(data)["until"]["looked"]


def _wait_for_records(ground: Playground, driver: subprocess.Popen[bytes], least: int) -> None:
    until(lambda: len(ground.finals()) >= least or driver.poll() is not None, "records")


@pytest.mark.parametrize(("unit", "seeds"), [("dataset", [1]), ("split", [1, 2])])
def test_a_run_killed_twice_and_resumed_claims_what_an_uninterrupted_one_claims(
    tmp_path, unit, seeds
):
    place = tmp_path / "own" / "shrunk"
    place.mkdir(parents=True)
    (place / "framework.toml").write_text(TOML)
    (place / "adapter.py").write_text(ADAPTER)
    shrunk = [
        {"name": "shrunk", "as": f"by-{share}", "params": {"share": share}} for share in SHARES
    ]
    keys = {
        "studies": ["embedded"],
        "seeds": seeds,
        "frameworks": ["constant", *shrunk],
        "frameworks_path": [str(tmp_path / "own")],
        "parallel": 2,
        "runtime": 20,
        "hard_limit": 120,
    }
    command = ("execute-compute", *UNTIL, "--unit", unit)
    whole = Playground(configure(tmp_path / "whole", **keys), command)
    assert whole.start().wait(1800) == 0, whole.said
    total = len(whole.finals())
    assert total < 64 * len(seeds)
    assert "by-1.0" in whole.said

    ground = Playground(configure(tmp_path / "killed", **keys), command)
    try:
        for share in (3, 2):
            driver = ground.start()
            _wait_for_records(ground, driver, total // share)
            assert driver.poll() is None, ground.said
            driver.kill()  # before the search for the others, in which a fast run would end
            ground.end()
            driver.wait(600)
            ground.command = ("resume-compute",)
        shown = json.loads(run_main(ground.folder, "status", "--json").stdout)
        assert not all(one["answered"] for one in shown["answers"])
        assert ground.start().wait(1800) == 0, ground.said
    finally:
        ground.end()
    assert looked(ground) == looked(whole)
    assert max(ground.attempts().values()) > 1
