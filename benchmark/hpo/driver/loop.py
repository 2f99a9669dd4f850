"""The driver of a study: asks, dispatches, tells; a new trial starts as soon as one ends."""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.compute import discovery, methods
from benchmark.compute.driving import Attempts, stoppable
from benchmark.errors import SetupError
from benchmark.hpo.driver import control
from benchmark.hpo.study.task_order import InOrder
from benchmark.hpo.trials import python_objective, restore_hooks
from benchmark.records import results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmark.config.loading import Config
    from benchmark.hpo.study.study import Study
    from benchmark.records.results import Record
    from benchmark.records.tasks import Task

_TICK_S = 0.2


@dataclass
class Tuned:
    """How a drive went: the records of this time, those left without a result, and why it ended.

    `why_stopped` is the limit of the study's own that was reached; `faults` is what must be fixed.
    `detached`: trials were left to run when it was interrupted.
    """

    records: list[Record] = field(default_factory=list)
    without_result: list[Record] = field(default_factory=list)
    interrupted: bool = False
    stopped: bool = False
    detached: bool = False
    why_stopped: str | None = None
    faults: list[str] = field(default_factory=list)


def tune(
    study: Study,
    config: Config,
    method: str = "local",
    on_record: Callable[[Record], None] | None = None,
    *,
    detach: bool = False,
    ask: Callable[[Sequence[str]], bool] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> Tuned:
    """Run trials until there are as many as the study asks for, each with one outcome.

    What is lost (`interrupted`, `infrastructure`) is tried `max_attempts` times. A trial that has
    no result then, or whose setup fails, stops the asking: it is run again when the study goes on.
    With `detach` Ctrl-C leaves what runs on machines that go on without this process; without it
    `ask` is given the method, if it can, and says whether it does. `on_stop` is called at Ctrl-C.

    Raises:
        SetupError: the study's environment cannot be built.
        BenchmarkError: machines that a lost driver started may still run.
    """
    tuned = Tuned()
    control.request(study.run, "go")
    prepare(study)
    stop = threading.Event()
    try:
        # Workers of a shared study may use other methods at the same time.
        if not study.definition.max_parallelism:
            methods.settle_unused(study.run, config, [method])
        inner = discovery.load_method(method)(study.run, config)
        inner.before = results.attempt_index(study.run).last
        attempts = Attempts(study.run, config.max_attempts, inner.before)
        leave = threading.Event()
        if detach and inner.detachable:
            leave.set()

        def choose() -> None:
            silent = leave.is_set() or not inner.detachable or study.run.store.is_lost
            if ask and not silent and ask([method]):
                leave.set()

        with stoppable(stop, on_stop, choose), InOrder(inner) as dispatcher:
            left = _drive(study, attempts, dispatcher, tuned, stop, on_record)
            inner.detached = tuned.detached = left and leave.is_set()
        if not left:
            inner.settle(study.run, config)
    finally:
        put_back(study, tuned)
    tuned.interrupted = stop.is_set()
    return tuned


def _drive(  # noqa: PLR0917
    study: Study,
    attempts: Attempts,
    dispatcher: InOrder,
    tuned: Tuned,
    stop: threading.Event,
    on_record: Callable[[Record], None] | None,
) -> bool:
    """Ask, dispatch and tell until there is no more to do; whether trials still run."""
    requests = control.Requests(study.run)
    waiting = collections.deque(study.unfinished())
    running: dict[str, Task] = {}
    while not stop.is_set():
        wanted = requests.latest()
        tuned.why_stopped = study.why_stop
        asking = not tuned.without_result and wanted == "go"
        while (room := study.definition.at_once - len(running)) > 0 and asking:
            tasks = _next(study, waiting, tuned, room)
            if not tasks:
                break
            running |= {task.key: task for task in tasks}
            dispatcher.submit(tasks)
        if not running and wanted == "pause":
            stop.wait(_TICK_S)
            continue
        if not running:
            tuned.stopped = wanted == "stop"
            break
        for record in dispatcher.completed(_TICK_S):
            ended = running.pop(record.task, None)
            if ended is None:
                continue
            last = attempts.final(record)
            if last is None:
                waiting.append(ended)
            elif study.tell(last):
                tuned.records.append(last)
                if on_record:
                    on_record(last)
            else:
                tuned.without_result.append(last)
    return bool(running)


def prepare(study: Study) -> None:
    """Build what trials run in before the clock of any of them runs.

    Raises:
        SetupError: it cannot be built.
    """
    python_objective.interpreter(study.run)
    if study.definition.objective.benchmark is not None:
        from benchmark.hpo.trials.benchmark_inputs import build

        build(study.run)


def _next(
    study: Study, waiting: collections.deque[Task], tuned: Tuned, room: int
) -> Sequence[Task]:
    """Trials that were started before, together, since jobs of an earlier driver may have them;
    else a new one, unless a limit of the study's is reached."""
    if waiting:
        return [waiting.popleft() for _ in range(min(room, len(waiting)))]
    return [] if tuned.why_stopped else study.ask(1)


def put_back(study: Study, tuned: Tuned) -> None:
    """Run the restore hooks that ended runners of this machine owe."""
    if not study.definition.objective.restore:
        return
    try:
        restore_hooks.put_all_back(study.run)
    except SetupError as error:
        tuned.faults.append(str(error))
