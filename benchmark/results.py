"""Attempts and records: begin, settle, list, compile.

A task has one record: a result, created once. An attempt is begun before the task runs (its
creation is the count) and ended with how it went. `success`, `framework`, `timeout` and `memory`
are results; any other cause leaves the task without one, to be run again.

Setting a task aside writes a mark into its attempts: records of earlier attempts then count as
absent, so that a late worker's record cannot slip into the new generation.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from benchmark import packs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from benchmark.tasks import Run, Task

_ASIDE = "-aside"
NO_TRACE = "The attempt was begun and left no trace of its end."


class Cause(StrEnum):
    """Why a task has no success. The first three are results, the others are not."""

    FRAMEWORK = "framework"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DATA = "data"
    SETUP = "setup"
    INTERRUPTED = "interrupted"
    INFRASTRUCTURE = "infrastructure"

    @property
    def is_result(self) -> bool:
        return self in (Cause.FRAMEWORK, Cause.TIMEOUT, Cause.MEMORY)

    @property
    def is_retried(self) -> bool:
        """Tried again by itself, up to max_attempts."""
        return self in (Cause.INTERRUPTED, Cause.INFRASTRUCTURE)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def host_facts() -> dict[str, Any]:
    return {"name": platform.node(), "machine": platform.machine(), "cpus": os.cpu_count()}


@dataclass(frozen=True)
class Attempt:
    """A begun attempt: its number is unique among all attempts of the task, ever.

    `host` is the machine where it began: its name, and in a cloud its type and price.
    """

    task: str
    number: int
    begun: str
    host: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """How an attempt ended. In `out/` it is the task's record. Times are in seconds."""

    task: str
    """The task's key: `framework/dataset/seed`, or the number of a trial."""
    status: str
    """`success` or `failure`; of a trial also `prune`."""
    cause: Cause | None = None
    """Why it is no success."""
    message: str = ""
    """A sentence on the cause, or on what was cut short."""
    metric: str | None = None
    """The metric that ranks."""
    metrics: dict[str, float | None] = field(default_factory=dict)
    """Every metric by its name; None where it is undefined."""
    labels: dict[str, Any] = field(default_factory=dict)
    """What the task was: framework, dataset, type, seed; of a trial its configuration."""
    import_s: float | None = None
    """The framework's libraries imported ahead, once for all tasks of a worker; in no other time
    but the `overhead_s` of the first of them."""
    setup_s: float | None = None
    """Adapter and data loaded, and the framework's own setup."""
    fit_s: float | None = None
    """In the worker."""
    predict_s: float | None = None
    """In the worker."""
    total_s: float | None = None
    """From the attempt's begin until its end; of a success the sum of the other five."""
    overhead_s: float | None = None
    """What is neither setup, fit, predict nor inference: the harness's own."""
    inference_s: float | None = None
    """What timing the inference took."""
    inference_s_per_row: dict[str, float] = field(default_factory=dict)
    """By how many rows were predicted at once."""
    overrun_s: float | None = None
    """How much longer than its budget the fit took."""
    peak_memory_mb: float | None = None
    """Anonymous and shared memory of the whole tree beyond the baseline."""
    baseline_memory_mb: float | None = None
    """What the preloaded interpreter had before the task began."""
    models: int | None = None
    """As the framework says: how many it evaluated; those that crashed are left out."""
    leaderboard: list[dict[str, Any]] | None = None
    """The framework's own."""
    objective: str | None = None
    """What the framework optimised, in its own words; it need not be the metric that ranks."""
    trajectory: list[list[float]] | None = None
    """The framework's best score over time, `[[seconds, score], …]`, in its own unit."""
    version: str | None = None
    """As the framework says."""
    environment_hash: str | None = None
    """Of adapter and lock."""
    dataset_hash: str | None = None
    """Of the data's content."""
    split_hash: str | None = None
    """Of the rows of train and test."""
    sandbox: str | None = None
    """The means that held the task."""
    host: dict[str, Any] = field(default_factory=dict)
    """The machine: its name, cores, and in a cloud its type and price."""
    cost: float | None = None
    """USD; None where the machine's price is not known."""
    attempt: int = 0
    """The number of the attempt, from 1."""
    log: str | None = None
    """Where its log is in the store."""
    begun: str | None = None
    """UTC."""
    ended: str | None = None
    """UTC."""

    @property
    def is_result(self) -> bool:
        return self.status != "failure" or (self.cause is not None and self.cause.is_result)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=True).encode()

    @staticmethod
    def from_bytes(data: bytes | None) -> Record | None:
        """The record, or None where the bytes are none: an unreadable record counts as absent.

        Fields that a newer version of the program has added are passed over.
        """
        try:
            values = _parsed(data or b"")
            values["cause"] = Cause(values["cause"]) if values["cause"] else None
            known = Record.__dataclass_fields__
            if values.keys() != known.keys():
                return Record(**{name: value for name, value in values.items() if name in known})
            # Of 100,000 records the constructor of a frozen class takes a second.
            record = object.__new__(Record)
            record.__dict__.update(values)
            return record
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _parsed(data: bytes) -> Any:
    import orjson

    try:
        return orjson.loads(data)
    except ValueError:  # a score may be NaN or infinite, which strict JSON has not
        return json.loads(data)


