"""A large run, read by several processes at once.

    done = folded(pieces(run, keys), lambda piece: [record.task for record in piece.records()])

Listing, reading and processing 100,000 small files is bound by the processor. So the tasks of a run
in a folder are cut into pieces by framework, and each but the first is folded in a forked process
into something that JSON can represent. A folder is listed and read without obstore, whose threads
would not survive in a fork. A store over the network has such threads, is bound by waiting, and has
packs that are best read once for all: there the run is one piece.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmark.parallel.fork import beside, processes
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
