"""The line on standard error for each trial."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Sequence

from benchmark.files.numbers import plain_number
from benchmark.files.safe_text import for_terminal
from benchmark.hpo.objectives.objective import STILL_PRINTING, told_apart
from benchmark.hpo.objectives.stages import READY_BEFORE, WARM_UPS
from benchmark.hpo.report import export
from benchmark.hpo.report.log_levels import is_shown
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.results import Cause, Record
from benchmark.store import Store

_ENDS = {Cause.FRAMEWORK: "failed", Cause.TIMEOUT: "timed out", Cause.MEMORY: "out of memory"}


def line(record: Record, definition: StudyDefinition, store: Store) -> str:
    """A trial in a line: number, outcome, measurement or reason, log of a failure; its point last,
    where scripts look for it.
    """
    choices = export.choices([record], definition)
    params = " ".join(
        f"{name}={told_apart(value, choices.get(name, ()), plain_number)}"
        for name, value in (record.labels.get("params") or {}).items()
    )
    said = ending(record, definition)
    if record.cause and record.log:
        stop = "" if said.endswith((".", "!", "?", ":")) else "."
        said = f"{said}{stop} Log: {store.place_of(record.log)}"
    return f"trial {record.task}: {_ended(record)}: {said} [{params}]"


def _ended(record: Record) -> str:
    if record.cause is None:
        return "pruned" if record.status == "prune" else record.status
    if record.cause in _ENDS:
        return _ENDS[record.cause]  # of what a trial runs, the message says what failed
    if record.cause == record.outcome:
        return str(record.cause)
    return f"{record.outcome}: {record.cause}"


def ending(record: Record, definition: StudyDefinition) -> str:
    """The measured values, or the reason why there are none."""
    if record.status != "success":
        return record.message
    values = [
        f"{name} {export.value_text(record, name, record.metrics[name])}"
        for name in definition.directions
    ]
    broken = export.infeasible(record, definition)
    notes = [f"infeasible: {broken}"] if broken else []
    if any(one["steady"] is False for one in record.labels.get(WARM_UPS) or ()):
        notes.append("measured before warm_up was steady")
    if record.labels.get(READY_BEFORE):
        notes.append("wait_ready was met before prepare ran: another server on its port?")
    for program in record.labels.get(STILL_PRINTING) or ():
        notes.append(f"{program} left a process that prints on; its output is not read")
    return ", ".join(values) + (f" ({'; '.join(notes)})" if notes else "")


def counts(records: Sequence[Record], definition: StudyDefinition) -> str:
    """How many trials ended how: "9 of 10 trials (+2 imported): 8 successes, 1 failure, 0 pruned".

    Successes that violate a constraint are counted apart, since none of them can be the best.
    """
    imported = sum(bool(record.labels.get("imported")) for record in records)
    states = Counter(record.status for record in records)
    infeasible = sum(export.state(record) == "infeasible" for record in records)
    more = f" (+{imported} imported)" if imported else ""
    count = sum(export.is_unsafe(record, definition) for record in records)
    unsafe = "" if definition.safe is None else f"; {count} unsafe"
    broken = f" ({infeasible} infeasible)" if infeasible else ""
    ended = len(records) - imported
    return (
        f"{ended} of {max(definition.trials, ended)} trials{more}: "
        f"{states['success']} success{'es' if states['success'] != 1 else ''}{broken}, "
        f"{states['failure']} failure{'s' if states['failure'] != 1 else ''}, "
        f"{states['prune']} pruned{unsafe}"
    )


def show(text: str, level: int = logging.INFO) -> None:
    """Print a line on standard error, if the set level includes it."""
    if is_shown(level):
        with contextlib.suppress(OSError, ValueError):
            print(for_terminal(text), file=sys.stderr, flush=True)  # noqa: T201
