"""The line that is told of each trial, on standard error."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from benchmark.hpo import export
from benchmark.hpo.logs import is_told
from benchmark.hpo.objective import told_apart

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record


def line(record: Record, definition: StudyDefinition) -> str:
    """A trial in a line: number, how it ended, what it measured or why not, its point."""
    choices = export.choices([record], definition)
    params = " ".join(
        f"{name}={told_apart(value, choices.get(name, ()), str)}"
        for name, value in (record.labels.get("params") or {}).items()
    )
    ended = record.cause or record.status
    return f"trial {record.task}: {ended}: {ending(record, definition)} [{params}]"


def ending(record: Record, definition: StudyDefinition) -> str:
    """What was measured, or why nothing was."""
    if record.status != "success":
        return record.message
    values = [f"{name} {record.metrics[name]:g}" for name in definition.directions]
    return ", ".join(values) + ("" if export.is_feasible(record) else " (infeasible)")


def tell(text: str, level: int = logging.INFO) -> None:
    """A line on standard error, unless the level that is set leaves it out."""
    if is_told(level):
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)  # noqa: T201
