"""A large run, read by several processes at once.

    done = folded(pieces(run, keys), lambda piece: [record.task for record in piece.records()])

Listing, reading and processing 100,000 small files is bound by the processor. So the tasks of a run
in a folder are cut into pieces by framework, and each but the first is folded in a forked process
into something that JSON can represent. A folder is listed and read without obstore, whose threads
would not survive in a fork. A store over the network has such threads, is bound by waiting, and has
packs that are best read once for all: there the run is one piece.

A fork shares all that this process has read already. It is used only if it is safe: on Linux, with
another core to use, and while this process has no threads, whose locks it would inherit. It ends
with this process and prints nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from benchmark.execution.machine.cores import usable_cores
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task
from benchmark.store import FolderStore

MANY = 5_000
MOST = 4


@dataclass(frozen=True)
class Piece:
    """Some tasks of a run: all of some frameworks, or all if `frameworks` is None."""

    run: Run
    keys: frozenset[str]
    frameworks: tuple[str, ...] | None = None

    def records(self) -> Iterator[Record]:
        """As `results.records`, for these tasks only."""
        found = results.records(self.run, self.frameworks)
        return (record for record in found if record.task in self.keys)

    def outcomes(self, newer: dict[str, str] | None = None) -> Iterator[tuple[str, Record | None]]:
        """As `results.outcomes`."""
        return results.outcomes(self.run, self.keys, self.frameworks, newer)


def pieces(run: Run, keys: Iterable[str]) -> list[Piece]:
    """Split a run: at least one piece, and at most one for each useful process."""
    wanted = list(keys)
    several = len(wanted) >= MANY and isinstance(run.store, FolderStore)
    count = min(processes(), MOST) if several else 1
    if count == 1:
        return [Piece(run, frozenset(wanted))]
    framework_of = {cell.key: cell.framework for cell in run.manifest.cells}
    if not framework_of.keys() >= set(wanted):  # a study's trials
        return [Piece(run, frozenset(wanted))]
    of_framework: dict[str, list[str]] = {}
    for key in wanted:
        of_framework.setdefault(framework_of[key], []).append(key)
    cut: list[list[str]] = [[]]
    size = 0
    for framework, keys_of_it in of_framework.items():
        if size * count >= len(wanted) * len(cut):
            cut.append([])
        cut[-1].append(framework)
        size += len(keys_of_it)
    return [
        Piece(run, frozenset(key for name in names for key in of_framework[name]), tuple(names))
        for names in cut
    ]


def folded(parts: Sequence[Any], fold: Callable[[Any], Any]) -> list[Any]:
    """Fold each part in a fork, with JSON results; a part that fails there is folded here."""
    with contextlib.ExitStack() as held:
        answers = [held.enter_context(beside(partial(_encoded, fold, part))) for part in parts[1:]]
        made = [fold(part) for part in parts[:1]]
        for part, answer in zip(parts[1:], answers, strict=True):
            encoded = answer()
            made.append(fold(part) if encoded is None else json.loads(encoded))
    return made


def _encoded(fold: Callable[[Any], Any], part: Any) -> bytes:
    return json.dumps(fold(part)).encode()


def done_of(piece: Piece) -> list[str]:
    """The tasks that have a record."""
    return [record.task for record in piece.records()]


def without_result(run: Run, tasks: Iterable[Task] | None = None) -> list[Task]:
    """The tasks that have no record: what resume runs."""
    wanted = list(run.tasks if tasks is None else tasks)
    found = folded(pieces(run, [task.key for task in wanted]), done_of)
    done = set(itertools.chain.from_iterable(found))
    return [task for task in wanted if task.key not in done]


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
