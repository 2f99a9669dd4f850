"""What an element of an array runs: the task at its index, on cores of its own.

python -m benchmark.compute.slurm.slurm_wrapper STORE RUN JOB

Slurm starts an element again after a lost node, a preemption or `scontrol requeue`. Each start
counts as an attempt; after `max_attempts` of them the task ends without a result.
"""

from __future__ import annotations

import os
import sys

from benchmark.compute import submissions
from benchmark.compute.dispatcher import account
from benchmark.compute.jobs import own_key
from benchmark.compute.slurm.commands import INDEX_VARIABLE, RESTARTS_VARIABLE, hosts
from benchmark.errors import BenchmarkError
from benchmark.execution.__main__ import main as run_task
from benchmark.execution.machine.cores import claimed, usable_cores
from benchmark.execution.machine.mpi import HOSTS_VARIABLE
from benchmark.records.results import Cause
from benchmark.records.tasks import Run, Task
from benchmark.store import open_store


def main(url: str, name: str, job: str) -> int:
    index = os.environ.get(INDEX_VARIABLE, "")
    try:
        store = open_store(url)
        key = own_key(store, name, job, os.environ, INDEX_VARIABLE)
        run = Run.open(store, name)
        task = run.task(key)
        if not _may_start(run, task, job, int(os.environ.get(RESTARTS_VARIABLE, "0"))):
            return 0
        resources = task.resources
        if resources.mpi:
            os.environ[HOSTS_VARIABLE] = ",".join(hosts(os.environ))
    except BenchmarkError as error:
        sys.stderr.write(f"element {index}: {error}\n")
        return 2
    # The record is in the store; in the log, which all elements share, it would only be in the way.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with claimed(resources.cores, usable_cores()) as cores:
        code = run_task([url, name, key, "--cores", ",".join(map(str, cores))])
    # A task that failed in a known way has its record; to Slurm it is a job that was done.
    return code if code == 2 else 0


def _may_start(run: Run, task: Task, job: str, restarts: int) -> bool:
    """Record the earlier starts of a task; whether it has an attempt left."""
    one = submissions.find(run, job) if restarts else None
    if one is None:
        return True
    why = "The job was lost with its node or preempted, and Slurm queued it again."
    number = one.positions[task.key]
    since = one.since[number]
    # There is none in the file of a job that an earlier version submitted.
    most = one.most[number] if one.most else since + restarts + 1
    starts = min(restarts, most - since)
    last = account(run, task, Cause.INFRASTRUCTURE, why, since, starts=starts)
    return not last.is_result and last.attempt < most


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
