"""A dispatcher over Slurm's double that waits for nothing long, and what is asked of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmark.compute.cluster import Pace
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Task
from benchmark.runs.plan import Plan
from tests.support.slurm_double import SlurmDouble

DATASETS = ("penguins", "cpu", "concrete")


class Quick(SlurmDispatcher):
    pace = Pace(0.05, 0.05, settle_s=0.1, stuck_s=0.2, find_s=0.2, patience_s=600.0)


def told(dispatcher: SlurmDispatcher, number: int) -> list[Record]:
    found: list[Record] = []
    end = time.monotonic() + 300
    while len(found) < number and time.monotonic() < end:
        found += dispatcher.completed(timeout_s=0.5)
    return found


def sent(dispatcher: SlurmDispatcher, double: SlurmDouble, number: int = 1) -> None:
    while len(double.jobs()) < number:
        dispatcher.completed(timeout_s=0.05)


@contextmanager
def submitted(
    dispatcher: SlurmDispatcher, tasks: Sequence[Task], double: SlurmDouble
) -> Iterator[SlurmDispatcher]:
    """The dispatcher, once Slurm has the tasks; it is closed at the end."""
    with dispatcher:
        dispatcher.submit(tasks)
        sent(dispatcher, double)
        yield dispatcher


def leave_record(plan: Plan, number: int) -> None:
    task = plan.tasks[number]
    record = Record(task=task.key, status="success", labels=task.labels)
    results.settle(plan.run, results.begin(plan.run, task), record)
