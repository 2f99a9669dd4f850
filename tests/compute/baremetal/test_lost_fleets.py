"""Fleets whose driver was lost: the next command ends and settles them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute import discovery
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.baremetal.state import State
from benchmark.compute.waiting import waits_path
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.hpo.driver.loop import tune
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.runs.costs.spending import machines_paid
from benchmark.runs.execute import execute, finish
from benchmark.runs.plan import Plan
from tests.support.fleet_double import FleetDouble
from tests.support.fleet_driving import nothing_left
from tests.support.small_studies import with_objective


def test_a_fleet_whose_driver_was_lost_after_its_last_task_is_ended_by_the_next_command(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config]
) -> None:
    fleet.before_boot = "exec sleep 600\n"
    gone = BaremetalDispatcher(plan.run, config())
    gone.submit(plan.tasks)
    gone.completed(0)
    for task in plan.tasks:
        done = Record(task=task.key, status="success", metrics={}, labels=task.labels)
        results.settle(plan.run, results.begin(plan.run, task), done)
    assert fleet.living()
    finish(plan.run, config(max_attempts=5), plan.tasks)
    nothing_left(fleet, plan.run)
    assert set(machines_paid(plan.run)) == set(fleet.instances)
    assert all(cost > 0 for cost in machines_paid(plan.run).values())
    finish(plan.run, config(), plan.tasks)


ELSEWHERE = {"compute": {"*": "local"}, "ec2_template": None, "instance_types": []}


def lost_fleet(fleet: FleetDouble, plan: Plan, config: Config) -> None:
    """Machines that are up, of a driver that was killed."""
    fleet.before_boot = "exec sleep 600\n"
    gone = BaremetalDispatcher(plan.run, config)
    gone.submit(plan.tasks)
    gone.completed(0)
    assert fleet.living()


def all_paid(fleet: FleetDouble, run: Run) -> None:
    assert set(machines_paid(run)) == set(fleet.instances)
    assert all(cost > 0 for cost in machines_paid(run).values())


def test_a_lost_fleet_is_ended_and_settled_where_the_configuration_names_it_no_longer(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_fleet(fleet, plan, config())
    monkeypatch.setenv("AWS_REGION", "us-west-2")  # Where this command would use AWS.
    finish(plan.run, config(**ELSEWHERE), plan.tasks)
    nothing_left(fleet, plan.run)
    all_paid(fleet, plan.run)


def test_a_lost_fleet_of_another_method_is_ended_before_its_tasks_start_elsewhere(
    fleet: FleetDouble,
    plan: Plan,
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost_fleet(fleet, plan, config())
    plan.run.store.put(waits_path(plan.run), b'["1 job waits."]')
    living: list[int] = []
    inner = discovery.load_method("local").submit

    def submit(self: Any, tasks: Any) -> None:
        living.append(len(fleet.living()))
        inner(self, tasks)

    monkeypatch.setattr(discovery.load_method("local"), "submit", submit)
    summary = execute(plan.run, config(**ELSEWHERE), plan.tasks)
    assert (dict(summary.causes), summary.faults) == ({"success": 2}, [])
    assert living == [0]
    assert plan.run.store.get(waits_path(plan.run)) is None
    nothing_left(fleet, plan.run)
    all_paid(fleet, plan.run)


@pytest.mark.slow
def test_a_lost_fleet_that_cannot_be_ended_is_reported_before_and_an_error_after_the_tasks(
    fleet: FleetDouble,
    plan: Plan,
    config: Callable[..., Config],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost_fleet(fleet, plan, config())
    fleet.fault = lambda name, _: (
        (403, "UnauthorizedOperation") if name == "terminateinstances" else None
    )
    with pytest.raises(BenchmarkError, match="AWS denies ec2:TerminateInstances"):
        execute(plan.run, config(**ELSEWHERE), plan.tasks)
    assert "started with the method baremetal may still run: AWS denies" in caplog.text
    assert len(list(results.records(plan.run))) == 2
    fleet.fault = lambda *_: None
    finish(plan.run, config(**ELSEWHERE), plan.tasks)
    nothing_left(fleet, plan.run)


def test_a_lost_fleet_of_another_region_is_ended_and_one_started_here(
    fleet: FleetDouble, plan: Plan, config: Callable[..., Config]
) -> None:
    lost_fleet(fleet, plan, config())
    state = State.of(plan.run)
    assert state is not None
    replace(state, region="us-west-2").save(plan.run)
    first = set(fleet.instances)
    with BaremetalDispatcher(plan.run, config()) as second:
        second.submit(plan.tasks)
        second.completed(0)
        assert fleet.living()
        assert not first & {one.id for one in fleet.living()}


def test_a_fleet_of_a_study_whose_driver_was_lost_is_ended_by_the_next_tune(
    fleet: FleetDouble,
    plan: Plan,
    config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    fleet.before_boot = "exec sleep 600\n"
    study = Study.begin(
        plan.run.store, define(with_objective({"command": ["true"]}, trials=1), tmp_path)
    )
    (trial,) = study.ask(1)
    gone = BaremetalDispatcher(study.run, config())
    gone.submit([trial])
    gone.completed(0)
    done = results.failure(trial, Cause.FRAMEWORK, "It measured nothing.")
    study.tell(results.settle(study.run, results.begin(study.run, trial), done))
    assert fleet.living()
    tuned = tune(study, config(), "baremetal")
    assert (tuned.records, tuned.faults, tuned.interrupted) == ([], [], False)
    nothing_left(fleet, study.run)
    assert set(machines_paid(study.run)) == set(fleet.instances)
