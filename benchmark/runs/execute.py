"""Runs tasks to one outcome each: methods side by side, lost attempts again, all accounted."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark import packs, results
from benchmark.compute import discovery, methods, submissions
from benchmark.compute.dispatcher import account
from benchmark.compute.driving import final_record, is_tried_again, stoppable
from benchmark.errors import MethodError
from benchmark.layout import OUT
from benchmark.record import FAILURE, INTERRUPTED, NOT_RUN
from benchmark.results import Cause, Record
from benchmark.runs.spending import Purse, Share, spent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmark.compute.dispatcher import Dispatcher
    from benchmark.config import Config
    from benchmark.tasks import Run, Task

_TICK_S = 0.2
_PACKINGS = 20
_GONE = "Its record has gone from the store."


@dataclass
class Summary:
    """How an execution went: the last word on each task, and what could not be carried.

    `detached` are the methods whose tasks were left to run when it was interrupted.
    """

    records: dict[str, Record] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    interrupted: bool = False
    detached: list[str] = field(default_factory=list)

    @property
    def causes(self) -> Counter[str]:
        """How many tasks ended how: `success` or a cause."""
        return Counter(str(record.cause or record.status) for record in self.records.values())

    @property
    def hopeless(self) -> list[str]:
        """The frameworks, by their names in the results, that failed on every task here."""
        return sorted(name for name, outcomes in self._outcomes.items() if outcomes == {FAILURE})

    @property
    def never_run(self) -> list[str]:
        """The frameworks none of whose tasks could be run, for reasons that are not theirs."""
        return sorted(name for name, outcomes in self._outcomes.items() if outcomes == {NOT_RUN})

    @property
    def without_success(self) -> list[str]:
        """The frameworks without any success here, unless a task of theirs was interrupted."""
        good = {"success", INTERRUPTED}
        return sorted(name for name, outcomes in self._outcomes.items() if not outcomes & good)

    @property
    def _outcomes(self) -> dict[str, set[str]]:
        """How the tasks of each framework ended; a study's tasks have none."""
        found: dict[str, set[str]] = {}
        for record in self.records.values():
            if name := str(record.labels.get("framework", "")):
                found.setdefault(name, set()).add(record.outcome)
        return found

    @property
    def all_have_results(self) -> bool:
        return not self.interrupted and all(record.is_result for record in self.records.values())


@dataclass(frozen=True)
class Round:
    """What the threads of one round share.

    `leave`: what can go on without this process is left to do so. `leavable` are the methods at
    work that can.
    """

    run: Run
    config: Config
    stop: threading.Event
    summary: Summary
    purse: Purse
    leave: threading.Event
    leavable: set[str] = field(default_factory=set)
    heard: queue.SimpleQueue[Record | None] = field(default_factory=queue.SimpleQueue)


