"""The threads of the service's HTTP application."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.hpo.service.core.experiment import MOST_WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Threads:
    """Run blocking calls: those that may wait long, as for a sampler, do not delay the others."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(16, thread_name_prefix="quick")
        # As many as 16 slow experiments may have waiting; a thread is only made where one waits.
        self._patient = ThreadPoolExecutor(16 * MOST_WAITING, thread_name_prefix="patient")

    async def quick(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(
            self._quick, partial(context.run, call, *arguments, **named)
        )

    async def patient(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(
            self._patient, partial(context.run, call, *arguments, **named)
        )

    def close(self) -> None:
        self._quick.shutdown(wait=True)
        self._patient.shutdown(wait=True)
