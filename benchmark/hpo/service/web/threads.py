"""The threads of the service's HTTP application."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from benchmark.hpo.service.core.experiment import MOST_WAITING

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_MOST = 256


class Threads:
    """Run blocking calls: those that may wait long, as for a sampler, do not delay the others."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(16, thread_name_prefix="quick")
        # As many as 16 slow experiments may have waiting; a thread is only made where one waits.
        self._patient = ThreadPoolExecutor(16 * MOST_WAITING, thread_name_prefix="patient")

    async def quick(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await _run(self._quick, call, *arguments)

    async def patient(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await _run(self._patient, call, *arguments)

    def start(self, call: Callable[[], None], *, patient: bool) -> None:
        """Call in a thread, without a wait for it."""
        (self._patient if patient else self._quick).submit(call)

    def close(self) -> None:
        self._quick.shutdown(wait=True)
        self._patient.shutdown(wait=True)


async def _run(threads: ThreadPoolExecutor, call: Callable[..., _T], *arguments: Any) -> _T:
    """Call in a thread, in the context of the request."""
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(threads, run, call, *arguments)


@dataclass(eq=False)
class _Waiting(Generic[_Item, _T]):
    """An item, where its answer goes, and the context of its request."""

    item: _Item
    answer: asyncio.Future[_T]
    context: Context = field(default_factory=contextvars.copy_context)


class Batches(Generic[_Item, _T]):
    """Items of one name that come while a thread is busy with others are run together after these.

    So many requests cost as many hand-overs between threads as few. `run` is called in a thread
    with a name and its items, and returns an answer or an exception for each; `patient` chooses the
    threads by the name. For the tasks of one event loop.
    """

    def __init__(
        self,
        threads: Threads,
        run: Callable[[str, list[_Item]], Sequence[_T | Exception]],
        patient: Callable[[str], bool],
    ) -> None:
        self._threads = threads
        self._run = run
        self._patient = patient
        self._waiting: dict[str, list[_Waiting[_Item, _T]]] = {}
        self._busy: set[str] = set()

    async def __call__(self, name: str, item: _Item) -> _T:
        loop = asyncio.get_running_loop()
        call: _Waiting[_Item, _T] = _Waiting(item, loop.create_future())
        self._waiting.setdefault(name, []).append(call)
        if name not in self._busy:
            self._start(loop, name)
        return await call.answer

    def _start(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        calls = self._waiting.pop(name)
        batch, left = calls[:_MOST], calls[_MOST:]
        if left:
            self._waiting[name] = left
        work = partial(batch[0].context.run, self._work, loop, name, batch)
        self._busy.add(name)
        try:
            self._threads.start(work, patient=self._patient(name))
        except RuntimeError as error:  # the server ends
            self._deliver(loop, name, batch, [error] * len(batch))

    def _work(
        self, loop: asyncio.AbstractEventLoop, name: str, batch: list[_Waiting[_Item, _T]]
    ) -> None:
        answers: Sequence[_T | BaseException]
        try:
            answers = self._run(name, [call.item for call in batch])
        except BaseException as error:
            answers = [error] * len(batch)
        loop.call_soon_threadsafe(self._deliver, loop, name, batch, answers)

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        batch: list[_Waiting[_Item, _T]],
        answers: Sequence[_T | BaseException],
    ) -> None:
        self._busy.discard(name)
        for call, answer in zip(batch, answers, strict=True):
            if call.answer.done():
                continue  # its request was cancelled
            if isinstance(answer, BaseException):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)
        if name in self._waiting:
            self._start(loop, name)
