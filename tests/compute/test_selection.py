"""Drivers that are given a part of a run whose other tasks an earlier driver has left at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.compute import submissions
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.dispatcher import Dispatcher
from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher
from benchmark.compute.pilot.lists import Lists, Place
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.runs.execute import execute, finish
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store
from tests.compute.baremetal.test_fleet import nothing_left
from tests.compute.pilot.test_lists import PILOT
from tests.compute.pilot.test_lists import Quick as QuickPilot
from tests.support import batch_double, kubernetes_double
from tests.support.batch_double import BatchDouble
from tests.support.fleet_double import FleetDouble
from tests.support.kubernetes_double import KubernetesDouble
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import DATASETS, Quick

PATIENCE_S = 300.0
FLEET = {
    "instance_types": ["c5.large"],
    "cluster_size": 1,
    "parallel": 1,
    "compute": {"*": "baremetal"},
}


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store, DATASETS)


def until(dispatcher: Dispatcher, happens: Callable[[], Any]) -> list[Record]:
    """What is reported until the condition holds."""
    found: list[Record] = []
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end
        found += dispatcher.completed(0.05)
    return found


def leave(plan: Plan, dispatcher: Dispatcher, started: Callable[[], Any]) -> None:
    """All tasks of the run are taken and left at work."""
    with dispatcher:
        dispatcher.submit(plan.tasks)
        until(dispatcher, started)
        dispatcher.detached = True


def given(plan: Plan, dispatcher: Dispatcher) -> Dispatcher:
    """The driver of the first task alone."""
    dispatcher.others = {task.key for task in plan.tasks[1:]}
    dispatcher.submit(plan.tasks[:1])
    return dispatcher


def leave_record(plan: Plan, number: int) -> None:
    task = plan.tasks[number]
    record = Record(task=task.key, status="success", labels=task.labels)
    results.settle(plan.run, results.begin(plan.run, task), record)


def test_an_array_that_others_share_loses_only_the_elements_of_the_selection(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    config = make_config(slurm={"partition": "main"})
    leave(plan, Quick(plan.run, config), slurm_double.jobs)
    with given(plan, Quick(plan.run, config)) as dispatcher:
        dispatcher.completed(0)
    (words,) = slurm_double.calls("scancel")
    assert "7_0" in words
    with Quick(plan.run, config) as last:
        last.submit(plan.tasks)
        # The cancelled one was not started, so it is submitted again without an attempt.
        assert until(last, lambda: len(slurm_double.calls("sbatch")) == 2) == []
        assert results.attempt_index(plan.run).last == {}
        for number in range(3):
            leave_record(plan, number)
        records = until(last, lambda: not last._tasks)
    assert [job["size"] for job in slurm_double.jobs()] == [3, 1]
    assert [record.cause for record in records] == [None, None, None]
    assert plan.run.store.list("default/jobs") == []


def test_a_job_of_kubernetes_that_others_share_is_not_deleted(
    plan: Plan, make_config: Callable[..., Config], kubernetes_api: KubernetesDouble
) -> None:
    config = make_config(**kubernetes_double.CONFIGURATION)
    leave(plan, KubernetesDispatcher(plan.run, config), lambda: len(kubernetes_api.all_pods()) == 3)
    with given(plan, KubernetesDispatcher(plan.run, config)):
        pass
    assert len(kubernetes_api.all_pods()) == 3
    with KubernetesDispatcher(plan.run, config) as last:
        last.submit(plan.tasks)
        for number in range(3):
            leave_record(plan, number)
        assert len(until(last, lambda: not last._tasks)) == 3
    assert kubernetes_api.calls["create", "jobs"] == 1
    assert kubernetes_api.jobs == {}


def test_allocations_go_on_for_others_and_take_nothing_more_of_the_selection(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    config = make_config(slurm=PILOT)
    leave(plan, QuickPilot(plan.run, config), slurm_double.jobs)
    lists = Lists(plan.run)
    (name,) = lists.names()
    with given(plan, QuickPilot(plan.run, config)):
        pass
    assert slurm_double.calls("scancel") == []
    assert len(lists.read(name)) == 3
    assert not lists.claim(Place(name, 0), "7")
    assert lists.claim(Place(name, 1), "7")
    with given(plan, QuickPilot(plan.run, config)) as again:
        until(again, lambda: len(lists.names()) == 2)
        leave_record(plan, 0)
        until(again, lambda: not again._tasks)
        leave_record(plan, 1)
    assert lists.names() == [name]
    finish(plan.run, config, plan.tasks[:1])
    assert len(submissions.load(plan.run)) == 1
    with QuickPilot(plan.run, config) as last:
        last.submit(plan.tasks)
        lists.end(Place(name, 1))
        leave_record(plan, 2)
        until(last, lambda: not last._tasks)
    assert plan.run.store.list("default/pilot") == []
    assert len(slurm_double.calls("scancel")) == 1


def test_what_an_ended_allocation_held_of_others_is_lost_for_their_driver_to_see(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    config = make_config(slurm=PILOT)
    leave(plan, QuickPilot(plan.run, config), slurm_double.jobs)
    lists = Lists(plan.run)
    (name,) = lists.names()
    (job,) = slurm_double.jobs()
    lists.begin(job["name"])
    lists.claim(Place(name, 1), job["name"])
    slurm_double.set(job["id"], 0, "NODE_FAIL")
    with given(plan, QuickPilot(plan.run, config)) as dispatcher:
        until(dispatcher, lists.ended)
    assert lists.ended()[Place(name, 1)]


@pytest.mark.integration
def test_children_of_others_are_not_terminated(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    config = make_config(**batch_double.CONFIGURATION, compute={"*": "batch"}, max_attempts=2)
    batch.slots = 0
    leave(plan, BatchDispatcher(plan.run, config), lambda: batch.jobs)
    with given(plan, BatchDispatcher(plan.run, config)):
        pass
    (job,) = batch.jobs.values()
    assert [child.status for child in job.children] == ["FAILED", "RUNNABLE", "RUNNABLE"]
    batch.slots = 2
    summary = execute(plan.run, config, plan.tasks)
    assert summary.causes == {"success": 3}
    # The terminated child had not started, so it used up no attempt.
    assert results.attempt_index(plan.run).last == dict.fromkeys(
        (task.key for task in plan.tasks), 1
    )
    assert plan.run.store.list("default/jobs") == []


@pytest.fixture
def on_fleet(
    fleet: FleetDouble, s3: str, make_plan: Callable[..., Plan], make_config: Callable[..., Config]
) -> tuple[Plan, Config]:
    """A run of two tasks that are left on a machine which boots for long."""
    fleet.before_boot = "exec sleep 600\n"
    config = make_config(ec2_template=fleet.make_template(), **FLEET)
    plan = make_plan(open_store(s3))
    leave(plan, BaremetalDispatcher(plan.run, config), fleet.living)
    return plan, config


def test_a_fleet_goes_on_for_others_when_the_selection_is_done(
    fleet: FleetDouble, on_fleet: tuple[Plan, Config], caplog: pytest.LogCaptureFixture
) -> None:
    plan, config = on_fleet
    leave_record(plan, 0)
    summary = execute(plan.run, config, plan.tasks[:1])
    assert (dict(summary.causes), summary.detached) == ({"success": 1}, [])
    finish(plan.run, config, plan.tasks[:1])
    assert "1 tasks that were not selected are on it" in caplog.text
    assert len(fleet.living()) == len(fleet.instances) == 1
    leave_record(plan, 1)
    execute(plan.run, config, plan.tasks)
    nothing_left(fleet, plan.run)
    assert fleet.calls["sendmessagebatch"] == 1


def test_a_fleet_goes_on_for_others_when_the_driver_of_the_selection_is_stopped(
    fleet: FleetDouble, on_fleet: tuple[Plan, Config]
) -> None:
    plan, config = on_fleet
    with given(plan, BaremetalDispatcher(plan.run, config)) as dispatcher:
        dispatcher.completed(0)
    assert dispatcher.detached  # The task stays in the queue, which cannot give it back.
    assert len(fleet.living()) == 1
    with BaremetalDispatcher(plan.run, config) as last:
        last.submit(plan.tasks)
        last.completed(0)
    nothing_left(fleet, plan.run)
    assert fleet.calls["sendmessagebatch"] == 1


def test_a_dead_letter_of_others_is_left_to_their_driver(
    fleet: FleetDouble, on_fleet: tuple[Plan, Config]
) -> None:
    plan, config = on_fleet
    with given(plan, BaremetalDispatcher(plan.run, config)) as dispatcher:
        assert isinstance(dispatcher, BaremetalDispatcher)
        queue, aws = dispatcher._queue, dispatcher._aws
        assert queue
        assert aws
        letters = {"QueueUrl": queue.dead_url, "MessageBody": plan.tasks[1].key}
        aws.call("sqs", "send_message", **letters)
        assert dispatcher._dead(aws) == []
        for message in queue.receive(aws, 10, 0):
            queue.done(aws, message)
        assert queue.is_empty(aws, len(dispatcher._foreign))
        assert not queue.is_empty(aws)


def test_a_fleet_with_others_in_another_region_is_an_error(
    fleet: FleetDouble, on_fleet: tuple[Plan, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, config = on_fleet
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    with pytest.raises(ConfigError, match=r"1 tasks that were not selected are on a fleet in"):
        given(plan, BaremetalDispatcher(plan.run, config))
    assert fleet.living()
