"""Read what a task left in its folder: always hostile input.

Only a regular file of a limited size is read. A link, a pipe, a device, a sparse file of 40 GB or
JSON that is not strict is refused with one sentence, and never waited for.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from benchmark.errors import BenchmarkError
from benchmark.files.safe_text import plain_text

_MB = 2**20


class TaskFileError(BenchmarkError):
    """A file that a task left cannot be used."""


def read_left(path: Path, most: int, *, cut: bool = False) -> bytes | None:
    """The file's bytes, `most` at most; None where there is no such file.

    Raises:
        TaskFileError: it is not a regular file, cannot be read, or is larger (unless it is `cut`).
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise TaskFileError(f"{path.name} is not a regular file.")
            if facts.st_size > most and not cut:
                raise TaskFileError(
                    f"{path.name} has {facts.st_size / _MB:,.0f} MiB, more than {most / _MB:,.0f}."
                )
            return file.read(most)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = "is a link" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise TaskFileError(f"{path.name} {why}.") from None


def read_object(path: Path, most: int, exact: str = "") -> dict[str, Any] | None:
    """The file's JSON object, its texts cut and plain; None where there is no such file.

    What stands under the key `exact` is left as it is.

    Raises:
        TaskFileError: it cannot be read, or is not an object in strict JSON.
    """
    data = read_left(path, most)
    if data is None:
        return None
    try:
        value = json.loads(data.decode(), parse_constant=_refuse, parse_float=_finite)
        if isinstance(value, dict):
            return {
                plain_text(name): part if name == exact else _plain(part)
                for name, part in value.items()
            }
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise TaskFileError(f"{path.name} is not valid JSON: {plain_text(why, 200)}.") from None
    raise TaskFileError(f"{path.name} holds {type(value).__name__} and not an object.")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {plain_text(name): _plain(part) for name, part in value.items()}
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text:.40} is out of range")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
