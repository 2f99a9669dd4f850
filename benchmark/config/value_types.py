"""Types of values that several keys have: numbers that JSON wrote as numbers, printable text."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from benchmark.files.numbers import vanished, vanishes

_OF_JSON = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def a_number(value: Any) -> Any:
    """The value, if it is a number of JSON or the text of one; Python's own 1_000 and 015 are not.

    Raises:
        ValueError: it is not.
    """
    is_text = isinstance(value, str)
    if isinstance(value, bool) or (is_text and not _OF_JSON.fullmatch(value)):
        raise ValueError(f"is {json.dumps(value)[:80]}; write a number")
    if is_text and vanishes(value, float(value)):
        raise ValueError(f"is wrong: {vanished(value)}; correct it")
    return value


def finite(value: Any) -> Any:
    """The value, if no number in it is NaN or infinite.

    Raises:
        ValueError: there is such a number, or one beyond the range of float64.
    """
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("holds a number that is not finite or too large; correct it") from None
    return value


LARGEST = 10**9
Number = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False), BeforeValidator(a_number)]
Count = Annotated[int, Field(ge=1, le=LARGEST, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed; remove it")
    return text


Word = Annotated[str, AfterValidator(_printable)]
Text = Annotated[Word | None, BeforeValidator(lambda value: None if value == "" else value)]
