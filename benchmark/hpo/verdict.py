"""Is the best configuration better than the default? Both measured again, against each other.

    tasks = rounds(study.run, definition, repeats=6)     # default and best, then best and default …
    judge(study.run, definition, repeats=6)              # Verdict("keep", …)

The trials that chose the best are no evidence for it: of many noisy values the best is too good.
So the repeats are fresh, and in pairs one after the other, so that a machine that grows slower
slows both.

The test is Wilcoxon's signed ranks on the pairs' differences, two-sided and exact: given the sizes
of the differences, ties among them, every pattern of signs is as likely as any other where best and
default are the same. So it holds for values of any distribution, rounded ones too, and p is at
least 2 / 2^n. A repeat that failed is worse than every value. The interval is the one of
Hodges and Lehmann that belongs to the test (Hollander, Wolfe, Chicken: Nonparametric Statistical
Methods, 3rd ed., section 3.3).
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.errors import BenchmarkError
from benchmark.hpo import export

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.tasks import Run, Task

ALPHA = 0.05
FEWEST, MOST = 2, 1000
# The fewest pairs whose least p, 2 / 2^n, is below ALPHA.
ENOUGH = 6
_ROUNDING = 1e-12
BEST, DEFAULT = "best", "default"
CONFIRM = "confirm"


class VerdictError(BenchmarkError):
    """There is nothing that could be set against each other."""


@dataclass(frozen=True)
class Verdict:
    """Best against default over the pairs of which both repeats ran to an end.

    `best` and `default` are medians of the pairs with two values. `difference` is the median of the
    averages of any two of their differences best - default (Hodges and Lehmann), `low` and `high`
    its 95 % interval, None where so few pairs have none. `gain` is the difference as a share of
    the default, above 0 where the best is better. A failure is a repeat without a value.
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
    best_failures: int = 0
    default_failures: int = 0

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """The verdict in a sentence or two."""
        said = f"Verdict on trial {self.trial}: {self.says}. {self.why}"
        if self.p is None:
            return said
        parts = [f"{self.pairs} pairs, p = {self.p:.2g}"]
        if self.difference is not None:
            parts.append(f"best {self.best:.6g}, default {self.default:.6g}")
            parts.append(f"difference {self.difference:+.6g}")
            if self.low is not None:
                parts[-1] += f" (95 % interval {self.low:+.6g} to {self.high:+.6g})"
            if self.gain:
                parts.append(f"{abs(self.gain):.1%} {_word(self.gain)}")
        text = ", ".join(parts)
        return f"{said} {text[0].upper()}{text[1:]}."


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


