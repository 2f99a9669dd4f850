"""Expressions over tunables and metrics, evaluated without eval.

    Expression("125 * throughput / response_time").value({"throughput": 8, "response_time": 2})
    Expression("gc == 'G1' and heap_mb > 512").is_true({"gc": "G1", "heap_mb": 1024})

Numbers, texts, names, arithmetic, comparisons, `and`, `or`, `not`, `in`, `a if b else c`, and the
functions of FUNCTIONS. Nothing else is allowed, so an expression can neither import nor reach
into an object. A number may have a unit (`p99 <= 20 ms`, `heap > 1.5Gi`): then all values with a
unit are converted, and only the same dimensions are compared.

Its time and memory are bounded: LONGEST characters, DEEPEST levels, no loops, and no intermediate
number or text larger than a float or 10,000 characters.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files.numbers import vanishes
from benchmark.files.spelling import nearest
from benchmark.hpo.space import dimensions
from benchmark.hpo.space.operators import (
    BINARY,
    COMPARE,
    FUNCTIONS,
    UNARY,
    DimensionError,
    ExpressionError,
    UnknownNameError,
    truth,
)
from benchmark.hpo.space.units import LITERAL, UNITS, Unit, in_base, quantity, unknown_unit

LONGEST = 2000
DEEPEST = 250
QUOTES = "'\"`\u2018\u2019\u201c\u201d"
_LONGEST_TEXT = 10_000
_MOST_NAMES = 60  # that a message lists
_LARGEST_BITS = 1024  # digits of a whole number; a float has as many


_SIGNS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", ">"),
    ast.LtE: ("<=", ">="),
    ast.Gt: (">", "<"),
    ast.GtE: (">=", "<="),
}
WORDS = {"true": True, "false": False, "null": None}


class Expression:
    """A checked expression; `names` are those that it reads.

    `units` are the known units of names; `difference` is true for an expression that is one of
    two compared sides.

    Raises:
        ExpressionError: it is not an expression, or uses what is not allowed.
    """

    def __init__(
        self, text: str, units: Mapping[str, Unit] | None = None, difference: bool = False
    ) -> None:
        self.text = text
        self._units = dict(units or {})
        self._difference = difference
        self._quantities: dict[str, float] = {}
        self._quantity_units: dict[str, Unit] = {}
        if len(text) > LONGEST:
            raise ExpressionError(
                f"The expression '{text[:40]}…' has {len(text)} characters; {LONGEST} are allowed."
            )
        try:
            self._plain_text = self._without_units(text.strip())
            self._tree = ast.parse(self._plain_text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if unknown := unknown_unit(text):
                raise ExpressionError(f"'{text}' is not an expression: {unknown}.") from None
            reason = getattr(error, "msg", None) or str(error)
            quotes = any(mark in text for mark in QUOTES)
            example = "gc == 'G1', with straight quotes" if quotes else "throughput / response_time"
            raise ExpressionError(
                f"'{text}' is not an expression ({reason}); write one such as {example}."
            ) from None
        if _depth(self._tree) > DEEPEST:
            raise ExpressionError(
                f"The expression '{text[:40]}…' is nested more than {DEEPEST} levels deep, which "
                "is not allowed; name a part of it."
            )
        called = {
            node.func.id
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for node in ast.walk(self._tree):
            self._admit(node)
        self.names = frozenset(
            node.id
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Name) and node.id not in called and node.id not in WORDS
        ).difference(self._quantities)

    @property
    def is_amount(self) -> bool:
        """Whether it may be a number: no `and`, `or`, `not`, comparison, list, text or `true`."""
        no = (ast.BoolOp, ast.Compare, ast.List, ast.Tuple, ast.Set)
        tree = self._tree
        is_not = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
        is_word = isinstance(tree, ast.Name) and tree.id in WORDS and tree.id not in self.names
        is_other = isinstance(tree, ast.Constant) and type(tree.value) not in (int, float)
        return not (isinstance(tree, no) or is_not or is_word or is_other)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def _without_units(self, text: str) -> str:
        """The text with a name for each number with a unit; quoted texts are unchanged."""

        def named(found: re.Match[str]) -> str:
            if quantity(found[0]) is None:
                raise ValueError(f"'{found[0]}' is beyond what a floating-point number holds")
            name = f"__quantity_{len(self._quantities)}__"
            unit = UNITS[found[2]]
            self._quantities[name] = in_base(float(found[1]), unit)
            self._quantity_units[name] = unit
            return name

        parts = re.split(r"('[^']*'|\"[^\"]*\")", text)
        return "".join(
            part if place % 2 else LITERAL.sub(named, part) for place, part in enumerate(parts)
        )

    def _admit(self, node: ast.AST) -> None:
        allowed: tuple[type[ast.AST], ...] = (
            *(ast.Name, ast.Load, ast.BoolOp, ast.And, ast.Or, ast.IfExp, ast.Compare),
            *(ast.BinOp, ast.UnaryOp, ast.List, ast.Tuple, ast.Set),
            *BINARY,
            *UNARY,
            *COMPARE,
        )
        if isinstance(node, ast.Constant):
            good = node.value is None or isinstance(node.value, (bool, int, float, str))
            if isinstance(node.value, float):
                self._check_held(node, node.value)
        elif isinstance(node, ast.Call):
            good = (
                isinstance(node.func, ast.Name)
                and node.func.id in FUNCTIONS
                and not node.keywords
                and not any(isinstance(argument, ast.Starred) for argument in node.args)
            )
        else:
            good = isinstance(node, allowed)
        if not good:
            raise ExpressionError(
                f"The expression '{self.text}' uses {self._shown(node)}, which is not allowed; "
                f"use numbers, names, operators and {', '.join(FUNCTIONS)}."
            )

    def _check_held(self, node: ast.AST, value: float) -> None:
        """Refuse a number that was read as infinite, or as 0 and is not."""
        shown = self._shown(node)
        if math.isinf(value) or vanishes(shown.strip("'"), value):
            raise ExpressionError(
                f"The expression '{self.text}' has {shown}, which is beyond what a floating-point "
                "number holds; correct it."
            )

    def _shown(self, node: ast.AST) -> str:
        """A node's source text: unparsing a tree takes a deep stack."""
        text = ast.get_source_segment(self._plain_text, node) or type(node).__name__
        return f"'{text[:60]}'"

    def value(self, names: Mapping[str, Any], units: Mapping[str, Unit] | None = None) -> Any:
        """The value with these names, whose units are as declared, or as in `units`.

        Raises:
            ExpressionError: a name is missing, there is no value (a division by zero), or a time
                is compared with another dimension.
        """
        missing = sorted(self.names - names.keys())
        if missing:
            shown = sorted(names)
            there = ", ".join([*shown[:_MOST_NAMES], *(["…"] if len(shown) > _MOST_NAMES else [])])
            near = nearest(missing[0], names)
            hint = f" Did you mean '{near}'?" if near else ""
            raise UnknownNameError(
                f"The expression '{self.text}' needs '{missing[0]}', and there is "
                f"{there or 'nothing'}.{hint}",
                missing[0],
                near,
            )
        known = self._units | dict(units or {}) if units else self._units
        try:
            if known or self._quantities:
                names = self._in_base(names, {name: known[name] for name in self.names & {*known}})
            return _evaluate(self._tree, names)
        except (ArithmeticError, ValueError, TypeError, RecursionError, BenchmarkError) as error:
            kind = DimensionError if isinstance(error, DimensionError) else ExpressionError
            raise kind(f"The expression '{self.text}' has no value here: {error}.") from None

    def _in_base(self, names: Mapping[str, Any], units: dict[str, Unit]) -> dict[str, Any]:
        """The values in seconds, bytes and cores, if a number has a unit or their units differ."""
        sizes: dict[str, set[Any]] = {}
        for unit in units.values():
            sizes.setdefault(unit.base, set()).add(unit.size)
        converts = bool(self._quantities) or any(len(found) > 1 for found in sizes.values())
        every = units | self._quantity_units
        dimensions.check(self._tree, every, converts, self._difference)
        if not converts:
            return dict(names)
        numbers = {
            name: in_base(names[name], unit)
            for name, unit in units.items()
            if isinstance(names[name], (int, float)) and not isinstance(names[name], bool)
        }
        return {**names, **numbers, **self._quantities}

    def compared(self) -> Iterator[tuple[str, str, Any, Unit | None]]:
        """Each name that is compared with a constant: by which sign, the constant, and its unit.

        The name is on the left: `3 < x` is x > 3. An element of a list is a constant of its own,
        and `!=` counts as `==`. A constant with a unit is in seconds, bytes or cores.
        """
        for node in ast.walk(self._tree):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            for sign, left, right in zip(node.ops, sides, sides[1:], strict=False):
                if isinstance(sign, (ast.In, ast.NotIn)):
                    among = right.elts if isinstance(right, (ast.List, ast.Tuple, ast.Set)) else []
                    for one in among:
                        yield from self._constants(left, "==", one)
                else:
                    shown, mirrored = _SIGNS.get(type(sign), ("==", "=="))
                    yield from self._constants(left, shown, right)
                    yield from self._constants(right, mirrored, left)

    def _constants(
        self, name: ast.expr, sign: str, value: ast.expr
    ) -> Iterator[tuple[str, str, Any, Unit | None]]:
        if not isinstance(name, ast.Name) or name.id not in self.names:
            return
        inner = value.operand if isinstance(value, ast.UnaryOp) else value
        named = inner.id if isinstance(inner, ast.Name) else ""
        if isinstance(inner, ast.Constant) or (named and named not in self.names):
            found = _evaluate(value, self._quantities)
            yield name.id, sign, found, self._quantity_units.get(named)

    def number(self, names: Mapping[str, Any], units: Mapping[str, Unit] | None = None) -> float:
        """The value as a finite number.

        Raises:
            ExpressionError: it is not a finite number.
        """
        value = self.value(names, units)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
        raise ExpressionError(
            f"The expression '{self.text}' gives {value!r}, which is not a finite number."
        )

    def is_true(self, names: Mapping[str, Any], units: Mapping[str, Unit] | None = None) -> bool:
        """Whether it is true with these names."""
        try:
            return truth(self.value(names, units))
        except ExpressionError as error:
            if str(error).startswith("The expression"):
                raise
            raise ExpressionError(
                f"The expression '{self.text}' cannot be evaluated: {error}."
            ) from None


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _small(value: Any) -> Any:
    """Check that a value is small enough for further operations."""
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        raise ExpressionError("a number grows too large")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ExpressionError("a text grows too long")
    return value


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:  # noqa: PLR0911, PLR0912
    match node:
        case ast.Constant():
            return _small(node.value)
        case ast.Name():
            return _small(names[node.id]) if node.id in names else WORDS[node.id]
        case ast.BinOp():
            left, right = _evaluate(node.left, names), _evaluate(node.right, names)
            return _small(BINARY[type(node.op)](left, right))
        case ast.UnaryOp():
            return UNARY[type(node.op)](_evaluate(node.operand, names))
        case ast.BoolOp():
            last: Any = None
            for value in node.values:
                last = _evaluate(value, names)
                if truth(last) is isinstance(node.op, ast.Or):
                    return last
            return last
        case ast.IfExp():
            chosen = node.body if truth(_evaluate(node.test, names)) else node.orelse
            return _evaluate(chosen, names)
        case ast.Compare():
            left = _evaluate(node.left, names)
            for compare, comparator in zip(node.ops, node.comparators, strict=True):
                right = _evaluate(comparator, names)
                if not COMPARE[type(compare)](left, right):
                    return False
                left = right
            return True
        case ast.Call(func=ast.Name(id=name)):
            return _small(FUNCTIONS[name](*(_evaluate(argument, names) for argument in node.args)))
        case ast.List() | ast.Tuple() | ast.Set():
            return [_evaluate(element, names) for element in node.elts]
    raise ExpressionError(f"{type(node).__name__} is not allowed")
