"""Runs tasks to one outcome each: methods side by side, lost attempts again, all accounted."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark.compute import discovery, methods, submissions
from benchmark.compute.dispatcher import Dispatcher, account
from benchmark.compute.driving import Attempts, stoppable
from benchmark.config.loading import Config
from benchmark.errors import MethodError
from benchmark.records import packed_records, results
from benchmark.records.layout import OUT
from benchmark.records.record import FAILURE
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.costs.spending import Purse, Share, spent
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.job_states import in_engines
from benchmark.runs.summary import Summary

if TYPE_CHECKING:
    from benchmark.runs.early_stop.waves import Waves

_TICK_S = 0.2
_PACKINGS = 20
_GONE = "Its record has gone from the store."


@dataclass(frozen=True)
class Round:
    """What the threads of one round share.

    `leave`: what can go on without this process is left to do so. `leavable` are the methods at
    work that can. `others` are the tasks of the run that were not selected, `before` the last
    attempts before this command.
    """

    run: Run
    config: Config
    stop: threading.Event
    summary: Summary
    purse: Purse
    leave: threading.Event
    waves: Waves | None = None
    others: Collection[str] = frozenset()
    before: Mapping[str, int] = field(default_factory=dict)
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
    waiting = list(tasks)
    before = results.attempt_index(run).last
    attempts = Attempts(run, config.max_attempts, before)
    purse = Purse(config.max_cost, spent(run) if config.max_cost else 0.0)
    stop = threading.Event()
    leave = threading.Event()
    if detach:
        leave.set()
    asked = bool(tasks) and early_stop.is_asked(run.manifest)
    waves = _waves(run, tasks) if asked else None
    others = methods.others(run, tasks)
    methods.settle_unused(run, config, methods.by_method(run, config, run.tasks), others)
    common = Round(run, config, stop, summary, purse, leave, waves, others, before)
    heard = itertools.count(1)
    again: dict[str, Record] = {}
    with stoppable(stop, on_stop, lambda: _leave_if_agreed(common, ask)):
        while waiting and not stop.is_set():
            again = {}
            ended: set[str] = set()
            for record in _round(common, waiting):
                if not next(heard) % max(packed_records.FULL, len(tasks) // _PACKINGS):
                    packed_records.write(run)
                final = attempts.final(record)
                if final is None and not (stop.is_set() or purse.exceeded):
                    again[record.task] = record
                    _report(waves, record, final=False)
                    continue
                final = final or record
                ended.add(final.task)
                summary.records[final.task] = final
                _report(waves, final, final=True)
                if on_record:
                    on_record(final)
            waiting = _left(None if purse.is_short else waves, waiting, set(again), ended)
        summary.interrupted = stop.is_set()
        if summary.interrupted:
            summary.records.update(again)  # Nothing tries them again now.
        if not run.store.is_lost:
            _counted_from_store(run, summary, tasks)
            if summary.detached and not asked:
                known = in_engines(run) | summary.records.keys()
                summary.not_submitted = sum(task.key not in known for task in tasks)
        if not summary.interrupted:
            finish(run, config, tasks)
    if asked and not run.store.is_lost:
        _keep_answer(run, summary, tasks)
    return summary


def _waves(run: Run, tasks: Sequence[Task]) -> Waves | None:
    """None for a part of what the question needs: tasks that a user names are all run."""
    # Most runs have no question, and need no statistics.
    from benchmark.runs.early_stop.waves import Waves

    waves = Waves(run)
    return waves if waves.are_all(tasks) else None


def _leave_if_agreed(common: Round, ask: Callable[[Sequence[str]], bool] | None) -> None:
    """At Ctrl-C: let the user say what becomes of what can be left, unless that is said."""
    methods = sorted(common.leavable)
    if (
        ask
        and methods
        and not common.leave.is_set()
        and not common.run.store.is_lost
        and ask(methods)
    ):
        common.leave.set()


def _round(common: Round, tasks: Sequence[Task]) -> Iterator[Record]:
    """Every task once, by its method; the records as they come."""
    groups = methods.by_method(common.run, common.config, tasks)
    if common.waves:
        common.waves.start_round(tasks)
    threads = [
        threading.Thread(target=_carry, args=(name, common, group), name=name)
        for name, group in groups.items()
    ]
    for thread in threads:
        thread.start()
    living = len(threads)
    while living:
        try:
            # Not for longer: a signal that comes just before the wait is handled after it.
            record = common.heard.get(timeout=_TICK_S)
        except queue.Empty:
            continue
        if record is None:
            living -= 1
        else:
            yield record
    for thread in threads:
        thread.join()


def _carry(name: str, common: Round, tasks: Sequence[Task]) -> None:
    """One method's share, in a thread of its own; what it leaves is accounted."""
    run, heard = common.run, common.heard
    left = {task.key: task for task in tasks}
    why = f"The method {name} ended and reported nothing about this task."
    since: dict[str, int] = {}
    try:
        since = results.attempt_index(run).last
        share = _dispatch(name, common, left, since)
        held = {task.key for task in share.held_back}
        if (share.broke or common.purse.exceeded) and not common.stop.is_set():
            common.purse.is_short = True
            why = _spent_up(common.purse, len(left), len(held))
            common.summary.faults.append(why)
        left = {key: task for key, task in left.items() if key not in held}
        if common.waves and common.waves.is_answered:
            left.clear()  # The dispatcher has ended what the question did not need after all.
    except Exception as error:
        why = str(error)
        if not isinstance(error, MethodError):
            why = f"The method {name} failed: {error}"
        common.summary.faults.append(why)
    try:
        if not common.stop.is_set():
            for task in left.values():
                heard.put(account(run, task, Cause.INFRASTRUCTURE, why, since.get(task.key, 0)))
        else:
            ended = results.last_attempts(run, left)
            for last in ended.values():
                if last is not None and last.cause is Cause.INTERRUPTED:
                    heard.put(last)
    except Exception as error:
        common.summary.faults.append(f"The tasks of {name} could not be accounted: {error}")
    finally:
        if common.waves:
            common.waves.end_method(tasks)
        heard.put(None)


