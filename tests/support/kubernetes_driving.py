"""A dispatcher over the double of Kubernetes: what is waited for, and records of pods."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.runs.plan import Plan
from tests.support.kubernetes_double import KubernetesDouble

PATIENCE_S = 300.0


def until(condition: Callable[[], bool], dispatcher: KubernetesDispatcher) -> list[Record]:
    """What is told while the dispatcher is asked until the condition holds."""
    told: list[Record] = []
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never happened"
        told += dispatcher.completed(timeout_s=0.05)
    return told


def told(dispatcher: KubernetesDispatcher, number: int) -> list[Record]:
    found: list[Record] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < number and time.monotonic() < end:
        found += dispatcher.completed(timeout_s=0.2)
    return found


def leave_record(plan: Plan, number: int) -> None:
    task = plan.tasks[number]
    record = Record(task=task.key, status="success", labels=task.labels)
    results.settle(plan.run, results.begin(plan.run, task), record)


def started(plan: Plan, config: Config, server: KubernetesDouble) -> KubernetesDispatcher:
    """A dispatcher whose pods are there."""
    dispatcher = KubernetesDispatcher(plan.run, config)
    dispatcher.submit(plan.tasks)
    until(lambda: len(server.all_pods()) == len(plan.tasks), dispatcher)
    return dispatcher
