"""Trials that wait for others: a dispatcher that holds a task back until those have ended.

waiting = study.unfinished()        # asked before, by a driver that was killed
first = study.ask(1)
later = study.ask(4, after=[task.key for task in first])
with InOrder(LocalDispatcher(study.run, config)) as dispatcher:
    dispatcher.submit([*waiting, *later, *first])
    for record in dispatcher.completed(timeout_s=60):
        study.tell(record)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.compute.dispatcher import Dispatcher
    from benchmark.records.results import Record
    from benchmark.records.tasks import Task

AFTER = "after"


class InOrder:
    """Submits a task when every task that its label `after` names has ended, however it did."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._held: list[Task] = []
        self._ended: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks; returns at once."""
        self._held += tasks
        self._release()

    def completed(self, timeout_s: float) -> list[Record]:
        """The records that became final since the last call; waits at most that long for one."""
        records = self._dispatcher.completed(timeout_s)
        self._ended |= {record.task for record in records}
        self._release()
        return records

    def close(self) -> None:
        """Release all that was provisioned."""
        self._dispatcher.close()

    def _release(self) -> None:
        held: list[Task] = []
        ready: list[Task] = []
        for task in self._held:
            earlier = map(str, task.labels.get(AFTER) or ())
            (ready if all(map(self._has_ended, earlier)) else held).append(task)
        if ready:
            self._held = held
            self._dispatcher.submit(ready)

    def _has_ended(self, key: str) -> bool:
        """Reported by the dispatcher, or by its record: it may have ended in an earlier drive."""
        if key not in self._ended:
            run = self._dispatcher.run
            if run.store.get(run.out_path(key)) is None:
                return False
            self._ended.add(key)
        return True
