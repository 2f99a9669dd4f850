"""Task files: JSON lines, and the classic pickled list of [id, model, dataset, type, seed].

A pickle can run code when it is read. The reader here knows only the operations that build lists,
tuples, strings and numbers, and refuses a file with any other before it builds anything.
"""

from __future__ import annotations

import io
import json
import os
import pickle  # nosec B403 # read by an unpickler that builds lists and texts only
import pickletools  # nosec B403
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files import json_text
from benchmark.files.output_files import place_of, staged
from benchmark.records.tasks import Task

MOST_BYTES = 256 * 1024 * 1024
_KEYS = ("framework", "dataset", "type", "seed")
_PLAIN = frozenset(
    [
        *("PROTO", "FRAME", "STOP", "MARK", "POP"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE"),
        *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"),
    ]
)


@dataclass(frozen=True)
class Row:
    """A task as it is named: the data set by its name or OpenML's number; the type if said."""

    framework: str
    dataset: str
    seed: int
    type: str | None = None


def write(path: Path, tasks: Iterable[Task]) -> int:
    """Write tasks as JSON lines, whole or not at all; returns how many.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    lines = [json.dumps({key: task.labels[key] for key in _KEYS}) + "\n" for task in tasks]
    try:
        with staged(place_of(path)) as file:
            file.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be written: {error.strerror}.") from error
    return len(lines)


def read(path: Path) -> list[Row]:
    """The tasks of a file, each once, in its order; none of an empty file, as export-failures
    writes it when nothing has failed.

    Raises:
        BenchmarkError: the file is missing, too large, hostile, or holds something else.
    """
    data = _bytes(path)
    if not data.strip():
        return []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    lines = text.strip().splitlines()
    is_json = bool(lines) and lines[0].lstrip().startswith("{")
    rows = _json_rows(path, lines) if is_json else _pickled_rows(path, data)
    return list(dict.fromkeys(_row(path, number, row) for number, row in enumerate(rows, 1)))


def _bytes(path: Path) -> bytes:
    """The file's content; a pipe or device is refused before it could keep anybody waiting."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise BenchmarkError(
                    f"{path} is no regular file; name a task file such as export-failures writes."
                )
            if facts.st_size > MOST_BYTES:
                raise BenchmarkError(
                    f"{path} has {facts.st_size // 2**20} MiB, and a task file may have "
                    f"{MOST_BYTES // 2**20}; split it."
                )
            return file.read()
    except OSError as error:
        raise BenchmarkError(
            f"{path} cannot be read: {error.strerror}; name a task file such as export-failures "
            "writes."
        ) from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _json_rows(path: Path, lines: list[str]) -> list[Any]:
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json_text.load(line)
            rows.append([row["framework"], row["dataset"], row.get("type"), row["seed"]])
        except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
            raise BenchmarkError(
                f"{path}, line {number} is no task ({_why(error)}); a line is "
                '{"framework": …, "dataset": …, "type": …, "seed": …}.'
            ) from None
    return rows


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} at character {error.pos + 1}"
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _pickled_rows(path: Path, data: bytes) -> list[Any]:
    try:
        for operation, _, _ in pickletools.genops(data):
            if operation.name not in _PLAIN:
                raise pickle.UnpicklingError(f"it uses {operation.name}")
        rows = _PlainUnpickler(io.BytesIO(data)).load()
    except Exception as error:
        raise BenchmarkError(
            f"{path} is neither JSON lines nor a plain pickled list of tasks: {error}."
        ) from None
    if not isinstance(rows, (list, tuple)) or not all(
        isinstance(row, (list, tuple)) and len(row) == 5 for row in rows
    ):
        raise BenchmarkError(f"{path} holds no list of [id, model, dataset, type, seed].")
    return [list(row[1:]) for row in rows]


def _row(path: Path, number: int, row: list[Any]) -> Row:
    framework, dataset, kind, seed = row
    if (
        not isinstance(framework, str)
        or not isinstance(dataset, (str, int))
        or isinstance(dataset, bool)
        or not isinstance(kind, (str, type(None)))
        or type(seed) is not int
    ):
        raise BenchmarkError(
            f"{path}, task {number} has no framework (text), data set (name or id), type (text) "
            "and seed (whole number)."
        )
    return Row(framework, str(dataset), seed, kind)
