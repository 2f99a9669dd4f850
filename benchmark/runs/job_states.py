"""Every task of a run in the states that users of job databases know.

CREATED (known, no job has it), READY (it waits in an engine), RUNNING, RESTART_READY (an attempt
was lost, it is made again), RUN_DONE (it has ended and its driver has not heard it), JOB_FINISHED,
RUN_TIMEOUT, RUN_ERROR (it failed by itself), FAILED (no result, and nothing tries again),
USER_KILLED.
"""

from __future__ import annotations

from benchmark.compute.baremetal.state import State
from benchmark.compute.pilot.lists import Lists
from benchmark.compute.submissions import carried_keys, load
from benchmark.records import results
from benchmark.records.layout import OUT, TASKS
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run

STATES = (
    *("CREATED", "READY", "RUNNING", "RESTART_READY", "RUN_DONE", "JOB_FINISHED"),
    *("RUN_TIMEOUT", "RUN_ERROR", "FAILED", "USER_KILLED"),
)


def job_states(run: Run) -> dict[str, str]:
    """The state of each task, by key, in the order of the plan."""
    keys = [task.key for task in run.tasks] or _proposed(run)
    ended = dict(results.outcomes(run, set(keys)))
    index = results.attempt_index(run)
    queued, claimed = _listed(run)
    held = carried_keys(run) | queued
    driven = run.store.is_locked(f"driver-{run.name}")
    return {
        key: _state(
            ended.get(key),
            begun=index.last.get(key, 0) > index.aside.get(key, 0),
            held=key in held,
            alive=key in claimed or key in held or driven,
        )
        for key in keys
    }


def in_engines(run: Run) -> set[str]:
    """The tasks that earlier drivers gave to an engine, which may still have them."""
    fleet = State.of(run)
    listed = _listed(run)[0] if load(run, "pilot") else set()  # No allocation takes them.
    return carried_keys(run) | listed | set(fleet.sent(run) if fleet else ())


def _state(record: Record | None, *, begun: bool, held: bool, alive: bool) -> str:
    if record is None:
        if begun:
            return "RUNNING" if alive else "FAILED"
        return "READY" if held else "CREATED"
    if record.is_result and record.status != "failure":
        return "RUN_DONE" if held else "JOB_FINISHED"
    if record.is_result:
        return "RUN_TIMEOUT" if record.cause is Cause.TIMEOUT else "RUN_ERROR"
    if held:
        return "RESTART_READY"
    return "USER_KILLED" if record.cause is Cause.INTERRUPTED else "FAILED"


def _proposed(run: Run) -> list[str]:
    """The trials of a study."""
    listed = (run.store.list(f"{run.name}/{part}") for part in (OUT, TASKS))
    keys = {key for paths in listed for path in paths if (key := run.key_of(path)) is not None}
    return sorted(keys, key=lambda key: (len(key), key))


def _listed(run: Run) -> tuple[set[str], set[str]]:
    """The tasks in the lists of allocations, and those that one has taken."""
    lists = Lists(run)
    entries = {name: lists.read(name) for name in lists.names()}
    queued = {entry.key for some in entries.values() for entry in some}
    taken = {
        entries[place.name][place.index].key
        for place in lists.claims()
        if place.index < len(entries.get(place.name, ()))
    }
    return queued, taken
