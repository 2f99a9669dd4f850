"""Waiting for outcomes: the store is looked at often, the engine that has the tasks less so.

A dispatcher that builds on this one implements `_ask_engine`, and passes what it
finds to `_finish`. Records are found while the engine is out of reach, too.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmark.compute.dispatcher import Dispatcher
from benchmark.compute.faults import Trouble
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task

if TYPE_CHECKING:
    from benchmark.config.loading import Config


_log = logging.getLogger("benchmark.compute")


def waits_path(run: Run) -> str:
    """Where the sentences are that say why an engine does not start tasks."""
    return f"{run.name}/waits.json"


@dataclass(frozen=True)
class EnginePace:
    """Seconds between looks at the store and at the engine; until a fault that may pass is taken
    for one that does not, until jobs that do not move are looked into, and until a job whose name
    was not found is believed not to be there."""

    store_s: float = 5.0
    engine_s: float = 10.0
    patience_s: float = 900.0
    stuck_s: float = 30.0
    find_s: float = 30.0


class Waits:
    """Why an engine does not start tasks: reported once, and left in the store for `status`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.sentences: set[str] = set()
        self._reported: set[str] = set()

    def note(self, sentences: Iterable[str]) -> None:
        """Leave sentences for `status`; nothing where the engine starts tasks."""
        new = set(sentences)
        if new != self.sentences:
            self.sentences = new
            if new:
                self._run.store.put(waits_path(self._run), json.dumps(sorted(new)).encode())
            else:
                self._run.store.delete([waits_path(self._run)])

    def warn(self, of: str, message: str) -> None:
        """Warn of something once."""
        if of not in self._reported:
            self._reported.add(of)
            _log.warning("%s", message)

    def report(self, what: str, engine: str, notes: Iterable[str]) -> None:
        """Report each reason to wait once; `status` shows all. `notes` has the reason of each
        `what` (a noun, such as "task") that waits, empty where only its turn has not come."""
        sentences = []
        for note, count in Counter(note for note in notes if note).items():
            subject = f"1 {what} waits" if count == 1 else f"{count} {what}s wait"
            sentences.append(f"{subject} in the queue of {engine}: {note}.")
            # Once, though the figures in it change.
            self.warn(re.sub(r"\d+", "", note), sentences[-1])
        self.note(sentences)


class WaitingDispatcher(Dispatcher):
    """Tells what became of the tasks in `_tasks`, each once.

    `_aside` are their last marks (of `attempt_index`), where they have been read since they came.
    """

    detachable = True
    pace: ClassVar[EnginePace] = EnginePace()
    _aside: Mapping[str, int] | None = None

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._tasks: dict[str, Task] = {}
        self._finished: list[Record] = []
        self._trouble = Trouble()
        self._store_at = self._engine_at = 0.0
        self._waits = Waits(run)

    def submit(self, tasks: Sequence[Task]) -> None:
        raise NotImplementedError

    def completed(self, timeout_s: float) -> list[Record]:
        end = time.monotonic() + timeout_s
        while True:
            self._step()
            ended, self._finished = self._finished, []
            now = time.monotonic()
            if ended or now >= end or not self._tasks:
                return ended
            time.sleep(max(0.01, min(end, self._next_look()) - now))

    def _step(self) -> None:
        """Whatever is due: outcomes in the store, and what the engine has to say."""
        now = time.monotonic()
        if now >= self._store_at and self._tasks:
            self._store_at = now + max(self.pace.store_s, len(self._tasks) / 1000)
            self._finish(self._outcomes())
        if now >= self._engine_at:
            self._engine_at = now + self.pace.engine_s
            with self._trouble.borne(self.pace.patience_s):
                self._ask_engine()

    def _next_look(self) -> float:
        """When there may be something to do, on the monotonic clock."""
        return min(self._store_at, self._engine_at)

    def _outcomes(self) -> list[Record]:
        """What the store says of the tasks."""
        return results.current_records(self.run, self._tasks, self._aside)

    def _ask_engine(self) -> None:
        """Send what waits and look for what has ended; nothing where there is neither.

        Raises:
            PassingError: the engine cannot be asked now.
        """
        raise NotImplementedError

    def _finish(self, records: Sequence[Record]) -> None:
        self._finished += [one for one in records if self._tasks.pop(one.task, None) is not None]
