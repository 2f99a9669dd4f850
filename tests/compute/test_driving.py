"""What drivers do alike: the record of a task whose every attempt was killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmark.compute.driving import final_record
from benchmark.execution.work import KEEPER_GONE, KILLED, SUSPECT, UNUSABLE
from benchmark.records import results
from benchmark.records.results import Cause, Record, failure
from benchmark.runs.plan import Plan
from benchmark.store import Store

INFRASTRUCTURE = Cause.INFRASTRUCTURE
Ended = Callable[..., Record]


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store, datasets=("penguins",))


@pytest.fixture
def ended(plan: Plan) -> Ended:
    """The task's attempts, each ended with a cause and a message; the last of them."""

    def end(*endings: tuple[Cause, str]) -> Record:
        task = plan.tasks[0]
        for cause, message in endings:
            attempt = results.begin(plan.run, task)
            record = results.settle(plan.run, attempt, failure(task, cause, message))
        return record

    return end


@pytest.mark.parametrize("words", SUSPECT)
def test_a_task_killed_alike_in_every_attempt_is_a_failure(
    plan: Plan, ended: Ended, words: str
) -> None:
    message = f"{words} during fit by SIGKILL."
    final = final_record(plan.run, ended(*[(INFRASTRUCTURE, message)] * 3), 3)
    assert (final.cause, final.message) == (Cause.FRAMEWORK, f"In each of 3 attempts: {message}")
    assert results.current_record(plan.run, final.task) == final
    assert results.last_attempt(plan.run, final.task)[1] == final
    assert results.attempt_index(plan.run).last == {final.task: 3}


OTHERS = {
    "once": [(INFRASTRUCTURE, KILLED)],
    "the machine was lost": [(INFRASTRUCTURE, "The machine of the job was lost.")] * 3,
    "in another way once": [(INFRASTRUCTURE, KILLED), *[(INFRASTRUCTURE, KEEPER_GONE)] * 2],
    "interrupted once": [
        (INFRASTRUCTURE, KILLED),
        (Cause.INTERRUPTED, KILLED),
        (INFRASTRUCTURE, KILLED),
    ],
    "interrupted": [(Cause.INTERRUPTED, KILLED)] * 3,
    "data": [(Cause.DATA, UNUSABLE)] * 3,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_endings_stay_what_they_are(plan: Plan, ended: Ended, name: str) -> None:
    last = ended(*OTHERS[name])
    assert final_record(plan.run, last, len(OTHERS[name])) is last
    assert results.current_record(plan.run, last.task) is None


def test_an_attempt_without_an_end_is_no_evidence(plan: Plan, ended: Ended) -> None:
    results.begin(plan.run, plan.tasks[0])
    last = ended(*[(INFRASTRUCTURE, KILLED)] * 2)
    assert final_record(plan.run, last, 3) is last
    assert final_record(plan.run, replace(last, message=KEEPER_GONE), 2).cause is INFRASTRUCTURE
    assert final_record(plan.run, last, 2).cause is Cause.FRAMEWORK
