"""Is the best configuration better than the default? Both are measured again, in pairs.

    judge(study.run, definition, pairs=12)               # Verdict("keep", …)

The trials that selected the best are not evidence for it: the best of many noisy values is biased.
So the repeats are new runs, in pairs one after the other (repeats.py). The test and its assumptions
are in paired_test.py: it may be evaluated after any pair, and continued with more.

A repeat that failed or violated a constraint counts as worse than every value, on both sides. So a
best that sometimes fails can be kept if it wins clearly otherwise; the verdict shows how often it
failed, with an interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmark.files.numbers import plain_number
from benchmark.hpo.report import export
from benchmark.hpo.report.default_runs import DEFAULT
from benchmark.hpo.report.repeats import BEST, FEWEST, MOST, confirmed_trial, repeat_key
from benchmark.hpo.space.search_space import identity
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run

_ROUNDING = 1e-12
# A drift is reported if a test for a trend has a smaller p.
DRIFT_P = 0.01

Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class Verdict:
    """Best against default over the pairs of which both repeats ran to an end.

    `p` is valid at every look; `p_signed_rank` is Wilcoxon's exact p, valid if the number of pairs
    was chosen beforehand and looked at once. `decided` is the pair after which the test decided.
    `best` and `default` are medians of the pairs with two values, `difference` the estimate for
    best - default, `low` and `high` its 95 % interval, None where the pairs are too few for one.
    `gain` is the shrunk difference as a share of the default, above 0 where the best is better;
    `gain_measured` the same as measured, `gain_low` and `gain_high` its interval. `detectable` is
    the gain that so many pairs find in 80 % of cases. `drift` is the change of the default from the
    first to the second half of the pairs where it drifts, as a share. A failure is a repeat without
    a value, `broken` counts those that violated a constraint.
    """

    says: str
    why: str
    trial: int | None
    pairs: int
    best: float | None = None
    default: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_signed_rank: float | None = None
    decided: int | None = None
    gain: float | None = None
    gain_measured: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    detectable: float | None = None
    drift: float | None = None
    best_failures: int = 0
    default_failures: int = 0
    best_broken: int = 0
    default_broken: int = 0

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """The verdict in a few sentences."""
        of = "" if self.trial is None else f" on trial {self.trial}"
        parts = [f"Verdict{of}: {self.says}. {self.why}"]
        if self.difference is not None:
            ends = "no interval with so few pairs"
            if self.low is not None:
                ends = "95 % interval {} to {}".format(
                    *(plain_number(end, "+") for end in (self.low, self.high))
                )
            parts.append(
                f"Best {plain_number(self.best)}, default {plain_number(self.default)} (medians); "
                f"difference within pairs {plain_number(self.difference, '+')} ({ends})."
            )
        if self.gain is not None and self.gain_measured:
            ends = ""
            if self.gain_low is not None:
                ends = f", 95 % interval {self.gain_low:+.1%} to {self.gain_high:+.1%}"
            parts.append(f"Gain {self.gain:+.1%} (measured {self.gain_measured:+.1%}{ends}).")
        if self.p is not None:
            decided = f", decided after {self.decided}" if self.decided else ""
            parts.append(
                f"{self.pairs} pairs{decided}: p = {self.p:.2g} at any look, signed-rank "
                f"p = {self.p_signed_rank:.2g} for one look."
            )
        if self.decided is None and self.detectable:
            parts.append(
                f"{self.pairs} pairs detect a gain of {self.detectable:.1%} in 80 % of cases."
            )
        if self.drift is not None:
            parts.append(
                f"The system drifts: the default changed by {self.drift:+.1%} from the first half "
                "of the pairs to the second."
            )
        return " ".join(parts)


def known(
    run: Run, definition: StudyDefinition, trials: list[Record] | None = None
) -> Verdict | None:
    """The verdict from the best's pairs; None if they are too few. `trials` if they are read."""
    trials = export.trial_records(run) if trials is None else trials
    best = next(iter(export.best_of(trials, definition)), None)
    if best is None or len(definition.directions) > 1:
        return None
    pairs = 0
    while pairs < MOST and all(
        results.current_record(run, repeat_key(best, side, pairs)) for side in (BEST, DEFAULT)
    ):
        pairs += 1
    return judge(run, definition, pairs) if pairs >= FEWEST else None


def judge(run: Run, definition: StudyDefinition, pairs: int) -> Verdict:
    """The verdict from the records of `pair_tasks`; a pair counts if both have a result."""
    best = confirmed_trial(run, definition)
    if best is None:
        return Verdict("not proven", "No trial has a value that could be confirmed.", None, 0)
    trial = int(best.task)
    if identity(best.labels["params"]) == identity(definition.space.default() or {}):
        return Verdict("not proven", "The default itself is the best of the trials.", trial, 0)
    keys = [[repeat_key(best, side, number) for side in (BEST, DEFAULT)] for number in range(pairs)]
    records = [[results.current_record(run, key) for key in pair] for pair in keys]
    return judged(records, definition, trial)


