"""The method pilot: allocations of a cluster in which workers pull tasks.

A task waits for a free worker and never in the cluster's queue. Drivers and allocations tell each
other everything through the store (lists.py), so a driver may be killed and come back, and an
allocation that ends gives back what it held.
"""

from __future__ import annotations

import collections
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from benchmark.compute import submissions
from benchmark.compute.cluster import ClusterError, Elements, Pace, Request, TooManyError
from benchmark.compute.dispatcher import account
from benchmark.compute.faults import PassingError
from benchmark.compute.job_script import log_path, script
from benchmark.compute.pilot.lists import Lists, Place
from benchmark.compute.slurm import checks
from benchmark.compute.slurm.commands import Slurm
from benchmark.compute.submissions import Submission
from benchmark.compute.submitting import ClusterDispatcher
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

_log = logging.getLogger("benchmark.compute")
METHOD = "pilot"
WRAPPER = "benchmark.compute.pilot.pilot_wrapper"
# An allocation stops taking tasks this long before its end.
MARGIN_S = 30.0
STILLBORN = 2


class PilotDispatcher(ClusterDispatcher):
    """Puts tasks into lists, and keeps as many allocations as are asked for while some wait."""

    pace: ClassVar[Pace] = Pace(store_s=10.0, engine_s=5.0, settle_s=5.0)
    poll_s: ClassVar[float | None] = None
    jobs = "allocations of 'pilot'"
    smaller = "make 'pilot' in 'slurm' smaller"

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._lists = Lists(run)
        self._places: dict[Place, tuple[str, int]] = {}
        self._tries: collections.Counter[str] = collections.Counter()
        self._first: dict[str, int] = {}
        self._pilots: dict[str, Submission] = {}
        self._gone: dict[str, float] = {}
        self._stillborn = 0
        self._is_adopted = False
        remote = "://" in run.store.url
        self._poll_s = self.poll_s or (1.0 if remote else 0.02)

    def cluster(self) -> Slurm:
        return Slurm(self.config.slurm)

    @classmethod
    def places(cls, config: Config) -> int:
        """The workers of all allocations."""
        pilot = config.slurm.pilot
        return pilot.jobs * pilot.nodes * max(1, (pilot.cores or config.cores) // config.cores)

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse what the cluster would never start, and tasks that fit into no allocation."""
        pilot = config.slurm.pilot
        if config.slurm.image:
            raise ConfigError(
                f"'image' in 'slurm' is {config.slurm.image}, in which there is no srun for the "
                "workers of 'pilot'; leave it out, or use the method slurm."
            )
        request = _request(config, "check", "")
        if config.hard_limit > pilot.time_s - MARGIN_S:
            raise ConfigError(
                f"A task may take {config.hard_limit:g} s, and an allocation lasts "
                f"{pilot.time_s:g} s; set 'time_s' of 'pilot' in 'slurm' above "
                f"{config.hard_limit + MARGIN_S:g}."
            )
        if request.cores < config.cores:
            raise ConfigError(
                f"A task takes {config.cores} cores, and 'pilot' in 'slurm' has {request.cores}; "
                "set one of them to fit."
            )
        checks.check(config, request.cores, request.memory_mb, pilot.time_s)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks: those in the list of an earlier driver stay there, the others get a new.

        Raises:
            ConfigError: one asks for GPUs, which the workers do not divide.
        """
        for ranks in (task.resources.mpi for task in tasks):
            if ranks and ranks.gpus_per_rank:
                raise ConfigError(
                    f"'resources' has {ranks.gpus_per_rank} as 'gpus_per_rank', and 'pilot' "
                    "divides no GPUs among its workers; use the method slurm, or leave it out."
                )
        self._tasks |= {task.key: task for task in tasks}
        if not self._is_adopted:
            self._is_adopted = True
            self._adopt()
        self._finish(results.current_records(self.run, [task.key for task in tasks]))
        listed = {key for key, _ in self._places.values()}
        new = [t for t in tasks if t.key in self._tasks and t.key not in listed]
        self._add(new)

    def close(self) -> None:
        """Withdraw what waits and end the allocations, unless `detached`, or others use them.

        Raises:
            BenchmarkError: allocations that could not be ended, by their ids.
        """
        pilots = list(self._pilots.values())
        places = list(self._places)
        self._pilots.clear()
        self._places.clear()
        self._tasks.clear()
        if self.detached or not self._is_adopted:
            return
        shared = self._shared_lists()
        for name in {place.name for place in places} - shared:
            self._lists.withdraw(name)
        for place in places:
            if place.name in shared and self._lists.claim(place, "withdrawn"):
                self._lists.end(place, lost=True)
        if shared:
            _log.warning(
                "%d allocations of 'pilot' go on: tasks that were not selected use them.",
                len(pilots),
            )
        else:
            self._end(pilots)
        self._waits.note([])

    def _shared_lists(self) -> set[str]:
        """The lists with tasks that this driver was not given and that have not ended."""
        if not self.others:
            return set()
        aside = results.attempt_index(self.run).aside
        ended = self._lists.ended()
        left = {
            Place(name, n): entry.key
            for name in self._lists.names()
            for n, entry in enumerate(self._lists.read(name))
            if entry.key in self.others and entry.since >= aside.get(entry.key, 0)
        }
        done = {one.task for one in results.current_records(self.run, set(left.values()), aside)}
        return {place.name for place, key in left.items() if key not in done and place not in ended}

    def _adopt(self) -> None:
        """Take over the lists and the allocations of earlier drivers."""
        self._pilots = {one.name: one for one in self._known(METHOD)}
        index = results.attempt_index(self.run)
        shared = self._shared_lists()
        for name in self._lists.names():
            entries = self._lists.read(name)
            wanted = {
                Place(name, n): (entry.key, entry.since)
                for n, entry in enumerate(entries)
                if entry.key in self._tasks and entry.since >= index.aside.get(entry.key, 0)
            }
            self._places |= wanted
            if not wanted and name not in shared:
                self._lists.withdraw(name)

    def _add(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        last = results.attempt_index(self.run).last
        name = self._lists.add(tasks, last)
        for number, task in enumerate(tasks):
            self._places[Place(name, number)] = (task.key, last.get(task.key, 0))
            self._tries[task.key] += 1
            self._first.setdefault(task.key, last.get(task.key, 0))
        if not self._pilots:
            self._engine_at = 0.0

    def _next_look(self) -> float:
        return time.monotonic() + self._poll_s

    def _step(self) -> None:
        """What has ended; now and then all records, and how the allocations are."""
        if not self._tasks:
            return
        ended = self._lists.ended()
        mine = {place: lost for place, lost in ended.items() if place in self._places}
        if mine:
            self._take_ends(mine)
        super()._step()

    def _ask_engine(self) -> None:
        if self._tasks:
            self._look()

    def _take_ends(self, ended: Mapping[Place, bool]) -> None:
        """Finish what has a record or the end of an attempt; list again what was lost."""
        again: list[Task] = []
        records: list[Record] = []
        for place, lost in ended.items():
            key, since = self._places[place]
            task = self._tasks.get(key)
            if task is None:
                continue
            record = results.current_record(self.run, key)
            if record is None:
                last = results.last_attempt(self.run, key)
                if last and last[1] is not None and last[0].number > since and not lost:
                    record = last[1]
            if record is None and self._tries[key] < self.config.max_attempts:
                again.append(task)
                self._drop([place])
            elif record is None:
                why = "The worker that had it ended, or its allocation."
                first, starts = self._first.get(key, since), max(1, self._tries[key])
                record = account(self.run, task, Cause.INTERRUPTED, why, first, starts=starts)
            if record is not None:
                records.append(record)
        self._finish(records)
        self._add(again)

    def _look(self) -> None:
        """Give back what ended allocations held, and ask for new ones while tasks wait."""
        if not self._pilots:
            self._waits.report("allocation", self._cluster.name, self._ask_for_more())
            return
        present = self._cluster.present()
        started = self._lists.started()
        now = time.monotonic()
        over: dict[str, Submission] = {}
        for one in self._pilots.values():
            if self._is_over(present, one) and (
                now - self._gone.setdefault(one.name, now) >= self.pace.settle_s
            ):
                over[one.name] = one
        if over:
            claims = self._lists.claims()
            held = [place for place, job in claims.items() if job in over]
            for place in set(held) - self._places.keys() - self._lists.ended().keys():
                self._lists.end(place, lost=True)  # For the driver that is given it.
            self._take_ends(dict.fromkeys(filter(self._places.__contains__, held), True))
        for name, one in over.items():
            self._stillborn = 0 if name in started else self._stillborn + 1
            if self._stillborn >= STILLBORN:
                log = log_path(self.run, self.config.slurm, name)
                raise ClusterError(f"The allocations of 'pilot' end before they begin; see {log}.")
            del self._pilots[name]
            self._forget(one)
        found = [present.get(str(one.job), {}).get(0) for one in self._pilots.values()]
        known = [element for element in found if element]
        self._stop_if_hopeless([element if element.waits else None for element in known])
        notes = [element.note for element in known] + self._ask_for_more()
        self._waits.report("allocation", self._cluster.name, notes)

    def _is_over(self, present: Elements, one: Submission) -> bool:
        if one.job is None:
            found = self._found(one)
            self._pilots[one.name] = found or one
            return found is not None and found.job is None
        element = present.get(str(one.job), {}).get(0)
        return element is None or element.is_over

    def _ask_for_more(self) -> list[str]:
        """Submit allocations; why the cluster takes no more of them now, if it does not."""
        wanted = min(self.config.slurm.pilot.jobs, len(self._tasks))
        while len(self._pilots) < wanted:
            one = submissions.begin(self.run, METHOD, f"{self.prefix}-pilot", {})
            log = str(log_path(self.run, self.config.slurm, one.name))
            request = _request(self.config, one.name, log)
            pilot = self.config.slurm.pilot
            plan = {
                "cores": request.cores,
                "task_cores": self.config.cores,
                "time_s": pilot.time_s - MARGIN_S,
                "idle_s": pilot.idle_s,
                "mpi": self.config.slurm.mpi,
                "reserve_s": self.config.slurm.reserve_s,
            }
            words = ["-m", WRAPPER, self.run.store.url, self.run.name, one.name, json.dumps(plan)]
            try:
                job = self._cluster.submit(request, script(self.config.slurm, words))
            except PassingError as fault:
                if fault.perhaps_done:
                    self._pilots[one.name] = replace(one, asked=time.time())
                else:
                    submissions.forget(self.run, one)
                raise
            except ClusterError as error:
                submissions.forget(self.run, one)
                if self._pilots or isinstance(error, TooManyError):
                    return [str(error).rstrip(".")]  # Those that run go on.
                raise
            self._pilots[one.name] = self._with_id(one, job)
        return []

    def _forget(self, one: Submission) -> None:
        super()._forget(one)
        self._lists.forget(one.name)

    def _finish(self, records: Sequence[Record]) -> None:
        """Each task once; a list goes with its last task."""
        ended = {record.task for record in records if record.task in self._tasks}
        super()._finish(records)
        if ended:
            self._drop([place for place, (key, _) in self._places.items() if key in ended])

    def _drop(self, places: Iterable[Place]) -> None:
        places = list(places)
        for place in places:
            self._places.pop(place, None)
        left = {place.name for place in self._places}
        over = {place.name for place in places} - left
        for name in over - (self._shared_lists() if over else set()):
            self._lists.withdraw(name)
        # The end stays in a list that others share, for the next driver of the task to find.
        self._lists.forget_ends(place for place in places if place.name in left and not self.others)


def _request(config: Config, name: str, log: str) -> Request:
    """An allocation: by default one task's cores and memory on each node."""
    pilot = config.slurm.pilot
    cores = pilot.cores or config.cores
    places = max(1, cores // config.cores)
    memory = pilot.memory or places * (config.memory + config.slurm.reserve_mb)
    return Request(name, 0, cores, memory, pilot.time_s, log, nodes=pilot.nodes)