def _dispatch(name: str, common: Round, left: dict[str, Task], since: Mapping[str, int]) -> Share:
    """Carry tasks by a method until none is left; those with a record go from `left`."""
    method = discovery.load_method(name)
    rate = method.rate(common.config) if common.purse.limit is not None else None
    queue = common.waves.queue(name, common.config) if common.waves else None
    share = Share(common.purse, name, rate, list(left.values()), queue, since=since)
    with method(common.run, common.config) as dispatcher:
        dispatcher.others, dispatcher.before = common.others, common.before
        if dispatcher.detachable:
            common.leavable.add(name)
        for portion in _portions(dispatcher, share, common.purse):
            if portion:
                dispatcher.submit(portion)
            if common.stop.is_set() or not left:
                break
            if share.is_idle:  # Tasks of other methods decide what is wanted next.
                common.stop.wait(_TICK_S)
            for record in dispatcher.completed(_TICK_S):
                share.heard(record)
                if left.pop(record.task, None):
                    common.heard.put(record)
        common.leavable.discard(name)
        leaves = bool(left) and common.stop.is_set() and common.leave.is_set()
        dispatcher.detached = leaves and dispatcher.detachable
    common.summary.detached += [name] * dispatcher.detached
    share.paid(dispatcher.paid())  # What its machines have cost until the last of them was ended.
    return share


def _portions(dispatcher: Dispatcher, share: Share, purse: Purse) -> Iterator[Sequence[Task]]:
    """What may be submitted, time and again; ends when no more can be paid for, or is needed."""
    portion: Sequence[Task] = share.first()
    ends_tasks = type(dispatcher).close is not Dispatcher.close
    while not (share.over or purse.exceeded):
        # What an earlier driver left is taken over in any case, and ended where nothing needs it.
        if ends_tasks and share.is_answered and not portion:
            return
        yield portion
        share.paid(dispatcher.paid())
        portion = share.more()


def _spent_up(purse: Purse, left: int, held: int) -> str:
    return (
        f"'max_cost' is {purse.limit:g} USD, {purse.total:.2f} are spent, and what is left could "
        f"cost more: {left} tasks have no result ({held} of them were not started); raise it and "
        "run resume-compute."
    )


def _report(waves: Waves | None, record: Record, *, final: bool) -> None:
    if waves:
        waves.heard(record, final=final)


def _left(waves: Waves | None, tasks: list[Task], again: set[str], ended: set[str]) -> list[Task]:
    """The tasks of the next round: what is tried again; where a question decides, all not ended."""
    if waves is None or not again | ended:
        return [task for task in tasks if task.key in again]
    left = [task for task in tasks if task.key not in ended]
    return left if waves.is_due(left) else []


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


def finish(run: Run, config: Config, tasks: Sequence[Task]) -> None:
    """What is left to do where nothing is left to run of these tasks; what others use goes on.

    Raises:
        BenchmarkError: machines that a lost driver started may still run.
    """
    packed_records.write(run)
    others = methods.others(run, tasks)
    submissions.forget_over(run, others)
    methods.settle(run, config, methods.by_method(run, config, run.tasks), others)


def _keep_answer(run: Run, summary: Summary, tasks: Sequence[Task]) -> None:
    """Put the claims into the summary, and what was looked at into the manifest."""
    from benchmark.runs.early_stop.tracking import answers, looked, tracked

    tracker = tracked(run)
    summary.retired = tracker.retired(task.key for task in tasks if task.key not in summary.records)
    summary.answers = answers(tracker)
    manifest = run.manifest
    until = (manifest.until or {}) | {"looked": looked(tracker)}
    if until != manifest.until:
        replace(run, manifest=replace(manifest, until=until)).save()
