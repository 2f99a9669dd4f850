"""Runs the repeats of a verdict one at a time, in their order, with any dispatcher."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from benchmark.compute import discovery
from benchmark.compute.dispatcher import Dispatcher
from benchmark.compute.driving import Attempts, stoppable
from benchmark.config.loading import Config
from benchmark.hpo.report.default_runs import CONFIRM
from benchmark.hpo.report.repeats import (
    BEST,
    Plan,
    check,
    default_tasks,
    leader_tasks,
    pair_tasks,
)
from benchmark.hpo.report.verdict import Verdict, judge, judged
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Task

Measure = Callable[[Task], Record | None]

_TICK_S = 0.2


def confirm(
    study: Study,
    config: Config,
    method: str,
    plan: Plan,
    on_record: Callable[[Record], None] | None = None,
) -> Verdict | None:
    """The verdict after the plan's pairs, or earlier where it stops; None where interrupted.

    Raises:
        BenchmarkError: the study cannot have one.
    """
    check(study.definition)
    tasks = pair_tasks(study.run, study.definition, plan.pairs)
    found: list[list[Record | None]] = []
    with _one_at_a_time(study, config, method, on_record) as measure:
        for pair in zip(tasks[::2], tasks[1::2], strict=True):
            records = {}
            for task in pair:
                record = measure(task)
                if record is None:
                    return None
                records[task.labels[CONFIRM]] = record
            found.append([records.pop(BEST), *records.values()])
            if plan.stops and judged(found, study.definition).decided:
                break
    return judge(study.run, study.definition, len(found) or plan.pairs)


def measure_noise(
    study: Study,
    config: Config,
    method: str,
    runs: int,
    on_record: Callable[[Record], None] | None = None,
) -> bool:
    """Run the default so many times, one after the other; whether all were run."""
    tasks = default_tasks(study.run, study.definition, runs)
    with _one_at_a_time(study, config, method, on_record) as measure:
        return all(measure(task) is not None for task in tasks)


def measure_leaders(
    study: Study,
    config: Config,
    method: str,
    found: list[Record],
    on_record: Callable[[Record], None] | None = None,
) -> bool:
    """Run the leading trials again as the study says, one after the other; whether all were run."""
    again = study.definition.remeasure
    tasks = leader_tasks(study.run, study.definition, found, again.runs) if again else []
    with _one_at_a_time(study, config, method, on_record) as measure:
        return all(measure(task) is not None for task in tasks)


@contextlib.contextmanager
def _one_at_a_time(
    study: Study, config: Config, method: str, on_record: Callable[[Record], None] | None
) -> Iterator[Measure]:
    """A function that runs a task, unless it has a record; it returns None once interrupted."""
    alone = config.model_copy(update={"parallel": 1})
    stop = threading.Event()
    with stoppable(stop), discovery.load_method(method)(study.run, alone) as dispatcher:

        def measure(task: Task) -> Record | None:
            known = results.current_record(study.run, task.key)
            if known is not None or stop.is_set():
                return known
            study.run.store.put(study.run.task_path(task.key), task.to_json().encode())
            last = results.last_attempt(study.run, task.key)
            dispatcher.before = {task.key: last[0].number if last else 0}
            attempts = Attempts(study.run, config.max_attempts, dispatcher.before)
            record = _measured(dispatcher, task, attempts, stop)
            if record is not None and on_record:
                on_record(record)
            return record

        yield measure


def _measured(
    dispatcher: Dispatcher, task: Task, attempts: Attempts, stop: threading.Event
) -> Record | None:
    dispatcher.submit([task])
    while not stop.is_set():
        for record in dispatcher.completed(_TICK_S):
            if record.task != task.key:
                continue
            last = attempts.final(record)
            if last is not None:
                return last
            dispatcher.submit([task])
    return None
