"""Where a run stands that stops early: what it may claim, what is open, what is due next.

    order = blocks(["adult", "credit-g"], [("adult", 75), ("credit-g", 75)])
    design = Design("classification", Question("best"), 0.05, 0.01, frameworks, order)
    outcomes = Outcomes(design)
    outcomes.add("flaml", "adult", 75, RESULT, gain=0.87)
    standing = Standing.of(outcomes)
    standing.sentences(), standing.retired(), list(standing.next_blocks())

A block is the tasks of a framework on a data set, all seeds; or, where splits are drawn, on one
seed. Where a task of it ends without a
result (causes `data`, `setup`, `infrastructure`), the block counts as a loss in both directions,
which is the least that it can turn out to be. A failure counts as on the leaderboard: it takes the
constant predictor's score, for which the constant predictor runs there, too. Where there is none it
takes the worst score of the full grid on its data set, which is at most the worst of the pair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.analysis.early_stop import sequential
from benchmark.analysis.early_stop.claims import Claims
from benchmark.analysis.early_stop.question import DATASET, SPLIT, UNITS, Question
from benchmark.analysis.early_stop.schedule import Reached, advance
from benchmark.analysis.statistics import imputation, ranking
from benchmark.records.results import Cause

NONE, NO_RESULT, RESULT, ABSENT = 0, 1, 2, 3
"""The states of a task: not ended, ended without a result, with a result; not in the grid."""
TRIED = (Cause.DATA, Cause.SETUP, Cause.INFRASTRUCTURE)
"""What ended a task without a result and is tried again."""
Block = tuple[str, tuple[int, ...]]
"""A data set, and those of its seeds that are drawn together."""
_FUTURES = 20
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Design:
    """What was fixed before any result of one task type: the grid, the question, the order.

    `order` has the blocks as they were drawn.
    """

    type: str
    question: Question
    alpha: float
    margin: float
    frameworks: tuple[str, ...]
    order: tuple[Block, ...]

    @cached_property
    def rows(self) -> dict[tuple[str, int], tuple[int, int]]:
        """The place of each data set and seed in the order, and among the seeds of its block."""
        return {
            (name, seed): (place, number)
            for place, (name, seeds) in enumerate(self.order)
            for number, seed in enumerate(seeds)
        }

    @cached_property
    def is_by_split(self) -> bool:
        return len({name for name, _ in self.order}) < len(self.order)

    @property
    def units(self) -> str:
        """What is drawn: "data sets" or "splits"."""
        return UNITS[SPLIT if self.is_by_split else DATASET]

    def counted(self, number: int) -> str:
        """As "1 data set", "46 splits"."""
        return f"{number} {self.units if number != 1 else self.units[:-1]}"

    @cached_property
    def subject(self) -> int:
        return self.question.among(self.frameworks)

    @cached_property
    def constant(self) -> int | None:
        """The place of the constant predictor."""
        name = imputation.baseline(self.frameworks, imputation.CONSTANT)
        return None if name is None else self.frameworks.index(name)


class Outcomes:
    """How the tasks of a design ended, by block's place (N), seed (S) and framework (K).

    `gains` are NaN for failures; `states` are `ABSENT` where a block has fewer seeds.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        seeds = max(len(some) for _, some in design.order)
        shape = (len(design.order), seeds, len(design.frameworks))
        self.gains = np.full(shape, np.nan)
        self.states = np.full(shape, ABSENT, dtype=np.int8)
        for place in design.rows.values():
            self.states[place] = NONE
        self._columns = {name: place for place, name in enumerate(design.frameworks)}

    def add(
        self, framework: str, dataset: str, seed: int, state: int, gain: float | None = None
    ) -> bool:
        """Set how a task ended; whether all tasks of its block have.

        `gain` is None for a failure and without a result.
        """
        place, number = self.design.rows[dataset, seed]
        column = self._columns[framework]
        self.states[place, number, column] = state
        self.gains[place, number, column] = np.nan if gain is None else gain
        return bool((self.states[place, :, column] != NONE).all())


