"""The worker of a machine: takes tasks from the queue, several side by side, until it is dry.

python -m benchmark.compute.baremetal.baremetal_wrapper JOB.json MACHINE

A task's message is kept by a heartbeat and deleted when the task has its outcome. When the machine
is to be taken away, or this process is to end, the messages go back to the queue at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmark.compute.aws.clients import Aws
from benchmark.compute.baremetal.messages import Message, TaskQueue
from benchmark.compute.faults import patiently
from benchmark.compute.local.local import LocalDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.execution.machine.cores import usable_cores, usable_memory_mb
from benchmark.execution.machine.instance import Instance
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from benchmark.store import open_store

PATIENCE_S = 300.0
# EC2 takes a machine away two minutes after its notice.
CLOSE_S = 60.0
_TICK_S = 1.0


class Worker:
    """One machine's share of a fleet's work."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.aws = Aws()
        self.run = Run.open(open_store(job["store"]), job["run"])
        self.queue = TaskQueue(job["queue"], job["dead"])
        self.held: dict[str, Message] = {}
        self.leaving = threading.Event()
        self._instance = Instance.here(os.environ)
        self._beat_at = self._looked_at = 0.0
        self._ends_at = time.monotonic() + job["lifetime_s"]

    def work(self) -> None:
        """Until the queue has been dry for so long, or the machine must go."""
        config = self._config()
        slots = config.parallel or 1
        _say(f"{slots} at a time, tasks of run '{self.run.name}'")
        try:
            with LocalDispatcher(self.run, config) as pool:
                pool.close_s = CLOSE_S
                self._pull(pool, slots)
        finally:
            # The pool has ended its tasks as interrupted by now, so that others may begin them.
            self._hand_back()

    def _pull(self, pool: LocalDispatcher, slots: int) -> None:
        busy_at = time.monotonic()
        while not self._must_leave():
            self._take(pool, slots)
            if self.held:
                busy_at = time.monotonic()
                for record in pool.completed(_TICK_S):
                    self._settle(record)
                self._beat()
            elif time.monotonic() - busy_at > self.job["idle_s"]:
                _say("The queue has been dry for long enough.")
                return

    def _config(self) -> Config:
        """The run's own limits, and as many tasks side by side as this machine holds."""
        conditions = self.run.manifest.conditions
        cores, memory_mb = conditions["cores"], conditions["memory"]
        machine_cores, machine_mb = len(usable_cores()), usable_memory_mb()
        most = min(machine_cores // cores, machine_mb // memory_mb)
        # The driver knows how much memory the system and this worker need beside the tasks.
        kind = self._instance.facts().get("instance_type", "") if self._instance else ""
        slots = self.job["slots"]
        most = min(most, slots.get(kind, min(slots.values())))
        if most < 1:
            raise BenchmarkError(
                f"This machine has {machine_cores} cores and {machine_mb} MiB, and a "
                f"task takes {cores} and {memory_mb}; name larger 'instance_types'."
            )
        limits = {key: conditions[key] for key in ("runtime", "hard_limit")}
        return Config(cores=cores, memory=memory_mb, parallel=most, run=self.run.name, **limits)

    def _take(self, pool: LocalDispatcher, slots: int) -> None:
        free = slots - len(self.held)
        if free < 1:
            return
        wait_s = 0 if self.held else self.job["wait_s"]
        for message in patiently(lambda: self.queue.receive(self.aws, free, wait_s), PATIENCE_S):
            held = self.held.get(message.key)
            if held and held.id == message.id:
                # Its time was up while its task ran on; only the new receipt deletes it.
                self.held[message.key] = message
                continue
            if held or results.current_record(self.run, message.key):
                _say(f"{message.key}: has been done")
                self._done(message)
                continue
            _say(f"{message.key}: begins")
            self.held[message.key] = message
            pool.submit([self.run.task(message.key)])

    def _settle(self, record: Record) -> None:
        message = self.held.pop(record.task, None)
        _say(f"{record.task}: {record.cause or record.status}")
        if message is None:
            return
        if record.cause is not None and record.cause.is_retried:
            patiently(lambda: self.queue.extend(self.aws, [message], 0), PATIENCE_S)
        else:
            self._done(message)

    def _done(self, message: Message) -> None:
        patiently(lambda: self.queue.done(self.aws, message), PATIENCE_S)

    def _beat(self) -> None:
        """Tell the queue that the tasks are still in work."""
        visibility_s = self.job["visibility_s"]
        if time.monotonic() - self._beat_at < visibility_s / 3:
            return
        self._beat_at = time.monotonic()
        held = list(self.held.values())
        lost = patiently(lambda: self.queue.extend(self.aws, held, visibility_s), PATIENCE_S)
        if lost:
            _say(f"The queue has given to others: {', '.join(lost)}")

    def _must_leave(self) -> bool:
        if self.leaving.is_set():
            _say("Asked to end.")
            return True
        now = time.monotonic()
        if now > self._ends_at:
            _say("The machine's lifetime is over.")
            return True
        if self._instance is None or now - self._looked_at < self.job["notice_s"]:
            return False
        self._looked_at = now
        notice = self._instance.interruption()
        if notice:
            _say(f"The machine will be taken away: {notice}")
        return notice is not None

    def _hand_back(self) -> None:
        held = list(self.held.values())
        if not held:
            return
        self.held.clear()
        patiently(lambda: self.queue.extend(self.aws, held, 0), PATIENCE_S)
        _say(f"{len(held)} tasks were handed back")


def _say(text: str) -> None:
    sys.stdout.write(f"{results.utc_now()} {text}\n")
    sys.stdout.flush()


def main() -> int:
    try:
        worker = Worker(json.loads(Path(sys.argv[1]).read_text()))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: worker.leaving.set())
        worker.work()
    except BenchmarkError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
