"""Types of values that several keys have: numbers that JSON wrote as numbers, printable text."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"is {json.dumps(value)}; write a number")
    return value


LARGEST = 10**9
Number = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False), BeforeValidator(no_boolean)]
Count = Annotated[int, Field(ge=1, le=LARGEST, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed; remove it")
    return text


Word = Annotated[str, AfterValidator(_printable)]
Text = Annotated[Word | None, BeforeValidator(lambda value: None if value == "" else value)]
