"""What a study measures: a command, a Python function or a framework, and what goes with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.hpo.measuring import Measuring
from benchmark.hpo.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmark.hpo.benchmark_objective import BenchmarkObjective
    from benchmark.hpo.expressions import Expression

# Whoever asks the HPO service for a trial measures it.
EXTERNAL = {"external": True}
HOST = "host"
HOOK_S = 60.0
# The start of the interpreter that plays the hooks, on a busy machine.
_STEPS_S = 30.0
PLACE = re.compile(r"\{([^{}\s]+)\}")


@dataclass(frozen=True)
class Objective:
    """A command (`argv` and what goes with it), a `function` as `file.py:objective`, or a
    framework over data sets.

    `values` has an expression for each direction's name, `cost` is what a trial costs. `{name}` in
    a command and in `environment` is a tunable's value, `{host}` the target of `hosts` that the
    trial has for itself; `positional` appends all values in the space's order. `prepare` runs
    before the measurement, `reset` before each run of it, `restore` afterwards, whatever happened.
    """

    argv: tuple[str, ...] = ()
    function: str | None = None
    benchmark: BenchmarkObjective | None = None
    positional: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    config_file: str | None = None
    files: tuple[str, ...] = ()
    measuring: Measuring = field(default_factory=Measuring)
    values: dict[str, Expression | None] = field(default_factory=dict)
    prune: Rule = field(default_factory=Rule)
    failure: Rule = field(default_factory=Rule)
    constraints: tuple[Expression, ...] = ()
    cost: Expression | None = None
    repeats: int = 1
    warmups: int = 0
    prepare: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    hook_s: float = HOOK_S
    hosts: tuple[str, ...] = ()

    @property
    def is_external(self) -> bool:
        """Whether there is nothing to run here."""
        return not self.argv and self.function is None and self.benchmark is None

    @property
    def turns(self) -> int:
        """How often a trial runs the command."""
        return self.warmups + self.repeats

    @property
    def hooks_s(self) -> float:
        """What all its hooks may take together.

        Each has its own limit, kept by what plays them in the sandbox; that one's start is none of
        theirs, and must not end one of them early.
        """
        hooks = bool(self.prepare) + bool(self.reset) * self.turns + bool(self.restore)
        return self.hook_s * hooks + (_STEPS_S if self.prepare or self.reset else 0.0)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of its commands."""
        return (*self.argv, *self.prepare, *self.reset, *self.restore)


def filled(text: str, params: Mapping[str, Any]) -> str:
    """The text with each `{name}` as the tunable's value; one that is not active is empty."""
    return PLACE.sub(lambda place: plain(params.get(place.group(1))), text)


def plain(value: Any) -> str:
    """A value as a command reads it: true and false in small letters, nothing as nothing."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def cell(value: Any) -> str:
    """A value in a table: as `plain` has it, and None as null, for an empty cell is no value."""
    return "null" if value is None else plain(value)


def told_apart(value: Any, choices: Sequence[Any], shown: Callable[[Any], str] = cell) -> str:
    """A choice as it is shown; as JSON where another one has the same text (1 and "1")."""
    text = shown(value)
    alike = sum(text in (plain(one), shown(one)) for one in choices) > 1
    return json.dumps(value) if alike else text
