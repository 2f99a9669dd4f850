"""The objective of a study file, read and checked: a sentence for each fault."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, get_args

from benchmark.hpo.benchmark_objective import read_benchmark
from benchmark.hpo.measuring import Measuring
from benchmark.hpo.objective import EXTERNAL, HOOK_S, HOST, PLACE, Objective, plain
from benchmark.hpo.optimizer import Direction
from benchmark.hpo.patterns import PatternError, check
from benchmark.hpo.rules import (
    FAILURE_PATTERNS,
    PRUNE_PATTERNS,
    Rule,
    read_constraint,
    read_expression,
    read_rule,
)
from benchmark.hpo.spelling import check_keys, meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.expressions import Expression

KINDS = ("command", "python", "benchmark")
KEYS = (
    *(*KINDS, "positional", "environment", "config_file", "files", "metrics", "value"),
    *("prune", "failure", "constraints", "prune_codes", "repeats", "warmups", "cost"),
    *("prepare", "reset", "restore", "hook_time", "hosts"),
)


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
    known = get_args(Direction)
    for name, direction in told.items():
        if direction not in known:
            mend = meant(direction, known, "write one of")
            faults.append(f"'direction' of '{name}' is {direction!r}; {mend}")
    return told if set(told.values()) <= set(known) else {}


def read_objective(
    entry: Any, directions: Mapping[str, Direction], tunables: tuple[str, ...], faults: list[str]
) -> Objective:
    """The objective of a study file; what is wrong goes into `faults`."""
    if entry == EXTERNAL:
        return Objective()
    if isinstance(entry, str):
        entry = {"python": entry}
    if not isinstance(entry, dict) or sum(kind in entry for kind in KINDS) != 1:
        faults.append(
            "The study has no 'objective'; give it one of: a 'command', a 'python' function such "
            "as 'file.py:objective', a 'benchmark' of a framework."
        )
        return Objective()
    check_keys(entry, KEYS, "'objective'", faults)
    hosts = tuple(_list(entry.get("hosts"), str, "hosts", faults))
    if len(set(hosts)) < len(hosts):
        faults.append("'hosts' names a host twice; name each once.")
    objective = Objective(
        argv=_argv(entry, "command", faults),
        function=_function(entry.get("python"), faults),
        benchmark=read_benchmark(entry.get("benchmark"), directions, faults),
        positional=_flag(entry, "positional", faults),
        environment=_texts(entry.get("environment"), "environment", faults),
        config_file=_inner_path(entry.get("config_file"), faults),
        files=tuple(_list(entry.get("files"), str, "files", faults)),
        measuring=_measuring(entry.get("metrics"), faults),
        values=_values(entry.get("value"), directions, faults),
        prune=_prune(entry, faults),
        failure=read_rule(entry.get("failure"), "failure", Rule(patterns=FAILURE_PATTERNS), faults),
        constraints=tuple(
            rule
            for text in _list(entry.get("constraints"), str, "constraints", faults)
            if (rule := read_constraint(text, faults)) is not None
        ),
        cost=read_expression(entry["cost"], "cost", faults) if "cost" in entry else None,
        repeats=_count(entry, "repeats", 1, faults),
        warmups=_count(entry, "warmups", 0, faults),
        prepare=_argv(entry, "prepare", faults),
        reset=_argv(entry, "reset", faults),
        restore=_argv(entry, "restore", faults),
        hook_s=_hook_s(entry, faults),
        hosts=hosts,
    )
    known = {*tunables, HOST} if hosts else {*tunables}
    for text in (*objective.words, *objective.environment.values()):
        for name in PLACE.findall(text):
            if name not in known:
                faults.append(
                    f"'objective' names {{{name}}} in '{text}', which is no tunable; "
                    f"{meant(name, sorted(known))}"
                )
    _check_kind(entry, faults)
    return objective


def _check_kind(entry: Mapping[str, Any], faults: list[str]) -> None:
    """Keys that a Python function or a benchmark would pass over without a word."""
    if "command" in entry:
        return
    kind = next(kind for kind in KINDS if kind in entry)
    idle = ["positional", "metrics", "prepare", "reset", "config_file", "prune_codes", "warmups"]
    idle += ["environment", "files", "repeats", "restore", "hosts"] if kind == "benchmark" else []
    for key in idle:
        if key in entry:
            faults.append(f"'{key}' has no effect beside '{kind}'; leave it out.")


def _prune(entry: Mapping[str, Any], faults: list[str]) -> Rule:
    """`prune`, and the codes of `prune_codes`; empty output prunes, as the scripts have it."""
    default = Rule(patterns=PRUNE_PATTERNS, empty=True)
    rule = read_rule(entry.get("prune"), "prune", default, faults)
    codes = tuple(_list(entry.get("prune_codes"), int, "prune_codes", faults))
    return Rule((*rule.codes, *codes), rule.patterns, rule.expression, rule.empty)


def _function(function: Any, faults: list[str]) -> str | None:
    if function is None:
        return None
    if not isinstance(function, str) or not function.rpartition(":")[2].isidentifier():
        faults.append(f"'python' is {function!r}; write it as 'file.py:objective'.")
        return None
    return function


def _argv(entry: Mapping[str, Any], key: str, faults: list[str]) -> tuple[str, ...]:
    if key not in entry:
        return ()
    command = entry[key]
    if isinstance(command, str):
        try:
            command = shlex.split(command)
        except ValueError as error:
            faults.append(f"'{key}' cannot be split into words ({error}); write it as a list.")
            return ()
    if not isinstance(command, list) or not command or not plain(command[0]):
        faults.append(f"'{key}' is empty; name an executable and its arguments.")
        return ()
    return tuple(plain(word) for word in command)


def _flag(entry: Mapping[str, Any], key: str, faults: list[str]) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        faults.append(f"'{key}' is {value!r}; write true or false.")
    return bool(value)


def _inner_path(place: Any, faults: list[str]) -> str | None:
    if place is None:
        return None
    if not isinstance(place, str) or place.startswith("/") or ".." in place.split("/"):
        faults.append(f"'config_file' is {place!r}; name a file in the trial's own folder.")
        return None
    return place


def _hook_s(entry: Mapping[str, Any], faults: list[str]) -> float:
    value = entry.get("hook_time", HOOK_S)
    if type(value) not in (int, float) or not 0 < value < 1e9:
        faults.append(f"'hook_time' is {value!r}; write seconds above 0.")
        return HOOK_S
    return float(value)


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


def _measuring(entry: Any, faults: list[str]) -> Measuring:
    if entry is None:
        return Measuring()
    known = ("json", "csv", "delimiter", "row", "header", "columns", "patterns")
    if not isinstance(entry, dict):
        faults.append(f"'metrics' is {entry!r}; it takes {', '.join(known)}.")
        return Measuring()
    check_keys(entry, known, "'metrics'", faults)
    patterns = _texts(entry.get("patterns"), "patterns", faults)
    for name, pattern in patterns.items():
        try:
            if check(pattern) < 1:
                faults.append(f"The pattern of '{name}' is '{pattern}'; it needs a group ( ).")
        except PatternError as error:
            faults.append(f"The pattern of '{name}' cannot be used: {error}")
    for key in ("json", "csv"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            faults.append(f"'metrics' has {entry[key]!r} as '{key}'; name a file, or stdout.")
    delimiter = entry.get("delimiter", ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        faults.append(f"'metrics' has the delimiter {delimiter!r}; write one character.")
        delimiter = ","
    header, row = entry.get("header", 1), entry.get("row")
    if type(header) is not int or header < 1:
        faults.append(f"'metrics' has the header {header!r}; lines are counted from 1.")
        header = 1
    if row is not None and (type(row) is not int or row <= header):
        faults.append(
            f"'metrics' has the row {row!r}; the header is row {header}, so write {header + 1} "
            "or more."
        )
    return Measuring(
        json=entry.get("json"),
        csv=entry.get("csv"),
        delimiter=str(delimiter),
        row=row,
        header=header,
        columns=_flag(entry, "columns", faults),
        patterns=patterns,
    )


def _values(
    entry: Any, directions: Mapping[str, Direction], faults: list[str]
) -> dict[str, Expression | None]:
    """An expression for each direction; None reads the metric with the direction's name."""
    if entry is None:
        return dict.fromkeys(directions)
    if not isinstance(entry, dict):
        entry = dict.fromkeys(list(directions)[:1], entry)
    if directions and set(entry) != set(directions):
        faults.append(
            f"'value' speaks of {', '.join(map(str, entry))} and 'direction' of "
            f"{', '.join(directions)}; give each name both."
        )
    return {
        name: None if entry.get(name) is None else read_expression(entry[name], "value", faults)
        for name in directions
    }
