"""Attempts and records: start, settle, list, compile.

A task has one record: a result, created once. An attempt starts before the task runs (its
creation is the count) and ends with an outcome. `success`, `framework`, `timeout` and `memory`
are results; any other cause leaves the task without one, to be run again.

Setting a task aside writes a mark into its attempts: records of earlier attempts then count as
absent, so that a late worker's record cannot slip into the new generation.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import NewerRecordError, StoreError
from benchmark.records import packed_records
from benchmark.records.layout import ATTEMPTS, OUT, PREDICTIONS, AttemptPlace
from benchmark.records.record import Cause, Record, failure, host_facts, utc_now

if TYPE_CHECKING:
    from benchmark.records.tasks import Run, Task

__all__ = ["Attempt", "AttemptIndex", "Cause", "Record", "failure", "host_facts", "utc_now"]

NO_TRACE = "The attempt started and left no trace of its end."


@dataclass(frozen=True)
class Attempt:
    """A started attempt; its number is never reused among the attempts of the task.

    `host` is the machine where it started: its name, and in a cloud its type and price.
    """

    task: str
    number: int
    begun: str
    host: dict[str, Any] = field(default_factory=dict)


def begin(run: Run, task: Task, host: Mapping[str, Any] | None = None) -> Attempt:
    """Start an attempt; its number is one more than any attempt's or mark's of this task."""
    number = max((place.number for place in _places(run, task.key)), default=0) + 1
    while True:
        attempt = Attempt(task.key, number, utc_now(), dict(host or host_facts()))
        # No two writers may write the same bytes: the store recognises its own write by them.
        begun = json.dumps(asdict(attempt) | {"nonce": secrets.token_hex(8)}).encode()
        if run.store.create(run.attempt_path(task.key, number), begun):
            return attempt
        number += 1


def settle(run: Run, attempt: Attempt, record: Record) -> Record:
    """End the attempt, and create the task's record if this is a result and it has none.

    Returns:
        The task's record if it has one now (perhaps of another delivery), else `record`.

    Raises:
        NewerRecordError: the task has a record that this version of the program cannot read.
    """
    record = replace(
        record, attempt=attempt.number, begun=attempt.begun, ended=record.ended or utc_now()
    )
    data = record.to_bytes()
    final, kept = _create_record(run, record, data) if record.is_result else (record, True)
    if record.predictions and not kept:
        # They belong to this attempt, and no record will ever name them.
        run.store.delete([record.predictions])
        data = replace(record, predictions=None, predictions_sha256=None).to_bytes()
    run.store.put(run.attempt_path(record.task, attempt.number), data)
    return final


def _create_record(run: Run, record: Record, data: bytes) -> tuple[Record, bool]:
    """The task's record, and whether its predictions are those of this attempt."""
    aside = _last_aside(run, record.task)
    path = run.out_path(record.task)
    if record.attempt < aside:
        return record, False
    if run.store.create(path, data):
        return record, True
    existing = record_at(run, path, run.store.get(path))
    if existing is not None and existing.attempt > aside:
        # The same delivery may be settled twice; then only its time differs.
        return existing, existing.predictions == record.predictions
    run.store.put(path, data)
    return record, True


def record_at(run: Run, path: str, data: bytes | None) -> Record | None:
    """The record of the task that `path` belongs to; anything else there counts as absent.

    An invalid record is named once in the log.

    Raises:
        NewerRecordError: a later version of the program wrote it.
    """
    record = Record.from_bytes(data)
    if record is not None and record.task == run.key_of(path):
        return record
    if data is not None:
        run.store.ignore(path, "is not a record of its task")
    return None


def predictions(run: Run, record: Record) -> bytes | None:
    """The predictions of a record, as parquet; None if none are kept.

    Raises:
        StoreError: they differ from the ones that the record was measured on.
    """
    data = run.store.get(record.predictions or run.predictions_path(record.task))
    found = hashlib.sha256(data or b"").hexdigest()
    if record.predictions_sha256 is not None and found != record.predictions_sha256:
        raise StoreError(
            f"{record.predictions} in {run.store.url} is {'missing' if data is None else 'not'} "
            f"what the record of {record.task} was measured on; put it back, or run the task again "
            "with --overwrite."
        )
    return data


