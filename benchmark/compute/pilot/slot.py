"""A worker's process on its node: a runner that lives on, on cores of its own.

python -m benchmark.compute.pilot.slot STORE RUN CORES [ranks]

`ranks`: it starts those of MPI programs, by what the batch system says of the allocation. With 0
cores they are on other nodes, and what starts them needs no core of its own.
"""

from __future__ import annotations

import os
import sys

from benchmark.execution.__main__ import main as run_tasks
from benchmark.execution.machine.cores import claimed, usable_cores

# An MPI program that is run as one process would take itself for a rank of the step that it is in.
_OF_THE_STEP = ("SLURM_", "PMI_", "PMIX_", "PMI2_", "OMPI_COMM_")


def main(url: str, name: str, count: str, kind: str = "") -> int:
    if kind != "ranks":
        for variable in [name for name in os.environ if name.startswith(_OF_THE_STEP)]:
            del os.environ[variable]
    if count == "0":
        return run_tasks([url, name, "--serve"])
    with claimed(int(count), usable_cores()) as cores:
        return run_tasks([url, name, "--serve", "--cores", ",".join(map(str, cores))])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
