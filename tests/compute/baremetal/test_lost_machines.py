"""Machines that never come to work, and messages that are held twice or by nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.compute.aws.clients import Aws
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.baremetal.baremetal_wrapper import Worker
from benchmark.compute.baremetal.fleet import Boots, Machine
from benchmark.compute.baremetal.messages import TaskQueue
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.execution.machine.cores import usable_cores
from benchmark.records import results
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store
from tests.support.fleet_double import FleetDouble

ITSELF, TAKEN = "Client.InstanceInitiatedShutdown", "Server.SpotInstanceTermination"
NO_STORE = 'mkdir -p "$AUTOML_ROOT"; shutdown -h now; exit 1\n'


def gone(name: str, reason: str = ITSELF) -> Machine:
    return Machine(name, "c5.large", "spot", "terminated", 0.0, reason)


def test_a_machine_without_a_word_has_failed_unless_it_was_taken_away(
    make_plan: Callable[..., Plan], folder_store: Store
) -> None:
    plan = make_plan(folder_store)
    since = {task.key: 0 for task in plan.tasks}
    boots = Boots(plan.run)
    boots.look([gone(f"taken-{n}", TAKEN) for n in range(5)], since)
    folder_store.put(f"{plan.run.name}/machines/good.end", b'{"good": true}')
    boots.look([gone("a"), gone("b"), gone("good")], since)
    boots.look([gone("a"), gone("b")], since)
    assert not boots.hopeless
    boots.look([gone("c")], since)
    assert boots.hopeless
    assert f"({ITSELF}): c left no word in the store; give" in str(boots.error())


def test_failures_count_since_a_task_was_begun(
    make_plan: Callable[..., Plan], folder_store: Store
) -> None:
    plan = make_plan(folder_store)
    since = {task.key: 0 for task in plan.tasks}
    boots = Boots(plan.run)
    boots.look([gone("a"), gone("b")], since)
    results.begin(plan.run, plan.tasks[0])
    boots.look([gone("c")], since)
    assert not boots.hopeless
    said = b'{"good": false, "stage": "code", "message": "No way."}'
    folder_store.put(f"{plan.run.name}/machines/f.end", said)
    boots.look([gone("d"), gone("e"), gone("f")], since)
    assert "do not come to work (code): No way; see" in str(boots.error())


@pytest.fixture
def config(fleet: FleetDouble, make_config: Callable[..., Config]) -> Config:
    return make_config(
        ec2_template=fleet.make_template(),
        instance_types=["c5.large"],
        cluster_size=3,
        parallel=1,
        compute={"*": "baremetal"},
    )


def test_a_fleet_that_cannot_reach_the_store_is_given_up(
    fleet: FleetDouble, s3: str, make_plan: Callable[..., Plan], config: Config
) -> None:
    fleet.before_boot = NO_STORE
    plan = make_plan(open_store(s3), seeds=[1, 2])
    with BaremetalDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        with pytest.raises(BenchmarkError, match="left no word in the store"):
            dispatcher.completed(300)
    assert 3 <= len(fleet.instances) <= 5
    assert fleet.living() == []


def test_a_message_that_comes_again_while_its_task_runs_is_kept(
    fleet: FleetDouble, s3: str, make_plan: Callable[..., Plan]
) -> None:
    plan = make_plan(open_store(s3))
    aws, key = Aws(), plan.tasks[0].key
    queue = TaskQueue.make(aws, "again", 0, 5)
    queue.send(aws, [key])
    facts = {"store": s3, "run": plan.run.name, "queue": queue.url, "dead": queue.dead_url}
    worker = Worker(facts | {"lifetime_s": 60, "wait_s": 0})
    (first,) = queue.receive(aws, 1, 0)
    worker.held[key] = first
    worker._take(None, 2)  # type: ignore[arg-type]  # no task is to begin
    assert worker.held[key].id == first.id
    assert worker.held[key].receipt != first.receipt
    assert not queue.is_empty(aws)
    queue.send(aws, [key])
    worker._take(None, 9)  # type: ignore[arg-type]
    worker._done(worker.held[key])
    assert queue.is_empty(aws)


def test_a_worker_takes_as_many_tasks_as_its_driver_counted_on(
    fleet: FleetDouble, s3: str, make_plan: Callable[..., Plan]
) -> None:
    plan = make_plan(open_store(s3))
    conditions = plan.run.manifest.conditions
    conditions |= {"cores": 1, "memory": 16}
    plan.run.save()
    facts = {"store": s3, "run": plan.run.name, "queue": "", "dead": "", "lifetime_s": 60}
    assert Worker(facts | {"slots": {"c5.large": 1, "c5.xlarge": 2}})._config().parallel == 1
    assert Worker(facts | {"slots": {"c5.large": 9999}})._config().parallel == len(usable_cores())


def test_tasks_that_nobody_has_are_sent_again(
    fleet: FleetDouble, s3: str, make_plan: Callable[..., Plan], config: Config
) -> None:
    fleet.before_boot = "exec sleep 600\n"
    plan = make_plan(open_store(s3))
    with BaremetalDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        dispatcher.completed(0)
        queue = dispatcher._queue
        assert queue
        lost = queue.receive(Aws(), 10, 0)
        for one in fleet.living():
            fleet.take_away(one)
        assert not queue.is_empty(Aws())
        for message in lost:
            queue.done(Aws(), message)
        dispatcher._engine_at = 0.0
        dispatcher.completed(0)
        again = queue.receive(Aws(), 10, 0)
        assert sorted(one.key for one in again) == sorted(task.key for task in plan.tasks)
