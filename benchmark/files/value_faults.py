"""What to write in place of a value that pydantic refused, in plain words.

for fault in error.errors():
    f"{place} is {shown(fault['input'])}; {correction(fault)}."
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TAKES = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object in { }"),
    **dict.fromkeys(("string_type", "string_unicode"), 'a text in " "'),
    "list_type": "a list in [ ]",
    "int_parsing_size": "a smaller number",
}
_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "of at least",
    "less_than": "below",
    "less_than_equal": "of at most",
}
_LENGTHS = {
    "string_too_short": ("min_length", "at least", "character", "characters"),
    "string_too_long": ("max_length", "at most", "character", "characters"),
    "too_short": ("min_length", "at least", "entry", "entries"),
    "too_long": ("max_length", "at most", "entry", "entries"),
}
OWN = "own"
"""The type of a custom error whose message says what to write."""


def correction(fault: Mapping[str, Any]) -> str:
    """What to write instead, such as "write a number of at most 5"."""
    return f"write {_wanted(fault, fault.get('ctx', {}))}"


def _wanted(fault: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    kind, found = fault["type"], "a value of another kind"
    if kind == "float_type" and type(fault["input"]) is int:
        found = "a number of at most 1.8e308"
    elif kind in _TAKES:
        found = _TAKES[kind]
    elif kind in _BOUNDS:
        found = f"a number {_BOUNDS[kind]} {next(iter(limits.values())):,.10g}"
    elif kind in _LENGTHS:
        limit, bound, unit, units = _LENGTHS[kind]
        found = f"{bound} {limits[limit]:,} {unit if limits[limit] == 1 else units}"
    elif kind == "literal_error":
        found = limits["expected"]
    elif kind == "string_pattern_mismatch":
        found = f"a text that matches {limits['pattern']}"
    elif kind == OWN:
        found = fault["msg"]
    return found


def shown(value: Any) -> str:
    """The value as JSON, cut."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:80]}…"
