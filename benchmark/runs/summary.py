"""The summary of an execution: outcomes by task and framework, faults, claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from benchmark.notebook import Shown, counted, cut, table
from benchmark.records.record import FAILURE, INTERRUPTED, NOT_RUN
from benchmark.records.results import Cause, Record

if TYPE_CHECKING:
    from benchmark.runs.early_stop.tracking import Answer


@dataclass(repr=False)
class Summary(Shown):
    """How an execution went: the last word on each task, and what could not be carried.

    `detached` are the methods whose tasks were left to run when it was interrupted, and
    `not_submitted` counts the tasks without a result that no engine has then. `retired` has the
    tasks that the run's question does not need, with the reason, and `answers` what is claimed of
    each task type.
    """

    records: dict[str, Record] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    interrupted: bool = False
    detached: list[str] = field(default_factory=list)
    not_submitted: int = 0
    retired: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)

    @property
    def causes(self) -> Counter[str]:
        """How many tasks ended how: `success` or a cause."""
        counts = Counter(str(record.cause or record.status) for record in self.records.values())
        if self.retired:
            counts[str(Cause.RETIRED)] = len(self.retired)
        return counts

    def _line(self) -> str:
        count = len(self.faults)
        faults = f", {count} fault{'s' if count > 1 else ''}" if count else ""
        ends = ", interrupted" if self.interrupted else ""
        return f"Summary of {len(self.records)} tasks: {counted(self.causes)}{faults}{ends}"

    def _html(self) -> list[Markup]:
        """How the tasks of each framework ended, and what did not succeed."""
        ends: dict[str, Counter[str]] = {}
        for record in self.records.values():
            name = str(record.labels.get("framework", ""))
            ends.setdefault(name, Counter())[str(record.cause or record.status)] += 1
        found = {cause for counts in ends.values() for cause in counts}
        causes = sorted(found, key=lambda cause: (cause != "success", cause))
        rows = [(name, *(counts[cause] for cause in causes)) for name, counts in ends.items()]
        failed = [
            (record.task, str(record.cause), cut(record.message, 200))
            for record in self.records.values()
            if record.status == FAILURE
        ]
        listed = [table(("task", "cause", "message"), failed)] if failed else []
        return [table(("framework", *causes), sorted(rows)), *listed]

    @property
    def hopeless(self) -> list[str]:
        """The frameworks, by their names in the results, that failed on every task here."""
        return sorted(name for name, outcomes in self._outcomes.items() if outcomes == {FAILURE})

    @property
    def never_run(self) -> list[str]:
        """The frameworks none of whose tasks could be run, for reasons that are not theirs."""
        return sorted(name for name, outcomes in self._outcomes.items() if outcomes == {NOT_RUN})

    @property
    def without_success(self) -> list[str]:
        """The frameworks without any success here, unless a task of theirs was interrupted."""
        good = {"success", INTERRUPTED}
        return sorted(name for name, outcomes in self._outcomes.items() if not outcomes & good)

    @property
    def _outcomes(self) -> dict[str, set[str]]:
        """How the tasks of each framework ended; a study's tasks have none."""
        found: dict[str, set[str]] = {}
        for record in self.records.values():
            if name := str(record.labels.get("framework", "")):
                found.setdefault(name, set()).add(record.outcome)
        return found

    @property
    def all_have_results(self) -> bool:
        return not self.interrupted and self._all_ended_well

    @property
    def is_left_running(self) -> bool:
        """Whether all tasks without a result were left running elsewhere, as asked."""
        return bool(self.detached) and not self.not_submitted and self._all_ended_well

    @property
    def _all_ended_well(self) -> bool:
        return all(record.is_result for record in self.records.values())
