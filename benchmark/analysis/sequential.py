"""When a benchmark may stop early: sequential inference on a finite grid of data sets.

    wins = paired_wins(means)                             # data sets x frameworks x frameworks
    done = play(wins, orders, Question.parse("best"), alpha=0.05)
    done.ran                                              # data sets that each framework ran on

The population is the full grid. Its data sets are drawn in a random order without replacement, and
each one gives every pair of frameworks a win (1), a tie (1/2) or a loss (0). A test martingale per
directed pair holds the evidence, and may be looked at after every data set.

The martingale of the null "the total of all values is at most T" is the betting martingale for
sampling without replacement of Waudby-Smith & Ramdas (2023, "Estimating means of bounded random
variables by betting", section 5): M_t = prod_{i<=t} (1 + lambda_i (x_i - C_i)), where
C_i = (T - sum_{j<i} x_j) / (N - i + 1) is the mean of what is left under the null (Waudby-Smith &
Ramdas 2020, "Confidence sequences for sampling without replacement", section 2). The bets are
lambda_i = c / C_i, averaged over a grid of c: with constant c the martingale is non-increasing in
T, so that rejecting T rejects every smaller total, too. By Ville's inequality a true null ever has
M_t >= 1/a with probability at most a. What the remaining data sets cannot change is certain, so
that everything is decided at the end of the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALPHA = 0.05
MARGIN = 0.01
FRACTIONS = np.linspace(0.1, 1.0, 10)
QUESTIONS = "best, top:K, order, against:NAME"
# Capital is cut off here: more than any threshold, and products of it stay finite.
_MOST = 1e100
# Orders are played together as long as their wins have no more values than this.
_CELLS = 500_000


@dataclass(frozen=True)
class Question:
    """What the benchmark is to answer: `kind` is best, top, order or against.

    `count` is the K of top:K (1 for best), `name` the NAME of against:NAME.
    """

    kind: str
    count: int = 1
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Question:
        """Read `best`, `top:3`, `order` or `against:NAME`.

        Raises:
            BenchmarkError: the text is not one of these.
        """
        kind, _, rest = text.partition(":")
        if text in ("best", "order"):
            return cls(text)
        if kind == "top" and rest.isdecimal() and int(rest) > 0:
            return cls("best") if int(rest) == 1 else cls("top", int(rest))
        if kind == "against" and rest:
            return cls("against", name=rest)
        raise BenchmarkError(f'--until is "{text}"; it must be one of: {QUESTIONS}.')

    def among(self, frameworks: Sequence[str]) -> int:
        """The place of NAME among the frameworks, 0 without one.

        Raises:
            BenchmarkError: the question cannot be put to these frameworks.
        """
        if len(frameworks) < 2:
            raise BenchmarkError(
                f"There is nothing to compare {frameworks[0]} with; results of at least two "
                "frameworks are needed."
            )
        if self.kind == "top" and self.count >= len(frameworks):
            raise BenchmarkError(
                f"--until is top:{self.count}, but there are {len(frameworks)} frameworks; K must "
                "be smaller than their number."
            )
        if self.kind != "against":
            return 0
        if self.name not in frameworks:
            raise BenchmarkError(
                f'--until is against:{self.name}, but there is no framework "{self.name}"; there '
                f"are: {', '.join(frameworks)}."
            )
        return list(frameworks).index(self.name)


@dataclass(frozen=True)
class Played:
    """How the schedule ended, by order of the data sets (O) and framework (K).

    `ran` (O, K): data sets that the framework ran on. `above` (O, K, K): the row's framework wins
    at least as many data sets of the full grid as it loses to the column's; `level`: the share of
    wins, ties counted half, is within the margin of 1/2. Both are False for best and top:K, which
    claim `inside` (O, K): fewer than K others win more than 1/2 + margin against it; `outside`: at
    least K others win no fewer data sets than they lose to it.
    """

    ran: NDArray[np.int64]
    above: NDArray[np.bool_]
    level: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def paired_wins(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether the row's framework beats the column's on a data set: 1, 0, or 1/2 for a tie.

    Args:
        means: (N, K), larger is better, no NaN.

    Returns:
        (N, K, K)
    """
    first, second = means[:, :, None], means[:, None, :]
    wins: NDArray[np.float64] = (first > second) + 0.5 * (first == second)
    return wins


def null_total(size: int, margin: float = 0.0) -> float:
    """The largest sum of `size` wins, ties and losses whose mean is below 1/2 - margin."""
    return (math.ceil(round(2 * size * (0.5 - margin), 9)) - 1) / 2


