"""What a study measures: a command or a Python function, its limits, and its rules."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from benchmark.hpo.expressions import Expression, ExpressionError
from benchmark.hpo.measuring import Measuring
from benchmark.hpo.optimizer import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = (
    *("command", "positional", "environment", "config_file", "files", "metrics", "value"),
    *("prune", "constraints", "prune_codes", "repeats", "warmups", "python"),
)
# Whoever asks the HPO service for a trial measures it.
EXTERNAL = {"external": True}
_PLACE = re.compile(r"\{([^{}\s]+)\}")


@dataclass(frozen=True)
class Objective:
    """A command (`argv` and what goes with it) or `function`, such as `file.py:objective`.

    `values` has an expression for each direction's name. `{name}` in `argv` and `environment` is
    a tunable's value; `positional` appends all values in the space's order.
    """

    argv: tuple[str, ...] = ()
    function: str | None = None
    positional: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    config_file: str | None = None
    files: tuple[str, ...] = ()
    measuring: Measuring = field(default_factory=Measuring)
    values: dict[str, Expression | None] = field(default_factory=dict)
    prune: Expression | None = None
    prune_codes: tuple[int, ...] = ()
    constraints: tuple[Expression, ...] = ()
    repeats: int = 1
    warmups: int = 0

    @property
    def is_external(self) -> bool:
        """Whether there is nothing to run here."""
        return not self.argv and self.function is None


def directions_of(values: Mapping[str, Any], faults: list[str]) -> dict[str, Direction]:
    """The directions by the name of their value; one alone is called `value`."""
    told = values.get("direction", values.get("directions"))
    if told is None:
        faults.append("The study has no 'direction'; write minimize or maximize.")
        return {}
    if isinstance(told, list):
        told = {f"value_{n}": direction for n, direction in enumerate(told)}
    if isinstance(told, str):
        told = {"value": told}
    if not isinstance(told, dict) or not told:
        faults.append(f"'direction' is {told!r}; write minimize or maximize, or one for each name.")
        return {}
    for name, direction in told.items():
        if direction not in get_args(Direction):
            faults.append(f"'direction' of '{name}' is {direction!r}; write minimize or maximize.")
    return told


def read_objective(
    entry: Any, directions: Mapping[str, Direction], tunables: tuple[str, ...], faults: list[str]
) -> Objective:
    """The objective of a study file; what is wrong goes into `faults`."""
    if entry == EXTERNAL:
        return Objective()
    if isinstance(entry, str):
        entry = {"python": entry}
    if not isinstance(entry, dict) or ("command" in entry) == ("python" in entry):
        faults.append(
            "The study has no 'objective'; give it a 'command', or a 'python' function such as "
            "'file.py:objective'."
        )
        return Objective()
    for key in entry:
        if key not in KEYS:
            faults.append(f"'objective' has the unknown key '{key}'; there are {', '.join(KEYS)}.")
    argv = _argv(entry.get("command"), faults) if "command" in entry else ()
    environment = _texts(entry.get("environment"), "environment", faults)
    for text in (*argv, *environment.values()):
        for name in _PLACE.findall(text):
            if name not in tunables:
                faults.append(f"'objective' names {{{name}}} in '{text}', which is no tunable.")
    function = entry.get("python")
    if function is not None and (
        not isinstance(function, str) or not function.rpartition(":")[2].isidentifier()
    ):
        faults.append(f"'python' is {function!r}; write it as 'file.py:objective'.")
    return Objective(
        argv=argv,
        function=function,
        positional=bool(entry.get("positional", False)),
        environment=environment,
        config_file=entry.get("config_file"),
        files=tuple(_list(entry.get("files"), str, "files", faults)),
        measuring=_measuring(entry.get("metrics"), faults),
        values=_values(entry.get("value"), directions, faults),
        prune=_rule(entry.get("prune"), "prune", faults),
        prune_codes=tuple(_list(entry.get("prune_codes"), int, "prune_codes", faults)),
        constraints=tuple(
            rule
            for text in _list(entry.get("constraints"), str, "constraints", faults)
            if (rule := _constraint(text, faults)) is not None
        ),
        repeats=_count(entry, "repeats", 1, faults),
        warmups=_count(entry, "warmups", 0, faults),
    )


def filled(text: str, params: Mapping[str, Any]) -> str:
    """The text with each `{name}` as the tunable's value; one that is not active is empty."""
    return _PLACE.sub(lambda place: plain(params.get(place.group(1))), text)


