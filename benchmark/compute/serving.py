"""A process of ours that lives on, from outside: a runner that takes tasks by their keys, a worker.

It answers a line for each task.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from benchmark.errors import BenchmarkError


def serving(url: str, run: str, cores: Sequence[int]) -> list[str]:
    """The command of a runner on these cores of this machine."""
    command = [sys.executable, "-m", "benchmark.execution", url, run, "--serve"]
    return [*command, "--cores", ",".join(map(str, cores))]


class RunnerProcess:
    """A runner or worker. Its standard input is its lifeline: where that ends, it ends its task."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        keeps_errors: bool = False,
    ) -> None:
        """Start it; its standard error goes to ours, or is kept for `last_error` and `ending`."""
        self._errors = tempfile.TemporaryFile() if keeps_errors else None  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | variables,
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchmarkError("The runner's pipes could not be opened.")
        self._keys = self._process.stdin
        self.answers = self._process.stdout

    def give(self, key: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end is seen in the answers
            self._keys.write(key.encode() + b"\n")

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._keys.close()

    def end(self, within_s: float | None) -> None:
        """Wait until it has ended, and kill it if it has not within that time."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self, within_s: float | None) -> None:
        """Hang up, wait for its end, and close its answers."""
        self.hang_up()
        self.end(within_s)
        self.answers.close()
        if self._errors:
            self._errors.close()

    def exit_code(self) -> int:
        """Wait until it has ended."""
        return self._process.wait()

    def last_error(self) -> str:
        """The last line that it printed to its standard error; empty if there is none."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def ending(self) -> str:
        """How it ended, after its last answer: a sentence."""
        code = self.exit_code()
        if code < 0:
            return f"The runner was killed ({signal.Signals(-code).name})."
        return f"The runner ended with exit code {code}: {self.last_error() or 'no message'}"
