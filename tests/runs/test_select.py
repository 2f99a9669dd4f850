"""Choosing tasks by how they ended, and setting results aside to run them again."""

from __future__ import annotations

from collections.abc import Callable

from benchmark import results
from benchmark.results import Cause
from benchmark.runs import select
from benchmark.runs.plan import Plan
from benchmark.store import Store

MakePlan = Callable[..., Plan]


def ended(plan: Plan, *causes: Cause | None) -> list[str]:
    """Let each task end so; None leaves an attempt that was begun and has no end."""
    for task, cause in zip(plan.tasks, causes, strict=True):
        attempt = results.begin(plan.run, task)
        if cause is not None:
            results.settle(plan.run, attempt, results.failure(task, cause, "So it ended."))
    return [task.key for task in plan.tasks]


def test_again_sets_results_aside_and_nothing_else(
    folder_store: Store, make_plan: MakePlan
) -> None:
    plan = make_plan(folder_store, datasets=("penguins", "cpu", "titanic"))
    late, lost, broken = ended(plan, Cause.TIMEOUT, Cause.INFRASTRUCTURE, Cause.FRAMEWORK)
    causes = frozenset({Cause.TIMEOUT, Cause.INFRASTRUCTURE})
    assert [task.key for task in select.again(plan.run, plan.tasks, causes)] == [late, lost]
    without = [task.key for task in results.without_result(plan.run, plan.tasks)]
    assert without == [late, lost]
    assert results.current_record(plan.run, broken) is not None
    assert select.again(plan.run, plan.tasks, frozenset({Cause.TIMEOUT})) == []


def test_an_attempt_without_an_end_counts_as_infrastructure(
    folder_store: Store, make_plan: MakePlan
) -> None:
    plan = make_plan(folder_store)
    silent, _ = ended(plan, None, Cause.DATA)
    chosen = select.unfinished(plan.run, plan.tasks, frozenset({Cause.INFRASTRUCTURE}))
    assert [task.key for task in chosen] == [silent]
