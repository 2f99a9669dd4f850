"""The driver of a study: asks, dispatches, tells; a new trial starts as soon as one ends."""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.compute import discovery
from benchmark.compute.driving import driving as driving_one
from benchmark.compute.driving import is_tried_again, stoppable

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from benchmark.config import Config
    from benchmark.hpo.study import Study
    from benchmark.results import Record
    from benchmark.store import Store
    from benchmark.tasks import Task

_TICK_S = 0.2


@dataclass
class Tuned:
    """How a drive went: the records of this time, those left without a result, and by whom."""

    records: list[Record] = field(default_factory=list)
    without_result: list[Record] = field(default_factory=list)
    interrupted: bool = False


def driving(study_run: str, store: Store) -> contextlib.AbstractContextManager[None]:
    """Be the one driver of a study while the block lasts.

    Raises:
        StoreError: another process drives it.
    """
    return driving_one(store, study_run)


def tune(
    study: Study,
    config: Config,
    method: str = "local",
    on_record: Callable[[Record], None] | None = None,
) -> Tuned:
    """Run trials until there are as many as the study asks for, each with one outcome.

    What is lost (`interrupted`, `infrastructure`) is tried `max_attempts` times. A trial that has
    no result then, or whose setup fails, stops the asking: it is run again when the study goes on.
    """
    tuned = Tuned()
    stop = threading.Event()
    waiting = collections.deque(study.unfinished())
    tries: collections.Counter[str] = collections.Counter()
    running: dict[str, Task] = {}
    with stoppable(stop), discovery.load_method(method)(study.run, config) as dispatcher:
        while not stop.is_set():
            asking = not tuned.without_result
            while len(running) < study.definition.parallel and asking:
                task = waiting.popleft() if waiting else next(iter(study.ask(1)), None)
                if task is None:
                    break
                tries[task.key] += 1
                running[task.key] = task
                dispatcher.submit([task])
            if not running:
                break
            for record in dispatcher.completed(_TICK_S):
                ended = running.pop(record.task, None)
                if ended is None:
                    continue
                if study.tell(record):
                    tuned.records.append(record)
                    if on_record:
                        on_record(record)
                elif is_tried_again(record, tries, config.max_attempts):
                    waiting.append(ended)
                else:
                    tuned.without_result.append(record)
    tuned.interrupted = stop.is_set()
    return tuned
