"""Hands out the tasks that a run's question needs, wave by wave, without idle machines.

A wave is one data set, or one split of it, on all frameworks that the question still needs. While
its last tasks run, tasks of the next ones are handed out as well: as many as keep all machines
busy. Claims do not depend on these: the schedule looks at a result only when it is due
(`schedule.advance`).
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Sequence
from operator import itemgetter

from benchmark.analysis.early_stop.standing import Block
from benchmark.compute import discovery
from benchmark.config.loading import Config
from benchmark.records.record import Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.costs.spending import Queue
from benchmark.runs.early_stop.tracking import tracked
from benchmark.runs.job_states import in_engines


class Waves:
    """The tasks of one execution, shared by the threads of its methods.

    Tasks are `wanted` in the order in which the question needs them; in each round a task is
    handed out once.
    """

    def __init__(self, run: Run) -> None:
        self._tracker = tracked(run, final=False)
        self._guard = threading.Lock()
        self._available: set[str] = set()
        self._in_engines = in_engines(run)
        self._under_way: set[str] = set()
        self._wanted: list[tuple[int, tuple[str, Block]]] | None = None

    def are_all(self, tasks: Iterable[Task]) -> bool:
        """Whether all tasks that the question may need are among these."""
        with self._guard:
            wanted = {block for _, block in self._in_order()}
        needed = {
            key for key in self._tracker.without_result() if self._tracker.block_of(key) in wanted
        }
        return needed <= {task.key for task in tasks}

    def queue(self, method: str, config: Config) -> Queue:
        """What a method may hand out: as much as keeps its machines busy, and a fourth more."""
        kind = discovery.load_method(method)
        return _WaveQueue(self, kind.places(config), scales=kind.scales)

    def start_round(self, tasks: Iterable[Task]) -> None:
        with self._guard:
            self._available = {task.key for task in tasks}
            self._in_engines &= self._available
            self._under_way.clear()

    def end_method(self, tasks: Iterable[Task]) -> None:
        """What a method has not handed out it will not hand out in this round."""
        with self._guard:
            self._available -= {task.key for task in tasks}

    def heard(self, record: Record, *, final: bool) -> None:
        """How an attempt ended; `final` unless it is made again."""
        with self._guard:
            self._under_way.discard(record.task)
            if final:
                self._tracker.add(record)
                self._wanted = None

    def is_due(self, tasks: Iterable[Task]) -> bool:
        """Whether nothing more can be decided without one of the tasks."""
        with self._guard:
            blocks = self._due()
            return any(self._tracker.block_of(task.key) in blocks for task in tasks)

    @property
    def tasks_ahead(self) -> int:
        return sum(one.tasks_ahead for one in self._tracker.standings)

    def _in_order(self) -> list[tuple[int, tuple[str, Block]]]:
        """The blocks that are wanted, with how many places each is ahead of what is due."""
        if self._wanted is None:
            parts = [one.next_blocks() for one in self._tracker.standings]
            merged = heapq.merge(*parts, key=itemgetter(0))
            self._wanted = [(ahead, (framework, block)) for ahead, block, framework in merged]
        return self._wanted

    @property
    def is_answered(self) -> bool:
        """Whether no task is wanted any more."""
        with self._guard:
            return not self._in_order()

    def next_of(
        self, waiting: Sequence[Task], under_way: int, most: int | None, *, scales: bool = False
    ) -> list[Task]:
        """The first wanted of the waiting tasks, until `most` are under way.

        Without `most`, or where machines are started as needed (`scales`), what is due, and one
        data set more. Before them what an earlier driver left with the engine, wanted or not: the
        dispatcher waits for it instead of sending it again, and ends it with the last tasks.
        """
        tasks_of: dict[tuple[str, Block], list[Task]] = {}
        found: list[Task] = []
        with self._guard:
            for task in waiting:
                if task.key in self._in_engines:
                    found.append(task)
                else:
                    tasks_of.setdefault(self._tracker.block_of(task.key), []).append(task)
            self._in_engines -= {task.key for task in found}
            if most is not None and under_way + len(found) >= most:
                return found
            # A task that takes very long must not have the others run the whole grid meanwhile.
            far = most is not None and self.tasks_ahead >= 2 * most
            for ahead, block in self._in_order():
                if (ahead and far) or ((scales or most is None) and ahead > 1):
                    break
                found += tasks_of.get(block, ())
                if most is not None and under_way + len(found) >= most:
                    return found[: most - under_way]
        return found

    def handed(self, tasks: Iterable[Task]) -> None:
        with self._guard:
            keys = {task.key for task in tasks}
            self._available -= keys
            self._under_way |= keys

    def returned(self, tasks: Iterable[Task]) -> None:
        with self._guard:
            keys = {task.key for task in tasks}
            self._available |= keys
            self._under_way -= keys

    def not_heard_of(self, keys: set[str]) -> set[str]:
        """Those that are under way, or ended while their records wait to be looked at."""
        with self._guard:
            return keys & self._under_way

    @property
    def is_round_over(self) -> bool:
        """Whether nothing is under way, and what is due is not available in this round."""
        with self._guard:
            if self._under_way:
                return False
            blocks = self._due()
            return not any(self._tracker.block_of(key) in blocks for key in self._available)

    def _due(self) -> set[tuple[str, Block]]:
        return {block for ahead, block in self._in_order() if not ahead}


class _WaveQueue(Queue):
    """What one method may hand out."""

    def __init__(self, waves: Waves, places: int | None, *, scales: bool) -> None:
        self._waves, self._places, self._scales = waves, places, scales
        self._most = None if places is None else places + max(1, places // 4)
        self._under_way = 0
        self._handed: set[str] = set()

    def next_of(self, waiting: Sequence[Task], under_way: int) -> list[Task]:
        self._handed = self._waves.not_heard_of(self._handed)
        self._under_way = max(under_way, len(self._handed))
        return self._waves.next_of(waiting, self._under_way, self._most, scales=self._scales)

    def is_due(self, tasks: Sequence[Task]) -> bool:
        is_free = self._places is None or self._under_way < self._places
        return is_free and self._waves.is_due(tasks)

    def handed(self, tasks: Sequence[Task]) -> None:
        self._handed |= {task.key for task in tasks}
        self._waves.handed(tasks)

    def returned(self, tasks: Sequence[Task]) -> None:
        self._waves.returned(tasks)

    def is_over(self, waiting: Sequence[Task]) -> bool:  # noqa: ARG002
        return self._waves.is_round_over

    @property
    def is_answered(self) -> bool:
        return self._waves.is_answered
