"""Tasks as array jobs of a cluster's batch system, whichever that is.

The batch system is asked, in one call for all jobs, about what left no record in the store.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from benchmark.compute import submissions
from benchmark.compute.cluster import Cluster, ClusterError, Element, Pace, Request, TooManyError
from benchmark.compute.faults import PassingError, patiently
from benchmark.compute.job_script import log_note, log_path, script
from benchmark.compute.submitting import SubmittingDispatcher
from benchmark.errors import BenchmarkError
from benchmark.records import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmark.compute.submissions import Submission
    from benchmark.config.loading import Config
    from benchmark.config.method_options import SlurmOptions
    from benchmark.records.results import Record
    from benchmark.records.tasks import Run, Task

PREFIX = "automl"
_LAUNCHES = 3
_log = logging.getLogger("benchmark.compute")


class ArrayDispatcher(SubmittingDispatcher):
    """Submits tasks as arrays and waits for their outcomes."""

    pace: ClassVar[Pace] = Pace()
    wrapper: ClassVar[str]

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._new: collections.deque[Task] = collections.deque()
        self._unsure: collections.deque[Submission] = collections.deque()
        self._gone: dict[str, float] = {}
        self._forgotten: set[str] = set()  # ids of jobs whose tasks have all ended
        self._cluster: Cluster | None = None
        self._largest: int | None = None
        self._full: int | None = None
        self._is_adopted = False
        self._hopeless_since: float | None = None
        self._launches: collections.Counter[str] = collections.Counter()
        self._relaunched: dict[str, list[Submission]] = {}

    def cluster(self) -> Cluster:
        """The batch system."""
        raise NotImplementedError

    def options(self) -> SlurmOptions:
        """What the configuration says of it."""
        return self.config.slurm

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks: those that a job of an earlier driver has are waited for, the others sent."""
        self._cluster = self._cluster or self.cluster()
        self._tasks |= {task.key: task for task in tasks}
        self._tell(self._outcomes())
        waiting = [task.key for task in tasks if task.key in self._tasks]
        taken: set[str] = set()
        if not self._is_adopted:
            self._is_adopted = True
            taken = self._adopt(waiting)
            # What ended meanwhile has a record, and no job carries it.
            self._tell(self._outcomes())
        new = [key for key in waiting if key in self._tasks and key not in taken]
        self._new += [self._tasks[key] for key in new]
        self._engine_at = 0.0

    def close(self) -> None:
        """Cancel the jobs that are waited for, unless `detached`; of those that others share, only
        the elements that are.

        Raises:
            BenchmarkError: jobs that could not be cancelled, by their ids.
        """
        perhaps = [*self._live.values(), *self._unsure]
        self._live.clear()
        self._unsure.clear()
        self._new.clear()
        self._tasks.clear()
        if not self.detached and self._cluster is not None:
            shared = self._shared(perhaps)
            self._end(self._cluster, [one for one in perhaps if one not in shared])
            self._end_elements(self._cluster, shared)
            self._note_waits([])
        if self._cluster is not None:
            self._end_leftover(self._cluster)

    def _end_leftover(self, cluster: Cluster) -> None:
        """Leave no element of jobs whose tasks have all ended.

        The batch system queues an element again if its node is lost before the job's end, and a
        controller that was killed may start one twice. If it cannot start it is held until it is
        cancelled. What still runs gets a moment to end. A fault here is only reported.
        """
        end = time.monotonic() + self.pace.close_s
        try:
            # A job was kept while tasks of its that a later job has were waited for.
            known = submissions.load(self.run, cluster.name)
            self._forget_spent([one for one in known if not one.cancelled])
            while self._forgotten:
                is_last = time.monotonic() >= end
                present = cluster.present()
                left = [
                    (job, index, element)
                    for job in self._forgotten & present.keys()
                    for index, element in present[job].items()
                    if not element.is_over
                ]
                for job, index, element in left:
                    if element.waits or is_last:
                        cluster.cancel_element(job, index)
                if is_last or all(element.waits for _, _, element in left):
                    break
                time.sleep(min(1.0, self.pace.close_s / 10))
        except BenchmarkError as error:
            jobs = ", ".join(sorted(self._forgotten)) or "any of this run"
            _log.warning(
                "Jobs of ended tasks (%s) may be queued again, which could not be checked: %s "
                "Look for them in the queue of %s, and cancel them.",
                *(jobs, error, cluster.name),
            )
        self._forgotten.clear()

    def _adopt(self, waiting: Sequence[str]) -> set[str]:
        """Take over what earlier drivers have submitted; the tasks that are carried already."""
        known = submissions.load(self.run, str(self._cluster and self._cluster.name))
        carried = submissions.carried(self.run, known, set(waiting))
        cancelled = [one for one in known if one.cancelled]
        if cancelled and self._cluster:  # A driver may have been killed before it could.
            self._end(self._cluster, cancelled)
        spent = []
        for one in known:
            if one.name in carried:
                adopted = replace(one, indices=carried[one.name])
                if one.job is None:
                    self._unsure.append(adopted)
                else:
                    self._live[one.name] = adopted
            elif not one.cancelled:
                spent.append(one)
        self._forget_spent(spent)
        return {key for indices in carried.values() for key in indices}

    def _end(self, cluster: Cluster, perhaps: Sequence[Submission]) -> None:
        left = []
        cancelled = self._cancelled(perhaps)

        def cancel() -> None:
            found = [one.job or cluster.find(one.name) for one in cancelled]
            cluster.cancel([job for job in found if job])

        try:
            patiently(cancel, self.pace.close_s)
        except BenchmarkError as error:
            left = [f"{one.job or one.name} ({error})" for one in cancelled]
        if left:
            raise ClusterError(f"Jobs of {cluster.name} may still run: {'; '.join(left)}")
        for one in cancelled:
            self._forget(one)

    def _end_elements(self, cluster: Cluster, shared: Sequence[Submission]) -> None:
        def cancel() -> None:
            for one in shared:
                job = one.job or cluster.find(one.name)
                for index in one.indices.values() if job else ():
                    cluster.cancel_element(str(job), index)

        patiently(cancel, self.pace.close_s)

    def _ask_engine(self) -> None:
        cluster = self._cluster
        if cluster is not None and (self._live or self._unsure or self._new):
            self._send_unsure(cluster)
            self._send_new(cluster)
            self._look(cluster)

    def _send_unsure(self, cluster: Cluster) -> None:
        """What the batch system may have taken already is looked for by its name first."""
        for _ in range(len(self._unsure)):
            one = self._unsure[0]
            if self._tasks.keys().isdisjoint(one.indices):
                # It was taken: its tasks have ended since this driver looked for it.
                self._forget_spent([self._unsure.popleft()])
                continue
            job = cluster.find(one.name)
            if job is None and time.time() - (one.asked or 0.0) < self.pace.find_s:
                self._unsure.rotate(-1)
                continue
            try:
                one = replace(one, job=job) if job else self._sent(cluster, one)
            except TooManyError:
                self._unsure.popleft()
                self._take_back(one)
                continue
            submissions.save(self.run, one)
            self._unsure.popleft()
            self._live[one.name] = one

    def _send_new(self, cluster: Cluster) -> None:
        """Submit what waits, in arrays of tasks that ask for the same.

        After a refusal that is once a tenth of what was taken has ended: the rest goes in arrays
        again, and not one by one.
        """
        if not self._new:
            return
        if self._full is not None:
            if self._held() > 0.9 * self._full:
                return
            self._full = self._largest = None
        last = results.attempt_index(self.run).last
        while self._new:
            self._largest = self._largest or cluster.largest_array()
            keys = {task.key: last.get(task.key, 0) for task in self._next_array(self._largest)}
            prefix = self.config.job_name or PREFIX
            one = submissions.begin(self.run, cluster.name, prefix, keys)
            try:
                one = self._sent(cluster, one)
            except PassingError as fault:
                if fault.perhaps_done:
                    self._unsure.append(replace(one, asked=time.time()))
                else:
                    self._take_back(one)
                raise
            except TooManyError as error:
                self._take_back(one)
                if len(keys) > 1:
                    self._largest = len(keys) // 2
                    continue
                self._full = self._held()
                if self._full:
                    return  # There is room again when some of them have ended.
                raise PassingError(str(error)) from None  # Other jobs of this user fill it.
            except ClusterError:
                self._take_back(one)
                raise
            submissions.save(self.run, one)
            self._live[one.name] = one

    def _next_array(self, most: int) -> list[Task]:
        """Take tasks that may be elements of one array out of those that wait."""
        kind = self._kind(self._new[0])
        chosen = [task for task in self._new if self._kind(task) == kind][:most]
        keys = {task.key for task in chosen}
        self._new = collections.deque(task for task in self._new if task.key not in keys)
        return chosen

    def _kind(self, task: Task) -> object:
        """What the tasks of one array have in common."""
        return task.resources

    def _held(self) -> int:
        """How many elements the batch system has of this driver."""
        return sum(len(one.indices) for one in (*self._live.values(), *self._unsure))

    def _take_back(self, one: Submission) -> None:
        keys = reversed(one.indices)
        self._new.extendleft(self._tasks[key] for key in keys if key in self._tasks)
        submissions.forget(self.run, one)

    def _sent(self, cluster: Cluster, one: Submission) -> Submission:
        task = next(self._tasks[key] for key in one.indices if key in self._tasks)
        return replace(one, job=cluster.submit(*self._request(one, task)))

    def _request(self, one: Submission, task: Task) -> tuple[Request, str]:
        """What a job asks for, whose tasks are like this one, and its script."""
        options = self.options()
        named = {"name": one.name, "size": len(one.keys), "log": str(self._log(one))}
        ranks = task.resources.mpi
        request = Request.of(self.config, options, task.resources, mpi=ranks, **named)
        words = ["-m", self.wrapper, self.run.store.url, self.run.name, one.name]
        return request, script(options, words)

    def _log(self, one: Submission) -> Path:
        return log_path(self.run, self.options(), one.name)

    def _log_note(self, one: Submission) -> str:
        """Where what a job printed can be read, a sentence."""
        return log_note(self._log(one))

    def _look(self, cluster: Cluster) -> None:
        """Account for the tasks whose elements have ended and that left no record."""
        if not self._live:
            return
        present = cluster.present()
        now = time.monotonic()
        over: list[tuple[Submission, str, Element | None]] = []
        waits: list[Element] = []
        moving = False
        for one in self._live.values():
            elements = present.get(str(one.job), {})
            for key, index in one.indices.items():
                element = elements.get(index)
                if element is None or element.is_over or element.is_held:
                    if now - self._gone.setdefault(key, now) >= self.pace.settle_s:
                        over.append((one, key, element))
                    continue
                self._gone.pop(key, None)
                if element.waits:
                    waits.append(element)
                else:
                    moving = True
        self._account(cluster, over)
        if self._gone:
            self._engine_at = min(self._engine_at, now + self.pace.settle_s)
        self._report_waits("task", cluster.name, (element.note for element in waits))
        self._report_hopeless(cluster, waits, moving or bool(over), now)

    def _account(
        self, cluster: Cluster, over: Sequence[tuple[Submission, str, Element | None]]
    ) -> None:
        if not over:
            return
        now = time.monotonic()
        self._tell(self._outcomes())
        missing = [(one, key, element) for one, key, element in over if key in self._tasks]
        unknown = {str(one.job) for one, _, element in missing if element is None}
        past = cluster.past(unknown) if unknown else {}
        for one, key, element in missing:
            if element is not None and element.is_held:
                cluster.cancel_element(str(one.job), one.indices[key])
            kept = element or past.get(str(one.job), {}).get(one.indices[key])
            is_told = kept is not None and (kept.is_over or kept.is_held)
            is_long_gone = now - self._gone.get(key, 0.0) >= self.pace.stuck_s
            if not (is_told or is_long_gone):
                continue  # What is kept of it has not heard of its end yet.
            cause, message = cluster.cause_of(kept, self._log(one))
            if kept is not None and kept.is_held and cause.is_retried and self._relaunch(one, key):
                self._report(message, f"{message} Its tasks are submitted again.")
                continue
            message += self._log_note(one)
            self._tell([self._accounted(key, one.since_of(key), cause, message)])

    def _relaunch(self, one: Submission, key: str) -> bool:
        """Submit a task again that no node could start: it was not tried yet."""
        self._launches[key] += 1
        if self._launches[key] >= _LAUNCHES:
            return False
        live = self._live.pop(one.name)
        left = {other: index for other, index in live.indices.items() if other != key}
        if left:
            self._live[one.name] = replace(live, indices=left)
        self._relaunched.setdefault(key, []).append(one)
        self._gone.pop(key, None)
        self._new.append(self._tasks[key])
        return True

    def _report_hopeless(
        self, cluster: Cluster, waits: Sequence[Element], moving: bool, now: float
    ) -> None:
        """Stop where nothing runs and nothing that waits can ever start."""
        if moving or not waits or not all(element.is_hopeless for element in waits):
            self._hopeless_since = None
            return
        self._hopeless_since = now if self._hopeless_since is None else self._hopeless_since
        self._engine_at = min(self._engine_at, now + self.pace.stuck_s)
        if now - self._hopeless_since >= self.pace.stuck_s:
            reasons = ", ".join(sorted({element.reason for element in waits}))
            raise ClusterError(
                f"{cluster.name} will never start the jobs that wait ({reasons}): they ask for "
                "more than the partition, the account or the nodes allow; lower 'cores', 'memory' "
                "or 'hard_limit', or name another partition in 'slurm'."
            )

    def _tell(self, records: Sequence[Record]) -> None:
        super()._tell(records)
        for record in records:
            self._gone.pop(record.task, None)
            self._forget_spent(self._relaunched.pop(record.task, []))

    def _forget(self, one: Submission) -> None:
        """Leave no file of a job that has nothing to say any more."""
        super()._forget(one)
        if one.job and not one.cancelled:
            self._forgotten.add(one.job)
        log = self._log(one)
        with contextlib.suppress(OSError):  # there may be none, and it is in no one's way
            if log.stat().st_size == 0:
                log.unlink()
