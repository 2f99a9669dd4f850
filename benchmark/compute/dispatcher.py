"""The interface of every compute method.

A method is a subclass with `process` alone, as a stranger would write it,

    @AutoMLMethods("h2o", "tpot")
    class MyDispatcher(Dispatcher):
        @classmethod
        def process(cls, tests):
            for task in tests:
                tests.execute(task)

or with the three steps `submit`, `completed` and `close`, from which `process` follows.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

if TYPE_CHECKING:
    from benchmark.config.loading import Config

_POLL_S = 0.5


@dataclass(frozen=True)
class Machines:
    """What machines cost, USD an hour. The cheapest costs `price` and `beside` more, such as for
    its disk, and holds `tasks` tasks; the dearest costs `dearest`, and `alone` of it is not used if
    one task is alone on it. `most` tasks run at once, and at least `fewest` fit on a machine. It
    boots and idles `idle_s` seconds: the least, what is likely, and the most. `left_out` is what no
    figure includes."""

    price: float
    beside: float
    tasks: int
    dearest: float
    alone: float
    fewest: int
    most: int
    idle_s: tuple[float, float, float]
    left_out: str


@dataclass(frozen=True)
class Rate:
    """What one task of a method costs while it runs, USD an hour, on its cheapest and its dearest
    machine; `words` names the machines. The engine may try a task `tries` times by itself."""

    low: float
    high: float
    words: str
    tries: int = 1
    machines: Machines | None = None


class Tests(Sequence["Task"]):
    """The tasks that a dispatcher is given, with their run and the configuration."""

    def __init__(self, run: Run, config: Config, tasks: Sequence[Task]) -> None:
        self.run = run
        self.config = config
        self._tasks = list(tasks)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        return self._tasks[index]

    def __len__(self) -> int:
        return len(self._tasks)

    def execute(self, task: Task) -> Record:
        """Run one task here and now, in the sandbox."""
        from benchmark.execution.runner import execute

        return execute(self.run, task)


class Dispatcher:
    """Carries tasks to where they run and says what became of each. Never looks inside.

    One that is `detachable` can leave its tasks to run without it: where `detached` is set,
    `close` lets go of them in place of ending them, and the next driver's `submit` finds them.
    `others` are the keys of the run's tasks that this driver was not given: what an earlier one has
    left of them is neither ended nor settled, and what they share with its own goes on.
    `before` has the last attempts before the command, from which `max_attempts` is counted.
    """

    methods: ClassVar[tuple[str, ...]] = ()
    detachable: ClassVar[bool] = False
    scales: ClassVar[bool] = False
    """Whether machines are started as tasks need them, so that none stands idle without tasks."""

    def __init__(self, run: Run, config: Config) -> None:
        self.run = run
        self.config = config
        self.detached = False
        self.others: Collection[str] = frozenset()
        self.before: Mapping[str, int] = {}
        self._processes: list[_Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        steps = "submit" in cls.__dict__ and "completed" in cls.__dict__
        if cls.__base__ is Dispatcher and not steps and "process" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} needs `process`, or `submit` and `completed`")

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise a ConfigError for what this method cannot do, before anything is written."""

    @classmethod
    def brings_environments(cls, config: Config) -> bool:  # noqa: ARG003  for those that do
        """Whether the frameworks' environments are where tasks run, or are made there: the driver
        builds none."""
        return False

    @classmethod
    def rate(cls, config: Config) -> Rate | None:  # noqa: ARG003  for those that cost nothing
        """What a task costs here; None where it costs nothing, or where that is not known."""
        return None

    @classmethod
    def settle(cls, run: Run, config: Config, others: Collection[str] = frozenset()) -> None:
        """End and remove what a lost driver left behind, unless one of the tasks `others` is on it.

        Raises:
            BenchmarkError: machines may still run.
        """

    @classmethod
    def places(cls, config: Config) -> int | None:
        """How many tasks run at once at most; None where only the engine knows."""
        return config.parallel

    def paid(self) -> float:
        """USD that the machines have cost which this dispatcher has started, busy or idle."""
        return 0.0

    @classmethod
    def process(cls, tests: Tests) -> None:
        """Return when each test has a record, or an ended attempt that says why it has none."""
        with cls(tests.run, tests.config) as dispatcher:
            dispatcher.submit(tests)
            waiting = {task.key for task in tests}
            while waiting:
                waiting -= {record.task for record in dispatcher.completed(timeout_s=60)}

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks; returns at once."""
        self._processes.append(_Process(type(self), Tests(self.run, self.config, tasks)))

    def completed(self, timeout_s: float) -> list[Record]:
        """The records (or ends of attempts) that became final since the last call.

        Waits until there is one, `timeout_s` at most. Each task is returned once.
        """
        found: list[Record] = []
        for place, one in enumerate(self._processes):
            last = place == len(self._processes) - 1
            found += one.completed(0 if found or not last else timeout_s)
        self._processes = [one for one in self._processes if one.has_tasks]
        return found

    def close(self) -> None:
        """Release all that was provisioned, also on Ctrl-C and after an exception."""


class _Process:
    """`process` of a dispatcher that has nothing else, in a thread, watched through the store."""

    def __init__(self, method: type[Dispatcher], tests: Tests) -> None:
        self._tests = tests
        self._waiting = {task.key: task for task in tests}
        self._error: Exception | None = None
        self._method = method
        self._since = results.attempt_index(tests.run).last
        self._thread = threading.Thread(target=self._run, daemon=True, name=method.__name__)
        self._thread.start()

    @property
    def has_tasks(self) -> bool:
        return bool(self._waiting)

    def _run(self) -> None:
        try:
            self._method.process(self._tests)
        except Exception as error:
            self._error = error

    def completed(self, timeout_s: float) -> list[Record]:
        end = time.monotonic() + timeout_s
        while True:
            ended = not self._thread.is_alive()
            found = results.current_records(self._tests.run, self._waiting)
            if ended:
                found += self._leave()
            for record in found:
                self._waiting.pop(record.task, None)
            left = end - time.monotonic()
            if found or ended or left <= 0:
                return found
            self._thread.join(min(_POLL_S, left))

    def _leave(self) -> list[Record]:
        """Account for the tasks that `process` left behind."""
        why = (
            f"{self._method.__name__} failed: {type(self._error).__name__}: {self._error}"
            if self._error
            else f"{self._method.__name__} returned without a record of this task."
        )
        found = {one.task for one in results.current_records(self._tests.run, self._waiting)}
        return [
            account(self._tests.run, task, Cause.INFRASTRUCTURE, why, self._since.get(key, 0))
            for key, task in self._waiting.items()
            if key not in found
        ]


def account(  # noqa: PLR0917
    run: Run,
    task: Task,
    cause: Cause,
    message: str,
    since: int | None = None,
    took_s: float | None = None,
    starts: int = 1,
) -> Record:
    """What became of a task that an engine has done with: its record, or an ended attempt.

    An attempt that was started and left open is ended with the engine's cause; a task that left no
    trace gets an attempt that says so. The end of an attempt counts if its number is above
    `since`, the last one before the engine had the task. `took_s` is for how long an attempt ran
    that was left open, as the engine knows; where its machine has a price it costs so much.
    `starts` is how often the engine has started it since: each of them counts as an attempt.
    """
    from benchmark.execution.machine import billing

    record = results.current_record(run, task.key)
    if record is not None:
        return record
    last = results.last_attempt(run, task.key)
    lost = results.failure(task, cause, message)
    if last and last[1] is not None and since is not None and last[0].number > since:
        record = last[1]
    elif last is None or last[1] is not None:
        record = results.settle(run, results.begin(run, task), lost)
    else:
        attempt = last[0]
        cost = None if took_s is None else billing.cost(attempt.host, task.resources, took_s)
        facts = {"host": attempt.host, "total_s": took_s, "cost": cost}
        record = results.settle(run, attempt, results.failure(task, cause, message, **facts))
    for _ in range(0 if record.is_result else (since or 0) + starts - record.attempt):
        record = results.settle(run, results.begin(run, task), lost)
    return record


def answered(run: Run, task: Task, answer: str | bytes) -> Record:
    """The record in an answer of a runner that lives on (`benchmark.execution --serve`), or an
    ended attempt that says why there is none."""
    found = json.loads(answer)
    record = Record.from_bytes(json.dumps(found["record"]).encode()) if "record" in found else None
    return record or account(run, task, Cause.INFRASTRUCTURE, str(found.get("error")))


def AutoMLMethods(*names: str) -> Callable[[type[Dispatcher]], type[Dispatcher]]:  # noqa: N802
    """Name the frameworks that this method runs unless the configuration says otherwise."""
    if not names or not all(isinstance(name, str) and name for name in names):
        raise BenchmarkError("@AutoMLMethods takes the names of frameworks, such as 'h2o'.")

    def mark(method: type[Dispatcher]) -> type[Dispatcher]:
        method.methods = names
        return method

    return mark
