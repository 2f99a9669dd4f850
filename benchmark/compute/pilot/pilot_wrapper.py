"""What an allocation runs on its first node: workers on every node, and tasks for who is free.

    python -m benchmark.compute.pilot.pilot_wrapper STORE RUN JOB '{"cores": 4, ...}'

It takes tasks from the lists in the store for as long as the time that is left is enough for them,
and ends when there was none for a while. No driver has to be there meanwhile.
"""

from __future__ import annotations

import collections
import json
import os
import selectors
import signal
import sys
import time
from dataclasses import dataclass

from benchmark.compute.pilot.lists import Entry, Lists, Place
from benchmark.compute.serving import RunnerProcess
from benchmark.compute.slurm.commands import hosts
from benchmark.errors import BenchmarkError, StoreError
from benchmark.execution.machine.mpi import HOSTS_VARIABLE, MPI_VARIABLE
from benchmark.records.tasks import Run
from benchmark.store import open_store

POLL_S = 0.02
POLL_REMOTE_S = 1.0
# A node on which as many workers have died, one after the other, gets no more.
STRIKES = 2
CLOSE_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What the allocation is: cores of each node, cores of a serial task, seconds.

    `reserve_s` is added to a task's hard limit, for the harness.
    """

    cores: int
    task_cores: int
    time_s: float
    idle_s: float
    mpi: str = "auto"
    reserve_s: float = 300.0


@dataclass(frozen=True)
class Held:
    """A task that a worker runs; without an answer until then (monotonic clock) it is lost."""

    place: Place
    entry: Entry
    until: float


class Worker(RunnerProcess):
    """A process that takes tasks on `nodes`, `places` on each of them.

    A serial worker is kept and takes one task after the other. That of an MPI program is made for
    one task: the runner is on the allocation's first node, and starts the ranks on theirs.
    """

    def __init__(
        self,
        command: list[str],
        nodes: tuple[str, ...],
        places: int,
        variables: dict[str, str],
        is_kept: bool,
    ) -> None:
        self.nodes, self.places, self.is_kept = nodes, places, is_kept
        super().__init__(command, variables)

    def close(self, within_s: float | None = CLOSE_S) -> None:
        super().close(within_s)


def local_worker(run: Run, node: str, cores: int, first: str) -> Worker:
    """One for serial tasks; on the allocation's first node without a step of its own."""
    command = _slot(run, cores)
    if node != first:
        # The step gets what the allocation has on that node: limits are the sandbox's, per task.
        step = ["srun", "--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={node}", "--mem=0"]
        command = [*step, "--quiet", "--unbuffered", *command]
    return Worker(command, (node,), 1, {}, is_kept=True)


def ranks_worker(run: Run, nodes: tuple[str, ...], places: int, cores: int, mpi: str) -> Worker:
    """One for an MPI program with its ranks on `nodes`; its `cores` are on the first node."""
    command = [*_slot(run, cores), "ranks"]
    variables = {HOSTS_VARIABLE: ",".join(nodes)} if nodes != ("",) else {}
    if mpi != "auto":
        variables[MPI_VARIABLE] = mpi
    return Worker(command, nodes, places, variables, is_kept=False)


def _slot(run: Run, cores: int) -> list[str]:
    module = "benchmark.compute.pilot.slot"
    return [sys.executable, "-m", module, run.store.url, run.name, str(cores)]


