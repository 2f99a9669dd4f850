"""Check that an expression compares the same dimension: `p99 <= 20 ms` needs p99 to be a time."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

from benchmark.hpo.space.operators import DimensionError
from benchmark.hpo.space.units import Unit

Dimension = tuple[tuple[str, int], ...]

_PLAIN: Dimension = ()
_SAME = {"abs", "round", "floor", "ceil"}
_WORDS = {"s": "seconds", "bytes": "bytes", "cores": "cores"}


def check(tree: ast.expr, units: Mapping[str, Unit], strict: bool, difference: bool) -> None:
    """Check every comparison; with `strict` also sums, and the outermost one of a `difference`.

    Without `strict` a declared unit counts as none, because numbers are written in it:
    `p99 <= 200` where p99 is declared in ms.

    Raises:
        DimensionError: two sides differ; the message names both.
    """
    known = {name: unit for name, unit in units.items() if strict or unit.found}
    _Check(known, strict).of(tree, difference)


class _Check:
    def __init__(self, units: Mapping[str, Unit], strict: bool) -> None:
        self._units = units
        self._strict = strict

    def of(self, node: ast.expr, compares: bool = False) -> Dimension:  # noqa: PLR0911
        """The dimension of a part, as powers of units."""
        match node:
            case ast.Name(id=name) if name in self._units:
                base = self._units[name].base
                return ((base, 1),) if base else _PLAIN
            case ast.UnaryOp():
                return self.of(node.operand)
            case ast.BinOp(op=ast.Mult() | ast.Div() | ast.FloorDiv()):
                sign = 1 if isinstance(node.op, ast.Mult) else -1
                return _product(self.of(node.left), self.of(node.right), sign)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self._alike([node.left, node.right], self._strict or compares)
            case ast.BinOp():
                self.of(node.left)
                self.of(node.right)
                return _PLAIN
            case ast.Compare():
                self._alike([node.left, *node.comparators], True)
                return _PLAIN
            case ast.Call(func=ast.Name(id="min" | "max")):
                return self._alike(node.args, True)
            case ast.Call(func=ast.Name(id=name)) if name in _SAME and node.args:
                return self.of(node.args[0])
            case ast.IfExp():
                self.of(node.test)
                return self._alike([node.body, node.orelse], False)
            case ast.BoolOp():
                for value in node.values:
                    self.of(value)
        return _PLAIN

    def _alike(self, nodes: list[ast.expr], needed: bool) -> Dimension:
        found = [(node, self.of(node)) for node in nodes if not _is_zero(node)]
        for node, dimension in found[1:]:
            if needed and dimension != found[0][1]:
                pair = sorted([found[0], (node, dimension)], key=lambda one: one[1] == _PLAIN)
                raise DimensionError(_said(pair[0][1], pair[1]))
        return found[0][1] if found and all(one[1] == found[0][1] for one in found) else _PLAIN


def _said(dimension: Dimension, other: tuple[ast.expr, Dimension]) -> str:
    node, its = other
    names = sorted({part.id for part in ast.walk(node) if isinstance(part, ast.Name)})
    names = [name for name in names if not name.startswith("__quantity_")]
    if its != _PLAIN:
        return f"it compares {_words(dimension)} with {_words(its)}"
    if names:
        return (
            f"it compares {_words(dimension)} with '{names[0]}', which has no unit; declare it: "
            f"metrics: {{units: {{{names[0]}: {dimension[0][0]}}}}}"
        )
    return f"it compares {_words(dimension)} with a number without a unit; write one, such as 20 ms"


def _words(dimension: Dimension) -> str:
    return " * ".join(
        _WORDS.get(base, base) + (f"^{power}" if power != 1 else "") for base, power in dimension
    )


def _product(left: Dimension, right: Dimension, sign: int) -> Dimension:
    powers = Counter(dict(left))
    for base, power in right:
        powers[base] += sign * power
    return tuple(sorted((base, power) for base, power in powers.items() if power))


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0 and node.value is not False
