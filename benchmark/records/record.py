"""The record of a task, as it is written and read.

Record.from_bytes(record.to_bytes()) == record
Record.from_bytes(b"{")                         # None: an invalid record counts as absent
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import TYPE_CHECKING, Any

from benchmark.errors import NewerRecordError
from benchmark.files.safe_text import plain_text
from benchmark.notebook import Shown, cut, number, table

if TYPE_CHECKING:
    from markupsafe import Markup

    from benchmark.records.tasks import Task

FORMAT = 1
"""The format's version; it increases when the meaning of a field changes."""
STATUSES = ("success", "failure", "prune")
FAILURE, NOT_RUN, INTERRUPTED = "failure", "not run", "interrupted"
_NOTHING: tuple[object, ...] = (None, "", {}, [])


class Cause(StrEnum):
    """Why a task did not succeed. The first three are results, the others are not."""

    FRAMEWORK = "framework"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DATA = "data"
    SETUP = "setup"
    INTERRUPTED = "interrupted"
    INFRASTRUCTURE = "infrastructure"
    RETIRED = "retired"
    """Not run, since the run's question does not need it; no attempt ends so."""

    @property
    def is_result(self) -> bool:
        return self in (Cause.FRAMEWORK, Cause.TIMEOUT, Cause.MEMORY)

    @property
    def outcome(self) -> str:
        """`failure` of the framework; `not run` or `interrupted` by the infrastructure."""
        if self.is_result:
            return FAILURE
        return INTERRUPTED if self is Cause.INTERRUPTED else NOT_RUN

    @property
    def is_retried(self) -> bool:
        """Whether it is retried automatically, up to max_attempts."""
        return self in (Cause.INTERRUPTED, Cause.INFRASTRUCTURE)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def host_facts() -> dict[str, Any]:
    return {"name": platform.node(), "machine": platform.machine(), "cpus": os.cpu_count()}


@dataclass(frozen=True, repr=False)
class Record(Shown):
    """The end of an attempt; in `out/` the task's record. Times are in seconds."""

    task: str
    """The task's key: `framework/dataset/seed`, or the number of a trial."""
    status: str
    """`success` or `failure`; for a trial also `prune`."""
    cause: Cause | None = None
    """The cause of a failure."""
    message: str = ""
    """A sentence on the cause, or on what was truncated."""
    metric: str | None = None
    """The name of the metric that ranks."""
    metrics: dict[str, float | None] = field(default_factory=dict)
    """Every metric by name; None if undefined."""
    labels: dict[str, Any] = field(default_factory=dict)
    """The task: framework, dataset, type, seed; for a trial its configuration."""
    import_s: float | None = None
    """Importing the framework's libraries ahead, once for all tasks of a worker; included only in
    the `overhead_s` of the first of them."""
    setup_s: float | None = None
    """Loading adapter and data, and the framework's own setup."""
    fit_s: float | None = None
    """In the worker."""
    predict_s: float | None = None
    """In the worker."""
    total_s: float | None = None
    """From the attempt's start to its end; for a success the sum of the other five."""
    overhead_s: float | None = None
    """Time of the harness: neither setup, fit, predict nor inference."""
    inference_s: float | None = None
    """The duration of timing the inference."""
    inference_s_per_row: dict[str, float] = field(default_factory=dict)
    """By the number of rows predicted at once."""
    overrun_s: float | None = None
    """The time by which the fit exceeded its budget."""
    peak_memory_mb: float | None = None
    """Anonymous and shared memory of the whole tree beyond the baseline."""
    baseline_memory_mb: float | None = None
    """Memory of the preloaded interpreter before the task started."""
    models: int | None = None
    """The number of models evaluated, as reported by the framework, without crashed ones."""
    leaderboard: list[dict[str, Any]] | None = None
    """The framework's own."""
    objective: str | None = None
    """The framework's name for what it optimised; it may differ from the metric that ranks."""
    trajectory: list[list[float]] | None = None
    """The framework's best score over time, `[[seconds, score], …]`, in its own unit."""
    version: str | None = None
    """As reported by the framework."""
    environment_hash: str | None = None
    """Of adapter and lock."""
    dataset_hash: str | None = None
    """Of the data's content."""
    split_hash: str | None = None
    """Of the rows of train and test."""
    sandbox: str | None = None
    """The sandbox that held the task."""
    host: dict[str, Any] = field(default_factory=dict)
    """The machine: its name, cores, and in a cloud its type and price."""
    cost: float | None = None
    """USD; None if the machine's price is unknown."""
    attempt: int = 0
    """The number of the attempt, from 1."""
    log: str | None = None
    """The path of its log in the store."""
    predictions: str | None = None
    """The path of its predictions in the store; for a success only."""
    predictions_sha256: str | None = None
    """The hash of the stored bytes."""
    begun: str | None = None
    """UTC."""
    ended: str | None = None
    """UTC."""

    @property
    def is_result(self) -> bool:
        return self.status != "failure" or (self.cause is not None and self.cause.is_result)

    @property
    def outcome(self) -> str:
        """`success`, `failure`, `not run` or `interrupted`; for a trial also `prune`."""
        return self.cause.outcome if self.status == FAILURE and self.cause else self.status

    def _line(self) -> str:
        parts = [f"{name} {number(value)}" for name, value in self._ranked.items()]
        parts += [f"{self.total_s:.3g} s"] if self.total_s is not None else []
        parts += [cut(self.message, 80)] if self.message else []
        return f"Record {self.task}: {', '.join([str(self.cause or self.status), *parts])}"

    def _html(self) -> list[Markup]:
        """The fields that have a value."""
        rows = [
            (name, cut(number(value), 400))
            for name, value in vars(self).items()
            if value not in _NOTHING
        ]
        return [table(("field", "value"), rows, most=len(rows))]

    @property
    def _ranked(self) -> dict[str, float | None]:
        """The metric that ranks; all of them where none does."""
        if self.metric is None:
            return self.metrics
        return {self.metric: self.metrics[self.metric]} if self.metric in self.metrics else {}

    def to_bytes(self) -> bytes:
        values = {"format": FORMAT} | asdict(self)
        text = json.dumps(values, ensure_ascii=False, allow_nan=True)
        return text.encode("utf-8", "replace")  # a lone surrogate has no UTF-8 form

    @staticmethod
    def from_bytes(data: bytes | None) -> Record | None:
        """The record, or None if the bytes are not a record: it counts as absent.

        Unknown fields of a later version are ignored. What a framework reported about itself does
        not invalidate a measurement: in an unexpected form it counts as not reported.

        Raises:
            NewerRecordError: a later version wrote it in a format unknown to this one.
        """
        try:
            values = _parsed(data or b"")
            written = values.pop("format", 1)
            cause = values["cause"]
            if type(written) is not int:
                return None
            if written > FORMAT:
                raise NewerRecordError(_newer(values, f"the format {written}"))
            if type(cause) is str and cause not in _CAUSES and _WORD.fullmatch(cause):
                raise NewerRecordError(_newer(values, f"the cause '{cause}'"))
            values["cause"] = Cause(cause) if cause else None
            if tuple(values) != _NAMES:
                values = _BLANK | {name: {} for name in _MAPPINGS} | values
                values = {name: values[name] for name in _NAMES}
            if not _is_sound(values):
                values = _without_odd_report(values)
                if not _is_sound(values):
                    return None
            # For 100,000 records the constructor of a frozen class takes a second.
            record = object.__new__(Record)
            record.__dict__.update(values)
            return record
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