def failure(task: Task | str, cause: Cause, message: str, **facts: Any) -> Record:
    key, labels = (task, {}) if isinstance(task, str) else (task.key, task.labels)
    return Record(task=key, status="failure", cause=cause, message=message, labels=labels, **facts)


def begin(run: Run, task: Task, host: Mapping[str, Any] | None = None) -> Attempt:
    """Begin an attempt; its number is one more than any attempt's or mark's of this task."""
    prefix = run.attempts_path(task.key)
    number = max((number for number, _ in _numbers(run, task.key)), default=0) + 1
    while True:
        attempt = Attempt(task.key, number, utc_now(), dict(host or host_facts()))
        # No two writers may write the same bytes: by them the store knows its own lost reply.
        begun = json.dumps(asdict(attempt) | {"nonce": secrets.token_hex(8)}).encode()
        if run.store.create(f"{prefix}/{number:04d}.json", begun):
            return attempt
        number += 1


def settle(run: Run, attempt: Attempt, record: Record) -> Record:
    """End the attempt, and create the task's record if this is a result and there is none.

    Returns:
        The task's record where it has one now (perhaps of another delivery), else `record`.
    """
    record = replace(
        record, attempt=attempt.number, begun=attempt.begun, ended=record.ended or utc_now()
    )
    data = record.to_bytes()
    final = record
    if record.is_result:
        final = _create_record(run, record, data)
    run.store.put(f"{run.attempts_path(record.task)}/{attempt.number:04d}.json", data)
    return final


def _create_record(run: Run, record: Record, data: bytes) -> Record:
    aside = _last_aside(run, record.task)
    path = run.out_path(record.task)
    if record.attempt < aside:
        return record
    if run.store.create(path, data):
        return record
    existing = Record.from_bytes(run.store.get(path))
    if existing is not None and existing.attempt > aside:
        return existing
    run.store.put(path, data)
    return record


def set_aside(run: Run, keys: Iterable[str]) -> None:
    """Start a new generation of tasks: their records go, and late ones of old attempts too."""
    for key in keys:
        number = max((number for number, _ in _numbers(run, key)), default=0) + 1
        while not run.store.create(
            f"{run.attempts_path(key)}/{number:04d}{_ASIDE}.json",
            json.dumps({"task": key, "number": number, "aside": utc_now()}).encode(),
        ):
            number += 1
        run.store.delete([run.out_path(key)])


def _numbers(run: Run, key: str) -> list[tuple[int, bool]]:
    """(number, whether it is a mark) of each attempt of a task."""
    return [_parse(path.rpartition("/")[2]) for path in run.store.list(run.attempts_path(key))]


def _parse(name: str) -> tuple[int, bool]:
    number, aside, _ = name.removesuffix(".json").partition(_ASIDE)
    return int(number), bool(aside)


def _last_aside(run: Run, key: str) -> int:
    return max((number for number, aside in _numbers(run, key) if aside), default=0)


@dataclass(frozen=True)
class AttemptIndex:
    """The attempts of a run by task key: the last number, and the last mark; all as listed."""

    last: dict[str, int]
    aside: dict[str, int]
    listed: dict[str, str | None]


def attempt_index(run: Run, frameworks: Iterable[str] | None = None) -> AttemptIndex:
    """Listings, no reads; of the tasks of some frameworks, or of all."""
    skip = len(f"{run.name}/attempts/")
    last: dict[str, int] = {}
    aside: dict[str, int] = {}
    listed = _listed(run, "attempts", frameworks)
    for path in listed:
        key, _, name = path[skip:].rpartition("/")
        number, is_aside = _parse(name)
        target = aside if is_aside else last
        target[key] = max(number, target.get(key, 0))
    return AttemptIndex(last, aside, listed)


def _listed(run: Run, part: str, frameworks: Iterable[str] | None) -> dict[str, str | None]:
    places = [""] if frameworks is None else [f"{name}/" for name in frameworks]
    found = (run.store.listed(f"{run.name}/{part}/{place}") for place in places)
    return {path: e_tag for listed in found for path, e_tag in listed.items()}


