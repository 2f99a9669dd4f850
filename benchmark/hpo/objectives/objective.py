"""What a study measures: a command, a Python function or a framework, and what goes with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.hpo.objectives.artifacts_key import Artifacts
from benchmark.hpo.objectives.benchmark_objective import BenchmarkObjective
from benchmark.hpo.objectives.metrics.measuring import Measuring
from benchmark.hpo.objectives.rules import Rule
from benchmark.hpo.objectives.stages import WaitReady, WarmUp
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.templates import plain

# The client that asks the HPO service for a trial measures it.
EXTERNAL = {"external": True}
HOST = "host"
UNNAMED = "value"
"""The value of a study that declares one direction without a name."""
HOOK_S = 60.0
HOOKS = ("prepare", "apply", "reset", "collect", "restore")
# With one of these the runs of a trial share a sandbox.
STAGES = ("prepare", "apply", "wait_ready", "warm_up", "reset", "collect")
STILL_PRINTING = "still_printing"
"""The label of a trial whose programs, listed here, left processes that printed on."""
VALUE_UNITS = "value_units"
"""The label with the units of values that are metrics themselves, by direction."""
# The start of the interpreter that plays the hooks, on a busy machine.
_STEPS_S = 30.0


@dataclass(frozen=True)
class Objective:
    """A command (`argv` and what goes with it), a `function` as `file.py:objective`, or a
    framework over data sets.

    `values` has an expression for each direction's name, `cost` is what a trial costs. `{name}` in
    a command and in `environment` is a tunable's value, `{host}` the target of `hosts` that the
    trial has for itself; `positional` appends all values in the space's order. `prepare` runs
    before the measurement and `apply` after it, `reset` before each run, `collect` after each,
    `restore` afterwards, whatever happened; `wait_ready` is waited for and `warm_up` is run before
    the first run, and after each `reset`. A trial has `repeats` runs;
    with `within` as few as `least`, if the 95 % interval of their mean is that share of it.
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
    least: int = 1
    within: float | None = None
    warmups: int = 0
    prepare: tuple[str, ...] = ()
    apply: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    wait_ready: WaitReady | None = None
    warm_up: WarmUp | None = None
    hook_s: float = HOOK_S
    hosts: tuple[str, ...] = ()
    artifacts: Artifacts | None = None

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
        hooks = bool(self.prepare) + bool(self.apply) + bool(self.restore)
        hooks += (bool(self.reset) + bool(self.collect)) * self.turns
        wait_s = self.wait_ready.timeout_s if self.wait_ready else 0.0
        wait_s += self.warm_up.time_s if self.warm_up else 0.0
        waits = self.turns if self.reset else 1
        return self.hook_s * hooks + waits * wait_s + (_STEPS_S if self.has_steps else 0.0)

    @property
    def has_steps(self) -> bool:
        """Whether the command and its hooks share one sandbox."""
        return any(getattr(self, stage) for stage in STAGES)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of its commands."""
        return tuple(word for argv in self._commands for word in argv)

    @property
    def shell_words(self) -> tuple[str, ...]:
        """The words of the scripts that its commands give to a shell by -c."""
        scripts = [argv[2] for argv in self._commands if argv[1:2] == ("-c",) and len(argv) > 2]
        return tuple(word.rstrip(";&|)") for script in scripts for word in script.split())

    @property
    def _commands(self) -> tuple[tuple[str, ...], ...]:
        more = [stage.command for stage in (self.wait_ready, self.warm_up) if stage]
        return (self.argv, *(getattr(self, hook) for hook in HOOKS), *more)


def cell(value: Any) -> str:
    """A value in a table: as `plain` has it, and None as null, for an empty cell is no value."""
    return "null" if value is None else plain(value)


def told_apart(value: Any, choices: Sequence[Any], shown: Callable[[Any], str] = cell) -> str:
    """A choice as it is shown; as JSON where another one has the same text (1 and "1")."""
    text = shown(value)
    alike = sum(text in (plain(one), shown(one)) for one in choices) > 1
    return json.dumps(value) if alike else text
