"""Zygotes: interpreters that have imported a framework's libraries and wait for its tasks.

Each holds memory while it waits, so a sandbox ends those that are `superfluous`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import SetupError
from benchmark.execution.machine.cores import bind, usable_memory_mb
from benchmark.execution.sandbox.variables import in_c_locale, without_secrets
from benchmark.execution.worker.crowd import VARIABLE, Crowd

# The interpreter, what it imports, and its number of cores.
Key = tuple[Path, tuple[str, ...], int]
WORKER = Path(__file__).parents[1] / "worker"
START_LIMIT_S = 300.0
# A zygote that is hung up on ends its task first, which takes a while on a busy machine.
END_S = 15.0
_TICK_S = 0.5
# What a sandbox keeps waiting: MB in all, share of the machine's memory, seconds unused.
WAITING_MB, WAITING_SHARE, WAITING_S = 400.0, 0.05, 300.0
# A zygote that starts again in less than this share of a task's time limit is not kept beside it.
WORTH_KEEPING = 0.001
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
# Sets of strings have one order in every zygote and in all that tasks start: an interpreter's hash
# seed is fixed at its start, so it cannot be each task's own.
HASH_SEED = "0"


class Zygote:
    """A preloaded interpreter at the other end of a socket."""

    def __init__(
        self,
        python: Path,
        preload: Sequence[str],
        cores: Sequence[int],
        scratch: Path,
        crowd: Crowd | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        self._crowd = crowd
        self._socket = ours
        variables = dict.fromkeys(THREADS, str(len(cores)))
        environment = {
            name: value
            for name, value in in_c_locale(without_secrets(os.environ)).items()
            if not name.startswith("PYTHON")
        }
        environment |= variables | {"TMPDIR": str(scratch), "PYTHONHASHSEED": HASH_SEED}
        if crowd:
            # Apple's frameworks end a fork that uses them, unless they are told not to.
            quiet = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"}
            environment |= {VARIABLE: crowd.mark} | (quiet if sys.platform == "darwin" else {})
        argv: list[str | Path] = [
            python,
            "-s",
            WORKER,
            str(theirs.fileno()),
            json.dumps(list(preload)),
        ]
        with theirs, (scratch / "zygote.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, crowd.mark] if crowd else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=scratch,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        bind(cores, self._process.pid)
        self._lines = ours.makefile("rb")
        self._python, self._log = python, scratch / "zygote.log"
        self.facts: dict[str, Any] = {}
        self.used = time.monotonic()

    def wait(self) -> None:
        """Until its libraries are imported.

        Raises:
            SetupError: the interpreter ended before, took too long, or was hung up on.
        """
        self.facts = self._answer(START_LIMIT_S)
        if not self.facts.get("ready"):
            self._process.kill()  # Nothing runs below it yet, and an import hears nothing.
            self.close()
            text = self._log.read_text(errors="replace").strip().splitlines()
            raise SetupError(
                f"The interpreter {self._python} did not start: "
                f"{text[-1] if text else 'no message'}"
            )

    @property
    def mark(self) -> str | None:
        """What its processes are known by, where they have to be."""
        return self._crowd.mark if self._crowd else None

    def ask(self, request: dict[str, Any], patience_s: float) -> dict[str, Any]:
        """Send a request and wait for its report; `{}` when the zygote is gone or silent."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            return {}
        return self._answer(patience_s)

    def _answer(self, patience_s: float) -> dict[str, Any]:
        end = time.monotonic() + patience_s
        answered = select.poll()
        try:
            answered.register(self._socket, select.POLLIN)
            # Not in one wait: a signal that comes just before it is handled after it.
            while not answered.poll(_TICK_S * 1000):
                if time.monotonic() >= end:
                    return {}
            self._socket.settimeout(max(1.0, end - time.monotonic()))
            line = self._lines.readline()
        except (OSError, ValueError):  # the socket may have been closed
            return {}
        answer: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
        return answer

    def hang_up(self) -> None:
        """End whatever runs below, from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and wait: zygote, keeper and task are gone when this returns."""
        self.hang_up()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._crowd:
            self._crowd.kill_all()
        with contextlib.suppress(OSError):
            self._lines.close()
            self._socket.close()


def superfluous(
    zygotes: Iterable[Zygote], wanted: Zygote | None, hard_limit_s: float
) -> Iterator[Zygote]:
    """Those to end before a task of the `wanted` one: unused, cheap to start again, or too many.

    Of too many the last used are kept.
    """
    left_mb = min(WAITING_MB, WAITING_SHARE * usable_memory_mb())
    others = [zygote for zygote in zygotes if zygote is not wanted]
    for zygote in sorted(others, key=lambda one: one.used, reverse=True):
        is_cheap = zygote.facts["import_s"] < WORTH_KEEPING * hard_limit_s
        is_unused = time.monotonic() - zygote.used > WAITING_S
        if is_cheap or is_unused or zygote.facts["memory_mb"] > left_mb:
            yield zygote
        else:
            left_mb -= zygote.facts["memory_mb"]
