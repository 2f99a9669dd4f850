"""The dispatcher of scripted tasks, as a method."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

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


@pytest.fixture
def others_undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that have nothing to do with early stopping are empty, and so left out."""
    from matplotlib.figure import Figure

    from benchmark.analysis import figures
    from benchmark.analysis.figures.style import nothing, sheet

    def empty(*_: Any) -> Figure:
        figure = sheet("", "", 4, 2)
        nothing(figure.subplots())
        return figure

    kept = {"closing_intervals", "drawn", "looks", "prediction_seconds", "save"}
    for name in set(figures.__all__) - kept:
        if inspect.isfunction(getattr(figures, name)):
            monkeypatch.setattr(figures, name, empty)
