"""JSON from users and tools: duplicate keys and numbers read as 0 are refused.

A byte order mark is skipped.

load('{"a": 1, "a": 2}')     # RepeatedKeyError: the key "a" occurs twice
load('{"a": 1e-400}')        # VanishingNumberError: '1e-400' is too near to 0
"""

from __future__ import annotations

import json
from typing import Any

from benchmark.files.numbers import vanished, vanishes

BYTE_ORDER_MARK = "\ufeff"


class InexactError(ValueError):
    """It is JSON, but its value would be another one than is written."""


class VanishingNumberError(InexactError):
    """A number that is not 0 would be read as 0."""


class RepeatedKeyError(InexactError):
    """An object has a key twice, so that its value is ambiguous."""


def load(text: str, *, numbers: type[str] | None = None, rounded: bool = False) -> Any:
    """The value of a document; NaN and infinities are read as Python's json reads them.

    With `numbers=str` these stay text as written, including NaN and infinities. If `rounded`,
    1e-400 is 0, for a caller that also has the text.

    Raises:
        InexactError: an object has a key twice, or a number would be read as 0.
        ValueError: it is not JSON, or a number has too many digits.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text.removeprefix(BYTE_ORDER_MARK),
        object_pairs_hook=unique,
        parse_int=numbers,
        parse_float=numbers or (float if rounded else decimal),
        parse_constant=numbers,
    )


def decimal(text: str) -> float:
    """A number with a fraction or an exponent; a `parse_float` of json.

    Raises:
        VanishingNumberError: it is not 0, and would be read as 0.
    """
    value = float(text)
    if vanishes(text, value):
        raise VanishingNumberError(vanished(text))
    return value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of an object by key; an `object_pairs_hook` of json.

    Raises:
        RepeatedKeyError: a key occurs twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKeyError(f"the key {json.dumps(key, ensure_ascii=False)} occurs twice")
        found[key] = value
    return found
