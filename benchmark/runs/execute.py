"""Runs tasks to one outcome each: methods side by side, lost attempts again, all accounted."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark import results
from benchmark.compute import discovery, methods
from benchmark.compute.dispatcher import account
from benchmark.compute.driving import is_tried_again, stoppable
from benchmark.errors import MethodError
from benchmark.results import Cause, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmark.config import Config
    from benchmark.tasks import Run, Task

_TICK_S = 0.2


@dataclass
class Summary:
    """How an execution went: the last word on each task, and what could not be carried.

    `detached` are the methods whose tasks were left to run when it was interrupted.
    """

    records: dict[str, Record] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    interrupted: bool = False
    detached: list[str] = field(default_factory=list)

    @property
    def causes(self) -> Counter[str]:
        """How many tasks ended how: `success` or a cause."""
        return Counter(str(record.cause or record.status) for record in self.records.values())

    @property
    def hopeless(self) -> list[str]:
        """The frameworks, by their names in the results, without any success here."""
        named = {str(r.labels.get("framework", "")) for r in self.records.values()}
        good = {
            str(r.labels.get("framework", ""))
            for r in self.records.values()
            if r.status == "success" or r.cause is Cause.INTERRUPTED
        }
        return sorted(named - good - {""})

    @property
    def all_have_results(self) -> bool:
        return not self.interrupted and all(record.is_result for record in self.records.values())


def execute(
    run: Run,
    config: Config,
    tasks: Sequence[Task],
    on_record: Callable[[Record], None] | None = None,
    on_stop: Callable[[], None] | None = None,
    *,
    detach: bool = False,
) -> Summary:
    """Run tasks until each has a result or no attempt left.

    `interrupted` and `infrastructure` attempts are made again, `max_attempts` in all. Ctrl-C ends
    what runs as `interrupted` and returns; a second one leaves at once. With `detach` it leaves
    what runs on machines that go on without this process.
    """
    summary = Summary()
    tries: Counter[str] = Counter()
    waiting = list(tasks)
    stop = threading.Event()
    with stoppable(stop, on_stop):
        while waiting and not stop.is_set():
            tries.update(task.key for task in waiting)
            again = []
            for record in _round(run, config, waiting, stop, summary, detach):
                if is_tried_again(record, tries, config.max_attempts) and not stop.is_set():
                    again.append(record.task)
                    continue
                summary.records[record.task] = record
                if on_record:
                    on_record(record)
            waiting = [task for task in waiting if task.key in set(again)]
        summary.interrupted = stop.is_set()
    return summary


def _round(  # noqa: PLR0917
    run: Run,
    config: Config,
    tasks: Sequence[Task],
    stop: threading.Event,
    summary: Summary,
    detach: bool,
) -> Iterator[Record]:
    """Every task once, by its method; the records as they come."""
    heard: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
    groups = methods.by_method(run, config, tasks)
    threads = [
        threading.Thread(
            target=_carry,
            args=(name, run, config, group, stop, heard, summary, detach),
            name=name,
        )
        for name, group in groups.items()
    ]
    for thread in threads:
        thread.start()
    living = len(threads)
    while living:
        record = heard.get()
        if record is None:
            living -= 1
        else:
            yield record
    for thread in threads:
        thread.join()


def _carry(  # noqa: PLR0917
    name: str,
    run: Run,
    config: Config,
    tasks: Sequence[Task],
    stop: threading.Event,
    heard: queue.SimpleQueue[Record | None],
    summary: Summary,
    detach: bool,
) -> None:
    """One method's share, in a thread of its own; what it leaves is accounted."""
    left = {task.key: task for task in tasks}
    why = f"The method {name} ended without a word on this task."
    since: dict[str, int] = {}
    try:
        since = results.attempt_index(run).last
        with discovery.load_method(name)(run, config) as dispatcher:
            dispatcher.submit(tasks)
            while left and not stop.is_set():
                for record in dispatcher.completed(_TICK_S):
                    if left.pop(record.task, None):
                        heard.put(record)
            dispatcher.detached = bool(left) and detach and dispatcher.detachable
            summary.detached += [name] * dispatcher.detached
    except Exception as error:
        why = str(error)
        if not isinstance(error, MethodError):
            why = f"The method {name} failed: {error}"
        summary.faults.append(why)
    try:
        if not stop.is_set():
            for task in left.values():
                heard.put(account(run, task, Cause.INFRASTRUCTURE, why, since.get(task.key, 0)))
        else:
            ended = results.last_attempts(run, left)
            for last in ended.values():
                if last is not None and last.cause is Cause.INTERRUPTED:
                    heard.put(last)
    except Exception as error:
        summary.faults.append(f"The tasks of {name} could not be accounted: {error}")
    finally:
        heard.put(None)
