"""A run of two tasks in each kind of store, and the first of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.records.tasks import Run, Task
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store


@pytest.fixture(params=["folder", "memory"])
def run(request: pytest.FixtureRequest, folder_store: Store, make_plan: Callable[..., Plan]) -> Run:
    store = folder_store if request.param == "folder" else open_store("memory://")
    return make_plan(store, seeds=[1, 2]).run


@pytest.fixture
def task(run: Run) -> Task:
    return run.task("constant/penguins/1")
