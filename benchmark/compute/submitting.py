"""Tasks that jobs of a batch system carry, whichever it is.

Which job carries which task stands in the store (submissions.py), so a driver that was killed finds
its jobs again when the same tasks are submitted, and submits none twice.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from benchmark.compute import submissions
from benchmark.compute.cluster import Cluster, ClusterError, Element, Pace
from benchmark.compute.dispatcher import account
from benchmark.compute.faults import patiently
from benchmark.compute.submissions import Submission
from benchmark.compute.waiting import WaitingDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.layout import OUT
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run

_LAUNCHES = 3


class SubmittingDispatcher(WaitingDispatcher):
    """Waits for the tasks of the jobs in `_live`, by name, and forgets the jobs that are done.

    `_known_ends` are the tasks of which this driver knows how their job ended.
    """

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._live: dict[str, Submission] = {}
        self._known_ends: set[str] = set()
        self._launches: collections.Counter[str] = collections.Counter()

    def _finish(self, records: Sequence[Record]) -> None:
        """Each task once; a job that no one waits for any more is forgotten."""
        if not records:
            return
        super()._finish(records)
        self._known_ends |= {record.task for record in records}
        for name, one in list(self._live.items()):
            left = {key: index for key, index in one.indices.items() if key in self._tasks}
            if left:
                self._live[name] = replace(one, indices=left)
                continue
            del self._live[name]
            self._forget_spent([one])

    def _accounted(self, key: str, since: int, cause: Cause, message: str, **facts: Any) -> Record:
        """What became of a task whose job has ended, and why by the engine's own word; `facts` are
        more that `account` takes."""
        if cause.is_result:
            # Only a task that had started was measured; before, it was the harness that failed.
            last = results.last_attempt(self.run, key)
            if last is None or last[0].number <= since:
                cause, message = Cause.INFRASTRUCTURE, f"Before the task began: {message}"
        record = account(self.run, self._tasks[key], cause, message, since, **facts)
        if cause.is_result and record.cause is Cause.INTERRUPTED:
            # At a limit the engine sends SIGTERM first, which the runner records as it ends.
            last = results.last_attempt(self.run, key)
            if last is not None:
                changed = replace(record, cause=cause, message=message)
                return results.settle(self.run, last[0], changed)
        return record

    def _is_relaunched(self, one: Submission, key: str, cause: Cause, element: Element) -> bool:
        """Whether another job is to carry a task whose job ended, or is held, and has not started.

        That is not an attempt of the task. After a few launches it is accounted for as one.
        """
        if not cause.is_retried or (element.starts and not element.is_held):
            return False
        last = results.last_attempt(self.run, key)
        if last and last[0].number > one.since_of(key) and not element.is_held:
            return False  # An earlier start of the same job.
        self._launches[key] += 1
        if self._launches[key] >= _LAUNCHES:
            return False
        self._let_go(one, key)
        return True

    def _let_go(self, one: Submission, key: str) -> None:
        """Wait for a task no longer in this job: another one is to carry it."""
        self._known_ends.add(key)
        live = self._live.pop(one.name, None)
        if live is not None:
            left = {other: index for other, index in live.indices.items() if other != key}
            if left:
                self._live[one.name] = replace(live, indices=left)
            else:
                self._forget_spent([live])

    def _find(self, one: Submission) -> str | None:
        """The id of a job, if the engine lists one of its name."""
        raise NotImplementedError

    def _found(self, one: Submission) -> Submission | None:
        """A job that was perhaps submitted, looked for by its name: with its id if it was, without
        one if it was not, and None while it may still appear."""
        job = self._find(one)
        if job is not None:
            return self._with_id(one, job)
        return None if time.time() - (one.asked or 0.0) < self.pace.find_s else one

    def _with_id(self, one: Submission, job: str) -> Submission:
        one = replace(one, job=job)
        submissions.save(self.run, one)
        return one

    def _forget_spent(self, known: Sequence[Submission]) -> None:
        """Forget the jobs that carry no task which this command, or another, may wait for."""
        others = {one.name: set(one.keys) - self._known_ends for one in known}
        keys = {key for some in others.values() for key in some}
        paths = {self.run.out_path(key): key for key in keys}
        present = set(self.run.store.list(f"{self.run.name}/{OUT}")) if keys else set()
        open_keys = {key for path, key in paths.items() if path not in present}
        for one in known:
            if not others[one.name] & open_keys:
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


class ClusterDispatcher(SubmittingDispatcher):
    """Has jobs in a batch system; `jobs` is what messages call them."""

    pace: ClassVar[Pace] = Pace()
    jobs: ClassVar[str] = "jobs"
    smaller: ClassVar[str] = "lower 'cores', 'memory' or 'hard_limit'"

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._cluster = self.cluster()
        self._hopeless_since: float | None = None

    def cluster(self) -> Cluster:
        """The batch system; it is not asked anything yet."""
        raise NotImplementedError

    @property
    def prefix(self) -> str:
        """How the names of the jobs start."""
        return self.config.job_name or "automl"

    def _known(self, method: str) -> list[Submission]:
        """The jobs of earlier drivers; what they were to cancel is cancelled."""
        known = submissions.load(self.run, method)
        cancelled = [one for one in known if one.cancelled]
        if cancelled:  # A driver may have been killed before it could.
            self._end(cancelled)
        return [one for one in known if not one.cancelled]

    def _find(self, one: Submission) -> str | None:
        return self._cluster.find(one.name)

    def _end(self, perhaps: Sequence[Submission], shared: Sequence[Submission] = ()) -> None:
        """Cancel jobs, of which some may not have been submitted, and forget them; of `shared` ones
        cancel the elements that are waited for.

        Raises:
            ClusterError: some may still run.
        """
        cancelled = self._cancelled(perhaps)

        def cancel() -> None:
            found = [one.job or self._find(one) for one in cancelled]
            self._cluster.cancel([job for job in found if job])
            for one in shared:
                job = one.job or self._find(one)
                for index in one.indices.values() if job else ():
                    self._cluster.cancel_element(str(job), index)

        try:
            patiently(cancel, self.pace.close_s)
        except BenchmarkError as error:
            left = ", ".join(str(one.job or one.name) for one in [*cancelled, *shared])
            what = self.jobs.capitalize()
            raise ClusterError(
                f"{what} of {self._cluster.name} may still run: {left} ({error})"
            ) from None
        for one in cancelled:
            self._forget(one)

    def _stop_if_hopeless(self, jobs: Sequence[Element | None]) -> None:
        """Stop where no job runs (None) and none that waits can ever start.

        Raises:
            ClusterError: this has been so for `stuck_s`.
        """
        waits = [element for element in jobs if element is not None and element.is_hopeless]
        now = time.monotonic()
        if not waits or len(waits) < len(jobs):
            self._hopeless_since = None
            return
        self._hopeless_since = now if self._hopeless_since is None else self._hopeless_since
        self._engine_at = min(self._engine_at, now + self.pace.stuck_s)
        if now - self._hopeless_since >= self.pace.stuck_s:
            reasons = ", ".join(sorted({element.reason for element in waits}))
            raise ClusterError(
                f"{self._cluster.name} will never start the {self.jobs} that wait ({reasons}): "
                "they ask for more than the partition, the account or the nodes allow; "
                f"{self.smaller}, or name another partition in 'slurm'."
            )