class Allocation:
    """The nodes with their free places, the workers, and the tasks that wait."""

    def __init__(self, run: Run, job: str, plan: Plan, nodes: list[str]) -> None:
        self.run, self.job, self.plan = run, job, plan
        self.lists = Lists(run)
        self.ending = False
        self._ends = time.monotonic() + plan.time_s
        self._free = dict.fromkeys(nodes, max(1, plan.cores // plan.task_cores))
        self._first = nodes[0]
        self._seen: set[str] = set()
        self._waiting: collections.deque[tuple[Place, Entry]] = collections.deque()
        self._idle: list[Worker] = []
        self._busy: dict[Worker, Held] = {}
        self._strikes: collections.Counter[str] = collections.Counter()
        self._selector = selectors.DefaultSelector()
        self._poll_s = POLL_REMOTE_S if "://" in run.store.url else POLL_S

    def serve(self) -> None:
        """Until it is asked to end, its time is up, or nothing was there to do for a while."""
        used = time.monotonic()
        try:
            while not self.ending:
                self._pull()
                self._give()
                now = time.monotonic()
                for worker in [one for one, held in self._busy.items() if now > held.until]:
                    self._lose(worker)
                if self._busy:
                    used = now
                elif now - used > self.plan.idle_s or not self._free or now > self._ends:
                    return
                for key, _ in self._selector.select(self._poll_s):
                    self._read_answer(key.data)
        finally:
            self._close()

    def _pull(self) -> None:
        names = self.lists.names()
        for name in names:
            if name not in self._seen:
                entries = self.lists.read(name)
                self._waiting += [(Place(name, n), entry) for n, entry in enumerate(entries)]
        gone = self._seen - set(names)
        if gone:  # withdrawn by their driver
            self._waiting = collections.deque(w for w in self._waiting if w[0].name not in gone)
        self._seen = set(names)

    def _give(self) -> None:
        """Tasks to free workers, in their order; one that does not fit now is passed over."""
        left = self._ends - time.monotonic()
        for _ in range(len(self._waiting)):
            if not (self._idle or any(self._free.values())):
                return
            place, entry = self._waiting.popleft()
            fits = entry.resources.hard_limit_s < left
            worker = self._worker(entry) if fits else None
            if worker is None:
                self._waiting.append((place, entry))
                continue
            if not self.lists.claim(place, self.job):
                self._release(worker)
                continue
            longest_s = entry.resources.hard_limit_s + self.plan.reserve_s
            self._busy[worker] = Held(place, entry, time.monotonic() + longest_s)
            worker.give(entry.key)

    def _worker(self, entry: Entry) -> Worker | None:
        """A worker with places of its own: a serial one is kept, that of ranks is for one task."""
        mpi = entry.resources.mpi
        if mpi is None:
            if self._idle:
                return self._idle.pop()
            node = max(self._free, key=lambda name: self._free[name], default="")
            if not self._free.get(node):
                return None
            return self._started(local_worker(self.run, node, self.plan.task_cores, self._first))
        needed = -(-mpi.cores // self.plan.task_cores)
        self._make_room(mpi.nodes, needed)
        roomy = [name for name, free in self._free.items() if free >= needed][: mpi.nodes]
        if len(roomy) < mpi.nodes:
            return None
        cores = entry.resources.cores if self._first in roomy else 0
        ranks = ranks_worker(self.run, tuple(roomy), needed, cores, self.plan.mpi)
        return self._started(ranks)

    def _make_room(self, nodes: int, needed: int) -> None:
        """Idle serial workers hold places: those go that stand in the way of ranks."""
        for worker in list(self._idle):
            if sum(free >= needed for free in self._free.values()) >= nodes:
                return
            self._idle.remove(worker)
            self._end(worker)

    def _started(self, worker: Worker) -> Worker:
        for node in worker.nodes:
            self._free[node] -= worker.places
        self._selector.register(worker.answers, selectors.EVENT_READ, worker)
        return worker

    def _read_answer(self, worker: Worker) -> None:
        line = worker.answers.readline()
        if not line.endswith(b"\n"):
            self._lose(worker)
            return
        for node in worker.nodes:
            del self._strikes[node]
        held = self._busy.pop(worker, None)
        if held:
            self.lists.end(held.place, lost=b'"error"' in line[:200] and b'"record"' not in line)
        self._release(worker)

    def _lose(self, worker: Worker) -> None:
        """End a worker that has exited, or gave no answer within its task's limit.

        `srun` does not return if a node is switched off and on again before Slurm notices.
        """
        held = self._busy.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        self._end(worker)
        self._strikes.update(worker.nodes)
        for node in worker.nodes:
            if self._strikes[node] >= STRIKES:
                self._free.pop(node, None)
        if held:
            self.lists.end(held.place, lost=True)
            nodes = ",".join(worker.nodes)
            sys.stderr.write(f"A worker on {nodes} was lost with {held.entry.key}.\n")

    def _release(self, worker: Worker) -> None:
        if worker.is_kept:
            self._idle.append(worker)
        else:
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        self._selector.unregister(worker.answers)
        worker.close()
        for node in worker.nodes:
            if node in self._free:
                self._free[node] += worker.places

    def _close(self) -> None:
        workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.close()
        names = set(self.lists.names())
        for held in self._busy.values():
            if held.place.name in names:
                self.lists.end(held.place, lost=True)


def main(url: str, name: str, job: str, plan: str) -> int:
    try:
        run = Run.open(open_store(url), name)
        allocation = Allocation(run, job, Plan(**json.loads(plan)), hosts(os.environ) or [""])

        def end(*_: object) -> None:
            allocation.ending = True

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)
        if job in allocation.lists.started():
            # What it took is given to others once it has ended.
            sys.stderr.write("Slurm started the allocation again; the driver asks for another.\n")
            return 1
        allocation.lists.begin(job)
        allocation.serve()
    except StoreError as error:
        sys.stderr.write(f"{error} The driver gives the tasks to another allocation.\n")
        return 1
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
