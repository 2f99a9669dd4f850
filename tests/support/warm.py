"""A sandbox that stays: its interpreters are started once for all tests of a worker.

For tests of what runs in a sandbox. Tests of the sandbox, of interrupts and of the variables that
a task sees start one of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmark.execution import runner, sandbox


class Kept(sandbox.Sandbox):
    """Its users cannot close it."""

    def close(self) -> None:
        self.discard_work()

    def end(self) -> None:
        super().close()


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
