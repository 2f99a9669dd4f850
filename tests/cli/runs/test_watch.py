"""What status --watch shows: lines for a log, and a grid that fits its terminal."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from benchmark.cli.runs.watch import Screen, duration, summary
from benchmark.records.results import Cause, Record
from benchmark.runs.watch import Standing

FAILED = Record("tool/d1/1", "failure", Cause.TIMEOUT, "Ended\nafter 60 s.", total_s=60.0)


def standing(frameworks: int = 2, datasets: int = 3, **changes: object) -> Standing:
    cells = {
        (f"tool-{number:02}", f"data-{name}"): Counter({"success": 3, "waiting": 1})
        for number in range(frameworks)
        for name in range(datasets)
    }
    cells["tool-00", "data-0"] = Counter({"success": 2, "timeout": 1, "setup": 1})
    words = sum(cells.values(), Counter())
    facts: dict[str, object] = {
        **{"run": "mine", "store": "/runs", "tasks": words.total(), "words": dict(words)},
        **{"results": words["success"] + 1, "cells": cells, "failures": (FAILED,), "recent": 5},
        **{"left_s": 150.0, "running_now": True},
    }
    return Standing(**(facts | changes))  # type: ignore[arg-type]


def drawn(shown: Standing, width: int = 100, height: int = 30) -> list[str]:
    screen = Screen()
    screen.show(shown)
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, color_system=None)
    console.print(screen, height=height)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_line_for_a_log() -> None:
    assert summary(standing()) == (
        "18/24 with result: 17 success, 1 timeout, 1 setup, 5 waiting; "
        "5 results in the last 5 minutes; about 2 min left"
    )
    stopped = standing(running_now=False, left_s=None)
    assert summary(stopped).endswith("5 waiting; not running")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (150, "2 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_named_columns_where_they_fit() -> None:
    lines = drawn(standing())
    assert lines[0] == "Run 'mine' in /runs (running)"
    assert lines[2].startswith("18/24 with result")
    head = next(line for line in lines if line.startswith("framework"))
    assert head.split() == ["framework", "results", "data-0", "data-1", "data-2"]
    first = next(line for line in lines if line.startswith("tool-00"))
    assert first.split()[1:] == ["9/12", "3/4", "!2", "3/4", "3/4"]
    assert lines[-1] == "tool/d1/1: failed, timeout: Ended after 60 s. (60.0 s)"
    assert lines[-2] == "The last of 1 failed (1 timeout), 1 not run (1 setup):"


@pytest.mark.parametrize(("width", "height"), [(60, 24), (100, 30), (200, 50)])
def test_many_fit_the_terminal(width: int, height: int) -> None:
    lines = drawn(standing(frameworks=40, datasets=300), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert any("300 data sets, the first" in line for line in lines)
    row = next(line for line in lines if line.startswith("tool-00"))
    assert row.split()[2].startswith("!▆▆▆")
    assert any(line.startswith("and ") and line.endswith("more") for line in lines)
