"""When a trial is pruned or a failure, beside what the sandbox says of it.

    prune: {codes: [3], patterns: ["Insufficient (cpu|memory)"], expression: "errors > 5"}

A rule that is a text alone is an expression over tunables and metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.files.spelling import check_keys
from benchmark.files.value_faults import shown
from benchmark.hpo.objectives.metrics.measured_values import finite_number
from benchmark.hpo.objectives.patterns import PatternError, check, first
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.operators import ExpressionError
from benchmark.hpo.space.units import Unit

KEYS = ("codes", "patterns", "expression", "empty")
# What container engines say; a list of one's own takes the place of these.
PRUNE_PATTERNS = (r"(?i)insufficient (cpu|memory)",)
FAILURE_PATTERNS = (r"OOMKilled",)


@dataclass(frozen=True)
class Rule:
    """By exit code, by a pattern in the output, by an expression, or where nothing is printed
    and nothing measured (`empty`)."""

    codes: tuple[int, ...] = ()
    patterns: tuple[str, ...] = ()
    expression: Expression | None = None
    empty: bool = False

    def of_code(self, code: int | None) -> str | None:
        """Why the exit code makes it so, in a sentence."""
        return f"It ended with the exit code {code}." if code in self.codes else None

    def of_output(self, output: str) -> str | None:
        """Why the output makes it so: the first line that a pattern is found in.

        Raises:
            PatternError: a pattern takes too long.
        """
        for pattern in self.patterns:
            if pattern in PRUNE_PATTERNS + FAILURE_PATTERNS:  # ours take no time
                match = re.search(pattern, output)
                span = match and match.span()
            else:
                span = first(pattern, output)
            if span is not None:
                begin = output.rfind("\n", 0, span[0]) + 1
                line = output[begin:].partition("\n")[0].strip()
                return f"Its output says '{line[:200]}'."
        return None

    def of_metrics(self, names: Mapping[str, Any], units: Mapping[str, Unit]) -> str | None:
        """Why the metrics make it so.

        Raises:
            ExpressionError: the expression has no value with these.
        """
        if self.expression is None or not self.expression.is_true(names, units):
            return None
        return f"The rule '{self.expression.text}' holds."


def read_rule(entry: Any, key: str, default: Rule, faults: list[str]) -> Rule:
    """A rule of an objective; what it leaves out is the default's."""
    if entry is None:
        return default
    if isinstance(entry, (str, bool, int, float)):
        entry = {"expression": entry}
    if not isinstance(entry, dict):
        faults.append(f"'{key}' is {entry!r}; write an expression, or {', '.join(KEYS)}.")
        return default
    check_keys(entry, KEYS, f"'{key}'", faults)
    codes, patterns = _list(entry.get("codes")), _list(entry.get("patterns"))
    if not all(type(code) is int and 0 <= code < 256 for code in codes):
        faults.append(f"'{key}' has the codes {entry['codes']!r}; write whole numbers from 0.")
        codes = []
    for pattern in patterns:
        fault = _pattern_fault(pattern)
        if fault:
            faults.append(f"'{key}' has a pattern that cannot be used: {fault}")
            patterns = []
    if not isinstance(entry.get("empty", False), bool):
        faults.append(f"'{key}' has {entry['empty']!r} as 'empty'; write true or false.")
    expression = entry.get("expression")
    return Rule(
        codes=tuple(codes),
        patterns=tuple(patterns) if "patterns" in entry else default.patterns,
        expression=None if expression is None else read_expression(expression, key, faults),
        empty=bool(entry.get("empty", default.empty)),
    )


def read_expression(
    text: Any, key: str, faults: list[str], difference: bool = False
) -> Expression | None:
    """An expression, or None with the fault said."""
    if not isinstance(text, str) and finite_number(text) is None and not isinstance(text, bool):
        faults.append(f"'{key}' has {shown(text)} instead of an expression; write it as a text.")
        return None
    try:
        return Expression(str(text), difference=difference)
    except ExpressionError as error:
        faults.append(f"'{key}': {error}")
        return None


def read_constraint(text: str, faults: list[str], *, stored: bool = False) -> Expression | None:
    """`p99 <= 200` as how far it is from being kept: p99 - 200, kept where that is <= 0.

    In a `stored` study a side may be what is refused in a new one.
    """
    sides = re.fullmatch(r"([^<>=!]+)(<=|>=)([^<>=!]+)", text)
    if sides is None:
        faults.append(
            f"The constraint '{text}' is not two sides with <= or >= between them; write it such "
            "as 'p99 <= 200'."
        )
        return None
    left, sign, right = sides.groups()
    for side in () if stored else (left, right):
        try:
            whole = Expression(side.strip())
        except ExpressionError as error:
            faults.append(f"The constraint '{text}' has a wrong side: {error}")
            return None
        if not whole.is_amount:
            faults.append(
                f"The constraint '{text}' has '{side.strip()}', which is not a number; write "
                "several conditions as several constraints."
            )
            return None
    low, high = (left, right) if sign == "<=" else (right, left)
    found = read_expression(f"({low.strip()}) - ({high.strip()})", "constraints", faults, True)
    if found is not None:
        found.text = text.strip()  # messages name it as it was written
    return found


def _list(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return entry if isinstance(entry, list) else [entry]


def _pattern_fault(text: Any) -> str | None:
    if not isinstance(text, str):
        return f"{text!r} is not a text."
    try:
        check(text)
    except PatternError as error:
        return str(error)
    return None
