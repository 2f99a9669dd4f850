"""The actor on a node: it keeps a runner alive, and gives it one task after the other.

Ray sends this class to its nodes by value. There it needs the program's folder and the standard
library: the runner is started by its own interpreter.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

_WAIT_S = 10.0


class Worker:
    """`python -m MODULE …`; its standard input is its lifeline, so it ends with the actor."""

    def __init__(self, python: str, code: str, words: Sequence[str]) -> None:
        sys.path.insert(0, code)
        from benchmark.compute.serving import RunnerProcess

        paths = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH", "")]))
        command = [python or sys.executable, "-m", *words]
        self._runner = RunnerProcess(command, {"PYTHONPATH": paths}, keeps_errors=True)

    def ready(self) -> str:
        """The name of the node."""
        return socket.gethostname()

    def execute(self, key: str) -> str:
        """Run a task; the runner's answer, or how it ended."""
        self._runner.give(key)
        line = self._runner.answers.readline()
        if not line.endswith(b"\n"):
            raise ChildProcessError(self._runner.ending())
        return line.decode()

    def close(self) -> None:
        """End the runner, which ends and records its task."""
        self._runner.close(_WAIT_S)
