"""The local method: a pool of runners on this machine, each on cores of its own."""

from __future__ import annotations

import collections
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING

from benchmark.compute.dispatcher import Dispatcher, account, answered
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.execution.machine.cores import cpu_quota, usable_cores, usable_memory_mb
from benchmark.execution.sandbox.scratch import sweep
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.config.loading import Config
    from benchmark.records.results import Record
    from benchmark.records.tasks import Run, Task

_LAME = 3


class LocalDispatcher(Dispatcher):
    """`parallel` tasks side by side on disjoint cores; a dead runner is replaced."""

    # How long `close` waits for the runners to end their tasks and to record that they did: a
    # fraction of a second, on a busy machine longer.
    close_s = 30.0

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._cores = slots(config)
        self._waiting: collections.deque[Task] = collections.deque()
        self._runners: list[_RunnerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._free = list(range(len(self._cores)))
        self._lame = 0
        sweep()

    @classmethod
    def places(cls, config: Config) -> int:
        """As many as there are runners."""
        return len(slots(config))

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse more cores or memory than this machine has."""
        parallel = len(slots(config))
        machine_mb = usable_memory_mb()
        if parallel * config.memory > machine_mb:
            raise ConfigError(
                f"'memory' is {config.memory} MB, which for {parallel} at a time is more than this "
                f"machine's {machine_mb}; set 'memory' to {machine_mb // parallel} or less, or "
                "'parallel' lower."
            )

    def submit(self, tasks: Sequence[Task]) -> None:
        self._waiting.extend(tasks)
        self._feed()

    def completed(self, timeout_s: float) -> list[Record]:
        done: list[Record] = []
        end = time.monotonic() + timeout_s
        while not done and any(runner.task for runner in self._runners):
            left = end - time.monotonic()
            if left <= 0:
                break
            for key, _ in self._selector.select(left):
                done += self._hear(key.data)
        self._feed()
        return done

    def close(self) -> None:
        """End every runner with its task; at once if this is interrupted itself."""
        try:
            for runner in self._runners:
                runner.hang_up()
            end = time.monotonic() + self.close_s
            for runner in self._runners:
                runner.wait(max(0.0, end - time.monotonic()))
        finally:
            for runner in self._runners:
                runner.kill()
            self._runners.clear()
            self._selector.close()
            self._selector = selectors.DefaultSelector()
            sweep()

    def _feed(self) -> None:
        idle = sum(runner.task is None for runner in self._runners)
        for _ in range(min(len(self._waiting) - idle, len(self._free))):
            slot = self._free.pop(0)
            runner = _RunnerProcess(self.run, self._cores[slot], slot)
            self._runners.append(runner)
            self._selector.register(runner.answers, selectors.EVENT_READ, runner)
        for runner in self._runners:
            if runner.task is None and self._waiting:
                runner.give(self._waiting.popleft())

    def _hear(self, runner: _RunnerProcess) -> list[Record]:
        line = runner.answers.readline()
        if not line.endswith(b"\n"):
            return self._bury(runner)
        task, runner.task = runner.task, None
        self._lame = 0
        return [answered(self.run, task, line)] if task else []

    def _bury(self, runner: _RunnerProcess) -> list[Record]:
        """Account for the task that a dead runner had, and free its cores."""
        self._selector.unregister(runner.answers)
        self._runners.remove(runner)
        self._free.append(runner.slot)
        why = runner.epitaph()
        sweep()
        self._lame += 1
        done = []
        if runner.task:
            done.append(account(self.run, runner.task, Cause.INFRASTRUCTURE, why))
        if self._lame >= _LAME * len(self._cores) and not any(r.task for r in self._runners):
            raise BenchmarkError(f"No runner lives on this machine: {why}")
        return done


class _RunnerProcess:
    """One `python -m benchmark.execution … --serve`; its stdin is its lifeline."""

    def __init__(self, run: Run, cores: list[int], slot: int) -> None:
        self.slot = slot
        self.task: Task | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-m", "benchmark.execution", run.store.url, run.name, "--serve"]
        self._process = subprocess.Popen(
            [*command, "--cores", ",".join(map(str, cores))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": _package_root()},
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchmarkError("The runner's pipes could not be opened.")
        self._keys = self._process.stdin
        self.answers = self._process.stdout

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(BrokenPipeError):
            self._keys.write(task.key.encode() + b"\n")

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._keys.close()

    def wait(self, timeout_s: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def kill(self) -> None:
        self.hang_up()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.answers.close()
        self._errors.close()

    def epitaph(self) -> str:
        """How the runner ended, for the record of the task that it had."""
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self.kill()
        if code < 0:
            return f"The runner was killed ({signal.Signals(-code).name})."
        return f"The runner ended with exit code {code}: {lines[-1] if lines else 'no message'}"


def slots(config: Config) -> list[list[int]]:
    """Disjoint sets of cores, one a runner; with `cores` 0 all cores for each.

    Raises:
        ConfigError: the machine has fewer cores than the configuration asks for.
    """
    cores = usable_cores()
    if config.cores == 0:
        return [cores] * (config.parallel or 1)
    possible = len(cores) // config.cores
    if possible == 0:
        raise ConfigError(
            f"'cores' is {config.cores}, but this machine offers {len(cores)}{_by_quota()}; set "
            f"'cores' to {len(cores)} or less."
        )
    parallel = config.parallel or possible
    if parallel > possible:
        raise ConfigError(
            f"'parallel' is {parallel} and 'cores' {config.cores}, which takes "
            f"{parallel * config.cores} cores of this machine's {len(cores)}{_by_quota()}; set "
            f"'parallel' to {possible} or less."
        )
    return [cores[n * config.cores : (n + 1) * config.cores] for n in range(parallel)]


def _by_quota() -> str:
    quota = cpu_quota()
    return "" if quota is None else f" (its CPU quota is {quota:g})"


def _package_root() -> str:
    from pathlib import Path

    import benchmark

    root = str(Path(benchmark.__file__).parents[1])
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.pathsep.join([root, *others])
