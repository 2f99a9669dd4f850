"""Choosing tasks of a run: by narrowing, by cause, by a task file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark import results
from benchmark.errors import BenchmarkError
from benchmark.results import Cause

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from benchmark.results import Record
    from benchmark.tasks import Cell, Run, Task


def causes_of(names: Collection[str] | None) -> frozenset[Cause] | None:
    """The causes by their names.

    Raises:
        BenchmarkError: there is no such cause.
    """
    for name in names or ():
        if name not in list(Cause):
            raise BenchmarkError(f"There is no cause '{name}'; there are {', '.join(Cause)}.")
    return None if names is None else frozenset(Cause(name) for name in names)


def outcomes(run: Run, tasks: Sequence[Task]) -> dict[str, Record | None]:
    """The record of each task, or how its last attempt ended, or None."""
    found = {record.task: record for record in results.records(run)}
    missing = [task.key for task in tasks if task.key not in found]
    ended = results.last_attempts(run, missing)
    return {task.key: found.get(task.key) or ended.get(task.key) for task in tasks}


def unfinished(
    run: Run, tasks: Sequence[Task], causes: frozenset[Cause] | None = None
) -> list[Task]:
    """The tasks without a result; with causes, those that ended so, results among them."""
    told = outcomes(run, tasks)
    chosen = []
    for task in tasks:
        record = told[task.key]
        if causes is None:
            wanted = record is None or not record.is_result
        else:
            wanted = record is not None and record.cause in causes
        if wanted:
            chosen.append(task)
    return chosen


def of_cells(run: Run, cells: Sequence[Cell], place: str) -> list[Task]:
    """The run's tasks for the cells of a task file.

    Raises:
        BenchmarkError: the run has no such task.
    """
    known = {task.key: task for task in run.tasks}
    for cell in cells:
        if cell.key not in known:
            raise BenchmarkError(
                f"{place} names the task {cell.framework}, {cell.dataset}, {cell.seed}, which run "
                f"'{run.name}' does not have."
            )
    return [known[cell.key] for cell in cells]


def delete(run: Run, tasks: Sequence[Task]) -> int:
    """Delete the results, predictions and logs of tasks; late workers cannot bring them back.

    Returns:
        How many of the tasks had a record.
    """
    keys = [task.key for task in tasks]
    had = sum(record is not None and record.is_result for record in outcomes(run, tasks).values())
    results.set_aside(run, keys)
    run.store.delete(run.predictions_path(key) for key in keys)
    run.store.delete(path for path, _ in logs(run, tasks))
    return had


def logs(run: Run, tasks: Sequence[Task]) -> list[tuple[str, Task]]:
    """Every log of the tasks, with its task."""
    folders = {
        run.log_path(task, passed=passed, attempt=0).rpartition("/")[0]: task
        for task in tasks
        for passed in (True, False)
    }
    found = []
    for path in run.store.list(f"{run.name}/logs"):
        task = folders.get(path.rpartition("/")[0])
        if task is not None:
            found.append((path, task))
    return found
