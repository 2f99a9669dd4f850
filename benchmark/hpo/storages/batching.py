"""Concurrent calls as batches: while one batch runs, the next one is collected.

commit = Batching(write_all)       # takes a list, returns an answer or an exception for each
commit(item)                       # its own answer, from the thread that wrote the batch
commit.all(items)                  # an answer or an exception for each
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
_MOST = 256


@dataclass(eq=False)
class _Call(Generic[_Item]):
    items: Sequence[_Item]
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answers: Sequence[object] = ()


class Batching(Generic[_Item, _Answer]):
    """A function of one item for many threads; waiting calls are processed together.

    There is no worker thread: the first caller runs a batch and hands over to a waiting caller.
    """

    def __init__(self, run: Callable[[list[_Item]], Sequence[_Answer | BaseException]]) -> None:
        self._run = run
        self._guard = threading.Lock()
        self._busy = False
        self._waiting: list[_Call[_Item]] = []

    def __call__(self, item: _Item) -> _Answer:
        (answer,) = self.all([item])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def all(self, items: Sequence[_Item]) -> Sequence[_Answer | BaseException]:
        """Have all items in the same batch."""
        call = _Call(items)
        with self._guard:
            self._waiting.append(call)
            call.leads, self._busy = not self._busy, True
        if not call.leads:
            call.woken.wait()
        if call.leads:
            self._lead()
        return cast("Sequence[_Answer | BaseException]", call.answers)

    def _lead(self) -> None:
        """Run the batch of all waiting calls, including the caller's own."""
        with self._guard:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        items = [item for call in batch for item in call.items]
        answers: Sequence[object]
        try:
            answers = self._run(items)
        except BaseException as error:
            answers = [error] * len(items)
        if len(answers) != len(items):
            raise ValueError(f"{len(items)} items have {len(answers)} answers.")
        left = iter(answers)
        for call in batch:
            call.answers = list(itertools.islice(left, len(call.items)))
        with self._guard:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        if following is not None:
            following.leads = True
            following.woken.set()
        for call in batch:
            call.woken.set()