def plain(value: Any) -> str:
    """A value as a command reads it: true and false in small letters, nothing as nothing."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _argv(command: Any, faults: list[str]) -> tuple[str, ...]:
    if isinstance(command, str):
        try:
            command = shlex.split(command)
        except ValueError as error:
            faults.append(f"'command' cannot be split into words ({error}); write it as a list.")
            return ()
    if not isinstance(command, list) or not command:
        faults.append("'command' is empty; name an executable and its arguments.")
        return ()
    return tuple(plain(word) for word in command)


def _texts(entry: Any, key: str, faults: list[str]) -> dict[str, str]:
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        faults.append(f"'{key}' must be texts by name.")
        return {}
    return {str(name): plain(value) for name, value in entry.items()}


def _list(entry: Any, kind: type, key: str, faults: list[str]) -> list[Any]:
    found = [entry] if isinstance(entry, kind) else entry or []
    if not isinstance(found, list) or not all(type(value) is kind for value in found):
        faults.append(f"'{key}' is {entry!r}; write a list of {kind.__name__} values.")
        return []
    return found


def _count(entry: Mapping[str, Any], key: str, least: int, faults: list[str]) -> int:
    value = entry.get(key, least)
    if type(value) is not int or not least <= value <= 1000:
        faults.append(f"'{key}' is {value!r}; write a whole number from {least} to 1000.")
        return least
    return value


def _rule(text: Any, key: str, faults: list[str]) -> Expression | None:
    if text is None:
        return None
    try:
        return Expression(str(text))
    except ExpressionError as error:
        faults.append(f"'{key}': {error}")
        return None


def _constraint(text: str, faults: list[str]) -> Expression | None:
    """`p99 <= 200` as how far it is from being kept: p99 - 200, kept where that is <= 0."""
    sides = re.fullmatch(r"([^<>=!]+)(<=|>=)([^<>=!]+)", text)
    if sides is None:
        faults.append(f"The constraint '{text}' is none; write it such as 'p99 <= 200'.")
        return None
    left, sign, right = sides.groups()
    low, high = (left, right) if sign == "<=" else (right, left)
    return _rule(f"({low.strip()}) - ({high.strip()})", "constraints", faults)


def _measuring(entry: Any, faults: list[str]) -> Measuring:
    if entry is None:
        return Measuring()
    if not isinstance(entry, dict) or not set(entry) <= {"json", "csv", "row", "patterns"}:
        faults.append("'metrics' takes json, csv, row and patterns; json and csv name a file.")
        return Measuring()
    patterns = _texts(entry.get("patterns"), "patterns", faults)
    for name, pattern in patterns.items():
        try:
            good = re.compile(pattern).groups >= 1
        except re.error:
            good = False
        if not good:
            faults.append(f"The pattern of '{name}' is '{pattern}'; it needs a group ( ).")
    for key in ("json", "csv"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            faults.append(f"'metrics' has {entry[key]!r} as '{key}'; name a file, or stdout.")
    row = entry.get("row")
    if row is not None and (type(row) is not int or row < 2):
        faults.append(f"'metrics' has the row {row!r}; the header is row 1, so write 2 or more.")
    return Measuring(entry.get("json"), entry.get("csv"), row, patterns)


def _values(
    entry: Any, directions: Mapping[str, Direction], faults: list[str]
) -> dict[str, Expression | None]:
    """An expression for each direction; None reads the metric with the direction's name."""
    if entry is None:
        return dict.fromkeys(directions)
    if not isinstance(entry, dict):
        entry = dict.fromkeys(list(directions)[:1], entry)
    if set(entry) != set(directions):
        faults.append(
            f"'value' speaks of {', '.join(map(str, entry))} and 'direction' of "
            f"{', '.join(directions)}; give each name both."
        )
    return {name: _rule(entry.get(name), "value", faults) for name in directions}
