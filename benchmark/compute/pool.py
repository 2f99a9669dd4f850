"""Pools of runners that live on: each takes one task after another, and a lost one is replaced."""

from __future__ import annotations

import collections
import time
from collections.abc import Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from benchmark.compute.dispatcher import Dispatcher, account, answered
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

_LOSSES = 3


class Member(Protocol):
    """A runner of a pool; its task, None while it starts or is idle."""

    task: Task | None


_M = TypeVar("_M", bound=Member)


class PoolDispatcher(Dispatcher, Generic[_M]):
    """Has runners in `_runners`, which `_feed` starts and gives the tasks in `_waiting`.

    `place` is where they run, for messages.
    """

    place: ClassVar[str]

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._waiting: collections.deque[Task] = collections.deque()
        self._runners: list[_M] = []
        self._losses = 0

    def submit(self, tasks: Sequence[Task]) -> None:
        self._waiting.extend(tasks)
        self._feed()

    def completed(self, timeout_s: float) -> list[Record]:
        done: list[Record] = []
        end = time.monotonic() + timeout_s
        self._feed()
        while not done and (self._waiting or any(runner.task for runner in self._runners)):
            left_s = end - time.monotonic()
            if left_s <= 0:
                break
            done += self._received(left_s)
            self._feed()
        return done

    def _feed(self) -> None:
        """Give idle runners the next tasks, and start more where tasks wait and there is room."""
        raise NotImplementedError

    def _received(self, timeout_s: float) -> list[Record]:
        """Wait for answers of runners, or for their end."""
        raise NotImplementedError

    def _answered(self, runner: _M, answer: str | bytes) -> list[Record]:
        """The record of a task that a runner has answered."""
        task, runner.task = runner.task, None
        self._losses = 0
        return [answered(self.run, task, answer)] if task else []

    def _lost(self, runner: _M, why: str) -> list[Record]:
        """Account for the task of a runner that has ended.

        Raises:
            BenchmarkError: several have, one after the other, and none runs a task.
        """
        self._runners.remove(runner)
        self._losses += 1
        done = [account(self.run, runner.task, Cause.INFRASTRUCTURE, why)] if runner.task else []
        if self._losses >= _LOSSES * self._size() and not any(one.task for one in self._runners):
            raise BenchmarkError(f"No runner stays alive on {self.place}: {why}")
        return done

    def _size(self) -> int:
        """How many runners there are when all run."""
        return len(self._runners) + 1
