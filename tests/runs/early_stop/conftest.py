"""The dispatcher of scripted tasks, as a method."""

from __future__ import annotations

from typing import ClassVar

import pytest

from benchmark.compute import discovery
from tests.support.scripted_runs import (
    Scripted,
)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    class Fresh(Scripted):
        given: ClassVar[list[list[str]]] = []

    monkeypatch.setattr(discovery, "load_method", lambda name: Fresh)
    return Fresh
