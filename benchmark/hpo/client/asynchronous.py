"""The client for event loops: what `Client` does, in threads of its own.

    async with AsyncClient() as client:
        experiment = await client.experiment("mine")
        async for trial in experiment:
            await trial.tell(await measure(trial.params))

Retries, leases and idempotency keys are the same. A cancelled `trial` or `ask` reports the trials
that it was still given as failures, so that no one waits for the end of their leases.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from benchmark.errors import BenchmarkError
from benchmark.hpo.client.client import WAIT_S, Client, Experiment, NoTrialsError, Trial

_T = TypeVar("_T")
_log = logging.getLogger("benchmark.hpo.client")


class AsyncClient:
    """A connection to a service for an event loop; at most `at_once` requests at a time."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8085",
        token: str | None = None,
        patience_s: float = 60.0,
        timeout_s: float = 300.0,
        at_once: int = 64,
    ) -> None:
        self.client = Client(url, token, patience_s, timeout_s)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="hpo-client")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; requests under way are not waited for."""
        self._threads.shutdown(wait=False)
        self.client.close()

    async def create(self, name: str, **declared: Any) -> AsyncExperiment:
        """As `Client.create`."""
        return AsyncExperiment(self, await self.run(self.client.create, name, **declared))

    async def experiment(self, name: str) -> AsyncExperiment:
        """As `Client.experiment`."""
        return AsyncExperiment(self, await self.run(self.client.experiment, name))

    async def experiments(self, search: str = "", state: str | None = None) -> list[str]:
        """As `Client.experiments`."""
        return await self.run(lambda: list(self.client.experiments(search, state)))

    async def run(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """A call of the threaded client, in one of the threads."""
        return await asyncio.wrap_future(self.start(call, *arguments, **named))

    def start(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> Future[_T]:
        """Start a call in one of the threads; it continues if the future is cancelled."""
        return self._threads.submit(call, *arguments, **named)


class AsyncExperiment:
    """As `Experiment`; iterating asks for trials until there are no more."""

    def __init__(self, client: AsyncClient, experiment: Experiment) -> None:
        self.experiment = experiment
        self.study = experiment.study
        self._run, self._start = client.run, client.start

    async def __aiter__(self) -> AsyncIterator[AsyncTrial]:
        while True:
            try:
                yield await self.trial()
            except NoTrialsError:
                return

    async def trial(self, lease_s: float | None = None) -> AsyncTrial:
        """The next trial: `async with await experiment.trial() as trial`."""
        # A wait in one of the threads would keep a `tell` from it that others wait for.
        while not (found := await self._asked(self._next, lease_s)):
            await asyncio.sleep(WAIT_S)
        return found[0]

    async def ask(self, count: int = 1, lease_s: float | None = None) -> list[AsyncTrial]:
        return await self._asked(self.experiment.ask, count, lease_s)

    def _next(self, lease_s: float | None) -> list[Trial]:
        found = self.experiment.next_trial(lease_s)
        return [] if found is None else [found]

    async def _asked(self, call: Callable[..., list[Trial]], *arguments: Any) -> list[AsyncTrial]:
        """The trials of an ask; if it is cancelled, they are reported as failures."""
        asked = self._start(call, *arguments)
        try:
            found = await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            # Not in the pool, which the client may close meanwhile.
            threading.Thread(target=_fail, args=(asked,), name="hpo-client-cancelled").start()
            raise
        return [AsyncTrial(self._run, trial) for trial in found]

    async def append(self, results: Sequence[dict[str, Any]]) -> list[int]:
        return await self._run(self.experiment.append, results)

    async def enqueue(self, points: Sequence[Mapping[str, Any]]) -> list[int]:
        return await self._run(self.experiment.enqueue, points)

    async def change(self, **limits: Any) -> dict[str, Any]:
        return await self._run(self.experiment.change, **limits)

    async def annotate(self, number: int, attributes: Mapping[str, Any]) -> dict[str, Any]:
        return await self._run(self.experiment.annotate, number, attributes)

    async def delete_trial(self, number: int) -> None:
        await self._run(self.experiment.delete_trial, number)

    async def export(self, form: Literal["csv", "json", "env"] = "csv") -> Any:
        return await self._run(self.experiment.export, form)

    async def summary(self) -> dict[str, Any]:
        return await self._run(self.experiment.summary)

    async def best(self) -> dict[str, Any]:
        return await self._run(self.experiment.best)

    async def front(self) -> list[dict[str, Any]]:
        return await self._run(self.experiment.front)

    async def importance(self) -> dict[str, float]:
        return await self._run(self.experiment.importance)

    async def trials(
        self, first: int = 0, limit: int = 1000, status: str | None = None
    ) -> list[dict[str, Any]]:
        return await self._run(self.experiment.trials, first, limit, status)

    async def pause(self) -> None:
        await self._run(self.experiment.pause)

    async def resume(self) -> None:
        await self._run(self.experiment.resume)

    async def stop(self) -> None:
        await self._run(self.experiment.stop)

    async def delete(self) -> None:
        await self._run(self.experiment.delete)


def _fail(asked: Future[list[Trial]]) -> None:
    """Report the trials of a cancelled ask, if it still brings some, as failures."""
    trials: list[Trial] = []
    with contextlib.suppress(CancelledError, BenchmarkError):  # it brings none
        trials = asked.result()
    message = "The client cancelled its ask before it had the trial."
    for trial in trials:
        try:
            trial.tell(status="failure", message=message, lease=trial.lease)
        except BenchmarkError as fault:
            _log.warning("Trial %d keeps its lease after a cancelled ask: %s", trial.number, fault)


class AsyncTrial:
    """As `Trial`; as a context manager it renews its lease and has ended when the block ends."""

    def __init__(self, run: Callable[..., Any], trial: Trial) -> None:
        self.trial = trial
        self.number, self.params = trial.number, trial.params
        self._run = run

    async def __aenter__(self) -> Self:
        self.trial.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._run(self.trial.__exit__, kind, error, trace)

    async def tell(self, *values: float, status: str = "success", **more: Any) -> bool:
        return bool(await self._run(self.trial.tell, *values, status=status, **more))

    async def fail(self, message: str = "") -> bool:
        return bool(await self._run(self.trial.fail, message))

    async def prune(self, **more: Any) -> bool:
        return bool(await self._run(self.trial.prune, **more))

    async def report(self, step: int, value: float) -> bool:
        return bool(await self._run(self.trial.report, step, value))

    async def heartbeat(self) -> None:
        await self._run(self.trial.heartbeat)

    async def annotate(self, **attributes: Any) -> None:
        await self._run(partial(self.trial.annotate, **attributes))
