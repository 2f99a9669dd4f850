"""Drives the repeats of a verdict: one at a time, in their order, through any dispatcher."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING

from benchmark import results
from benchmark.compute import discovery
from benchmark.compute.driving import final_record, is_tried_again, stoppable
from benchmark.hpo.verdict import Verdict, check, judge, rounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.compute.dispatcher import Dispatcher
    from benchmark.config import Config
    from benchmark.hpo.study import Study
    from benchmark.results import Record
    from benchmark.tasks import Task

_TICK_S = 0.2


def confirm(
    study: Study,
    config: Config,
    method: str,
    repeats: int,
    on_record: Callable[[Record], None] | None = None,
) -> Verdict | None:
    """The verdict after `repeats` pairs; None where it was interrupted (asked again, it goes on).

    Raises:
        VerdictError: the study cannot have one.
    """
    check(study.definition, repeats)
    tasks = rounds(study.run, study.definition, repeats)
    alone = config.model_copy(update={"parallel": 1})
    stop = threading.Event()
    with stoppable(stop), discovery.load_method(method)(study.run, alone) as dispatcher:
        for task in tasks:
            if results.current_record(study.run, task.key) is not None:
                continue
            study.run.store.put(study.run.task_path(task.key), task.to_json().encode())
            record = _measured(dispatcher, task, config.max_attempts, stop)
            if stop.is_set():
                return None
            if record is not None and on_record:
                on_record(record)
    return judge(study.run, study.definition, repeats)


def _measured(
    dispatcher: Dispatcher, task: Task, attempts: int, stop: threading.Event
) -> Record | None:
    tries: collections.Counter[str] = collections.Counter({task.key: 1})
    dispatcher.submit([task])
    while not stop.is_set():
        for record in dispatcher.completed(_TICK_S):
            if record.task != task.key:
                continue
            if not is_tried_again(record, tries[record.task], attempts):
                return final_record(dispatcher.run, record, tries[task.key])
            tries[task.key] += 1
            dispatcher.submit([task])
    return None
