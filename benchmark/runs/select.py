"""Choosing tasks of a run: by narrowing, by cause, by a task file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.files.output_files import staged
from benchmark.frameworks import registry
from benchmark.records import packed_records, results
from benchmark.records.layout import task_key
from benchmark.records.results import Cause
from benchmark.records.tasks import Run, Task
from benchmark.runs.taskfiles import Row


def causes_of(names: Collection[str] | None) -> frozenset[Cause] | None:
    """The causes by their names.

    Raises:
        BenchmarkError: there is no such cause.
    """
    for name in names or ():
        if name not in list(Cause):
            raise BenchmarkError(f"There is no cause '{name}'; there are {', '.join(Cause)}.")
    return None if names is None else frozenset(Cause(name) for name in names)


@dataclass(frozen=True)
class Ending:
    """How a task's last attempt ended, or its result."""

    cause: Cause | None
    is_result: bool


def endings(run: Run, tasks: Sequence[Task]) -> dict[str, Ending]:
    """The ending of each task that was started, by key; without an end it is `infrastructure`."""
    outcomes = results.outcomes(run, {task.key: task for task in tasks})
    lost = Ending(Cause.INFRASTRUCTURE, is_result=False)
    return {key: Ending(r.cause, r.is_result) if r else lost for key, r in outcomes}


def unfinished(
    run: Run, tasks: Sequence[Task], causes: frozenset[Cause] | None = None
) -> list[Task]:
    """The tasks without a result; with causes, those that ended so, results among them."""
    ended = endings(run, tasks)
    none = Ending(None, is_result=False)
    if causes is None:
        return [task for task in tasks if not ended.get(task.key, none).is_result]
    return [task for task in tasks if ended.get(task.key, none).cause in causes]


def again(run: Run, tasks: Sequence[Task], causes: frozenset[Cause]) -> list[Task]:
    """The tasks that ended so, to be run again: results among them are set aside."""
    ended = endings(run, tasks)
    wanted = [task for task in tasks if task.key in ended and ended[task.key].cause in causes]
    results.set_aside(run, [task.key for task in wanted if ended[task.key].is_result])
    return wanted


def of_rows(run: Run, rows: Sequence[Row], place: str) -> list[Task]:
    """The run's tasks that the rows of a task file name, each once.

    A framework may be called by an alias, and a data set by its number at OpenML.

    Raises:
        BenchmarkError: the run has no such task, or has it with another type.
    """
    known = {task.key: task for task in run.tasks}
    found: dict[str, Task] = {}
    names: dict[str, str] = {}
    for row in rows:
        named = f"{place} names the task {row.framework:.80}, {row.dataset:.80}, {row.seed!s:.40}"
        if row.framework not in names:
            names[row.framework] = _framework(run, row.framework)
        keys = [task_key(names[row.framework], name, row.seed) for name in _datasets(run, row)]
        tasks = [known[key] for key in keys if key in known]
        if not tasks:
            raise BenchmarkError(f"{named}, which run '{run.name}' does not have.")
        fitting = [task for task in tasks if row.type in (None, task.labels["type"])]
        if not fitting:
            raise BenchmarkError(
                f"{named} as {row.type:.80}, and run '{run.name}' has it as "
                f"{tasks[0].labels['type']}; fix its type, or leave it out."
            )
        if len(fitting) > 1:
            several = " or ".join(str(task.labels["dataset"]) for task in fitting)
            raise BenchmarkError(f"{named}, which may be {several}; name one of them.")
        found[fitting[0].key] = fitting[0]
    return list(found.values())


def _framework(run: Run, name: str) -> str:
    """Its name in the run, of an alias of the registry's too."""
    if name in run.manifest.frameworks:
        return name
    paths = {path for one in run.manifest.frameworks.values() for path in one.get("paths", ())}
    plain, at, version = name.partition("@")
    try:
        return registry.get(plain, sorted(paths)).name + at + version
    except BenchmarkError:
        return name


def _datasets(run: Run, row: Row) -> list[str]:
    """The data set; of a number those that OpenML has under it."""
    datasets = run.manifest.datasets
    if row.dataset in datasets or not row.dataset.isdecimal():
        return [row.dataset]
    return [name for name, facts in datasets.items() if str(facts.get("openml")) == row.dataset]


def delete(run: Run, tasks: Sequence[Task]) -> int:
    """Delete the results, predictions and logs of tasks; late workers cannot bring them back.

    Returns:
        How many of the tasks had a record.
    """
    keys = [task.key for task in tasks]
    packed_records.drop(run)
    had = sum(ending.is_result for ending in endings(run, tasks).values())
    results.set_aside(run, keys)
    run.store.delete(path for path, _ in logs(run, tasks))
    return had


def machine_logs(run: Run) -> list[str]:
    """The logs of the machines that were started for the run, of those that never came to work."""
    return run.store.list(f"{run.name}/logs/machines")


def copy_logs(run: Run, paths: Iterable[str], folder: Path) -> int:
    """Copy logs to folder/RUN/, so that those of several runs do not mix; returns how many.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    number = 0
    for path, data in run.store.get_many(paths):
        if data is None:
            continue
        file = folder / run.name / path.removeprefix(f"{run.name}/logs/")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with staged(file) as written:
                written.write_bytes(data)
        except OSError as error:
            raise BenchmarkError(
                f"{file} cannot be written: {error.strerror}; name another folder."
            ) from error
        number += 1
    return number


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
