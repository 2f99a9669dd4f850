"""Tasks as array jobs of a cluster's batch system, whichever that is.

The batch system is asked, in one call for all jobs, about what left no record in the store.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmark import results
from benchmark.cache import CACHE_VARIABLE
from benchmark.compute import submissions
from benchmark.compute.cluster import (
    ClusterError,
    Pace,
    Request,
    TooManyError,
)
from benchmark.compute.faults import PassingError
from benchmark.compute.submitting import SubmittingDispatcher
from benchmark.errors import BenchmarkError
from benchmark.frameworks.packing import is_packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.compute.cluster import Cluster, Element
    from benchmark.compute.submissions import Submission
    from benchmark.config import Config, SlurmOptions
    from benchmark.results import Record
    from benchmark.tasks import Run, Task

PREFIX = "automl"
_log = logging.getLogger(__name__)


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
        """Cancel the jobs that are waited for, unless `detached`.

        Raises:
            BenchmarkError: jobs that could not be cancelled, by their ids.
        """
        perhaps = [*self._live.values(), *self._unsure]
        self._live.clear()
        self._unsure.clear()
        self._new.clear()
        self._tasks.clear()
        if not self.detached and self._cluster is not None:
            self._end(self._cluster, perhaps)
        if self._cluster is not None and self._forgotten:
            self._end_requeued(self._cluster)

    def _end_requeued(self, cluster: Cluster) -> None:
        """Cancel queued elements of jobs whose tasks have all ended.

        If a node is lost between a task's record and the end of its job, the batch system queues
        the element again. An element that then cannot start is held, and stays until it is
        cancelled. The results are complete either way, so a fault here is only reported.
        """
        try:
            present = cluster.present()
            for job in self._forgotten & present.keys():
                for index, element in present[job].items():
                    if element.waits:
                        cluster.cancel_element(job, index)
        except BenchmarkError as error:
            jobs = ", ".join(sorted(self._forgotten))
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
        try:
            found = [one.job or cluster.find(one.name) for one in cancelled]
            cluster.cancel([job for job in found if job])
        except BenchmarkError as error:
            left = [f"{one.job or one.name} ({error})" for one in cancelled]
        if left:
            raise ClusterError(f"Jobs of {cluster.name} may still run: {'; '.join(left)}")
        for one in cancelled:
            self._forget(one)

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
            keys: dict[str, int] = {}
            alike = self._new[0].resources
            while self._new and len(keys) < self._largest and self._new[0].resources == alike:
                task = self._new.popleft()
                keys[task.key] = last.get(task.key, 0)
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

    def _held(self) -> int:
        """How many elements the batch system has of this driver."""
        return sum(len(one.indices) for one in (*self._live.values(), *self._unsure))

    def _take_back(self, one: Submission) -> None:
        keys = reversed(one.indices)
        self._new.extendleft(self._tasks[key] for key in keys if key in self._tasks)
        submissions.forget(self.run, one)

    def _sent(self, cluster: Cluster, one: Submission) -> Submission:
        task = self._tasks[next(iter(one.indices))]
        options = self.options()
        request = Request(
            name=one.name,
            size=len(one.keys),
            cores=task.resources.cores,
            memory_mb=task.resources.memory_mb + options.reserve_mb,
            time_s=task.resources.hard_limit_s + options.reserve_s,
            log=str(log_path(self.run, options, one.name)),
            throttle=options.throttle or self.config.parallel,
            mpi=task.resources.mpi,
        )
        words = ["-m", self.wrapper, self.run.store.url, self.run.name, one.name]
        return replace(one, job=cluster.submit(request, script(options, words)))

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
        self._report_hopeless(cluster, waits, moving or bool(over), now)

    def _account(
        self, cluster: Cluster, over: Sequence[tuple[Submission, str, Element | None]]
    ) -> None:
        if not over:
            return
        self._tell(self._outcomes())
        missing = [(one, key, element) for one, key, element in over if key in self._tasks]
        unknown = {str(one.job) for one, _, element in missing if element is None}
        past = cluster.past(unknown) if unknown else {}
        for one, key, element in missing:
            if element is not None and element.is_held:
                cluster.cancel_element(str(one.job), one.indices[key])
            kept = element or past.get(str(one.job), {}).get(one.indices[key])
            is_told = kept is not None and (kept.is_over or kept.is_held)
            if not is_told and not self._is_long_gone(key):
                continue  # What is kept of it has not heard of its end yet.
            cause, message = cluster.cause_of(kept)
            log = log_path(self.run, self.options(), one.name)
            self._tell([self._accounted(key, one.since_of(key), cause, f"{message} Log: {log}.")])

    def _is_long_gone(self, key: str) -> bool:
        return time.monotonic() - self._gone.get(key, 0.0) >= self.pace.stuck_s

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

    def _forget(self, one: Submission) -> None:
        """Leave no file of a job that has nothing to say any more."""
        super()._forget(one)
        if one.job and not one.cancelled:
            self._forgotten.add(one.job)
        log = log_path(self.run, self.options(), one.name)
        with contextlib.suppress(OSError):  # there may be none, and it is in nobody's way
            if log.stat().st_size == 0:
                log.unlink()


def log_path(run: Run, options: SlurmOptions, name: str) -> Path:
    """One file for all elements of a job: what they say before and beside their task's own log."""
    if options.logs:
        return Path(options.logs).expanduser().absolute() / f"{name}.log"
    if "://" in run.store.url:
        return Path(f"slurm-{name}.log").absolute()
    return Path(run.store.url) / run.name / "jobs" / f"{name}.log"


def script(options: SlurmOptions, words: Sequence[str]) -> str:
    """The job's script: the preamble, and then the harness in place of the shell."""
    import benchmark

    python = options.python or sys.executable
    root = str(Path(benchmark.__file__).parents[1])
    if options.image:
        return _in_image(options, words, options.image)
    # Not quoted: a node's own variables, such as $TMPDIR, may stand in it.
    cache = f'"{options.cache}"'
    lines = ["#!/bin/bash", *options.preamble]
    lines.append(f'export PYTHONPATH={shlex.quote(root)}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    if options.cache and is_packed(options.cache):
        unpack = f"{shlex.join([python, '-m', 'benchmark.frameworks.packing'])} {cache}"
        lines += [f"{CACHE_VARIABLE}=$({unpack}) || exit 2", f"export {CACHE_VARIABLE}"]
    elif options.cache:
        lines.append(f"export {CACHE_VARIABLE}={cache}")
    lines.append(f"exec {shlex.join([python, *words])}")
    return "\n".join(lines) + "\n"


def _in_image(options: SlurmOptions, words: Sequence[str], image: str) -> str:
    """The script where program and environments are in an Apptainer image: `words` name the store,
    which the image must see."""
    store = words[2]
    bound = [] if "://" in store else ["--bind", store]
    run = ["apptainer", "exec", *bound, str(Path(image).expanduser()), "python", *words]
    lines = ["#!/bin/bash", *options.preamble, "unset PYTHONPATH", f"exec {shlex.join(run)}"]
    return "\n".join(lines) + "\n"
