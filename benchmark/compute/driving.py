"""What every driver does alike: be the only one, stop when asked to, try lost attempts again."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmark.results import Record
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

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_tried_again(record: Record, tries: int, max_attempts: int) -> bool:
    """Whether an attempt was lost for a cause outside the task, and there is one left."""
    lost = record.cause is not None and record.cause.is_retried
    return lost and tries < max_attempts
