"""The method baremetal over machines that are processes, SQS of moto's and a real S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.aws.clients import RefusedError
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.baremetal.fleet import terminate
from benchmark.compute.baremetal.state import State
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.support.fleet_double import FleetDouble
from tests.support.fleet_driving import nothing_left, told, until


@pytest.mark.slow
def test_a_run_over_a_fleet(fleet: FleetDouble, plan: Plan, config: Callable[..., Config]) -> None:
    summary = execute(plan.run, config(), plan.tasks)
    assert summary.faults == []
    assert dict(summary.causes) == {"success": 2}
    assert len(fleet.instances) <= 2
    record = next(results.records(plan.run))
    assert record.host["instance"] in fleet.instances
    assert (record.host["lifecycle"], record.host["price_per_hour"]) == ("spot", 0.36)
    assert record.cost
    assert record.cost > 0
    (first, *_) = fleet.instances
    ledger = json.loads(plan.run.store.get(f"{plan.run.name}/machines/{first}.json") or b"")
    assert ledger["ended"]
    assert ledger["cost"] > 0
    nothing_left(fleet, plan.run)


SLEEPER = """
import os, time

def fit(train, problem, limits):
    end = time.monotonic() + problem.params["seconds"]
    while time.monotonic() < end and not os.path.exists(problem.params["until"]):
        time.sleep(0.05)

def predict(model, frame, problem):
    return {"predictions": [0.0] * len(frame), "probabilities": None, "classes": None}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""


@pytest.fixture
def slow_plan(
    s3: str, fleet: FleetDouble, make_plan: Callable[..., Plan], tmp_path: Path
) -> Callable[..., Plan]:
    """One task that takes so many seconds, or until there is the file `enough`."""

    def make(seconds: float, **changes: Any) -> Plan:
        folder = tmp_path / "own" / "sleeper"
        folder.mkdir(parents=True)
        (folder / "adapter.py").write_text(SLEEPER)
        (folder / "framework.toml").write_text(
            'name = "sleeper"\ndescription = "Takes time"\npython = ">=3.11,<3.14"\n'
            'environment = "random-forest"\npreload = ["numpy"]\nversion_of = "numpy"\n'
        )
        own = {"frameworks_path": [str(tmp_path / "own")]}
        sleeper = {
            "name": "sleeper",
            "params": {"seconds": seconds, "until": str(tmp_path / "enough")},
        }
        return make_plan(open_store(s3), ("cpu",), frameworks=[sleeper], **own, **changes)

    return make


def began(plan: Plan, number: int = 1) -> None:
    """Wait until a task has begun so many attempts."""
    until(lambda: max(results.attempt_index(plan.run).last.values(), default=0) >= number)


@pytest.mark.integration
def test_a_machine_that_gets_notice_hands_its_task_back_at_once(
    fleet: FleetDouble,
    slow_plan: Callable[..., Plan],
    config: Callable[..., Config],
    tmp_path: Path,
) -> None:
    plan = slow_plan(600)
    with BaremetalDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher.completed(1) == []
        began(plan)
        (first,) = fleet.living()
        fleet.give_notice(first)
        until(lambda: dispatcher.completed(0.1) or first.ended)
        (tmp_path / "enough").touch()
        (record,) = told(dispatcher, 1)
        assert (record.status, record.attempt) == ("success", 2)
        (second,) = [one for one in fleet.instances.values() if one is not first]
        assert record.host["instance"] == second.id
        ends = plan.run.store.get(f"{plan.run.attempts_path(record.task)}/0001.json")
        assert Record.from_bytes(ends).cause is Cause.INTERRUPTED  # type: ignore[union-attr]
        log = plan.run.store.get(f"{plan.run.name}/logs/machines/{first.id}.log") or b""
        assert b"1 tasks were handed back" in log
    nothing_left(fleet, plan.run)


