"""Is the best configuration better than the default? Both measured again, against each other.

    tasks = rounds(study.run, definition, repeats=5)     # default and best, then best and default …
    judge(study.run, definition, repeats=5)              # Verdict("keep", …)

The trials that chose the best are no evidence for it: of many noisy values the best is too good.
So the repeats are fresh, and in pairs one after the other, so that a machine that grows slower
slows both. The test is Student's t on the pairs' differences, two-sided, with its interval.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.errors import BenchmarkError
from benchmark.hpo import export

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.tasks import Run, Task

ALPHA = 0.05
FEWEST, MOST = 2, 1000
BEST, DEFAULT = "best", "default"
CONFIRM = "confirm"


class VerdictError(BenchmarkError):
    """There is nothing that could be set against each other."""


@dataclass(frozen=True)
class Verdict:
    """Best against default: `difference` is the mean of best - default over the pairs.

    `low` and `high` are its 95 % interval, None from fewer than two pairs; `gain` is the difference
    as a share of the default's mean, above 0 where the best is better.
    """

    says: str
    why: str
    trial: int
    pairs: int
    best: float | None = None
    default: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    gain: float | None = None

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """The verdict in a sentence or two."""
        said = f"Verdict on trial {self.trial}: {self.says}. {self.why}"
        if self.difference is None:
            return said
        told = (
            f" Best {self.best:.6g}, default {self.default:.6g}, difference {self.difference:+.6g}"
        )
        if self.low is not None:
            told += f" (95 % interval {self.low:+.6g} to {self.high:+.6g}, p = {self.p:.2g})"
        share = "" if self.gain is None else f", {abs(self.gain):.1%} {_word(self.gain)}"
        return f"{said}{told}{share}; {self.pairs} pairs."


def check(definition: StudyDefinition, repeats: int) -> None:
    """Refuse a study on which there can be no verdict, before any trial is run for it.

    Raises:
        VerdictError: it has no default, several directions, or the pairs are too few or too many.
    """
    if not FEWEST <= repeats <= MOST:
        raise VerdictError(f"--confirm is {repeats}; write a number from {FEWEST} to {MOST}.")
    if len(definition.directions) > 1:
        raise VerdictError(
            f"'{definition.name}' has {len(definition.directions)} directions and so no one best; "
            "leave --confirm out."
        )
    if not definition.space.default():
        raise VerdictError(
            f"'{definition.name}' has no default to set the best against; give each tunable a "
            "'default'."
        )


def rounds(run: Run, definition: StudyDefinition, repeats: int) -> list[Task]:
    """The tasks in the order in which they run: pairs, whose order changes from one to the next.

    None where there is no best, or the best is the default itself.
    """
    best, default = _best(run, definition), definition.space.default()
    if best is None or best.labels["params"] == default:
        return []
    pattern = run.task(best.task)
    points = {BEST: best.labels["params"], DEFAULT: default}
    tasks = []
    for number in range(repeats):
        for side in (DEFAULT, BEST) if number % 2 == 0 else (BEST, DEFAULT):
            labels = {"study": definition.name, "params": points[side], CONFIRM: side}
            payload = pattern.payload | {"params": points[side], CONFIRM: True}
            key = _key(best, side, number)
            tasks.append(replace(pattern, key=key, payload=payload, labels=labels))
    return tasks


def known(run: Run, definition: StudyDefinition) -> Verdict | None:
    """The verdict from the pairs that the best has; None where they are too few for one."""
    best = _best(run, definition)
    if best is None or len(definition.directions) > 1:
        return None
    pairs = 0
    while pairs < MOST and all(
        results.current_record(run, _key(best, side, pairs)) for side in (BEST, DEFAULT)
    ):
        pairs += 1
    return judge(run, definition, pairs) if pairs >= FEWEST else None


def judge(run: Run, definition: StudyDefinition, repeats: int) -> Verdict:
    """The verdict from the records of `rounds`; what failed on one side counts on neither."""
    best = _best(run, definition)
    if best is None:
        return Verdict("not proven", "No trial has a value that could be confirmed.", -1, 0)
    trial = int(best.task)
    if best.labels["params"] == definition.space.default():
        return Verdict("not proven", "The default itself is the best of the trials.", trial, 0)
    pairs: list[tuple[float, float]] = []
    broken = 0
    for number in range(repeats):
        records = [
            results.current_record(run, _key(best, side, number)) for side in (BEST, DEFAULT)
        ]
        values = [_value(record) for record in records]
        if records[0] is not None and records[0].status == "success":
            broken += not export.is_feasible(records[0])
        if values[0] is not None and values[1] is not None:
            pairs.append((values[0], values[1]))
    if len(pairs) < FEWEST:
        return Verdict(
            "not proven",
            f"Only {len(pairs)} of {repeats} pairs have two values.",
            trial,
            len(pairs),
        )
    smaller = next(iter(definition.directions.values())) == "minimize"
    found = _tested(pairs, smaller)
    why = _why(found, broken, repeats)
    says = "keep" if found["gain_sign"] > 0 and found["p"] < ALPHA and not broken else "not proven"
    del found["gain_sign"]
    return Verdict(says, why, trial, len(pairs), **found)


def _tested(pairs: list[tuple[float, float]], smaller: bool) -> dict[str, Any]:
    from scipy import stats

    best, default = ([pair[side] for pair in pairs] for side in (0, 1))
    differences = [one - other for one, other in pairs]
    mean = math.fsum(differences) / len(differences)
    base = math.fsum(default) / len(default)
    if min(differences) == max(differences):
        # No noise at all: the t statistic has no value, and nothing is left to chance.
        low = high = mean
        p = 0.0 if mean else 1.0
    else:
        test = stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(1 - ALPHA)
        low, high, p = float(interval.low), float(interval.high), float(test.pvalue)
    better = -mean if smaller else mean
    return {
        "best": math.fsum(best) / len(best),
        "default": base,
        "difference": mean,
        "low": low,
        "high": high,
        "p": p,
        "gain": better / abs(base) if base else None,
        "gain_sign": better,
    }


def _why(found: dict[str, Any], broken: int, repeats: int) -> str:
    if broken:
        return f"It broke a constraint in {broken} of {repeats} repeats."
    if found["p"] >= ALPHA:
        return f"The difference may be noise (p >= {ALPHA})."
    return f"It is {_word(found['gain_sign'])} than the default beyond noise (p < {ALPHA})."


def _word(gain: float) -> str:
    return "better" if gain > 0 else "worse"


def _best(run: Run, definition: StudyDefinition) -> Record | None:
    return next(iter(export.best(run, definition)), None)


def _value(record: Record | None) -> float | None:
    if record is None or record.status != "success":
        return None
    return float(record.labels["values"][0])


def _key(best: Record, side: str, number: int) -> str:
    return f"{CONFIRM}-{best.task}-{side}-{number}"
