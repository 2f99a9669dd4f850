"""Tasks as array jobs of a cluster's batch system, whichever that is.

The batch system is asked, in one call for all jobs, about what left no record in the store.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from benchmark.compute import submissions
from benchmark.compute.cluster import Element, FullError, Request, TooManyError
from benchmark.compute.faults import PassingError
from benchmark.compute.job_script import log_note, log_path, script
from benchmark.compute.submissions import Submission
from benchmark.compute.submitting import ClusterDispatcher
from benchmark.config.loading import Config
from benchmark.config.method_options import KubernetesOptions, SlurmOptions
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

_log = logging.getLogger("benchmark.compute")


class ArrayDispatcher(ClusterDispatcher):
    """Submits tasks as arrays and waits for their outcomes."""

    wrapper: ClassVar[str]

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._new: collections.deque[Task] = collections.deque()
        self._unsure: collections.deque[Submission] = collections.deque()
        self._gone: dict[str, float] = {}
        self._forgotten: set[str] = set()  # ids of jobs whose tasks have all ended
        self._largest: int | None = None
        self._full: int | None = None
        self._why_full = ""
        self._earlier: list[Submission] | None = None  # jobs of earlier drivers, once looked for
        self._unseen: set[str] = set()  # jobs of earlier drivers that were not looked at yet
        self._old: set[str] = set()  # jobs that ended before this driver

    @property
    def method(self) -> str:
        """What its submissions are of."""
        return self._cluster.name

    @classmethod
    def options(cls, config: Config) -> SlurmOptions | KubernetesOptions:
        """What the configuration has for it."""
        return config.slurm

    @classmethod
    def places(cls, config: Config) -> int | None:
        """As many elements as an array's throttle lets run."""
        return cls.options(config).throttle or config.parallel

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks: those that a job of an earlier driver has are waited for, the others sent."""
        self._tasks |= {task.key: task for task in tasks}
        self._aside = None
        self._finish(self._outcomes())
        waiting = [task.key for task in tasks if task.key in self._tasks]
        taken = self._adopt(waiting)
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
        if not self.detached:
            shared = self._shared(perhaps)
            self._end([one for one in perhaps if one not in shared], shared)
            self._waits.note([])
        self._end_leftover()

    def _end_leftover(self) -> None:
        """Leave no element of jobs whose tasks have all ended.

        The batch system queues an element again if its node is lost before the job's end, and a
        controller that was killed may start one twice. If it cannot start it is held until it is
        cancelled. What still runs gets a moment to end. A fault here is only reported.
        """
        end = time.monotonic() + self.pace.close_s
        cluster = self._cluster
        try:
            # A job was kept while tasks of its that a later job has were waited for.
            known = submissions.load(self.run, self.method)
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
        is_first = self._earlier is None
        self._earlier = self._known(self.method) if self._earlier is None else self._earlier
        known = [one for one in self._earlier if not set(waiting).isdisjoint(one.keys)]
        carried = submissions.carried(self.run, known, set(waiting)) if known else {}
        if is_first:
            self._forget_spent([one for one in self._earlier if one.name not in carried])
        unsure = {one.name: one for one in self._unsure}
        for one in known:
            if one.name not in carried:
                continue
            live = self._live.get(one.name) or unsure.pop(one.name, None)
            adopted = live or one  # Some of its tasks may have been submitted here before.
            adopted = replace(adopted, indices=(live.indices if live else {}) | carried[one.name])
            if adopted.job is None:
                unsure[one.name] = adopted
                continue
            self._live[one.name] = adopted
            if live is None:
                self._unseen.add(one.name)
        self._unsure = collections.deque(unsure.values())
        if known:  # What ended meanwhile has a record, and no job carries it.
            self._finish(self._outcomes())
        return {key for indices in carried.values() for key in indices}

    def _ask_engine(self) -> None:
        if self._live or self._unsure or self._new:
            self._send_unsure()
            self._send_new()
            self._look()

    def _send_unsure(self) -> None:
        """What the batch system may have taken already is looked for by its name first."""
        for _ in range(len(self._unsure)):
            one = self._unsure[0]
            if self._tasks.keys().isdisjoint(one.indices):
                # It was taken: its tasks have ended since this driver looked for it.
                self._forget_spent([self._unsure.popleft()])
                continue
            found = self._found(one)
            if found is None:
                self._unsure.rotate(-1)
                continue
            try:
                one = found if found.job else self._sent(found)
            except TooManyError:
                self._unsure.popleft()
                self._take_back(one)
                continue
            self._unsure.popleft()
            self._live[one.name] = one

    def _send_new(self) -> None:
        """Submit what waits, in arrays of tasks that ask for the same.

        After a refusal that is once a tenth of what was taken has ended: the rest goes in arrays
        again, and not one by one. Where jobs of others alone fill the limit, it is at each look.
        """
        if self._new and self._full and self._held() > 0.9 * self._full:
            return
        others_fill_it, self._why_full = self._full == 0, ""
        if not self._new:
            return
        if self._full is not None:
            self._full = self._largest = None
        index = results.attempt_index(self.run)
        last, self._aside = index.last, index.aside
        while self._new:
            self._largest = self._largest or self._cluster.largest_array()
            label, options = self._named(self._new[0])
            keys = {task.key: last.get(task.key, 0) for task in self._next_array(self._largest)}
            tries = self.config.max_attempts
            most = [max(self.before.get(key, 0) + tries, since + 1) for key, since in keys.items()]
            one = submissions.begin(self.run, self.method, self.prefix, keys, label, options, most)
            try:
                one = self._sent(one)
            except PassingError as fault:
                if fault.perhaps_done:
                    self._unsure.append(replace(one, asked=time.time()))
                else:
                    self._take_back(one)
                raise
            except TooManyError as error:
                self._take_back(one)
                if len(keys) > 1 and not isinstance(error, FullError):
                    self._largest = 1 if others_fill_it else len(keys) // 2
                    continue
                self._why_full = str(error)
                if not isinstance(error, FullError):
                    self._full = self._held()
                return  # It is asked again, for as long as tasks wait.
            except BenchmarkError:
                self._take_back(one)
                raise
            if others_fill_it:
                others_fill_it, self._largest = False, None
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

    def _named(self, task: Task) -> tuple[str | None, dict[str, str]]:  # noqa: ARG002
        """A label in the name of a job of such tasks, and what its submission must know."""
        return None, {}

    def _held(self) -> int:
        """How many elements the batch system has of this driver."""
        return sum(len(one.indices) for one in (*self._live.values(), *self._unsure))

    def _take_back(self, one: Submission) -> None:
        keys = reversed(one.indices)
        self._new.extendleft(self._tasks[key] for key in keys if key in self._tasks)
        submissions.forget(self.run, one)

    def _sent(self, one: Submission) -> Submission:
        task = next(self._tasks[key] for key in one.indices if key in self._tasks)
        job = self._cluster.submit(self._request(one, task), self._script(one))
        return self._with_id(one, job)

    def _request(self, one: Submission, task: Task) -> Request:
        named = {"name": one.name, "size": len(one.keys), "log": str(self._log(one))}
        named |= {"mpi": task.resources.mpi, "image": self._image(task)}
        return Request.of(self.config, self.options(self.config), task.resources, **named)

    def _image(self, task: Task) -> str:  # noqa: ARG002  for those that have some
        """The image that a job of this task runs in."""
        return ""

    def _script(self, one: Submission) -> str:
        """What a job runs."""
        words = ["-m", self.wrapper, self.run.store.url, self.run.name, one.name]
        return script(self.config.slurm, words)

    def _log(self, one: Submission) -> Path:
        return log_path(self.run, self.config.slurm, one.name)

    def _log_note(self, one: Submission) -> str:
        """Where what a job printed can be read, a sentence."""
        return log_note(self._log(one))

    def _look(self) -> None:
        """Account for the tasks whose elements have ended and that left no record."""
        present = self._cluster.present(list(self._live.values())) if self._live else {}
        now = time.monotonic()
        over: list[tuple[Submission, str, Element | None]] = []
        waits: list[Element | None] = []
        for one in self._live.values():
            elements = present.get(str(one.job), {})
            found = [elements.get(index) for index in one.indices.values()]
            if one.name in self._unseen and all(el is None or el.is_over for el in found):
                self._old.add(one.name)
            self._unseen.discard(one.name)
            for key, element in zip(one.indices, found, strict=True):
                if element is None or element.is_over or element.is_held:
                    after_s = max(self.pace.settle_s, element.after_s if element else 0.0)
                    if now - self._gone.setdefault(key, now) >= after_s:
                        over.append((one, key, element))
                    continue
                self._gone.pop(key, None)
                waits.append(element if element.waits else None)
        self._account(over)
        if self._gone:
            self._engine_at = min(self._engine_at, now + self.pace.settle_s)
        self._note_waits([*waits, *(None for _ in over)])

    def _note_waits(self, elements: Sequence[Element | None]) -> None:
        """Report why elements wait; None stands for one that runs or has just ended.

        Raises:
            BenchmarkError: none of them can ever start.
        """
        notes = [element.note for element in elements if element]
        self._waits.report("task", self._cluster.name, notes + [self._why_full] * len(self._new))
        self._stop_if_hopeless(elements)

    def _account(self, over: Sequence[tuple[Submission, str, Element | None]]) -> None:
        if not over:
            return
        now, cluster = time.monotonic(), self._cluster
        self._finish(self._outcomes())
        missing = [(one, key, element) for one, key, element in over if key in self._tasks]
        unknown: dict[str, set[int]] = {}
        for one, key, element in missing:
            if not (element and element.state):
                unknown.setdefault(str(one.job), set()).add(one.indices[key])
        past = cluster.past(unknown) if unknown else {}
        for one, key, element in missing:
            if element is not None and element.is_held:
                cluster.cancel_element(str(one.job), one.indices[key])
            kept = element
            if element is None or not element.state:
                kept = past.get(str(one.job), {}).get(one.indices[key], element)
            is_known = kept is not None and (kept.is_over or kept.is_held)
            is_long_gone = now - self._gone.get(key, 0.0) >= self.pace.stuck_s
            if not (is_known or is_long_gone):
                continue  # What is kept of it does not have its end yet.
            cause = Cause.INFRASTRUCTURE
            message = f"{cluster.name} does not know the job any more."
            if kept is not None:
                cause, message = cluster.cause_of(kept, self._log(one))
            if kept is not None and self._is_relaunched(one, key, cause, kept):
                self._waits.warn(message, f"{message} Its tasks are submitted again.")
                self._send_again(one, key)
                continue
            record = self._concluded(one, key, cause, message + self._log_note(one), kept)
            if record.is_result or one.name not in self._old:
                self._finish([record])
            else:  # Who was to make further attempts has gone.
                self._let_go(one, key)
                self._send_again(one, key)

    def _send_again(self, one: Submission, key: str) -> None:  # noqa: ARG002  for those that ask
        self._gone.pop(key, None)
        self._new.append(self._tasks[key])

    def _concluded(
        self, one: Submission, key: str, cause: Cause, message: str, element: Element | None
    ) -> Record:
        facts = {} if element is None else {"took_s": element.took_s, "starts": element.starts or 1}
        return self._accounted(key, one.since_of(key), cause, message, **facts)

    def _finish(self, records: Sequence[Record]) -> None:
        super()._finish(records)
        for record in records:
            self._gone.pop(record.task, None)

    def _forget(self, one: Submission) -> None:
        """Leave no file of a job that has nothing to say any more."""
        super()._forget(one)
        if one.job and not one.cancelled and not self._cluster.forget(one.job):
            self._forgotten.add(one.job)
        log = self._log(one)
        with contextlib.suppress(OSError):  # there may be none, and it is in no one's way
            if log.stat().st_size == 0:
                log.unlink()


class ImageDispatcher(ArrayDispatcher):
    """Arrays whose elements run in the image of their framework; its arguments name the job."""

    @classmethod
    def brings_environments(cls, config: Config) -> bool:  # noqa: ARG003  always
        return True

    def _kind(self, task: Task) -> object:
        return task.resources, task.labels.get("framework")

    def _script(self, one: Submission) -> str:
        """The arguments of the image."""
        return shlex.join([self.run.store.url, self.run.name, "--job", one.name])

    def _log_note(self, one: Submission) -> str:  # noqa: ARG002
        return ""  # The store has what a task printed; no job has a file here.
