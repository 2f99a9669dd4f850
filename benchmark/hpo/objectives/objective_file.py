"""The objective of a study file, read and checked: a sentence for each fault."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from benchmark.files.spelling import check_keys, meant
from benchmark.files.value_faults import shown
from benchmark.hpo.objectives.artifacts_key import read_artifacts
from benchmark.hpo.objectives.benchmark_objective import read_benchmark
from benchmark.hpo.objectives.metrics.measured_values import share
from benchmark.hpo.objectives.metrics.metrics_key import read_metrics
from benchmark.hpo.objectives.metrics.selections import Selection
from benchmark.hpo.objectives.objective import (
    EXTERNAL,
    HOOK_S,
    HOOKS,
    HOST,
    STAGES,
    UNNAMED,
    Objective,
)
from benchmark.hpo.objectives.rules import (
    FAILURE_PATTERNS,
    PRUNE_PATTERNS,
    Rule,
    read_constraint,
    read_expression,
    read_rule,
)
from benchmark.hpo.objectives.stages import read_wait_ready, read_warm_up
from benchmark.hpo.samplers.proposal import Direction
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.templates import broken_in, formats_in, plain, unknown_in
from benchmark.hpo.space.units import read_seconds

_LEAST, _MOST = 3, 10
# Words as a shell splits them, with their quotes; of longer words only what no URL ends with.
_OPERATOR = re.compile(
    r"&&?|\|\|?|;|\d*(?:<|>>?)(?:&\d+|[^<>].*)?|[^'\"\\]*[^'\"\\][;&|]|[^'\"\\]*(?:\$\(|`).*"
)
KINDS = ("command", "python", "benchmark")
_LISTS = ("hosts", "files", "constraints", "prune_codes")
KEYS = (
    *(*KINDS, "positional", "environment", "config_file", "files", "metrics", "value"),
    *("prune", "failure", "constraints", "prune_codes", "repeats", "warmups", "cost"),
    *("prepare", "apply", "wait_ready", "warm_up", "reset", "collect", "restore"),
    *("hook_time", "hosts", "artifacts"),
)


def directions_of(values: Mapping[str, Any], faults: list[str]) -> dict[str, Direction]:
    """The directions by the name of their value; one alone is called `value`."""
    declared = values.get("direction", values.get("directions"))
    if declared is None:
        faults.append("The study has no 'direction'; write minimize or maximize.")
        return {}
    if isinstance(declared, list):
        declared = {f"value_{n}": direction for n, direction in enumerate(declared)}
    if isinstance(declared, str):
        declared = {UNNAMED: declared}
    if not isinstance(declared, dict) or not declared:
        faults.append(
            f"'direction' is {declared!r}; write minimize or maximize, or one for each name."
        )
        return {}
    known = list(get_args(Direction))
    for name, direction in declared.items():
        if direction not in known:
            fix = meant(direction, known, "write one of")
            faults.append(f"'direction' of '{name}' is {direction!r}; {fix}")
    return declared if all(direction in known for direction in declared.values()) else {}


def read_objective(
    entry: Any,
    directions: Mapping[str, Direction],
    tunables: tuple[str, ...],
    faults: list[str],
    *,
    stored: bool = False,
) -> Objective:
    """The objective of a study file; what is wrong goes into `faults`."""
    if entry == EXTERNAL:
        return Objective()
    if isinstance(entry, str):
        entry = {"python": entry}
    kinds = [kind for kind in KINDS if isinstance(entry, dict) and kind in entry]
    if len(kinds) > 1:
        faults.append(f"'objective' has {' and '.join(map(repr, kinds))}; keep one of them.")
        return Objective()
    if not isinstance(entry, dict) or not kinds:
        faults.append(
            "The study has no 'objective'; give it one of: a 'command', a 'python' function such "
            "as 'file.py:objective', a 'benchmark' of a framework."
        )
        return Objective()
    check_keys(entry, KEYS, "'objective'", faults)
    if stored:  # an earlier version took false, 0 and "" for an empty list
        entry = {key: value for key, value in entry.items() if value or key not in _LISTS}
    hosts = tuple(_list(entry.get("hosts"), str, "hosts", faults))
    if len(set(hosts)) < len(hosts):
        faults.append("'hosts' names a host twice; name each once.")
    hooks: dict[str, Any] = {hook: _argv(entry, hook, faults) for hook in HOOKS}
    objective = Objective(
        argv=_argv(entry, "command", faults),
        function=_function(entry.get("python"), faults),
        benchmark=read_benchmark(entry.get("benchmark"), directions, faults),
        positional=_flag(entry, "positional", faults),
        environment=_texts(entry.get("environment"), "environment", faults),
        config_file=_inner_path(entry.get("config_file"), faults),
        files=tuple(_list(entry.get("files"), str, "files", faults)),
        measuring=read_metrics(entry.get("metrics"), faults),
        values=_values(entry.get("value"), directions, faults),
        prune=_prune(entry, faults),
        failure=read_rule(entry.get("failure"), "failure", Rule(patterns=FAILURE_PATTERNS), faults),
        constraints=tuple(
            rule
            for text in _list(entry.get("constraints"), str, "constraints", faults)
            if (rule := read_constraint(text, faults, stored=stored)) is not None
        ),
        cost=read_expression(entry["cost"], "cost", faults) if "cost" in entry else None,
        **_repeats(entry, faults),
        warmups=_count(entry, "warmups", 0, faults),
        **hooks,
        wait_ready=read_wait_ready(
            entry.get("wait_ready"), lambda settings, key: _argv(settings, key, faults), faults
        ),
        warm_up=read_warm_up(
            entry.get("warm_up"), lambda settings, key: _argv(settings, key, faults), faults
        ),
        hook_s=read_seconds(entry, "hook_time", HOOK_S, faults, place="the objective"),
        hosts=hosts,
        artifacts=read_artifacts(entry.get("artifacts"), faults),
    )
    known = {*tunables, HOST} if hosts else {*tunables}
    ready = objective.wait_ready.words if objective.wait_ready else ()
    for text in dict.fromkeys((*objective.words, *objective.environment.values(), *ready)):
        for name in unknown_in(text, known):
            faults.append(
                f"'objective' names {{{name}}} in '{text}', which is not a tunable; "
                f"{meant(name, sorted(known))} Write other text in two braces: {{{{{name}}}}}."
            )
        if stored:
            continue  # an earlier version took what follows
        for name, layout in formats_in(text, known):
            faults.append(
                f"'objective' has '{{{name}:{layout}}}' in '{text}', which is not formatted: it "
                f"would become {layout}1.5, say; write {{{name}}}, and declare a 'step' for fewer "
                "digits."
            )
        for name in broken_in(text, known):
            faults.append(
                f"'objective' has '{{{name}' in '{text}', where a template needs a text without "
                f"spaces and a closing brace; write '{{{name}}}' or '{{{name}:TEXT}}', each word "
                "on its own in a list. Write what is not a template in two braces."
            )
    _check_kind(entry, faults)
    if not stored:
        faults += _wrong_words(entry)
        faults += _wrong_queries(objective) + _without_effect(entry, objective.measuring.select)
    return objective


def _check_kind(entry: Mapping[str, Any], faults: list[str]) -> None:
    """Keys that a Python function or a benchmark would pass over without a word."""
    if "command" in entry:
        return
    kind = next(kind for kind in KINDS if kind in entry)
    idle = ["positional", "metrics", "prepare", "reset", "config_file", "prune_codes", "warmups"]
    idle += ["apply", "wait_ready", "warm_up", "collect"]
    idle += (
        ["environment", "files", "repeats", "restore", "hosts", "artifacts"]
        if kind == "benchmark"
        else []
    )
    metrics = entry.get("metrics")
    if kind == "python" and isinstance(metrics, dict) and set(metrics) == {"units"}:
        idle.remove("metrics")  # its attributes are plain numbers
    for key in idle:
        if key in entry:
            faults.append(f"'{key}' has no effect beside '{kind}'; leave it out.")


def _wrong_words(entry: Mapping[str, Any]) -> Iterator[str]:
    """Words of commands, variables and exit codes that no process can have."""
    commands: dict[str, Any] = {key: entry.get(key) for key in ("command", *HOOKS)}
    for key in ("wait_ready", "warm_up"):
        part = entry.get(key)
        commands[f"{key}: command"] = part.get("command") if isinstance(part, dict) else None
    for key, words in commands.items():
        for word in words if isinstance(words, list) else [words]:
            if not _is_word(word):
                template = isinstance(word, dict) and list(word.values()) == [None]
                fix = f"'{{{next(iter(word))}}}'" if template else "a text in quotes"
                yield f"'{key}' has {shown(word)}, which is not one word; write {fix}."
    variables = entry.get("environment")
    for name, value in variables.items() if isinstance(variables, dict) else ():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            yield f"'environment' has {shown(name)}, which cannot name a variable; rename it."
        if not _is_word(value):
            yield f"'environment' has {shown(value)} as '{name}'; write a text in quotes."
    for key in ("hosts", "files"):
        texts = entry.get(key)
        for text in texts if isinstance(texts, list) else [texts]:
            if isinstance(text, str) and (not text or "\0" in text):
                yield f"'{key}' has {shown(text)}; write names that are not empty."
    codes: Any = entry.get("prune_codes")
    for code in codes if isinstance(codes, list) else [codes]:
        if type(code) is int and not 0 <= code < 256:
            yield f"'prune_codes' has {shown(code)}; write whole numbers from 0 to 255."


def _is_word(value: Any) -> bool:
    """Whether a value is one text for a process."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, (str, int)) and "\0" not in str(value))