def _parsed(data: bytes) -> Any:
    import orjson

    try:
        return orjson.loads(data)
    except ValueError:  # a score may be NaN or infinite, which strict JSON has not
        return json.loads(data)


def _newer(values: dict[str, Any], what: str) -> str:
    return (
        f"The record of the task {values.get('task')!s:.200} has {what}, which this version of "
        "the program does not know; use the version that wrote it. It was not changed."
    )


_CAUSES = frozenset(map(str, Cause))
_WORD = re.compile(r"[a-z][a-z_-]{0,40}")
_NUMBER = frozenset((int, float))
_NUMBER_OR_NONE = frozenset((int, float, NoneType))
_TYPES: dict[str, tuple[type, ...]] = {
    **{kind.__name__: (kind,) for kind in (str, int, dict, list, Cause)},
    "float": (int, float),
    "None": (NoneType,),
}


def _kinds(annotation: str) -> frozenset[type]:
    """The types of a field's values: of "dict[str, Any] | None" dict and None."""
    plain = re.sub(r"\[.*\]", "", annotation)
    return frozenset(kind for name in plain.split(" | ") for kind in _TYPES[name])


_KINDS = {field.name: _kinds(str(field.type)) for field in fields(Record)}
_NAMES = tuple(_KINDS)
_SOUND: set[tuple[type, ...]] = set()
_MAPPINGS = tuple(name for name, kinds in _KINDS.items() if dict in kinds)
# What the framework reports about itself; nothing here computes with it.
_REPORTED = ("models", "leaderboard", "objective", "trajectory", "version")
_BLANK = {field.name: field.default for field in fields(Record) if field.default is not MISSING}


def _is_sound(values: dict[str, Any]) -> bool:
    """Whether every field has its type, down to the numbers used in tables and figures."""
    types = tuple(map(type, values.values()))
    if types not in _SOUND:
        if any(kind not in _KINDS[name] for name, kind in zip(values, types, strict=True)):
            return False
        _SOUND.add(types)  # Few combinations occur, and a look-up of each field takes longer.
    return (
        values["status"] in STATUSES
        and _NUMBER_OR_NONE.issuperset(map(type, values["metrics"].values()))
        and _NUMBER.issuperset(map(type, values["inference_s_per_row"].values()))
        and all(form(values[name] or ()) for name, form in _FORMS.items())
    )


def _are_points(value: Sequence[Any]) -> bool:
    return (
        {list}.issuperset(map(type, value))
        and {2}.issuperset(map(len, value))
        and _NUMBER.issuperset(map(type, itertools.chain.from_iterable(value)))
    )


def _are_rows(value: Sequence[Any]) -> bool:
    return {dict}.issuperset(map(type, value))


_FORMS = {"trajectory": _are_points, "leaderboard": _are_rows}


def _without_odd_report(values: dict[str, Any]) -> dict[str, Any]:
    """Replace by None what the framework reported in another form than requested."""

    def is_odd(name: str) -> bool:
        value = values[name]
        return type(value) not in _KINDS[name] or not _FORMS.get(name, lambda _: True)(value or ())

    return values | dict.fromkeys(filter(is_odd, _REPORTED))


def failure(task: Task | str, cause: Cause, message: str, **facts: Any) -> Record:
    key, labels = (task, {}) if isinstance(task, str) else (task.key, task.labels)
    facts |= {"cause": cause, "message": plain_text(message), "labels": labels}
    return Record(task=key, status="failure", **facts)