@pytest.mark.integration
def test_a_machine_that_is_lost_without_a_word_loses_no_task(
    fleet: FleetDouble,
    slow_plan: Callable[..., Plan],
    config: Callable[..., Config],
    tmp_path: Path,
) -> None:
    plan = slow_plan(600)
    with BaremetalDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher.completed(1) == []
        began(plan)
        fleet.take_away(fleet.living()[0])
        (tmp_path / "enough").touch()
        (record,) = told(dispatcher, 1)
        assert (record.status, record.attempt) == ("success", 2)
    nothing_left(fleet, plan.run)


@pytest.mark.integration
def test_a_task_whose_machines_are_always_lost_is_accounted(
    fleet: FleetDouble, slow_plan: Callable[..., Plan], config: Callable[..., Config]
) -> None:
    plan = slow_plan(600)
    with BaremetalDispatcher(plan.run, config(max_attempts=2)) as dispatcher:
        dispatcher.submit(plan.tasks)
        for number in (1, 2):
            until(lambda number=number: dispatcher.completed(0.2) or _last(plan) >= number)
            fleet.take_away(fleet.living()[0])
        (record,) = told(dispatcher, 1)
        assert (record.cause, record.attempt) == (Cause.INFRASTRUCTURE, 2)
        assert "given it 2 times" in record.message
    nothing_left(fleet, plan.run)


def _last(plan: Plan) -> int:
    return max(results.attempt_index(plan.run).last.values(), default=0)


@pytest.mark.integration
def test_a_driver_that_is_gone_leaves_a_fleet_that_the_next_one_finds(
    fleet: FleetDouble, slow_plan: Callable[..., Plan], config: Callable[..., Config]
) -> None:
    plan = slow_plan(3)
    gone = BaremetalDispatcher(plan.run, config())
    gone.submit(plan.tasks)
    gone.completed(1)
    began(plan)
    sent = fleet.calls["sendmessagebatch"]
    with BaremetalDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        (record,) = told(dispatcher, 1)
        assert (record.status, record.attempt) == ("success", 1)
    assert fleet.calls["sendmessagebatch"] == sent == 1
    assert len(fleet.instances) == 1
    nothing_left(fleet, plan.run)


@pytest.mark.integration
def test_machines_without_a_driver_finish_and_end_themselves(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config]
) -> None:
    dispatcher = BaremetalDispatcher(plan.run, config())
    dispatcher.submit(plan.tasks)
    dispatcher.completed(0)
    dispatcher.detached = True
    dispatcher.close()
    until(lambda: fleet.instances and not fleet.living())
    assert len(list(results.records(plan.run))) == 2
    (one, *_) = fleet.instances.values()
    assert (one.root / "lifetime").read_text().startswith("+")
    with BaremetalDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert len(told(dispatcher, 2)) == 2
    nothing_left(fleet, plan.run)


@pytest.mark.integration
def test_closing_ends_the_machines_and_says_so_of_their_tasks(
    fleet: FleetDouble, slow_plan: Callable[..., Plan], config: Callable[..., Config]
) -> None:
    plan = slow_plan(600)
    with BaremetalDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        dispatcher.completed(1)
        began(plan)
    nothing_left(fleet, plan.run)
    last = results.last_attempt(plan.run, plan.tasks[0].key)
    assert last
    assert last[1]
    assert last[1].cause is Cause.INTERRUPTED


@pytest.mark.integration
def test_machines_that_never_come_to_work_are_not_started_for_ever(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config]
) -> None:
    fleet.variables["BENCHMARK_PYTHON"] = "/bin/false"
    with BaremetalDispatcher(plan.run, config(cluster_size=1)) as dispatcher:
        dispatcher.submit(plan.tasks)
        with pytest.raises(BenchmarkError, match=r"do not come to work \(worker\)"):
            told(dispatcher, 1)
    assert len(fleet.instances) == 3
    logs = plan.run.store.list(f"{plan.run.name}/logs/machines")
    assert len(logs) == 3
    nothing_left(fleet, plan.run)


