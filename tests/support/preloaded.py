"""Processes of `python -m MODULE` that are forked from one that has imported heavy libraries.

For tests that start such a process again and again, where the import takes most of the time.
`preloaded("sklearn.metrics")` stands in for the module `subprocess` of the code under test.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import reduction
from types import SimpleNamespace
from typing import Any


class _Fd:
    """A file descriptor that the forked process gets a copy of."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _detached, (reduction.DupFd(self.fd),)


def _detached(duplicate: Any) -> int:
    fd: int = duplicate.detach()
    return fd


def _run(module: str, fds: Sequence[int], env: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def preloaded(*libraries: str) -> SimpleNamespace:
    """A stand-in for `subprocess`; its Popen takes pipes for input and output and a file of errors.

    All calls of one test process share the libraries of the first.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(libraries))

    class Popen:
        def __init__(
            self,
            command: Sequence[str],
            *,
            stdin: int,
            stdout: int,
            stderr: Any,
            env: Mapping[str, str],
            text: bool,
        ) -> None:
            executable, option, module = command
            assert (executable, option, text) == (sys.executable, "-m", True)
            assert stdin == stdout == subprocess.PIPE
            its_input, our_output = os.pipe()
            our_input, its_output = os.pipe()
            fds = [_Fd(fd) for fd in (its_input, its_output, stderr.fileno())]
            self._process = context.Process(target=_run, args=(module, fds, dict(env)))
            self._process.start()
            os.close(its_input)
            os.close(its_output)
            self.stdin = open(our_output, "w")  # noqa: SIM115, PTH123
            self.stdout = open(our_input)  # noqa: SIM115, PTH123

        def poll(self) -> int | None:
            return self._process.exitcode

        def wait(self) -> int:
            self._process.join()
            assert self._process.exitcode is not None
            return self._process.exitcode

        def kill(self) -> None:
            self._process.kill()

    return SimpleNamespace(Popen=Popen, PIPE=subprocess.PIPE)