def execute(
    run: Run,
    config: Config,
    tasks: Sequence[Task],
    on_record: Callable[[Record], None] | None = None,
    on_stop: Callable[[], None] | None = None,
    *,
    detach: bool = False,
    ask: Callable[[Sequence[str]], bool] | None = None,
) -> Summary:
    """Run tasks until each has a result or no attempt left.

    `interrupted` and `infrastructure` attempts are made again, `max_attempts` in all. Ctrl-C ends
    what runs as `interrupted` and returns; a second one leaves at once. With `detach` it leaves
    what runs on machines that go on without this process; without it `ask` is given the methods
    that could, and says whether it does.
    """
    summary = Summary()
    tries: Counter[str] = Counter()
    waiting = list(tasks)
    begun = results.attempt_index(run).last
    purse = Purse(config.max_cost, spent(run) if config.max_cost else 0.0)
    stop = threading.Event()
    leave = threading.Event()
    if detach:
        leave.set()
    given = Round(run, config, stop, summary, purse, leave)
    heard = itertools.count(1)
    with stoppable(stop, on_stop, lambda: _choose(given, ask)):
        while waiting and not stop.is_set():
            tries.update(task.key for task in waiting)
            again: set[str] = set()
            for record in _round(given, waiting):
                if not next(heard) % max(packs.FULL, len(tasks) // _PACKINGS):
                    packs.write(run)
                # A method may have tried again itself, as AWS does with a machine that was lost.
                own = max(record.attempt - begun.get(record.task, 0), tries[record.task])
                ended = stop.is_set() or purse.exceeded
                tried_again = is_tried_again(record, own, config.max_attempts)
                if tried_again and not ended:
                    again.add(record.task)
                    continue
                final = record if tried_again else final_record(run, record, own)
                summary.records[final.task] = final
                if on_record:
                    on_record(final)
            waiting = [task for task in waiting if task.key in again]
        summary.interrupted = stop.is_set()
        if not run.store.is_lost:
            _counted_from_store(run, summary, tasks)
        if not summary.interrupted:
            finish(run)
    return summary


def _counted_from_store(run: Run, summary: Summary, tasks: Sequence[Task]) -> None:
    """The store is what counts: add results that were not heard of, as a runner stores its last
    one while it is interrupted, and take back those whose records have gone meanwhile."""
    present = set(run.store.list(f"{run.name}/{OUT}"))
    results_heard = {key for key, one in summary.records.items() if one.is_result}
    unheard = [
        task.key
        for task in tasks
        if task.key not in results_heard and run.out_path(task.key) in present
    ]
    found = results.current_records(run, unheard)
    summary.records.update((record.task, record) for record in found)
    heard = summary.records.items()
    gone = [key for key, one in heard if one.is_result and run.out_path(key) not in present]
    for key in gone:
        summary.records[key] = replace(
            summary.records[key], status=FAILURE, cause=Cause.INFRASTRUCTURE, message=_GONE
        )
    if gone:
        summary.faults.append(
            f"The records of {len(gone)} tasks have gone from {run.store.url}, such as {gone[0]}; "
            "run them again with resume-compute."
        )


def finish(run: Run) -> None:
    """What is left to do of a run in which nothing is left to run."""
    packs.write(run)
    submissions.forget_over(run)


def _choose(given: Round, ask: Callable[[Sequence[str]], bool] | None) -> None:
    """At Ctrl-C: let the user say what becomes of what can be left, unless that is said."""
    methods = sorted(given.leavable)
    if (
        ask
        and methods
        and not given.leave.is_set()
        and not given.run.store.is_lost
        and ask(methods)
    ):
        given.leave.set()


def _round(given: Round, tasks: Sequence[Task]) -> Iterator[Record]:
    """Every task once, by its method; the records as they come."""
    groups = methods.by_method(given.run, given.config, tasks)
    threads = [
        threading.Thread(target=_carry, args=(name, given, group), name=name)
        for name, group in groups.items()
    ]
    for thread in threads:
        thread.start()
    living = len(threads)
    while living:
        record = given.heard.get()
        if record is None:
            living -= 1
        else:
            yield record
    for thread in threads:
        thread.join()


def _carry(name: str, given: Round, tasks: Sequence[Task]) -> None:
    """One method's share, in a thread of its own; what it leaves is accounted."""
    run, heard = given.run, given.heard
    left = {task.key: task for task in tasks}
    why = f"The method {name} ended without a word on this task."
    since: dict[str, int] = {}
    try:
        since = results.attempt_index(run).last
        share = _dispatch(name, given, left)
        if (share.held_back or given.purse.exceeded) and not given.stop.is_set():
            held = {task.key for task in share.held_back}
            why = _spent_up(given.purse, len(left), len(held))
            given.summary.faults.append(why)
            left = {key: task for key, task in left.items() if key not in held}
    except Exception as error:
        why = str(error)
        if not isinstance(error, MethodError):
            why = f"The method {name} failed: {error}"
        given.summary.faults.append(why)
    try:
        if not given.stop.is_set():
            for task in left.values():
                heard.put(account(run, task, Cause.INFRASTRUCTURE, why, since.get(task.key, 0)))
        else:
            ended = results.last_attempts(run, left)
            for last in ended.values():
                if last is not None and last.cause is Cause.INTERRUPTED:
                    heard.put(last)
    except Exception as error:
        given.summary.faults.append(f"The tasks of {name} could not be accounted: {error}")
    finally:
        heard.put(None)


def _dispatch(name: str, given: Round, left: dict[str, Task]) -> Share:
    """Carry tasks by a method until none is left; those with a record go from `left`."""
    method = discovery.load_method(name)
    rate = method.rate(given.config) if given.purse.limit is not None else None
    share = Share(given.purse, name, rate, list(left.values()))
    with method(given.run, given.config) as dispatcher:
        if dispatcher.detachable:
            given.leavable.add(name)
        for portion in _portions(dispatcher, share, given.purse):
            if portion:
                dispatcher.submit(portion)
            if given.stop.is_set() or not left:
                break
            for record in dispatcher.completed(_TICK_S):
                share.heard(record)
                if left.pop(record.task, None):
                    given.heard.put(record)
        given.leavable.discard(name)
        leaves = bool(left) and given.stop.is_set() and given.leave.is_set()
        dispatcher.detached = leaves and dispatcher.detachable
        given.summary.detached += [name] * dispatcher.detached
    share.paid(dispatcher.paid())  # What its machines have cost until the last of them was ended.
    return share


def _portions(dispatcher: Dispatcher, share: Share, purse: Purse) -> Iterator[Sequence[Task]]:
    """What may be submitted, time and again; ends when no more can be paid for."""
    portion: Sequence[Task] = share.first()
    while not (share.over or purse.exceeded):
        yield portion
        share.paid(dispatcher.paid())
        portion = share.more()


def _spent_up(purse: Purse, left: int, held: int) -> str:
    return (
        f"'max_cost' is {purse.limit:g} USD, {purse.total:.2f} are spent, and what is left could "
        f"cost more: {left} tasks have no result ({held} of them were not begun); raise it and go "
        "on with resume-compute."
    )
