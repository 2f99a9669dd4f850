"""Run part of some work in a forked process, which shares all that this one has read already.

    with beside(lambda: heavy(second_half)) as answer:
        heavy(first_half)
        data = answer()              # what the fork's function returned, or None: do it here

A fork is used only if it is safe: on Linux, with another core to use, and while this process has no
threads, whose locks it would inherit. It ends with this process and prints nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import NoReturn

from benchmark.execution.machine.cores import usable_cores


def processes() -> int:
    """How many processes could run in parallel, including this one."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return len(usable_cores())


@contextlib.contextmanager
def beside(work: Callable[[], bytes]) -> Iterator[Callable[[], bytes | None]]:
    """Start `work` in a fork; yield a function that waits for its answer.

    The answer is None if the work failed there or no process could be started.
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
        # Python 3.12 and later warn of the threads of libraries, which hold no lock of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(work: Callable[[], bytes], writing: int) -> NoReturn:
    """Run the fork; skip everything that this process does at its end."""
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
