"""JSON from users and tools: a duplicate key is refused, a byte order mark is skipped.

load('{"a": 1, "a": 2}')     # RepeatedKeyError: the key "a" occurs twice
"""

from __future__ import annotations

import json
from typing import Any

BYTE_ORDER_MARK = "\ufeff"


class RepeatedKeyError(ValueError):
    """An object has a key twice, so that its value is ambiguous."""


def load(text: str, *, numbers: type[str] | None = None) -> Any:
    """The value of a document; NaN and infinities are read as Python's json reads them.

    With `numbers=str` these stay text as written, including NaN and infinities.

    Raises:
        RepeatedKeyError: an object has a key twice.
        ValueError: it is not JSON, or a number has too many digits.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text.removeprefix(BYTE_ORDER_MARK),
        object_pairs_hook=unique,
        parse_int=numbers,
        parse_float=numbers,
        parse_constant=numbers,
    )


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