def _wrong_queries(objective: Objective) -> list[str]:
    prometheus = objective.measuring.prometheus
    queries = prometheus.queries if prometheus else {}
    return [
        f"The query of '{name}' {fault}."
        for name, query in queries.items()
        for fault in query.faults()
    ]


def _without_effect(entry: Mapping[str, Any], selected: Mapping[str, Selection]) -> list[str]:
    """Keys within others that nothing reads, in a sentence each."""
    kind = next(kind for kind in KINDS if kind in entry)
    found = []
    for key in ("prune", "failure"):
        value = entry.get(key)
        rule = value if isinstance(value, dict) else {}
        idle = [] if kind == "command" else ["codes", "patterns", "empty"]
        found += [
            f"'{key}: {name}' has no effect beside '{kind}'; write an 'expression'."
            for name in idle
            if name in rule
        ]
        if key == "failure" and kind == "command" and "empty" in rule:
            found.append("'failure: empty' has no effect; write 'prune: {empty: false}'.")
    if "hook_time" in entry and not any(hook in entry for hook in HOOKS):
        found.append(
            f"'hook_time' has no effect without a hook ({', '.join(HOOKS)}); leave it out."
        )
    value = entry.get("metrics")
    metrics = value if isinstance(value, dict) else {}
    by_column = any(one.column is not None for one in selected.values())
    for name in ("delimiter", "header", "row", "columns"):
        if name in metrics and metrics.get("csv") is None:
            found.append(f"'metrics: {name}' has no effect without 'csv'; leave it out.")
        elif name in metrics and by_column and name in ("row", "columns"):
            found.append(
                f"'metrics: {name}' has no effect beside 'select' of columns; leave it out."
            )
    return found


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
            operators = filter(_OPERATOR.fullmatch, shlex.split(command, posix=False))
            for operator in dict.fromkeys(operators):
                faults.append(
                    f"'{key}' has '{operator}', which only a shell interprets; write it as "
                    f"[sh, -c, '…'], or as a list if it is a word for the program."
                )
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


