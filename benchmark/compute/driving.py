"""What every driver does alike: be the only one, stop when asked to, try lost attempts again."""

from __future__ import annotations

import collections
import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchmark.execution.work import MEANWHILE, SUSPECT
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.store import Store


def driving(store: Store, run: str) -> contextlib.AbstractContextManager[None]:
    """Be the one driver of a run while the block lasts, from planning to the end.

    A driver whose place is taken, because it had not been heard of for too long, stops as on
    Ctrl-C.

    Raises:
        StoreError: another process drives it, or has taken it over.
    """
    main = threading.main_thread()

    def stop() -> None:
        signal.pthread_kill(main.ident or 0, signal.SIGINT)

    is_main = threading.current_thread() is main
    return store.lock(f"driver-{run}", stop if is_main else None)


@contextlib.contextmanager
def stoppable(
    stop: threading.Event,
    on_stop: Callable[[], None] | None = None,
    ask: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Ctrl-C and the signals to end set the event; the second one ends this process at once.

    What runs below notices that this process is gone, and ends by itself. `ask` is called at
    Ctrl-C before the event is set; a signal meanwhile ends it by a KeyboardInterrupt, and no more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asking = threading.Event()

    def handle(number: int, _: Any) -> None:
        if asking.is_set():
            raise KeyboardInterrupt
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if ask and number == signal.SIGINT:
            asking.set()
            with contextlib.suppress(KeyboardInterrupt):
                ask()
            asking.clear()
        stop.set()
        if on_stop:
            on_stop()

    with handled((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), handle):
        yield


@contextlib.contextmanager
def handled(
    numbers: Iterable[signal.Signals], handle: Callable[[int, Any], None]
) -> Iterator[None]:
    """Handle signals while the block lasts."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def final_record(run: Run, record: Record, attempts: int) -> Record:
    """The record of a task for which no attempt is left.

    Where each of several attempts was killed in the same way inside the sandbox, it is the task
    that does it: a failure of the framework, and no reason to leave out its data set for all.
    """
    if attempts < 2 or record.cause is not Cause.INFRASTRUCTURE:
        return record
    if not record.message.startswith(SUSPECT):
        return record
    last = results.last_attempt(run, record.task)
    if last is None:
        return record
    numbers = range(last[0].number - attempts + 1, last[0].number + 1)
    for number in numbers:
        ended = results.attempt_at(run, record.task, number)[1]
        if ended is None or (ended.cause, _way(ended)) != (record.cause, _way(record)):
            return record
    message = f"In each of {attempts} attempts: {record.message}"
    return results.settle(run, last[0], replace(record, cause=Cause.FRAMEWORK, message=message))


class Attempts:
    """The attempts of one drive at tasks of a run, `most` for each.

    A method may have tried again itself, as AWS does with a machine that was lost. That counts
    where `before` has the last attempts before the drive, and no one else drives the run.
    """

    def __init__(self, run: Run, most: int, before: Mapping[str, int] | None = None) -> None:
        self._run = run
        self._most = most
        self._before = before
        self._tries: collections.Counter[str] = collections.Counter()

    def final(self, record: Record) -> Record | None:
        """The record of a task whose attempt has ended; None if it must be tried again."""
        self._tries[record.task] += 1
        tries = self._tries[record.task]
        if self._before is not None:
            tries = max(tries, record.attempt - self._before.get(record.task, 0))
        if record.cause is not None and record.cause.is_retried and tries < self._most:
            return None
        return final_record(self._run, record, tries)


def _way(record: Record) -> str:
    """How an attempt ended, without what happened on its machine meanwhile."""
    return record.message.partition(MEANWHILE)[0]
