"""The client for event loops: what `Client` does, in threads of its own.

    async with AsyncClient() as client:
        experiment = await client.experiment("mine")
        async for trial in experiment:
            await trial.tell(await measure(trial.params))

Retries, leases and idempotency keys are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from benchmark.hpo.client.client import WAIT_S, Client, Experiment, NoTrialsError, Trial

_T = TypeVar("_T")


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
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *arguments, **named))


class AsyncExperiment:
    """As `Experiment`; iterating asks for trials until there are no more."""

    def __init__(self, client: AsyncClient, experiment: Experiment) -> None:
        self.experiment = experiment
        self.study = experiment.study
        self._run = client.run

    async def __aiter__(self) -> AsyncIterator[AsyncTrial]:
        while True:
            try:
                yield await self.trial()
            except NoTrialsError:
                return

    async def trial(self, lease_s: float | None = None) -> AsyncTrial:
        """The next trial: `async with await experiment.trial() as trial`."""
        # A wait in one of the threads would keep a `tell` from it that others wait for.
        while (found := await self._run(self.experiment.next_trial, lease_s)) is None:
            await asyncio.sleep(WAIT_S)
        return AsyncTrial(self._run, found)

    async def ask(self, count: int = 1, lease_s: float | None = None) -> list[AsyncTrial]:
        found = await self._run(self.experiment.ask, count, lease_s)
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