def _texts(entry: Any, key: str, faults: list[str]) -> dict[str, str]:
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        faults.append(f"'{key}' must be texts by name.")
        return {}
    return {str(name): plain(value) for name, value in entry.items()}


def _list(entry: Any, kind: type, key: str, faults: list[str]) -> list[Any]:
    found = [entry] if isinstance(entry, kind) else [] if entry is None else entry
    if not isinstance(found, list) or not all(type(value) is kind for value in found):
        faults.append(f"'{key}' is {entry!r}; write a list of {kind.__name__} values.")
        return []
    return found


def _repeats(entry: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """`repeats: 3`, or `{within: 5%, least: 3, most: 10}`."""
    repeats = entry.get("repeats")
    if not isinstance(repeats, dict):
        return {"repeats": _count(entry, "repeats", 1, faults)}
    check_keys(repeats, ("within", "least", "most"), "'repeats'", faults)
    within = share(repeats.get("within"))
    least = repeats.get("least", _LEAST)
    if within is None or type(least) is not int or least < 2:
        faults.append(
            f"'repeats' is {repeats!r}; write such as {{within: 5%, least: 3, most: 10}}."
        )
        return {}
    beside = [key for key in STAGES if key in entry]
    if beside:
        faults.append(
            f"'repeats' has 'within' beside '{beside[0]}', whose runs share one sandbox and are "
            "read afterwards; write a number of repeats."
        )
    most = _count({"repeats": repeats.get("most", _MOST)}, "repeats", least, faults)
    return {"repeats": most, "least": least, "within": within}


def _count(entry: Mapping[str, Any], key: str, least: int, faults: list[str]) -> int:
    value = entry.get(key, least)
    if type(value) is not int or not least <= value <= 1000:
        faults.append(f"'{key}' is {value!r}; write a whole number from {least} to 1000.")
        return least
    return value


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