def set_aside(run: Run, keys: Iterable[str]) -> None:
    """Start a new generation of tasks: discard their records and late ones of old attempts."""
    for key in keys:
        number = max((place.number for place in _places(run, key)), default=0) + 1
        while not run.store.create(
            run.attempt_path(key, number, aside=True),
            json.dumps({"task": key, "number": number, "aside": utc_now()}).encode(),
        ):
            number += 1
        # The predictions of all attempts, and of a version that kept one file per task.
        predictions = [
            run.predictions_path(key),
            *run.store.list(f"{run.name}/{PREDICTIONS}/{key}"),
        ]
        run.store.delete([run.out_path(key), *predictions])


def refuse_newer(newer: Mapping[str, str], path: Path) -> None:
    """Report which tasks of a table lack the result that a later version recorded.

    Raises:
        NewerRecordError: there are such tasks.
    """
    if newer:
        more = f" ({len(newer) - 1} more such records.)" if len(newer) > 1 else ""
        raise NewerRecordError(
            f"{next(iter(newer.values()))}{more} {path} was written with all other tasks."
        )


def _places(run: Run, key: str) -> list[AttemptPlace]:
    """The attempts and marks of a task."""
    return list(_attempts(run, run.store.list(run.attempts_path(key))).values())


def _attempts(run: Run, paths: Iterable[str]) -> dict[str, AttemptPlace]:
    """The place of an attempt's path; other objects among them are named once."""
    found = {}
    for path in paths:
        place = run.attempt_of(path)
        if place is None:
            run.store.ignore(path, "is not an attempt")
        else:
            found[path] = place
    return found


def _last_aside(run: Run, key: str) -> int:
    return max((place.number for place in _places(run, key) if place.aside), default=0)


@dataclass(frozen=True)
class AttemptIndex:
    """The attempts of a run by task key: the last number, the last mark, and all as listed."""

    last: dict[str, int]
    aside: dict[str, int]
    listed: dict[str, str | None]


def attempt_index(run: Run, frameworks: Iterable[str] | None = None) -> AttemptIndex:
    """Build the index by listing, without reads; for some frameworks, or all."""
    last: dict[str, int] = {}
    aside: dict[str, int] = {}
    listed = _listed(run, ATTEMPTS, frameworks)
    for key, number, is_aside in _attempts(run, listed).values():
        target = aside if is_aside else last
        target[key] = max(number, target.get(key, 0))
    return AttemptIndex(last, aside, listed)


def _listed(run: Run, part: str, frameworks: Iterable[str] | None) -> dict[str, str | None]:
    found = map(run.store.listed, run.below(part, frameworks))
    return {path: e_tag for listed in found for path, e_tag in listed.items()}


def records(run: Run, frameworks: Iterable[str] | None = None) -> Iterator[Record]:
    """Every valid record of the run, or of some frameworks in it, in any order."""
    return _records(run, attempt_index(run, frameworks), frameworks)


def _records(
    run: Run,
    index: AttemptIndex,
    frameworks: Iterable[str] | None,
    newer: dict[str, str] | None = None,
) -> Iterator[Record]:
    for path, data in packed_records.read(run, _listed(run, OUT, frameworks)):
        try:
            record = record_at(run, path, data)
        except NewerRecordError as error:
            if newer is None:
                raise
            newer[str(run.key_of(path))] = str(error)
            continue
        if record is not None and record.attempt > index.aside.get(record.task, 0):
            yield record


def outcomes(
    run: Run,
    keys: Collection[str],
    frameworks: Iterable[str] | None = None,
    newer: dict[str, str] | None = None,
) -> Iterator[tuple[str, Record | None]]:
    """For each task that was ever started: its record, or the end of its last attempt, or None.

    One at a time, in any order, so that a run of any size fits into memory; for all tasks, or
    those of `frameworks`. Tasks with a record of a later version are left out and put into
    `newer`, with the reason; without `newer` such a record is an error.
    """
    index = attempt_index(run, frameworks)
    done = set()
    for record in _records(run, index, frameworks, newer):
        if record.task in keys:
            done.add(record.task)
            yield record.task, record
    done |= set(newer or ())
    for key, ended in ends(run, (key for key in keys if key not in done), index, newer):
        # A result with a missing or damaged record does not count: the task is run again.
        yield key, None if ended is None or ended.is_result else ended


