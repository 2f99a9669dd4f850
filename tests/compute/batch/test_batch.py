"""The method batch over a double of AWS Batch whose containers are real processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from batch_double import BatchDouble

from benchmark import results
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.config import Config
from benchmark.results import Record
from benchmark.runs.plan import Plan
from benchmark.store import Store

Told = tuple[Plan, Config]


@pytest.fixture
def planned(
    make_plan: Callable[..., Plan], make_config: Callable[..., Config], folder_store: Store
) -> Told:
    return make_plan(folder_store), make_config()


def all_told(dispatcher: BatchDispatcher, number: int) -> list[Record]:
    told: list[Record] = []
    for _ in range(60):
        told += dispatcher.completed(timeout_s=2)
        if len(told) >= number:
            break
    return told


def test_two_tasks_are_an_array_and_one_is_a_plain_job(planned: Told, batch: BatchDouble) -> None:
    plan, config = planned
    with BatchDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        told = all_told(dispatcher, 2)
        assert dispatcher.completed(timeout_s=0.1) == []
    assert Counter(record.task for record in told) == Counter(task.key for task in plan.tasks)
    assert {record.status for record in told} == {"success"}
    (job,) = batch.jobs.values()
    assert len(job.children) == 2
    results.set_aside(plan.run, [plan.tasks[0].key])
    with BatchDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        assert [record.status for record in all_told(dispatcher, 1)] == ["success"]
    assert [len(job.children) for job in batch.jobs.values()] == [2, 0]
