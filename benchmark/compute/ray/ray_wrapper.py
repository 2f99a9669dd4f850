"""The actor on a node: it keeps a runner alive, and gives it one task after the other.

Ray sends this class to its nodes by value. It needs nothing but the standard library there: the
runner is started by its own interpreter, in the program's folder.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

_WAIT_S = 10.0


class Worker:
    """`python -m MODULE …`; its standard input is its lifeline, so it ends with the actor."""

    def __init__(self, python: str, code: str, words: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        others = os.environ.get("PYTHONPATH", "")
        self._process = subprocess.Popen(
            [python or sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [code, others]))},
            bufsize=0,
        )

    def ready(self) -> str:
        """The name of the node."""
        return socket.gethostname()

    def execute(self, key: str) -> str:
        """Run a task; the runner's answer, or how it ended."""
        if self._process.stdin is None or self._process.stdout is None:
            raise OSError("The runner's pipes could not be opened.")
        with contextlib.suppress(OSError):  # its end is seen in its answer
            self._process.stdin.write(key.encode() + b"\n")
        line = bytearray()
        while not line.endswith(b"\n"):
            part = self._process.stdout.read(65536)
            if not part:
                raise ChildProcessError(self._ending())
            line += part
        return line.decode()

    def close(self) -> None:
        """End the runner, which ends and records its task."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ending(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"The runner ended with exit code {code}: {lines[-1] if lines else 'no message'}"