def last_attempts(run: Run, keys: Iterable[str]) -> dict[str, Record | None]:
    """How the last attempt of each task ended; None if it started and left no end."""
    return dict(ends(run, keys, attempt_index(run)))


def ends(
    run: Run, keys: Iterable[str], index: AttemptIndex, newer: dict[str, str] | None = None
) -> Iterator[tuple[str, Record | None]]:
    """How the last attempt of each task in this generation ended; None for an open one.

    `newer` as in `outcomes`.
    """
    paths = {
        run.attempt_path(key, index.last[key]): key
        for key in keys
        if key in index.last and index.last[key] > index.aside.get(key, 0)
    }
    for path, data in packed_records.read(run, {path: index.listed.get(path) for path in paths}):
        try:
            ended = _end_of(paths[path], data)
        except NewerRecordError as error:
            if newer is None:
                raise
            newer[paths[path]] = str(error)
            continue
        yield paths[path], ended


def _end_of(key: str, data: bytes | None) -> Record | None:
    """How an attempt of this task ended; None while it is open or without an outcome."""
    ended = Record.from_bytes(data)
    return ended if ended is not None and ended.task == key else None


def earlier_ends(run: Run) -> Iterator[Record]:
    """The ends of attempts that outcomes() leaves out: others or a mark have followed."""
    index = attempt_index(run)
    places = {
        path: place
        for path, place in _attempts(run, index.listed).items()
        if not place.aside
        and (place.number < index.last[place.key] or place.number < index.aside.get(place.key, 0))
    }
    for path, data in packed_records.read(run, {path: index.listed[path] for path in places}):
        ended = _end_of(places[path].key, data)
        if ended is not None:
            yield ended


def last_attempt(run: Run, key: str) -> tuple[Attempt, Record | None] | None:
    """A task's last attempt in this generation, and how it ended; None while it is open."""
    places = _places(run, key)
    last = max((place.number for place in places if not place.aside), default=0)
    if last <= max((place.number for place in places if place.aside), default=0):
        return None
    return attempt_at(run, key, last)


def unended(run: Run, key: str) -> list[Attempt]:
    """The attempts of a task that left no end and were followed by others."""
    numbers = sorted(place.number for place in _places(run, key) if not place.aside)
    found = (attempt_at(run, key, number) for number in numbers[:-1])
    return [attempt for attempt, ended in found if ended is None]


def attempt_at(run: Run, key: str, number: int) -> tuple[Attempt, Record | None]:
    """An attempt, and how it ended; None while it is open."""
    data = run.store.get(run.attempt_path(key, number))
    ended = _end_of(key, data)
    begun, host = None, None
    try:
        values = json.loads(data or b"{}")
        begun, host = values.get("begun"), values.get("host")
    except (ValueError, AttributeError, RecursionError):
        run.store.ignore(run.attempt_path(key, number), "is not an attempt")
    begun = begun if isinstance(begun, str) else utc_now()
    return Attempt(key, number, begun, host if isinstance(host, dict) else {}), ended


def check_attempt(run: Run, path: str, data: bytes | None) -> None:
    """Log an object among the attempts that is not one."""
    place = run.attempt_of(path)
    try:
        values = json.loads(data or b"{}")
        good = place is not None and (data is None or values.get("task") == place.key)
    except (ValueError, AttributeError, RecursionError):
        good = False
    if not good:
        run.store.ignore(path, "is not an attempt")


def current_record(run: Run, key: str) -> Record | None:
    """The task's record, or None: one of an earlier generation counts as absent."""
    path = run.out_path(key)
    record = record_at(run, path, run.store.get(path))
    return record if record and record.attempt > _last_aside(run, key) else None


def current_records(
    run: Run, keys: Iterable[str], aside: Mapping[str, int] | None = None
) -> list[Record]:
    """The records of many tasks: one listing, and parallel reads.

    `aside` are the last marks (of `attempt_index`), if the caller has them.
    """
    present = set(run.store.list(f"{run.name}/{OUT}"))
    paths = [path for key in keys if (path := run.out_path(key)) in present]
    if not paths:
        return []
    marks = attempt_index(run).aside if aside is None else aside
    found = (record_at(run, path, data) for path, data in run.store.get_many(paths))
    return [one for one in found if one and one.attempt > marks.get(one.task, 0)]
