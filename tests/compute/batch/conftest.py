"""Tasks that take as long and as much memory as a test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.support.batch_double import BatchDouble

GREEDY = """
import os, time

def fit(train, problem, limits):
    if problem.params.get("mb"):
        held = bytearray(os.urandom(1)) * (problem.params["mb"] * 2**20)
    while not os.path.exists(problem.params.get("until", "/nowhere")):
        time.sleep(0.05)

def predict(model, frame, problem):
    return {"predictions": [0.0] * len(frame), "probabilities": None, "classes": None}

def describe(model): ...
"""


@pytest.fixture
def slow_plan(
    batch: BatchDouble, make_plan: Callable[..., Plan], folder_store: Store, tmp_path: Path
) -> Callable[..., Plan]:
    """A task that takes its hard limit, or until there is the file `until`, and `mb` of memory."""

    def make(datasets: tuple[str, ...] = ("cpu",), **params: Any) -> Plan:
        folder = tmp_path / "own" / "greedy"
        folder.mkdir(parents=True)
        (folder / "adapter.py").write_text(GREEDY)
        (folder / "framework.toml").write_text(
            'name = "greedy"\ndescription = "Takes time and memory"\npython = ">=3.11,<3.14"\n'
            'environment = "random-forest"\npreload = ["numpy"]\nversion_of = "numpy"\n'
        )
        return make_plan(
            folder_store,
            datasets,
            frameworks=[{"name": "greedy", "params": params}],
            frameworks_path=[str(tmp_path / "own")],
            hard_limit=600,
            job_queue_id=None,
            ecr_repo=None,
        )

    return make
