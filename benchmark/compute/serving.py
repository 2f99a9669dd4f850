"""A runner that lives on, from outside: it takes tasks by their keys and answers a line each."""

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
    """Its standard input is its lifeline: where that ends, it ends what it runs."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        keeps_errors: bool = False,
    ) -> None:
        """Start it; what it prints to its standard error goes to ours, or is kept for `ending`."""
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

    def close(self, within_s: float | None) -> None:
        """Hang up, and kill it if it has not ended within that time."""
        self.hang_up()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.answers.close()
        if self._errors:
            self._errors.close()

    def ending(self) -> str:
        """How it ended, after its last answer: a sentence."""
        code = self._process.wait()
        if code < 0:
            return f"The runner was killed ({signal.Signals(-code).name})."
        lines: list[str] = []
        if self._errors:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"The runner ended with exit code {code}: {lines[-1] if lines else 'no message'}"
