"""Numbers as tables, messages and pages of studies show them.

    plain_number(406640.2)        # "406640"; six significant digits, as %g
    plain_number(12345678.0)      # "12345678": an exponent only from 1e9 on and below 1e-4
    plain_number(0.25, "+")       # "+0.25"

Below 1e9 no digit before the point is cut. Exports and records keep full precision.
"""

from __future__ import annotations

import re
from typing import Any

_LARGE = 1e9
NOT_ZERO = r"^\s*[-+]?[0.]*[1-9]"
"""What a decimal number other than 0 starts with; inf and nan do not."""


def plain_number(value: Any, sign: str = "") -> str:
    """A float in six significant digits; true or false; anything else as text. `sign` as in a
    format."""
    if not isinstance(value, float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    text = f"{value:{sign}.6g}"
    return f"{value:{sign}.0f}" if "e+" in text and abs(value) < _LARGE else text


def vanishes(text: str, value: Any) -> bool:
    """Whether a decimal number such as 1e-400 was read as 0, because it is too near to it."""
    return bool(value == 0) and re.match(NOT_ZERO, text) is not None


def vanished(text: str) -> str:
    """The phrase about such a number."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    return f"'{shown}' is too near to 0 for a floating-point number"
