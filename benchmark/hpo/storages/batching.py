"""Concurrent calls as batches: while one batch runs, the next one is collected.

commit = Batching(write_all)       # takes a list, returns an answer or an exception for each
commit(item)                       # its own answer, from the thread that wrote the batch
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
_MOST = 256


@dataclass(eq=False)
class _Call(Generic[_Item]):
    item: _Item
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answer: object = None


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
        call = _Call(item)
        with self._guard:
            self._waiting.append(call)
            call.leads, self._busy = not self._busy, True
        if not call.leads:
            call.woken.wait()
        if call.leads:
            self._lead()
        if isinstance(call.answer, BaseException):
            raise call.answer
        return cast("_Answer", call.answer)

    def _lead(self) -> None:
        """Run the batch of all waiting calls, including the caller's own."""
        with self._guard:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        answers: Sequence[object]
        try:
            answers = self._run([call.item for call in batch])
        except BaseException as error:
            answers = [error] * len(batch)
        for call, answer in zip(batch, answers, strict=True):
            call.answer = answer
        with self._guard:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        if following is not None:
            following.leads = True
            following.woken.set()
        for call in batch:
            call.woken.set()