@pytest.mark.slow
def test_no_capacity_is_said_and_waited_for_and_on_demand_takes_its_place(
    fleet: FleetDouble,
    plan: Plan,
    config: Callable[..., Config],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet.before_boot = "exec sleep 600\n"
    fleet.capacity = 0
    with BaremetalDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher.completed(0) == []
        assert "no capacity for 2 of 2 machines (InsufficientInstanceCapacity)" in caplog.text
        fleet.capacity = 1
        dispatcher._start_at = 0.0
        until(lambda: dispatcher.completed(0.1) or dispatcher.paid() > 0)
    assert [one.lifecycle for one in fleet.instances.values()] == ["spot"]
    nothing_left(fleet, plan.run)
    fleet.capacity, fleet.on_demand_capacity = 1, 5
    with BaremetalDispatcher(plan.run, config(on_demand=True)) as dispatcher:
        dispatcher.submit(plan.tasks)
        dispatcher.completed(0)
        assert sorted(one.lifecycle for one in fleet.living()) == ["on-demand", "spot"]
    nothing_left(fleet, plan.run)


@pytest.mark.parametrize("refused", ["createqueue 1", "createlaunchtemplateversion 0"])
def test_queues_made_before_a_failure_are_removed(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config], refused: str
) -> None:
    """By the driver that made them, or the next one where that was killed."""
    fleet.fault = lambda operation, number: (
        (400, "InvalidParameter") if f"{operation} {number}" == refused else None
    )
    dispatcher = BaremetalDispatcher(plan.run, config())
    with pytest.raises(BenchmarkError):
        dispatcher.submit(plan.tasks)
    state = State.of(plan.run)
    assert state is not None
    assert sorted(state.queues) == sorted(fleet.client("sqs").list_queues()["QueueUrls"])
    dispatcher.close()
    nothing_left(fleet, plan.run)


def test_machines_that_ec2_does_not_describe_yet_count_and_are_ended(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config]
) -> None:
    fleet.before_boot, fleet.hides = "exec sleep 600\n", True
    first = BaremetalDispatcher(plan.run, config())
    first.submit(plan.tasks)
    first.completed(0)
    started = set(fleet.instances)
    with BaremetalDispatcher(plan.run, config()) as second:  # as after a kill of the first
        second.submit(plan.tasks)
        second.completed(0)
        assert set(fleet.instances) == started
        assert len(started) == 2
        assert fleet.hides
    nothing_left(fleet, plan.run)


def test_one_unknown_machine_keeps_no_other_from_its_end() -> None:
    ended: list[str] = []

    class Ec2:
        def call(self, service: str, operation: str, **asked: Any) -> None:
            if "i-new" in asked["InstanceIds"]:
                raise RefusedError("It does not exist.", "InvalidInstanceID.NotFound")
            ended.extend(asked["InstanceIds"])

    terminate(Ec2(), ["i-1", "i-new", "i-2"])  # type: ignore[arg-type]
    assert ended == ["i-1", "i-2"]


def test_the_estimate_is_of_the_prices_of_now(
    fleet: FleetDouble,
    s3: str,
    program: Callable[..., Any],
    command: Callable[..., Any],
    tmp_path: Path,
) -> None:
    bucket, folder = s3.removeprefix("s3://").split("/", 1)
    values = {
        "s3_bucket_root": bucket,
        "s3_folder": folder,
        "ec2_template": fleet.make_template(),
        "instance_types": ["c5.xlarge", "m5.large"],
        "studies": ["starter"],
        "frameworks": ["constant", "flaml"],
        "compute": {"flaml": "baremetal", "*": "local"},
        "cores": 2,
        "memory": 3000,
        "runtime": 3600,
        "hard_limit": 4200,
        "max_cost": 1,
    }
    (tmp_path / "work/batch.config").write_text(json.dumps(values))
    done = program("estimate", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    flaml, constant = facts["parts"][1], facts["parts"][0]
    # The cheapest share: half of a c5.xlarge at 0.36 USD an hour.
    assert flaml["cost"]["likely"] == pytest.approx(0.18 * flaml["tasks"])
    assert flaml["cost"]["high"] == pytest.approx(0.36 * flaml["tasks"] * 4500 / 3600)
    assert constant["cost"] is None
    told = command("estimate").stdout
    assert "baremetal: c5.xlarge, m5.large, spot" in told
    assert "'max_cost' is 1 USD: the run may stop before its end." in told