def capital(
    values: NDArray[np.float64], size: int, null: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evidence against a total of at most `null`, after each value (see the module's docstring).

    Args:
        values: (n, ...) in 0...1, drawn without replacement from a population of `size`.
        size: N >= n.
        null: the largest total under the null; its shape broadcasts to that of a value.

    Returns:
        (n + 1, ...), 1 at first; `_MOST` once the null is impossible.
    """
    shape = np.broadcast_shapes(values.shape[1:], np.shape(null))
    fractions = FRACTIONS.reshape(-1, *(1 for _ in shape))
    wealth = np.ones((len(FRACTIONS), *shape))
    left = np.broadcast_to(np.asarray(null, dtype=float), shape).copy()
    found = np.empty((len(values) + 1, *shape))
    found[0] = np.where(left < 0, _MOST, 1.0)
    for place, value in enumerate(values):
        mean = left / (size - place)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(mean > 0, value / mean, 1.0)
        wealth *= 1 - fractions + fractions * ratio
        np.minimum(wealth, _MOST, out=wealth)
        left -= value
        # Below 0 for good: the sum so far exceeds the null. Rounding of sums stays far below 1e-9.
        found[place + 1] = np.where(left < -1e-9, _MOST, wealth.mean(axis=0))
    return found


def lower_bounds(
    values: NDArray[np.float64], size: int, alpha: float, points: int = 1000
) -> NDArray[np.float64]:
    """A one-sided confidence sequence for the population's mean: all hold at once with 1 - alpha.

    Two-sided at 2 alpha with 1 - lower_bounds(1 - values, ...) as the upper end.

    Args:
        values: (n,) in 0...1, drawn without replacement.
        size: of the population.
        alpha: error probability over all times.
        points: the bounds are multiples of 1 / points, rounded down.

    Returns:
        (n + 1,), non-decreasing, 0 at first.
    """
    grid = np.linspace(0, 1, points + 1)
    evidence = np.maximum.accumulate(capital(values[:, None], size, grid * size), axis=0)
    rejected = evidence >= 1 / alpha
    # The rejected totals are the smallest; the largest of them is the bound.
    bounds: NDArray[np.float64] = grid[np.maximum(rejected.sum(axis=1) - 1, 0)]
    return bounds


def play(
    wins: NDArray[np.float64],
    orders: NDArray[np.int64],
    question: Question,
    subject: int = 0,
    *,
    alpha: float = ALPHA,
    margin: float = MARGIN,
) -> Played:
    """Run the schedule on a grid that is known, in each of the orders.

    Each wave adds the next data set to every pair that the question still needs; a framework of no
    such pair is retired. All claims of one order are right together with 1 - alpha over random
    orders, however the schedule chose:

    - order, against:NAME: a pair's claims can only be wrong in the direction of its one true null
      (A loses more than it wins, or B does), so P pairs need the capital P / alpha (Bonferroni).
      Ville's inequality covers all times of a pair, so it does not matter when or why it stopped.
    - top:K: the same, with all pairs of the grid.
    - best: a framework that beats all others is dropped if the mean capital of the others against
      it reaches 1 / alpha; the mean of supermartingales is one, and there is at most one such
      framework, so nothing is lost to multiplicity. Who is left is the best once its capital
      against each other reaches K / alpha.

    Args:
        wins: (N, K, K) of `paired_wins`.
        orders: (O, N) permutations of the data sets.
        question: see `Question`.
        subject: the place of NAME.
        alpha: the chance that any claim is wrong.
        margin: shares of wins within it of 1/2 count as practically equal.
    """
    most = max(1, _CELLS // wins.size)
    parts = [
        _play(wins, orders[start : start + most], question, subject, alpha, margin)
        for start in range(0, len(orders), most)
    ]
    names = [field.name for field in fields(Played)]
    return Played(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _play(  # noqa: PLR0917
    wins: NDArray[np.float64],
    orders: NDArray[np.int64],
    question: Question,
    subject: int,
    alpha: float,
    margin: float,
) -> Played:
    size, count = wins.shape[:2]
    pairs = count * (count - 1) // 2
    needed = {"best": count, "against": count - 1}.get(question.kind, pairs) / alpha
    drawn = wins[orders.T]
    null, null_near = null_total(size), null_total(size, margin)
    evidence = capital(drawn, size, null)
    above_at = _first_at(evidence, needed)
    near_at = above_at
    if null_near < null:
        near_at = _first_at(capital(drawn, size, null_near), needed)
    state = _State(question, subject, above_at, near_at, evidence, alpha)
    while (wanted := state.open_pairs()).any():
        behind = state.ran[:, :, None] <= state.ran[:, None, :]
        state.ran += (wanted & behind).any(axis=2)
    return state.played()


def _first_at(evidence: NDArray[np.float64], needed: float) -> NDArray[np.int64]:
    """After how many data sets the capital first reaches `needed`; beyond all where it does not."""
    reached = evidence >= needed
    first: NDArray[np.int64] = np.where(reached.any(axis=0), reached.argmax(axis=0), len(evidence))
    return first


class _State:
    """All orders at once: what ran, what is decided, and which pairs are open."""

    def __init__(  # noqa: PLR0917
        self,
        question: Question,
        subject: int,
        above_at: NDArray[np.int64],
        near_at: NDArray[np.int64],
        evidence: NDArray[np.float64],
        alpha: float,
    ) -> None:
        orders, count = above_at.shape[:2]
        self.question, self.subject, self.alpha = question, subject, alpha
        self.size = len(evidence) - 1
        self._above_at, self._near_at, self._evidence = above_at, near_at, evidence
        self._other = ~np.eye(count, dtype=bool)
        self.ran = np.zeros((orders, count), dtype=np.int64)
        self.inside = np.zeros((orders, count), dtype=bool)
        self.outside = np.zeros((orders, count), dtype=bool)
        # best: whether the contenders' pairs have all seen the same data sets.
        self._aligned = np.ones(orders, dtype=bool)
        self._look()

    def _look(self) -> None:
        self._times = np.minimum(self.ran[:, :, None], self.ran[:, None, :])
        self.above = (self._times >= self._above_at) & self._other
        self.near = (self._times >= self._near_at) & self._other

    def open_pairs(self) -> NDArray[np.bool_]:
        """(O, K, K), symmetric: the pairs that the question still needs."""
        self._look()
        find = {"best": self._for_best, "top": self._for_top}.get(self.question.kind)
        wanted = find() if find else self._undecided()
        if self.question.kind == "against":
            concerned = np.arange(wanted.shape[1]) == self.subject
            wanted &= concerned[:, None] | concerned[None, :]
        wanted = wanted | wanted.transpose(0, 2, 1)
        return wanted & self._other & (self._times < self.size)

    def _undecided(self) -> NDArray[np.bool_]:
        decided = self.above | (self.near & self.near.transpose(0, 2, 1))
        result: NDArray[np.bool_] = ~(decided | decided.transpose(0, 2, 1))
        return result

    def _for_top(self) -> NDArray[np.bool_]:
        count, asked = self.ran.shape[1], self.question.count
        self.inside = self.near.sum(axis=2) >= count - asked
        self.outside = self.above.sum(axis=1) >= asked
        open_ones = ~(self.inside | self.outside)
        open_ones[self.inside.sum(axis=1) >= asked] = False
        first, second = open_ones[:, :, None], open_ones[:, None, :]
        undecided = self._undecided() & (self._times < self.size) & self._other
        both = undecided & first & second
        some = both.any(axis=(1, 2), keepdims=True)
        return np.where(some, both, undecided & (first | second))

    def _for_best(self) -> NDArray[np.bool_]:
        several = (~self.outside).sum(axis=1) > 1
        places = np.ogrid[tuple(slice(size) for size in self._times.shape)]
        against = self._evidence[(self._times, *places)] * self._other
        mean = against.sum(axis=1) / (self.ran.shape[1] - 1)
        self.outside |= (mean >= 1 / self.alpha) & (self._aligned & several)[:, None]
        left = ~self.outside
        self.inside = left & (self.near | ~self._other).all(axis=2)
        done = self.inside.sum(axis=1)[:, None, None] > 0
        both = left[:, :, None] & left[:, None, :] & self._other & (self._times < self.size)
        both &= ~(self.near & self.near.transpose(0, 2, 1))
        self._aligned &= both.any(axis=(1, 2))
        aligned = self._aligned[:, None, None]
        wanted: NDArray[np.bool_] = np.where(aligned, both, left[:, :, None] & ~self.near) & ~done
        return wanted

    def played(self) -> Played:
        pairwise = self.question.kind in ("order", "against")
        above = self.above & pairwise
        level = self.near & self.near.transpose(0, 2, 1) & pairwise
        if self.question.kind == "against":
            concerned = np.arange(above.shape[1]) == self.subject
            above &= concerned[:, None] | concerned[None, :]
            level &= concerned[:, None] | concerned[None, :]
        return Played(self.ran, above, level, self.inside, self.outside)


def false_claims(
    played: Played, wins: NDArray[np.float64], question: Question, margin: float = MARGIN
) -> NDArray[np.bool_]:
    """(O,): whether the full grid contradicts any claim of an order."""
    share = wins.mean(axis=0)
    size, other = len(wins), ~np.eye(wins.shape[1], dtype=bool)
    ahead = share >= 0.5
    clearly = share > 0.5 + margin + 1e-9 / size
    wrong = (played.above & ~ahead).any(axis=(1, 2))
    wrong |= (played.level & clearly).any(axis=(1, 2))
    beaten = (clearly & other).sum(axis=0) >= question.count
    at_least_level = (ahead & other).sum(axis=0) >= question.count
    wrong |= (played.inside & beaten).any(axis=1)
    wrong |= (played.outside & ~at_least_level).any(axis=1)
    result: NDArray[np.bool_] = wrong
    return result
