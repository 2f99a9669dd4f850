"""The workers of an allocation: processes that take tasks by their keys, on any of its nodes.

A serial worker lives on and takes one task after the other. That of an MPI program is made for one
task: the runner is on the allocation's first node, and starts the ranks on theirs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError
from benchmark.execution.machine.mpi import HOSTS_VARIABLE, MPI_VARIABLE

if TYPE_CHECKING:
    from benchmark.records.tasks import Run

CLOSE_S = 5.0


class Worker:
    """`python -m benchmark.compute.pilot.slot …` on `nodes`, which takes `places` on each of them.

    Its standard input is its lifeline: where that ends, it ends what it runs.
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
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | variables,
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchmarkError("The worker's pipes could not be opened.")
        self._keys = self._process.stdin
        self.answers = self._process.stdout

    def give(self, key: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end is heard on the answers
            self._keys.write(key.encode() + b"\n")

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._keys.close()

    def close(self) -> None:
        self.hang_up()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.answers.close()


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