@dataclass(frozen=True)
class Standing:
    """The state that the outcomes lead to. `wins` and `known` as of `schedule.advance`."""

    design: Design
    wins: NDArray[np.float64]
    known: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    reached: Reached

    @classmethod
    def of(cls, outcomes: Outcomes) -> Standing:
        design = outcomes.design
        wins, known, ended = _least_wins(outcomes)
        reached = advance(
            wins, known, design.question, design.subject, alpha=design.alpha, margin=design.margin
        )
        return cls(design, wins, known, ended, reached)

    @property
    def answered(self) -> bool:
        return not self.reached.open.any()

    @cached_property
    def ran(self) -> NDArray[np.int64]:
        """(K,): data sets, or splits, that have been looked at."""
        counts: NDArray[np.int64] = self.reached.played.ran[0]
        return counts

    @property
    def open_pairs(self) -> list[tuple[int, int]]:
        first, second = np.nonzero(np.triu(self.reached.open))
        return [(int(a), int(b)) for a, b in zip(first, second, strict=True)]

    @property
    def reference(self) -> int:
        """NAME of against:NAME, else who wins most of what was looked at."""
        if self.design.question.kind == "against":
            return self.design.subject
        seen = np.minimum(self.ran[:, None], self.ran[None, :])
        looked = np.arange(len(self.wins))[:, None, None] < seen
        inside = self.reached.played.inside[0]
        won = (self.wins * looked).sum(axis=0).sum(axis=1)
        return int(np.lexsort((won, inside))[-1])

    def sentences(self) -> list[str]:
        """What is claimed, one sentence per framework."""
        design = self.design
        claims = Claims(
            design.frameworks, design.question, self.reached.played, self.wins, design.alpha
        )
        found = claims.sentences()
        if self.answered:
            found = ["open, and no longer needed" if one == "open" else one for one in found]
        return found

    def retired(self) -> dict[str, str]:
        """Why the tasks of a framework that are left need not be run."""
        still: NDArray[np.bool_] = np.any(self.reached.open, axis=1)
        return {
            name: f"retired after {self.design.counted(self.ran[k])}: {self._why(k)}"
            for k, name in enumerate(self.design.frameworks)
            if not still[k]
        }

    def _why(self, k: int) -> str:
        question, played = self.design.question, self.reached.played
        place = "the best" if question.count == 1 else f"in the top {question.count}"
        if played.inside[0, k]:
            return f"is {place}"
        if played.outside[0, k]:
            return f"cannot be {place}"
        if question.kind in ("order", "against"):
            return "all its pairs are decided"
        return "the question is answered"

    def next_blocks(self) -> Iterator[tuple[int, Block, str]]:
        """What is to run: first what is due, then what may be due next.

        By how many places it is ahead of what is due, with its framework. Blocks that have ended
        are left out.
        """
        design, size = self.design, len(self.design.order)
        due = {int(k) for k in np.nonzero(self.reached.due)[0]}
        still = [int(k) for k in np.nonzero(self.reached.open.any(axis=1))[0]]
        for ahead in range(size):
            found = still if ahead else [k for k in still if k in due]
            places = sorted((int(self.ran[k]) + ahead, k) for k in found)
            for place, k in places:
                if place >= size or self.known[place, k]:
                    continue
                if not self.ended[place, k]:
                    yield ahead, design.order[place], design.frameworks[k]
                elif design.constant is not None and not self.ended[place, design.constant]:
                    yield ahead, design.order[place], design.frameworks[design.constant]

    @cached_property
    def tasks_ahead(self) -> int:
        """How many tasks ended that the schedule has not asked for yet."""
        design = self.design
        sizes = np.array([len(seeds) for _, seeds in design.order])
        later = np.arange(len(sizes))[:, None] >= self.ran
        return int(((self.ended & later) * sizes[:, None]).sum())

    def interval(self, first: int, second: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The share of wins of the first against the second in the full grid, after each block.

        All intervals of all pairs hold at all times together with 1 - alpha.
        """
        size, count = self.wins.shape[:2]
        seen = int(min(self.ran[first], self.ran[second]))
        alpha = self.design.alpha / (count * (count - 1))
        both = self.wins[:seen, [first, second], [second, first]]
        low = sequential.lower_bounds(both, size, alpha, sequential.POINTS)
        return low[:, 0], 1 - low[:, 1]

    def forecast(self) -> NDArray[np.int64]:
        """(K,): data sets, or splits, that each framework will have run on in the end.

        The median of futures in which blocks like those that the open frameworks ran on follow.
        """
        seen = int(self.ran[self.reached.open.any(axis=1)].min(initial=len(self.wins)))
        if self.answered or seen == 0:
            return self.ran if self.answered else np.full_like(self.ran, len(self.wins))
        random = np.random.default_rng(0)
        design, size = self.design, len(self.wins)
        found = []
        for _ in range(_FUTURES):
            like = random.integers(seen, size=size)
            wins = np.where(np.arange(size)[:, None, None] < seen, self.wins, self.wins[like])
            everything = np.ones_like(self.known)
            ended = advance(
                wins,
                everything,
                design.question,
                design.subject,
                alpha=design.alpha,
                margin=design.margin,
            )
            found.append(np.maximum(ended.played.ran[0], self.ran))
        median: NDArray[np.int64] = np.median(found, axis=0).astype(np.int64)
        return median

    def facts(self) -> dict[str, Any]:
        """For --json and the manifest."""
        names = self.design.frameworks
        return {
            "answered": self.answered,
            self.design.units.replace(" ", ""): dict(zip(names, self.ran.tolist(), strict=True)),
            "statements": dict(zip(names, self.sentences(), strict=True)),
            "open": [[names[a], names[b]] for a, b in self.open_pairs],
        }


def _least_wins(
    outcomes: Outcomes,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The least wins (N, K, K), and which blocks (N, K) can be looked at, and have ended."""
    constant, gains = outcomes.design.constant, outcomes.gains
    result = outcomes.states == RESULT
    ended = (outcomes.states != NONE).all(axis=1)
    whole = (result | (outcomes.states == ABSENT)).all(axis=1)
    known, filled = ended.copy(), gains
    if constant is not None:
        failed = (result & np.isnan(gains)).any(axis=1)
        known &= ~failed | ended[:, [constant]]
        whole &= ~failed | whole[:, [constant]]
        own = gains[:, :, [constant]]
        # As `imputation.by_constant`: its score, else its mean on the data set.
        for source in (own, _means(own)[:, None, :]):
            filled = np.where(result & np.isnan(filled), source, filled)
        if outcomes.design.is_by_split:  # Its mean on the data set may need other splits.
            whole &= ~(result & np.isnan(filled)).any(axis=1)
    wins = _wins(filled, result)
    return wins * (whole[:, :, None] & whole[:, None, :]), known, ended


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means over seeds, without NaN, as on the leaderboard."""
    columns = np.moveaxis(values, 1, -1)
    means = [[ranking.mean(seeds) for seeds in row] for row in columns.tolist()]
    return np.array(means, dtype=float)


def _wins(filled: NDArray[np.float64], result: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Wins, ties and losses by mean; where a failure is not imputed, the least that they can be.

    With the worst result at w or below, the sums of two frameworks over the seeds differ by
    S_a - S_b + (n_a - n_b) w, n being the failures: at w or more for n_a <= n_b, without a lower
    bound for n_a > n_b.
    """
    means = _means(filled)
    missing = np.isnan(filled) & result
    gaps = missing.sum(axis=1)
    sums = np.nansum(filled, axis=1)
    lows = np.fmin.reduce(filled, axis=1)
    worst = np.nan_to_num(np.fmin(lows[:, :, None], lows[:, None, :]))
    more = gaps[:, :, None] - gaps[:, None, :]
    extra = np.where(more == 0, 0.0, more * worst)
    ahead = sums[:, :, None] - sums[:, None, :] + extra
    first, second = means[:, :, None], means[:, None, :]
    complete = (gaps[:, :, None] == 0) & (gaps[:, None, :] == 0)
    rounding = _ROUNDING * (np.abs(sums)[:, :, None] + np.abs(sums)[:, None, :] + np.abs(extra))
    for n, a, b in np.argwhere(~complete & (more <= 0) & (np.abs(ahead) <= rounding)):
        one, other = (np.where(missing[n, :, k], worst[n, a, b], filled[n, :, k]) for k in (a, b))
        ahead[n, a, b] = ranking.mean(one) - ranking.mean(other)
    ahead = np.where(complete, 1.0 * (first > second) - (first < second), ahead)
    wins: NDArray[np.float64] = np.where(more > 0, 0.0, (ahead > 0) + 0.5 * (ahead == 0))
    return wins


def tasks_ran(design: Design, counts: NDArray[np.int64]) -> int:
    """How many tasks the frameworks have on the first `counts` blocks."""
    sizes = np.cumsum([0, *(len(seeds) for _, seeds in design.order)])
    return int(sizes[counts].sum())


def blocks(
    order: Iterable[str | Sequence[Any]], splits: Iterable[tuple[str, int]]
) -> tuple[Block, ...]:
    """The blocks of an order: of data sets by name, or of splits (data set, seed).

    Args:
        order: as it was drawn.
        splits: the data sets and seeds of the grid.

    Raises:
        KeyError, IndexError, TypeError, ValueError: the order is none of these splits.
    """
    found: defaultdict[str, set[int]] = defaultdict(set)
    for dataset, seed in splits:
        found[dataset].add(seed)
    seeds = dict(found)
    return tuple(
        (one, tuple(sorted(seeds[one]))) if isinstance(one, str) else (str(one[0]), (int(one[1]),))
        for one in order
    )
