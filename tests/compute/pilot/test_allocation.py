"""Workers of an allocation: which cores are theirs, and which nodes get no more of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmark.compute.pilot import pilot_wrapper, slot
from benchmark.compute.pilot.lists import Lists
from benchmark.compute.pilot.pilot_wrapper import Allocation
from benchmark.compute.pilot.pilot_wrapper import Plan as AllocationPlan
from benchmark.execution.machine.cores import claimed
from benchmark.records.tasks import Ranks
from benchmark.runs.plan import Plan
from benchmark.store import Store

PLAN = AllocationPlan(cores=2, task_cores=1, time_s=600.0, idle_s=0.0)


class Answering:
    """A worker that answers at once, ends with the first task, or is silent for ever."""

    def __init__(
        self,
        nodes: tuple[str, ...],
        *,
        places: int = 1,
        dies: bool = False,
        is_silent: bool = False,
        is_kept: bool = True,
    ) -> None:
        self.nodes, self.places, self.is_kept, self._dies = nodes, places, is_kept, dies
        self._is_silent = is_silent
        theirs, self._ours = os.pipe()
        self.answers = os.fdopen(theirs, "rb", buffering=0)

    def give(self, key: str) -> None:
        if self._dies:
            self.hang_up()
        elif not self._is_silent:
            os.write(self._ours, b'{"record": {}}\n')

    def hang_up(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        self.hang_up()
        self.answers.close()


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store, seeds=5)


def test_a_node_whose_workers_die_gets_no_more_whatever_the_others_answer(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pilot_wrapper,
        "local_worker",
        lambda run, node, *_: Answering((node,), dies=node == "n1"),
    )
    lists = Lists(plan.run)
    lists.add(plan.tasks, {})
    Allocation(plan.run, "job", replace(PLAN, cores=1), ["n1", "n2"]).serve()
    assert sorted(lists.ended().values()) == [False] * 8 + [True] * 2


def test_a_task_on_a_node_that_says_nothing_more_is_lost_after_its_limit(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pilot_wrapper, "local_worker", lambda run, node, *_: Answering((node,), is_silent=True)
    )
    hard_limit_s = plan.tasks[0].resources.hard_limit_s
    lists = Lists(plan.run)
    lists.add(plan.tasks, {})
    short = replace(PLAN, cores=1, idle_s=60.0, reserve_s=0.05 - hard_limit_s)
    Allocation(plan.run, "job", short, ["n1"]).serve()
    assert list(lists.ended().values()) == [True, True]


def test_ranks_claim_cores_where_they_are_started(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runners are on the first node, n1; the ranks of the second are on the other."""
    asked: list[tuple[tuple[str, ...], int]] = []

    def worker(run: object, nodes: tuple[str, ...], places: int, cores: int, mpi: str) -> Answering:
        asked.append((nodes, cores))
        return Answering(nodes, places=places, is_kept=False)

    monkeypatch.setattr(pilot_wrapper, "ranks_worker", worker)
    resources = replace(plan.tasks[0].resources, cores=2, mpi=Ranks(1, 2))
    Lists(plan.run).add([replace(task, resources=resources) for task in plan.tasks[:2]], {})
    Allocation(plan.run, "job", PLAN, ["n1", "n2"]).serve()
    assert asked == [(("n1",), 2), (("n2",), 0)]


def test_ranks_keep_off_the_cores_of_serial_tasks(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "usable_cores", lambda: [9001, 9002, 9003])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    ran: list[tuple[list[str], str | None]] = []
    monkeypatch.setattr(
        slot, "run_tasks", lambda words: ran.append((words, os.environ.get("SLURM_JOB_ID"))) or 0
    )
    url, name = plan.run.store.url, plan.run.name
    with claimed(1, [9001, 9002, 9003]):
        assert slot.main(url, name, "2", "ranks") == 0
    assert ran == [([url, name, "--serve", "--cores", "9002,9003"], "7")]
    assert slot.main(url, name, "0", "ranks") == 0
    assert ran[-1] == ([url, name, "--serve"], "7")
    assert slot.main(url, name, "1") == 0
    assert ran[-1] == ([url, name, "--serve", "--cores", "9001"], None)
