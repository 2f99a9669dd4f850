"""What drivers and allocations tell each other through the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmark.compute.cluster import Pace
from benchmark.compute.pilot.lists import Lists, Place
from benchmark.compute.pilot.pilot import PilotDispatcher
from benchmark.compute.pilot.pilot_wrapper import Allocation
from benchmark.compute.pilot.pilot_wrapper import Plan as AllocationPlan
from benchmark.compute.waiting import waits_path
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Ranks
from benchmark.runs.job_states import job_states
from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.support.slurm_double import SlurmDouble

PILOT: dict[str, Any] = {"pilot": {"nodes": 1, "cores": 1, "time_s": 600}, "partition": "main"}


class Quick(PilotDispatcher):
    pace = Pace(0.05, 0.05, settle_s=0.05, stuck_s=0.2, find_s=0.1)


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store)


def test_a_task_is_taken_once_and_a_list_goes_whole(plan: Plan) -> None:
    lists = Lists(plan.run)
    name = lists.add(plan.tasks, {plan.tasks[1].key: 4})
    assert [entry.since for entry in lists.read(name)] == [0, 4]
    place = Place(name, 1)
    assert lists.claim(place, "a")
    assert not lists.claim(place, "b")
    assert lists.claims() == {place: "a"}
    lists.end(place, lost=True)
    assert lists.ended() == {place: True}
    assert set(job_states(plan.run).values()) == {"READY"}
    lists.withdraw(name)
    assert plan.run.store.list("default/pilot") == []
    assert set(job_states(plan.run).values()) == {"CREATED"}


@pytest.mark.slow
def test_a_whole_run_in_one_allocation(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(runs=True)
    told: list[Record] = []
    # The double cancels no process: the allocation ends by itself when it is idle.
    slurm = PILOT | {"pilot": PILOT["pilot"] | {"idle_s": 10}}
    with Quick(plan.run, make_config(slurm=slurm)) as dispatcher:
        dispatcher.submit(plan.tasks)
        for _ in range(300):
            told += dispatcher.completed(2.0)
            if len(told) == 2:
                break
        assert set(job_states(plan.run).values()) == {"JOB_FINISHED"}
    assert {record.status for record in told} == {"success"}
    assert plan.run.store.list("default/pilot/tasks") == []
    assert len(slurm_double.calls("sbatch")) == 1


@pytest.mark.parametrize("begins", [True, False])
def test_what_an_ended_allocation_held_is_given_to_the_next(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble, begins: bool
) -> None:
    with Quick(plan.run, make_config(slurm=PILOT, max_attempts=2)) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        lists = Lists(plan.run)
        told: list[Record] = []
        for number in range(2):
            while len(slurm_double.jobs()) <= number:
                told += dispatcher.completed(0.05)
            job = slurm_double.jobs()[number]
            lists.begin(job["name"])
            (name,) = lists.names()
            assert lists.claim(Place(name, 0), job["name"])
            if begins:
                results.begin(plan.run, plan.tasks[0])
            slurm_double.set(job["id"], 0, "NODE_FAIL")
        while not told:
            told += dispatcher.completed(0.05)
    assert [(record.cause, record.attempt) for record in told] == [(Cause.INTERRUPTED, 2)]
    assert results.attempt_index(plan.run).last == {plan.tasks[0].key: 2}


def test_allocations_that_never_begin_end_it(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(runs=True)
    config = make_config(slurm=PILOT | {"python": "/nowhere/python"})
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        with pytest.raises(BenchmarkError, match="end before they begin"):
            for _ in range(2000):
                dispatcher.completed(0.2)


def test_an_allocation_takes_no_task_that_could_outlast_it(plan: Plan) -> None:
    lists = Lists(plan.run)
    lists.add(plan.tasks, {})
    short = AllocationPlan(cores=1, task_cores=1, time_s=1.0, idle_s=0.1)
    Allocation(plan.run, "job", short, [""]).serve()
    assert lists.claims() == {}


def test_a_task_that_fits_into_no_allocation_is_refused(
    make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    with pytest.raises(BenchmarkError, match="an allocation lasts 600 s"):
        PilotDispatcher.check(make_config(slurm=PILOT, hard_limit=590))
    with pytest.raises(BenchmarkError, match="takes 2 cores, and 'pilot' in 'slurm' has 1"):
        PilotDispatcher.check(make_config(slurm=PILOT, cores=2))
    PilotDispatcher.check(make_config(slurm=PILOT))


def test_gpus_of_ranks_are_refused(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    resources = replace(plan.tasks[0].resources, mpi=Ranks(1, 2, gpus_per_rank=1))
    with (
        Quick(plan.run, make_config(slurm=PILOT)) as dispatcher,
        pytest.raises(BenchmarkError, match="1 as 'gpus_per_rank', and 'pilot' divides no GPUs"),
    ):
        dispatcher.submit([replace(plan.tasks[0], resources=resources)])


def test_why_an_allocation_waits_is_reported_once_and_left_for_status(
    plan: Plan,
    make_config: Callable[..., Config],
    slurm_double: SlurmDouble,
    caplog: pytest.LogCaptureFixture,
) -> None:
    slurm_double.configure(reason="Nodes required for job are DOWN, DRAINED or reserved")
    said = (
        "1 allocation waits in the queue of Slurm: nodes are drained, down or reserved (Nodes "
        "required for job are DOWN, DRAINED or reserved); `sinfo -R` lists why."
    )
    with Quick(plan.run, make_config(slurm=PILOT)) as dispatcher:
        dispatcher.submit(plan.tasks)
        while len(slurm_double.calls("squeue")) < 4:
            assert dispatcher.completed(timeout_s=0.1) == []
        assert json.loads(plan.run.store.get(waits_path(plan.run)) or b"") == [said]
    assert caplog.messages == [said]
    assert plan.run.store.get(waits_path(plan.run)) is None
