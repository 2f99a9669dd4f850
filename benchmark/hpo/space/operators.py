"""Operators and functions of expressions, and the errors of both.

Their time and memory are bounded: a power is a float, only numbers are multiplied, and a text is
neither true nor false.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from benchmark.errors import BenchmarkError

_LARGEST_POWER = 1000
_MOST_DIGITS = 400  # that a float may be rounded to, on either side of its point


class ExpressionError(BenchmarkError):
    """An expression cannot be read, or has no value here."""


class DimensionError(ExpressionError):
    """An expression compares, or adds, values of different dimensions."""


class UnknownNameError(ExpressionError):
    """What an expression needs was not measured; `near` is a name that was, spelt alike."""

    def __init__(self, message: str, name: str, near: str | None) -> None:
        super().__init__(message)
        self.name, self.near = name, near


def _power(base: Any, exponent: Any) -> Any:
    """Compute a power in floats, so that it cannot get a million digits."""
    if not isinstance(base, (int, float)) or not isinstance(exponent, (int, float)):
        raise ExpressionError("only numbers have a power")
    if abs(exponent) > _LARGEST_POWER:
        raise ExpressionError(f"the exponent {exponent} is beyond {_LARGEST_POWER}")
    return float(base) ** exponent


def _times(left: Any, right: Any) -> Any:
    """Multiply numbers only: a text times a number could take all memory."""
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        raise ExpressionError("only numbers can be multiplied")
    return left * right


def _modulo(left: Any, right: Any) -> Any:
    """The remainder of numbers only: `%` on a text is formatting, which could take all memory."""
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        raise ExpressionError("only numbers have a remainder")
    return left % right


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one kind: 1 equals 1.0, but neither true nor "1"."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _holds(value: Any, among: Any) -> bool:
    """Whether a value is in a list, or a text in a text."""
    if isinstance(among, list):
        return any(same(value, one) for one in among)
    return bool(value in among)


def truth(value: Any) -> bool:
    """Whether a value is true; a text is refused, because 'off' would be true as well."""
    if isinstance(value, str):
        raise ExpressionError(f"the text '{value[:40]}' is neither true nor false; compare it")
    return bool(value)


def _round(number: Any, digits: Any = None) -> Any:
    """Round to few digits only: rounding a whole number computes a power of ten."""
    if isinstance(digits, int) and abs(digits) > _MOST_DIGITS:
        raise ExpressionError(f"{digits} digits to round to are beyond {_MOST_DIGITS}")
    return round(number, digits)


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _modulo,
    ast.Pow: _power,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: lambda value: not truth(value),
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: same,
    ast.NotEq: lambda left, right: not same(left, right),
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: _holds,
    ast.NotIn: lambda left, right: not _holds(left, right),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": _round,
    "sqrt": math.sqrt,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "exp": math.exp,
    "floor": math.floor,
    "ceil": math.ceil,
}
