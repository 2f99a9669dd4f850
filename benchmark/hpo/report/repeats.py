"""The runs for a verdict: best and default again, in pairs, in random order.

    plan = Plan.parse("until-decided")                   # or "12": as many pairs
    tasks = pair_tasks(study.run, definition, plan.pairs)

Which side of a pair runs first is a coin, drawn from the study, the trial and the number of the
pair, and recorded in the tasks (`place`). The coins of pairs are independent: a balanced order
could be in phase with a periodic disturbance.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace

from benchmark.errors import BenchmarkError
from benchmark.hpo.report import export
from benchmark.hpo.report.default_runs import CONFIRM, DEFAULT
from benchmark.hpo.report.export import LEADER
from benchmark.hpo.space.search_space import Params, identity
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.hpo.spec.trial_task import trial_task
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task

FEWEST, MOST = 2, 1000
UNTIL = "until-decided"
# Pairs after which `until-decided` ends without a decision.
MOST_UNTIL = 50
BEST, SAME = "best", "same"


@dataclass(frozen=True)
class Plan:
    """The number of pairs; with `stops` the maximum, until the test decides."""

    pairs: int
    stops: bool = False

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read `12`, `until-decided` or `until-decided:30`.

        Raises:
            BenchmarkError: the text is not one of these, or the pairs are too few or too many.
        """
        kind, colon, most = text.partition(":")
        stops = kind == UNTIL
        number = (most if colon else str(MOST_UNTIL)) if stops else text
        if not (number.isascii() and number.isdecimal() and len(number) <= len(str(MOST))):
            number = "0"
        if not FEWEST <= int(number) <= MOST:
            raise BenchmarkError(
                f"--confirm is {text!r}; write a number of pairs from {FEWEST} to {MOST}, "
                f"{UNTIL}, or {UNTIL}:MAX with such a number."
            )
        return cls(int(number), stops)

    def __str__(self) -> str:
        return f"{UNTIL}:{self.pairs}" if self.stops else str(self.pairs)


def check(definition: StudyDefinition) -> None:
    """Refuse a study for which there can be no verdict, before any trial is run.

    Raises:
        BenchmarkError: it has no default, or several directions.
    """
    if len(definition.directions) > 1:
        raise BenchmarkError(
            f"'{definition.name}' has {len(definition.directions)} directions and thus no single "
            "best; "
            "leave --confirm out."
        )
    if not definition.space.default():
        fix = "give each tunable a 'default'"
        if definition.is_open:
            fix = "declare 'tunables', each with a 'default', in a study file of another name"
        raise BenchmarkError(f"'{definition.name}' has no default to compare the best with; {fix}.")


def doubt(plan: Plan) -> str | None:
    """A warning if the pairs are too few to prove anything."""
    from benchmark.hpo.report.paired_test import FEWEST_DECISIVE

    if plan.pairs >= FEWEST_DECISIVE:
        return None
    return (
        f"{plan.pairs} pairs cannot show that the best is better, however large the difference; "
        f"write --confirm {FEWEST_DECISIVE} or more, or {UNTIL}."
    )


def pair_tasks(run: Run, definition: StudyDefinition, pairs: int) -> list[Task]:
    """The tasks in the order in which they run, two for each pair.

    None if there is no best, or the best is the default itself.
    """
    best, default = confirmed_trial(run, definition), definition.space.default() or {}
    if best is None or identity(best.labels["params"]) == identity(default):
        return []
    patterns = {
        BEST: _pattern(run, definition, best),
        DEFAULT: _pattern(run, definition, best, default),
    }
    tasks = []
    for number in range(pairs):
        sides = (BEST, DEFAULT) if coin(definition, best, number) else (DEFAULT, BEST)
        for place, side in enumerate(sides):
            key = repeat_key(best, side, number)
            tasks.append(_repeat(patterns[side], key, side, place))
    return tasks


def default_tasks(run: Run, definition: StudyDefinition, count: int) -> list[Task]:
    """The tasks that run the default this many times, to measure the noise of the system."""
    best, default = confirmed_trial(run, definition), definition.space.default() or {}
    if best is None:
        return []
    pattern = _pattern(run, definition, best, default)
    keys = [repeat_key(best, SAME, number) for number in range(count)]
    return [_repeat(pattern, key, DEFAULT, 0) for key in keys]


def leader_tasks(
    run: Run, definition: StudyDefinition, found: list[Record], runs: int
) -> list[Task]:
    """Tasks that run each leader so often again: in rounds, each in a random order."""
    tasks = []
    for number in range(runs):
        # Seeded, so that an interrupted command continues in the same order.
        order = random.Random(f"{definition.name} {definition.seed} {number}")  # noqa: S311  # nosec B311
        for leader in order.sample(found, len(found)):
            pattern = _pattern(run, definition, leader)
            params = leader.labels["params"]
            labels = {"study": definition.name, "params": params, LEADER: leader.task}
            payload = pattern.payload | {CONFIRM: True}
            key = f"{LEADER}-{leader.task}-{number}"
            tasks.append(replace(pattern, key=key, payload=payload, labels=labels))
    return tasks


def _pattern(
    run: Run, definition: StudyDefinition, record: Record, params: Params | None = None
) -> Task:
    """The task of a trial that has ended, at its point or another, with that point's resources."""
    point = record.labels["params"] if params is None else params
    return trial_task(run, definition, int(record.task), point)


def _repeat(pattern: Task, key: str, side: str, place: int) -> Task:
    kept = {name: pattern.labels[name] for name in ("study", "params")}
    labels = kept | {CONFIRM: side, "place": place}
    return replace(pattern, key=key, payload=pattern.payload | {CONFIRM: True}, labels=labels)


def coin(definition: StudyDefinition, record: Record, number: int) -> bool:
    """A fair coin for each pair, reproducible.

    The time at which the trial ended is part of the seed, so that two studies of one name and seed
    have different orders.
    """
    seed = f"{definition.name} {definition.seed} {record.task} {record.ended} {number}"
    return bool(hashlib.sha256(seed.encode()).digest()[0] & 1)


def confirmed_trial(run: Run, definition: StudyDefinition) -> Record | None:
    """The trial that is confirmed."""
    return next(iter(export.best(run, definition)), None)


def repeat_key(best: Record, side: str, number: int) -> str:
    """The key of a repeat's task."""
    return f"{CONFIRM}-{best.task}-{side}-{number}"
