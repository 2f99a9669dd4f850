"""The driver of a study: asks, dispatches, tells; a new trial starts as soon as one ends."""

from __future__ import annotations

import collections
import contextlib
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.compute import discovery
from benchmark.results import Cause, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmark.config import Config
    from benchmark.hpo.study import Study
    from benchmark.tasks import Task

_TICK_S = 0.2


@dataclass
class Tuned:
    """How a drive went: the records of this time, and those left without a result.

    `detached`: trials were left to run when it was interrupted.
    """

    records: list[Record] = field(default_factory=list)
    without_result: list[Record] = field(default_factory=list)
    interrupted: bool = False
    detached: bool = False


def driving(study_run: str, store: Any) -> contextlib.AbstractContextManager[None]:
    """Be the one driver of a study while the block lasts.

    Raises:
        StoreError: another process drives it.
    """
    lock: contextlib.AbstractContextManager[None] = store.lock(f"driver-{study_run}", None)
    return lock


def tune(
    study: Study,
    config: Config,
    method: str = "local",
    on_record: Callable[[Record], None] | None = None,
    *,
    detach: bool = False,
) -> Tuned:
    """Run trials until there are as many as the study asks for, each with one outcome.

    What is lost (`interrupted`, `infrastructure`) is tried `max_attempts` times. A trial that has
    no result then, or whose setup fails, stops the asking: it is run again when the study goes on.
    With `detach` Ctrl-C leaves what runs on machines that go on without this process.
    """
    tuned = Tuned()
    stop = threading.Event()
    waiting = collections.deque(study.unfinished())
    tries: collections.Counter[str] = collections.Counter()
    running: dict[str, Task] = {}
    with _stoppable(stop), discovery.load_method(method)(study.run, config) as dispatcher:
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
                elif _is_again(record, tries, config):
                    waiting.append(ended)
                else:
                    tuned.without_result.append(record)
        if running and detach and dispatcher.detachable:
            dispatcher.detached = tuned.detached = True
    tuned.interrupted = stop.is_set()
    return tuned


def _is_again(record: Record, tries: collections.Counter[str], config: Config) -> bool:
    cause: Cause | None = record.cause
    return cause is not None and cause.is_retried and tries[record.task] < config.max_attempts


@contextlib.contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and the signals to end set the event; the second one ends this process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: Any) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
