"""The method metaflow: each lot of tasks is a run of a flow, its steps chunks of them.

Where the steps run is Metaflow's own configuration: METAFLOW_DECOSPECS="kubernetes:image=…" sends
them to Kubernetes, "batch:…" to AWS Batch. A flow's steps may be tried again by Metaflow: a task
that has a record is not run again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmark.compute import submissions
from benchmark.compute.dispatcher import account
from benchmark.compute.metaflow.flows import Flow, asking, in_namespace, on_machines
from benchmark.compute.metaflow.lifeline import DRIVER_VARIABLE
from benchmark.compute.submissions import Submission
from benchmark.compute.waiting import WaitingDispatcher
from benchmark.config.extras import python_path
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.execution.machine.cores import usable_cores
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

METHOD = "metaflow"
LARGEST_FOREACH = 1000


class MetaflowDispatcher(WaitingDispatcher):
    """Runs flows and looks for the records that they leave."""

    detachable = False
    chunk: ClassVar[int] = 20
    poll_s: ClassVar[float] = 0.5

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._new: list[Task] = []
        self._flows: list[tuple[Flow, Submission]] = []
        self._is_first = True

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse where Metaflow is not installed, or could not reach the results."""
        import importlib.util

        if importlib.util.find_spec("metaflow") is None:
            raise ConfigError(
                "'compute' names metaflow, which is not installed; "
                "pip install -r requirements-metaflow.txt."
            )
        remote = os.environ.get("METAFLOW_DECOSPECS", "")
        if remote and not config.store_url.startswith("s3://"):
            raise ConfigError(
                f"METAFLOW_DECOSPECS is '{remote}', and the results would go to {config.store_url},"
                " which its machines may not reach; name a bucket in 's3_bucket_root'."
            )

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._is_first:  # Flows of a driver that was killed have ended with it.
            self._is_first = False
            for one in submissions.load(self.run, METHOD):
                submissions.forget(self.run, one)
        self._tasks |= {task.key: task for task in tasks}
        self._finish(self._recorded())
        self._new += [task for task in tasks if task.key in self._tasks]

    def _step(self) -> None:
        self._start()
        self._finish(self._recorded())
        self._account_ended()

    def _next_look(self) -> float:
        return time.monotonic() + self.poll_s

    def close(self) -> None:
        """End the flows with what they run; one that has run all of it ends by itself."""
        for flow, _ in self._flows if self._tasks else ():
            flow.stop()
        for flow, one in self._flows:
            flow.join()
            submissions.forget(self.run, one)
        self._flows.clear()
        self._tasks.clear()
        self._new.clear()

    def _start(self) -> None:
        """A flow for all tasks that came since the last one, once half of the workers are idle.

        So no more than `parallel` tasks run, and tasks that come one by one share a flow.
        """
        workers = self.config.parallel or max(1, len(usable_cores()) // self.config.cores)
        idle = workers - (len(self._tasks) - len(self._new))
        if not self._new or idle < max(1, workers // 2):
            return
        last = results.attempt_index(self.run).last
        since = {task.key: last.get(task.key, 0) for task in self._new}
        cores = max(task.resources.cores for task in self._new)
        memory_mb = max(task.resources.memory_mb for task in self._new)
        self._new.clear()
        one = submissions.begin(self.run, METHOD, self.config.job_name or "automl", since)
        size = min(self.chunk, -(-len(since) // idle))
        size = max(size, -(-len(since) // LARGEST_FOREACH))
        remote = os.environ.get("METAFLOW_DECOSPECS", "").split()
        own = asking(cores, memory_mb)
        values = {
            "store_url": self.run.store.url,
            "run_name": self.run.name,
            "job": one.name,
            "chunk": size,
            "max_workers": idle,
            # What the variable names, Metaflow adds itself.
            "decospecs": [one for one in on_machines([own, *remote]) if one not in remote]
            if remote
            else [own],
            **in_namespace(self.config.metaflow.namespace),
        }
        self._flows.append((Flow(values, _variables()), one))

    def _account_ended(self) -> None:
        """Account for what flows that have ended left behind."""
        for flow, one in [pair for pair in self._flows if not pair[0].is_alive]:
            self._finish(self._recorded())
            why = (
                f"The flow ended: {flow.said}" if flow.said else "The flow ended without its task."
            )
            for key, since in zip(one.keys, one.since, strict=True):
                task = self._tasks.get(key)
                if task is not None:
                    self._finish([account(self.run, task, Cause.INFRASTRUCTURE, why, since)])
            self._flows.remove((flow, one))
            submissions.forget(self.run, one)

    def _recorded(self) -> list[Record]:
        return results.current_records(self.run, self._tasks) if self._tasks else []


def _variables() -> dict[str, str]:
    return {
        DRIVER_VARIABLE: str(os.getpid()),
        "PYTHONPATH": python_path(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
