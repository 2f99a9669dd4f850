"""A part of some work in a forked process, which has all that this one has read already.

    with beside(lambda: heavy(second_half)) as answer:
        heavy(first_half)
        data = answer()              # what the fork's function returned, or None: do it here

A fork is taken only where it is sound: on Linux, with another core to use, and while this process
has no threads, whose locks it would inherit. It ends with this process, and prints nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING, NoReturn

from benchmark.execution.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def processes() -> int:
    """How many could work side by side, this one among them."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return len(usable_cores())


@contextlib.contextmanager
def beside(work: Callable[[], bytes]) -> Iterator[Callable[[], bytes | None]]:
    """Begin `work` in a fork; what is yielded waits for its answer.

    The answer is None where the work failed there, or where no process could be had.
    """
    reading, writing = os.pipe()
    try:
        pid = _fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        yield lambda: None
        return
    if pid == 0:
        os.close(reading)
        _answer(work, writing)
    os.close(writing)
    ended = False

    def answer() -> bytes | None:
        nonlocal ended
        with open(reading, "rb", closefd=False) as pipe:
            data = pipe.read()
        ended = True
        return data if os.waitpid(pid, 0)[1] == 0 else None

    try:
        yield answer
    finally:
        os.close(reading)
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 on warns of the threads that libraries have, which hold no lock of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(work: Callable[[], bytes], writing: int) -> NoReturn:
    """The fork's life: nothing of what this process does at its end is done twice."""
    try:
        from benchmark.execution.worker.linux import die_with_parent

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        die_with_parent()
        data = work()
        with open(writing, "wb") as pipe:
            pipe.write(data)
        os._exit(0)
    finally:
        os._exit(1)
