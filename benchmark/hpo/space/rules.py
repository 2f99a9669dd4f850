"""Rules of a space: conditions (`when`) and forbidden combinations.

`read_forbidden` and `read_rule` read them, `check` finds rules that cannot be applied or forbid
every point, and `without_effect` finds comparisons with what cannot be a value of the tunable.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.files.spelling import meant
from benchmark.hpo.space.expressions import WORDS, Expression
from benchmark.hpo.space.operators import ExpressionError
from benchmark.hpo.space.search_space import LARGEST_GRID, Space, SpaceError
from benchmark.hpo.space.tunables import LARGEST, Tunable
from benchmark.hpo.space.units import Unit, UnitError, from_base, in_unit

_TESTED_POINTS = 1000


def read_rule(text: Any, units: Mapping[str, Unit], fault: Any) -> Expression | None:
    """The expression of a rule; what is wrong is passed to `fault`."""
    if not isinstance(text, str):
        fault(f"has {text!r} instead of an expression; write it as a text.")
        return None
    try:
        return Expression(text, units)
    except ExpressionError as error:
        fault(f"has a wrong expression: {error}")
        return None


def suggestion(name: str, rule: Expression, names: Sequence[str], choices: Sequence[Any]) -> str:
    """What to write instead of an unknown name: a text in quotes, or another name."""
    if name not in choices:
        return meant(name, names)
    quoted = re.sub(rf"(?<![\w'\"]){re.escape(name)}(?![\w'\"])", f"'{name}'", rule.text)
    return f'write a text in single quotes and the expression in double quotes: "{quoted}".'


def read_forbidden(
    entries: Sequence[Any],
    names: Sequence[str],
    tunables: Sequence[Tunable],
    units: Mapping[str, Unit],
    faults: list[str],
    *,
    stored: bool = False,
) -> tuple[Expression, ...]:
    """Rules as expressions, or as a combination of values `{gc: G1, heap: 512}`.

    In a `stored` study a key may be `true`, `false` or `null`, which an earlier version compared.
    """
    rules, choices = [], [choice for tunable in tunables for choice in tunable.choices]
    for entry in entries:
        strange = [name for name in entry if not str(name).isidentifier()] if _maps(entry) else []
        if strange:
            faults.append(
                f"'forbidden' has '{strange[0]}', which cannot be named in a rule; rename the "
                "tunable with letters, digits and '_'."
            )
            continue
        known = {*names, *(WORDS if stored else ())}
        foreign = [name for name in entry if name not in known] if _maps(entry) else []
        if foreign:
            faults.append(
                f"'forbidden' references '{foreign[0]}', which is not a tunable; "
                f"{meant(str(foreign[0]), names)}"
            )
            continue
        text = _combination(entry, units) if _maps(entry) else entry
        before = len(faults)
        rule = read_rule(text, units, lambda fault: faults.append(f"'forbidden' {fault}"))
        if rule is None or len(faults) > before:
            continue
        unknown = sorted(rule.names - set(names))
        if unknown:
            faults.append(
                f"'forbidden' references '{unknown[0]}', which is not a tunable; "
                f"{suggestion(unknown[0], rule, names, choices)}"
            )
        elif not rule.names:
            faults.append(f"'forbidden' holds '{rule.text}', which references no tunable.")
        else:
            rules.append(rule)
    return tuple(rules)


def _maps(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry)


def _combination(entry: Mapping[str, Any], units: Mapping[str, Unit]) -> str:
    """A combination of values as an expression, with each value in its tunable's unit."""
    return " and ".join(
        f"{name} == {_in_own_unit(value, units.get(name))!r}" for name, value in entry.items()
    )


def _in_own_unit(value: Any, unit: Unit | None) -> Any:
    with contextlib.suppress(UnitError):  # a text, which `without_effect` reports
        return value if unit is None else in_unit(value, unit)
    return value


def without_effect(space: Space, entries: Sequence[Any]) -> Iterator[str]:
    """Comparisons in rules with what is not a value of the tunable: a typing error, as a rule.

    Args:
        space: the space with its rules.
        entries: the value of `forbidden` as it is written.
    """
    tunables = {tunable.name: tunable for tunable in space.tunables}
    for entry in filter(_maps, entries):
        for name, value in entry.items():
            tunable = tunables[name]
            if not tunable.admits(_in_own_unit(value, tunable.unit)):
                yield _never(f"'forbidden' has {value!r} for '{name}'", tunable)
    written = {rule.text for rule in space.forbidden if rule.text in entries}
    rules = [rule for rule in space.forbidden if rule.text in written]
    rules += [tunable.when for tunable in space.tunables if tunable.when is not None]
    for rule in rules:
        for name, sign, value, unit in rule.compared():
            tunable = tunables[name]
            if unit is not None and (tunable.unit is None or tunable.unit.base != unit.base):
                continue  # what can be compared is checked with the values
            number = (
                value if unit is None or tunable.unit is None else from_base(value, tunable.unit)
            )
            if not _is_sensible(tunable, sign, number):
                shown = (
                    repr(value)
                    if unit is None
                    else f"{number} {tunable.unit and tunable.unit.name}"
                )
                yield _never(f"'{rule.text}' compares '{name}' with {shown}", tunable)


def _is_sensible(tunable: Tunable, sign: str, value: Any) -> bool:
    """Whether a tunable may be compared with a value; `!=` is checked as `==`.

    An inequality that holds for none of its values, or for all, is no fault: studies of different
    ranges share rules.
    """
    if sign == "==":
        return tunable.admits(value)
    if tunable.kind == "categorical" or type(value) not in (int, float):
        return True  # whether these can be compared is checked with the values
    return bool(abs(value) <= LARGEST)


def _never(begin: str, tunable: Tunable) -> str:
    return f"{begin}, which is not one of its values; they are {tunable.words}."


def check(space: Space, faults: list[str]) -> None:
    """Find rules that cannot be applied (a text compared with a number) or forbid every point."""
    rules = [*space.forbidden, *(t.when for t in space.tunables if t.when is not None)]
    if not rules:
        return
    for tunable in space.tunables:
        equal = next((c for c in tunable.choices if tunable.choices_like(c) != [c]), None)
        rule = next((rule for rule in rules if tunable.name in rule.names), None)
        if equal is not None and rule is not None:
            faults.append(
                f"'{rule.text}' uses '{tunable.name}', but its choices "
                f"{' and '.join(map(repr, tunable.choices_like(equal)))} are equal; leave one out, "
                "or write texts in quotes."
            )
            return
    try:
        size = space.size()
        if size is not None and size <= LARGEST_GRID:
            if not any(True for _ in space.points()):
                forbidden = ", ".join(f"'{rule.text}'" for rule in space.forbidden)
                faults.append(
                    f"Every point of the space is forbidden by {forbidden}; relax these rules."
                )
            return
        generator = random.Random(0)  # noqa: S311  # nosec B311 # points
        for _ in itertools.repeat(None, _TESTED_POINTS):
            space.draw(generator)
    except SpaceError as error:
        faults.append(str(error))