def judged(
    records: Sequence[Sequence[Record | None]], definition: StudyDefinition, trial: int = 0
) -> Verdict:
    """The verdict from the records of pairs (best, default) in their order."""
    pairs: list[Pair] = []
    broken = [0, 0]
    for pair in records:
        ended = [record for record in pair if record is not None and record.is_result]
        if len(ended) < 2:
            continue
        breaks = [one.status == "success" and not export.is_feasible(one) for one in ended]
        broken = [count + one for count, one in zip(broken, breaks, strict=True)]
        best, default = (
            None if breaks[side] or one.status != "success" else float(one.labels["values"][0])
            for side, one in enumerate(ended)
        )
        pairs.append((best, default))
    if not pairs:
        return Verdict("not proven", f"None of {len(records)} pairs has two results.", trial, 0)
    smaller = next(iter(definition.directions.values())) == "minimize"
    return compare(pairs, smaller=smaller, broken=(broken[0], broken[1]), trial=trial)


def compare(
    pairs: Sequence[Pair], *, smaller: bool, broken: tuple[int, int] = (0, 0), trial: int = 0
) -> Verdict:
    """The verdict on pairs of values (best, default), None for a failure or a broken constraint.

    `smaller` values are better, or larger ones; `broken` of the Nones violated a constraint.
    """
    import numpy as np

    from benchmark.analysis.statistics.hypotheses import signed_rank
    from benchmark.hpo.report.paired_test import THRESHOLD, evidence

    gains = np.array([_gain(*pair, smaller) for pair in pairs])
    capital = np.array([np.maximum.accumulate(evidence(side)) for side in (gains, -gains)])
    reached = np.flatnonzero((capital >= THRESHOLD).any(axis=0))
    decided = int(reached[0]) if len(reached) else None
    better = decided is not None and bool(capital[0, decided] >= THRESHOLD)
    lost = [sum(pair[side] is None for pair in pairs) for side in (0, 1)]
    # Ranks only: scaling must not turn small differences into ties.
    largest = np.abs(gains[np.isfinite(gains)]).max(initial=0.0)
    verdict = Verdict(
        says="keep" if better else "not proven",
        why=_why(gains, decided, better, lost, broken),
        trial=trial,
        pairs=len(pairs),
        p=min(1.0, 2 / float(capital[:, -1].max())),
        p_signed_rank=signed_rank(gains / (largest or 1.0)).two_sided,
        decided=None if decided is None else decided + 1,
        best_failures=lost[0] - broken[0],
        default_failures=lost[1] - broken[1],
        best_broken=broken[0],
        default_broken=broken[1],
    )
    return replace(verdict, **_sizes([pair for pair in pairs if None not in pair], smaller))


def _gain(best: float | None, default: float | None, smaller: bool) -> float:
    """The improvement by the best; values that differ only by rounding are equal."""
    if best is None or default is None:
        return 0.0 if best is default else (-math.inf if best is None else math.inf)
    if math.isclose(best, default, rel_tol=_ROUNDING):
        return 0.0
    return default - best if smaller else best - default


def _sizes(pairs: Sequence[tuple[Any, Any]], smaller: bool) -> dict[str, Any]:
    """The sizes of values and differences, for pairs with two values."""
    import numpy as np

    from benchmark.hpo.report import paired_test

    if not pairs:
        return {}
    best, default = (np.array([pair[side] for pair in pairs], dtype=float) for side in (0, 1))
    differences = best - default
    found, shrunk = paired_test.estimate(differences)
    low, high = paired_test.interval(differences) or (None, None)
    noticed = paired_test.detectable(len(pairs), paired_test.spread(differences) / math.sqrt(2))
    sizes: dict[str, Any] = {
        "best": float(np.median(best)),
        "default": float(np.median(default)),
        "difference": found,
        "low": low,
        "high": high,
    }
    base = abs(sizes["default"])
    if not base:
        return sizes
    sign = -1 if smaller else 1
    ends = sorted(sign * end / base for end in (low, high) if end is not None)
    first, second = np.array_split(default, 2)
    drifts = paired_test.trend(best + default) < DRIFT_P
    return sizes | {
        "gain": sign * shrunk / base,
        "gain_measured": sign * found / base,
        "gain_low": ends[0] if ends else None,
        "gain_high": ends[-1] if ends else None,
        "detectable": noticed / base if noticed else None,
        "drift": float(np.median(second) - np.median(first)) / base if drifts else None,
    }


def _why(
    gains: Any, decided: int | None, better: bool, lost: Sequence[int], broken: Sequence[int]
) -> str:
    from benchmark.hpo.report.paired_test import FEWEST_DECISIVE

    differ = int((gains != 0).sum())
    if decided is not None:
        why = f"It is {'better' if better else 'worse'} than the default beyond noise."
    elif differ < FEWEST_DECISIVE:
        why = f"Only {differ} pairs differ; {FEWEST_DECISIVE} or more are needed."
    else:
        why = "The difference may be noise."
    return why + "".join(
        _failed(who, len(gains), lost[side] - broken[side], broken[side])
        for side, who in enumerate(("It", "The default"))
        if lost[side]
    )


def _failed(who: str, repeats: int, failures: int, broken: int) -> str:
    """The failure rate with its interval (Clopper and Pearson)."""
    from scipy.stats import binomtest

    parts = [f"failed in {failures}"] * bool(failures)
    parts += [f"violated a constraint in {broken}"] * bool(broken)
    ends = binomtest(failures + broken, repeats).proportion_ci()
    return (
        f" {who} {' and '.join(parts)} of {repeats} repeats (95 % interval {ends.low:.0%} to "
        f"{ends.high:.0%}); each counts as worse than every value."
    )
