"""The body of a request as JSON, or a sentence on the value that JSON does not have."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


class BodyError(ValueError):
    """JSON does not have a value of the body; the message is a sentence."""


def encoded(body: Any) -> bytes:
    """A body as JSON, with numbers of NumPy as Python's.

    Raises:
        BodyError: JSON does not have a value in it.
    """
    try:
        return json.dumps(body, default=_plain, allow_nan=False).encode()
    except RecursionError:
        fault = "A value to send has too many levels of lists and objects; send fewer"
    except ValueError as error:
        fault = _fault(body) or f"A value cannot be sent: {error}"
    except TypeError as error:
        fault = f"A value cannot be sent: {error}"
    raise BodyError(f"{fault}.")


def _fault(body: Any) -> str | None:
    """The first number that is not finite, or value that contains itself, with its place."""
    waiting: list[tuple[str, Any, tuple[int, ...]]] = [("", body, ())]
    while waiting:
        place, value, above = waiting.pop()
        if _is_scalar_of_numpy(value):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            return (
                f"A number to send is NaN or infinite ('{place}' is {value!r}); without a finite "
                "value a trial is a failure"
            )
        if isinstance(value, (Mapping, list, tuple)):
            if id(value) in above:
                return f"'{place}' contains itself, which JSON cannot; send a copy without that"
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            inner = [(f"{place}.{key}".lstrip("."), one, (*above, id(value))) for key, one in pairs]
            waiting += reversed(inner)
    return None


def _plain(value: Any) -> Any:
    if _is_scalar_of_numpy(value):
        return value.item()
    raise TypeError(f"JSON has no {type(value).__name__}")


def _is_scalar_of_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
