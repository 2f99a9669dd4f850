"""Waiting for outcomes: the store is looked at often, the engine that has the tasks less so.

A dispatcher that builds on this one says in `_ask_engine` what is to be asked, and tells (`_tell`)
what it finds. Records are found while the engine is out of reach, too.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmark.compute.dispatcher import Dispatcher
from benchmark.compute.faults import Trouble
from benchmark.records import results

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmark.config.loading import Config
    from benchmark.records.results import Record
    from benchmark.records.tasks import Run, Task


_log = logging.getLogger("benchmark.compute")


def waits_path(run: Run) -> str:
    """Where the sentences are that say why an engine does not start tasks."""
    return f"{run.name}/waits.json"


@dataclass(frozen=True)
class EnginePace:
    """Seconds between looks at the store and at the engine, and until a fault that may pass is
    taken for one that does not."""

    store_s: float = 5.0
    engine_s: float = 10.0
    patience_s: float = 900.0


class WaitingDispatcher(Dispatcher):
    """Tells what became of the tasks in `_tasks`, each once."""

    detachable = True
    pace: ClassVar[EnginePace] = EnginePace()

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._tasks: dict[str, Task] = {}
        self._told: list[Record] = []
        self._trouble = Trouble()
        self._store_at = self._engine_at = 0.0
        self._waits: set[str] = set()
        self._reported: set[str] = set()

    def submit(self, tasks: Sequence[Task]) -> None:
        raise NotImplementedError

    def _note_waits(self, sentences: Iterable[str]) -> None:
        """Leave for `status` why the engine does not start tasks; nothing where it does."""
        new = set(sentences)
        if new != self._waits:
            self._waits = new
            if new:
                self.run.store.put(waits_path(self.run), json.dumps(sorted(new)).encode())
            else:
                self.run.store.delete([waits_path(self.run)])

    def _report(self, of: str, message: str) -> None:
        """Warn of something once."""
        if of not in self._reported:
            self._reported.add(of)
            _log.warning("%s", message)

    def _report_waits(self, what: str, engine: str, notes: Iterable[str]) -> None:
        """Report once each reason to wait that is not something's turn; `status` shows all.

        Args:
            what: what waits, such as "task".
            engine: the name of the engine.
            notes: the reason of each that waits; an empty one is its turn.
        """
        sentences = []
        for note, count in Counter(note for note in notes if note).items():
            subject = f"1 {what} waits" if count == 1 else f"{count} {what}s wait"
            sentences.append(f"{subject} in the queue of {engine}: {note}.")
            # Once, though the figures in it change.
            self._report(re.sub(r"\d+", "", note), sentences[-1])
        self._note_waits(sentences)

    def completed(self, timeout_s: float) -> list[Record]:
        end = time.monotonic() + timeout_s
        while True:
            self._step()
            told, self._told = self._told, []
            now = time.monotonic()
            if told or now >= end or not self._tasks:
                return told
            time.sleep(max(0.01, min(end, self._next_look()) - now))

    def _step(self) -> None:
        """Whatever is due: outcomes in the store, and what the engine has to say."""
        now = time.monotonic()
        if now >= self._store_at and self._tasks:
            self._store_at = now + max(self.pace.store_s, len(self._tasks) / 1000)
            self._tell(self._outcomes())
        if now >= self._engine_at:
            self._engine_at = now + self.pace.engine_s
            with self._trouble.borne(self.pace.patience_s):
                self._ask_engine()

    def _next_look(self) -> float:
        """When there may be something to do, on the monotonic clock."""
        return min(self._store_at, self._engine_at)

    def _outcomes(self) -> list[Record]:
        """What the store says of the tasks."""
        return results.current_records(self.run, self._tasks)

    def _ask_engine(self) -> None:
        """Send what waits and look for what has ended; nothing where there is neither.

        Raises:
            PassingError: the engine cannot be asked now.
        """
        raise NotImplementedError

    def _tell(self, records: Sequence[Record]) -> None:
        self._told += [one for one in records if self._tasks.pop(one.task, None) is not None]