def doubt(repeats: int) -> str | None:
    """A warning that so few pairs cannot prove anything; None for ENOUGH or more."""
    if repeats >= ENOUGH:
        return None
    return (
        f"{repeats} pairs cannot show that the best is better: p is {2 / 2**repeats:g} or more, "
        f"and has to be below {ALPHA}; write --confirm {ENOUGH} or more."
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
    """The verdict from the records of `rounds`; a pair counts where both have a result."""
    best = _best(run, definition)
    if best is None:
        return Verdict("not proven", "No trial has a value that could be confirmed.", -1, 0)
    trial = int(best.task)
    if best.labels["params"] == definition.space.default():
        return Verdict("not proven", "The default itself is the best of the trials.", trial, 0)
    pairs: list[tuple[float | None, float | None]] = []
    broken = 0
    for number in range(repeats):
        first, second = (
            results.current_record(run, _key(best, side, number)) for side in (BEST, DEFAULT)
        )
        if first is None or second is None or not (first.is_result and second.is_result):
            continue
        broken += first.status == "success" and not export.is_feasible(first)
        pairs.append((_value(first), _value(second)))
    if not pairs:
        return Verdict("not proven", f"None of {repeats} pairs has two results.", trial, 0)
    smaller = next(iter(definition.directions.values())) == "minimize"
    return compare(pairs, smaller=smaller, broken=broken, trial=trial)


def compare(
    pairs: Sequence[tuple[float | None, float | None]],
    *,
    smaller: bool,
    broken: int = 0,
    trial: int = 0,
) -> Verdict:
    """The verdict on pairs of values (best, default), None for a failure.

    `smaller` values are better, or larger ones; the best broke a constraint in `broken` repeats.
    """
    losses = [tuple(_loss(value, smaller) for value in pair) for pair in pairs]
    # Values that differ by rounding only are equal, and so are two failures (both infinite).
    found = [
        0.0 if math.isclose(best, default, rel_tol=_ROUNDING) else best - default
        for best, default in losses
    ]
    p, gained = signed_rank(found)
    failures = [sum(pair[side] is None for pair in pairs) for side in (0, 1)]
    is_better = gained and p < ALPHA
    verdict = Verdict(
        says="keep" if is_better and not broken and not failures[0] else "not proven",
        why=_why(p, gained, found, broken, failures),
        trial=trial,
        pairs=len(pairs),
        p=p,
        best_failures=failures[0],
        default_failures=failures[1],
    )
    return replace(verdict, **_sizes([pair for pair in pairs if None not in pair], smaller))


def signed_rank(differences: Sequence[float]) -> tuple[float, bool]:
    """Wilcoxon's exact two-sided p, and whether the negative ranks outweigh the positive ones.

    Differences of 0 tell nothing and are left out. Ties share their ranks, infinities are the
    largest. The p is the share of all patterns of signs whose sum of ranks is as far out, on the
    side that is less likely, times two.
    """
    import numpy as np
    from scipy.stats import rankdata

    signed = np.array([value for value in differences if value != 0])
    # Twice the ranks, because those of ties end in a half; then as small as whole numbers can be.
    ranks = np.rint(2 * rankdata(np.abs(signed))).astype(int)
    ranks //= max(1, math.gcd(*ranks.tolist()))
    negative = int(ranks[signed < 0].sum())
    chances = _chances(tuple(sorted(ranks.tolist())))
    tail = min(chances[: negative + 1].sum(), chances[negative:].sum())
    return min(1.0, 2 * float(tail)), 2 * negative > int(ranks.sum())


@functools.lru_cache(maxsize=32)
def _chances(ranks: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The chance of each sum of ranks where each is in it or not, as a coin falls."""
    import numpy as np

    chances = np.ones(1)
    for rank in ranks:
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return chances


def _sizes(pairs: Sequence[tuple[Any, Any]], smaller: bool) -> dict[str, Any]:
    """How large values and differences are, where both repeats of a pair have a value."""
    import numpy as np

    if not pairs:
        return {}
    best, default = (np.array([pair[side] for pair in pairs], dtype=float) for side in (0, 1))
    differences = best - default
    count = len(differences)
    first, second = np.triu_indices(count)
    averages = np.sort((differences[first] + differences[second]) / 2)
    # How many of the averages at either end are outside the interval.
    below = np.cumsum(_chances(tuple(range(1, count + 1)))) <= ALPHA / 2
    outside = int(below.sum()) - 1
    difference, base = float(np.median(averages)), float(np.median(default))
    better = -difference if smaller else difference
    return {
        "best": float(np.median(best)),
        "default": base,
        "difference": difference,
        "low": float(averages[outside]) if outside >= 0 else None,
        "high": float(averages[-1 - outside]) if outside >= 0 else None,
        "gain": better / abs(base) if base else None,
    }


def _why(
    p: float, gained: bool, differences: Sequence[float], broken: int, failures: Sequence[int]
) -> str:
    repeats, differ = len(differences), sum(value != 0 for value in differences)
    failed = f" The default failed in {failures[1]} of {repeats} repeats." if failures[1] else ""
    if failures[0]:
        return f"It failed in {failures[0]} of {repeats} repeats.{failed}"
    if broken:
        return f"It broke a constraint in {broken} of {repeats} repeats.{failed}"
    if differ < ENOUGH:
        return f"Only {differ} pairs differ, and it takes {ENOUGH} or more (p < {ALPHA}).{failed}"
    if p >= ALPHA:
        return f"The difference may be noise (p >= {ALPHA}).{failed}"
    return f"It is {_word(gained)} than the default beyond noise (p < {ALPHA}).{failed}"


def _loss(value: float | None, smaller: bool) -> float:
    if value is None:
        return math.inf
    return value if smaller else -value


def _word(gain: float) -> str:
    return "better" if gain > 0 else "worse"


def _best(run: Run, definition: StudyDefinition) -> Record | None:
    return next(iter(export.best(run, definition)), None)


def _value(record: Record) -> float | None:
    return float(record.labels["values"][0]) if record.status == "success" else None


def _key(best: Record, side: str, number: int) -> str:
    return f"{CONFIRM}-{best.task}-{side}-{number}"
