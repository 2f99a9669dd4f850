"""Checks of `doctor` that wait for a busy machine."""

from __future__ import annotations

from functools import partialmethod

import pytest

from benchmark.runs.doctor import machine, storage
from benchmark.runs.doctor.finding import Asked


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late because the machine is busy is no finding."""
    for module, name in (
        (machine, "START_S"),
        (storage, "CONNECT_S"),
        (storage, "LOOK_S"),
    ):
        monkeypatch.setattr(module, name, 300.0)
    monkeypatch.setattr(Asked, "findings", partialmethod(Asked.findings, deadline_s=300.0))
