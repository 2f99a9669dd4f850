"""A worker's process on its node: a runner that lives on, on cores of its own.

python -m benchmark.compute.pilot.slot STORE RUN CORES
"""

from __future__ import annotations

import sys

from benchmark.compute.cores import claimed
from benchmark.execution.__main__ import main as run_tasks


def main(url: str, name: str, count: str) -> int:
    with claimed(int(count)) as cores:
        return run_tasks([url, name, "--serve", "--cores", ",".join(map(str, cores))])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
