"""Tasks that jobs of a batch system carry, whichever it is.

Which job carries which task stands in the store (submissions.py), so a driver that was killed finds
its jobs again when the same tasks are submitted, and submits none twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.compute import submissions
from benchmark.compute.dispatcher import account
from benchmark.compute.waiting import WaitingDispatcher
from benchmark.records import results
from benchmark.records.layout import OUT
from benchmark.records.results import Cause, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmark.compute.submissions import Submission
    from benchmark.config.loading import Config
    from benchmark.records.tasks import Run


_SIGKILL, _SIGTERM = 137, 143


def cause_of_exit(code: int | None, words: str) -> tuple[Cause, str]:
    """Why a container ended that left no record, by its exit code and the engine's own words."""
    if code == _SIGTERM:
        return Cause.INTERRUPTED, f"The container was ended by SIGTERM ({words})."
    if code == _SIGKILL:
        return Cause.INFRASTRUCTURE, f"The container was killed from outside ({words})."
    if code is None:
        return Cause.INFRASTRUCTURE, f"The job ended without a container ({words})."
    end = f"The container ended with exit code {code} and left no record"
    return Cause.INFRASTRUCTURE, f"{end} ({words})."


class SubmittingDispatcher(WaitingDispatcher):
    """Waits for the tasks of the jobs in `_live`, by name, and forgets the jobs that are done.

    `_heard` are the tasks of which this driver knows how their job ended.
    """

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._live: dict[str, Submission] = {}
        self._heard: set[str] = set()

    def _tell(self, records: Sequence[Record]) -> None:
        """Each task once; a job that no one waits for any more is forgotten."""
        if not records:
            return
        super()._tell(records)
        self._heard |= {record.task for record in records}
        for name, one in list(self._live.items()):
            left = {key: index for key, index in one.indices.items() if key in self._tasks}
            if left:
                self._live[name] = replace(one, indices=left)
                continue
            del self._live[name]
            self._forget_spent([one])

    def _accounted(
        self, key: str, since: int, cause: Cause, message: str, took_s: float | None = None
    ) -> Record:
        """What became of a task whose job has ended, and why by the engine's own word."""
        if cause.is_result:
            # Only a task that had started was measured; before, it was the harness that failed.
            last = results.last_attempt(self.run, key)
            if last is None or last[0].number <= since:
                cause, message = Cause.INFRASTRUCTURE, f"Before the task began: {message}"
        record = account(self.run, self._tasks[key], cause, message, since, took_s)
        if cause.is_result and record.cause is Cause.INTERRUPTED:
            # At a limit the engine sends SIGTERM first, which the runner records as it ends.
            last = results.last_attempt(self.run, key)
            if last is not None:
                changed = replace(record, cause=cause, message=message)
                return results.settle(self.run, last[0], changed)
        return record

    def _forget_spent(self, known: Sequence[Submission]) -> None:
        """Forget the jobs that carry no task which this command, or another, may wait for."""
        others = {one.name: set(one.keys) - self._heard for one in known}
        keys = {key for some in others.values() for key in some}
        paths = {self.run.out_path(key): key for key in keys}
        present = set(self.run.store.list(f"{self.run.name}/{OUT}")) if keys else set()
        unheard = {key for path, key in paths.items() if path not in present}
        for one in known:
            if not others[one.name] & unheard:
                self._forget(one)

    def _forget(self, one: Submission) -> None:
        submissions.forget(self.run, one)

    def _shared(self, jobs: Iterable[Submission]) -> list[Submission]:
        """Those of the jobs that also have tasks which this driver was not given."""
        if not self.others:
            return []
        carried = submissions.carried(self.run, submissions.load(self.run), self.others)
        return [one for one in jobs if one.name in carried]

    def _cancelled(self, jobs: Iterable[Submission]) -> list[Submission]:
        """The jobs, with the word in the store that they are to end: a driver may be killed."""
        marked = [replace(one, cancelled=True) for one in jobs]
        for one in marked:
            submissions.save(self.run, one)
        return marked
