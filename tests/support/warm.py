"""A sandbox that stays: its interpreters are started once for all tests of a worker.

For tests of what runs in a sandbox. Tests of the sandbox, of interrupts and of the variables that
a task sees start one of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.execution import runner
from benchmark.execution.sandbox import sandbox
from benchmark.execution.work import Work


class Kept(sandbox.Sandbox):
    """Its users cannot close it.

    An interpreter ends with the thread that has started it (PR_SET_PDEATHSIG), and a dispatcher's
    thread is short-lived, so all are started by one that stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self._starter = ThreadPoolExecutor(1)

    def _zygote(self, work: Work, cores: list[int]) -> sandbox.Zygote:
        return self._starter.submit(super()._zygote, work, cores).result()

    def _retire(self, *_: object) -> None:
        """What a test starts, another one uses."""

    def close(self) -> None:
        self.discard_work()

    def end(self) -> None:
        super().close()
        self._starter.shutdown()


@pytest.fixture(scope="session")
def _kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.end()


@pytest.fixture
def warm(_kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runners and the trials of metrics in this process share one sandbox."""
    for module in (runner, sandbox):
        monkeypatch.setattr(module, "Sandbox", lambda *_: _kept)
