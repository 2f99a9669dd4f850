"""What an element of an array runs: the task at its index, on cores of its own.

python -m benchmark.compute.slurm.slurm_wrapper STORE RUN JOB
"""

from __future__ import annotations

import os
import sys

from benchmark.compute.jobs import own_key
from benchmark.compute.slurm.commands import INDEX_VARIABLE, hosts
from benchmark.errors import BenchmarkError
from benchmark.execution.__main__ import main as run_task
from benchmark.execution.machine.cores import claimed, usable_cores
from benchmark.execution.machine.mpi import HOSTS_VARIABLE
from benchmark.records.tasks import Run
from benchmark.store import open_store


def main(url: str, name: str, job: str) -> int:
    index = os.environ.get(INDEX_VARIABLE, "")
    try:
        store = open_store(url)
        key = own_key(store, name, job, os.environ, INDEX_VARIABLE)
        resources = Run.open(store, name).task(key).resources
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


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
