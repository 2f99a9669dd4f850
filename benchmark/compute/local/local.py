"""The local method: a pool of runners on this machine, each on cores of its own."""

from __future__ import annotations

import selectors
import time

from benchmark.compute.pool import PoolDispatcher
from benchmark.compute.serving import RunnerProcess, serving
from benchmark.config.extras import python_path
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.execution.machine.cores import cpu_quota, usable_cores, usable_memory_mb
from benchmark.execution.sandbox.scratch import sweep
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task


class _Runner(RunnerProcess):
    """A runner of this machine, with its place among the sets of cores and its task."""

    def __init__(self, run: Run, cores: list[int], slot: int) -> None:
        self.slot = slot
        self.task: Task | None = None
        command = serving(run.store.url, run.name, cores)
        super().__init__(command, {"PYTHONPATH": python_path()}, keeps_errors=True)


class LocalDispatcher(PoolDispatcher[_Runner]):
    """`parallel` tasks side by side on disjoint cores; a dead runner is replaced."""

    # How long `close` waits for the runners to end their tasks and to record that they did: a
    # fraction of a second, on a busy machine longer.
    close_s = 30.0
    place = "this machine"

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._cores = slots(config)
        self._selector = selectors.DefaultSelector()
        self._free = list(range(len(self._cores)))
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
                f"'memory' is {config.memory} MiB, which for {parallel} at a time is more than "
                f"this machine's {machine_mb}; set 'memory' to {machine_mb // parallel} or less, "
                "or 'parallel' lower."
            )

    def close(self) -> None:
        """End every runner with its task; at once if this is interrupted itself."""
        try:
            for runner in self._runners:
                runner.hang_up()
            end = time.monotonic() + self.close_s
            for runner in self._runners:
                runner.close(max(0.0, end - time.monotonic()))
        finally:
            for runner in self._runners:
                runner.close(0)
            self._runners.clear()
            self._selector.close()
            self._selector = selectors.DefaultSelector()
            sweep()

    def _feed(self) -> None:
        idle = sum(runner.task is None for runner in self._runners)
        for _ in range(min(len(self._waiting) - idle, len(self._free))):
            slot = self._free.pop(0)
            runner = _Runner(self.run, self._cores[slot], slot)
            self._runners.append(runner)
            self._selector.register(runner.answers, selectors.EVENT_READ, runner)
        for runner in self._runners:
            if runner.task is None and self._waiting:
                runner.task = self._waiting.popleft()
                runner.give(runner.task.key)

    def _received(self, timeout_s: float) -> list[Record]:
        done: list[Record] = []
        for key, _ in self._selector.select(timeout_s):
            line = key.data.answers.readline()
            whole = line.endswith(b"\n")
            done += self._answered(key.data, line) if whole else self._ended(key.data)
        return done

    def _ended(self, runner: _Runner) -> list[Record]:
        """Free the cores of a dead runner."""
        self._selector.unregister(runner.answers)
        self._free.append(runner.slot)
        why = runner.ending()
        runner.close(0)
        sweep()
        return self._lost(runner, why)

    def _size(self) -> int:
        return len(self._cores)


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