def records(run: Run, frameworks: Iterable[str] | None = None) -> Iterator[Record]:
    """Every valid record of the run, or of some frameworks in it, in no order."""
    return _records(run, attempt_index(run, frameworks), frameworks)


def _records(run: Run, index: AttemptIndex, frameworks: Iterable[str] | None) -> Iterator[Record]:
    for _, data in packs.read(run, _listed(run, "out", frameworks)):
        record = Record.from_bytes(data)
        if record is not None and record.attempt > index.aside.get(record.task, 0):
            yield record


def outcomes(
    run: Run, keys: Collection[str], frameworks: Iterable[str] | None = None
) -> Iterator[tuple[str, Record | None]]:
    """Of each of the tasks that was ever begun: its record, or how its last attempt ended, or None.

    One at a time, in no order, so that a run of any size fits into memory. Listed is all, or what
    is of `frameworks`.
    """
    index = attempt_index(run, frameworks)
    done = set()
    for record in _records(run, index, frameworks):
        if record.task in keys:
            done.add(record.task)
            yield record.task, record
    for key, ended in _ends(run, (key for key in keys if key not in done), index):
        # A result whose record has gone or is damaged is none: the task is run again.
        yield key, None if ended is None or ended.is_result else ended


def last_attempts(run: Run, keys: Iterable[str]) -> dict[str, Record | None]:
    """How the last attempt of each task ended; None where it began and left no end."""
    return dict(_ends(run, keys, attempt_index(run)))


def _ends(
    run: Run, keys: Iterable[str], index: AttemptIndex
) -> Iterator[tuple[str, Record | None]]:
    paths = {
        f"{run.attempts_path(key)}/{index.last[key]:04d}.json": key
        for key in keys
        if key in index.last and index.last[key] > index.aside.get(key, 0)
    }
    for path, data in packs.read(run, {path: index.listed.get(path) for path in paths}):
        yield paths[path], Record.from_bytes(data)


def earlier_ends(run: Run) -> Iterator[Record]:
    """How the attempts ended that outcomes() leaves out: others have followed, or a mark."""
    index = attempt_index(run)
    prefix = f"{run.name}/attempts/"
    paths = {}
    for path, e_tag in index.listed.items():
        key, _, name = path[len(prefix) :].rpartition("/")
        number, is_aside = _parse(name)
        if not is_aside and (number < index.last[key] or number < index.aside.get(key, 0)):
            paths[path] = e_tag
    for _, data in packs.read(run, paths):
        record = Record.from_bytes(data)
        if record is not None:
            yield record


def last_attempt(run: Run, key: str) -> tuple[Attempt, Record | None] | None:
    """A task's last attempt in this generation, and how it ended; None while it is open."""
    numbers = _numbers(run, key)
    last = max((number for number, aside in numbers if not aside), default=0)
    if last <= max((number for number, aside in numbers if aside), default=0):
        return None
    return _attempt(run, key, last)


def unended(run: Run, key: str) -> list[Attempt]:
    """The attempts of a task that left no end, and that others have followed."""
    numbers = sorted(number for number, aside in _numbers(run, key) if not aside)
    found = (_attempt(run, key, number) for number in numbers[:-1])
    return [attempt for attempt, ended in found if ended is None]


def _attempt(run: Run, key: str, number: int) -> tuple[Attempt, Record | None]:
    """An attempt, and how it ended; None while it is open."""
    data = run.store.get(f"{run.attempts_path(key)}/{number:04d}.json")
    ended = Record.from_bytes(data)
    try:
        told = json.loads(data or b"{}")
        return Attempt(key, number, told.get("begun") or utc_now(), told.get("host") or {}), ended
    except (ValueError, AttributeError):
        return Attempt(key, number, utc_now()), ended


def current_record(run: Run, key: str) -> Record | None:
    """The task's record, or None: one of an earlier generation counts as absent."""
    record = Record.from_bytes(run.store.get(run.out_path(key)))
    return record if record and record.attempt > _last_aside(run, key) else None


def current_records(
    run: Run, keys: Iterable[str], aside: Mapping[str, int] | None = None
) -> list[Record]:
    """Those of many tasks that have a record: one listing, and reads side by side.

    `aside` are the last marks (of `attempt_index`), where whoever asks has them.
    """
    present = set(run.store.list(f"{run.name}/out"))
    paths = [path for key in keys if (path := run.out_path(key)) in present]
    if not paths:
        return []
    marks = attempt_index(run).aside if aside is None else aside
    found = (Record.from_bytes(data) for _, data in run.store.get_many(paths))
    return [one for one in found if one and one.attempt > marks.get(one.task, 0)]
