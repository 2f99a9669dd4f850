"""The schedule of a benchmark that stops early: who runs next, who is retired, what is claimed.

    wins = paired_wins(means)                             # data sets x frameworks x frameworks
    done = play(wins, orders, Question.parse("best"), alpha=0.05)
    done.ran                                              # data sets that each framework ran on

Each data set of the random order gives every pair of frameworks a win (1), a tie (1/2) or a loss
(0). A test martingale per directed pair (`sequential.capital`) holds the evidence, and may be
looked at after every data set. What the remaining data sets cannot change is certain, so that
everything is decided at the end of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from benchmark.analysis.early_stop.question import ALPHA, MARGIN, Question
from benchmark.analysis.early_stop.sequential import capital, null_total

# Orders are played together as long as their wins have no more values than this.
_CELLS = 500_000


@dataclass(frozen=True)
class Played:
    """How the schedule ended, by order of the data sets (O) and framework (K).

    `ran` (O, K): data sets that the framework ran on. `above` (O, K, K): the row's framework wins
    at least as many data sets of the full grid as it loses to the column's; `level`: the share of
    wins, ties counted half, is within the margin of 1/2. Both are False for best and top:K, which
    claim `inside` (O, K): fewer than K others win more than 1/2 + margin against it (for best, if
    one framework beats all others: it does not); `outside`: at least K others win no fewer data
    sets than they lose to it.
    """

    ran: NDArray[np.int64]
    above: NDArray[np.bool_]
    level: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    outside: NDArray[np.bool_]


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
    - best: a framework is dropped if the mean capital of the others against it reaches 1 / alpha,
      and who is left is the best once its capital against each other reaches K / alpha. If one
      framework beats all others, only it can be dropped wrongly, and a wrong best has K / alpha
      against it, which makes the mean of the K - 1 capitals more than 1 / alpha, too; the mean of
      supermartingales is one, so that either happens with probability at most alpha. (With a margin
      that mean has each wrong best's capital at the margin, and the others' at 1/2.) If none beats
      all others, nothing can be dropped wrongly, and each of K frameworks is a wrong best with
      probability at most alpha / K.

    Args:
        wins: (N, K, K) of `paired_wins`.
        orders: (O, N) permutations of the data sets.
        question: see `Question`.
        subject: the place of NAME.
        alpha: the chance that any claim is wrong.
        margin: shares of wins within it of 1/2 count as practically equal.
    """
    most = max(1, _CELLS // wins.size)
    parts = []
    for start in range(0, len(orders), most):
        state = _State(wins, orders[start : start + most], question, subject, alpha, margin)
        while (step := state.next_step()).any():
            state.ran += step
        parts.append(state.played())
    names = [field.name for field in fields(Played)]
    return Played(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Reached:
    """How far the schedule has come on the results that are there, in one order.

    `played` has the results so far (O = 1). `open` (K, K): pairs that the question still needs.
    `due` (K,): frameworks that need their next data set, the one at place `ran`, before anything
    else can be decided.
    """

    played: Played
    open: NDArray[np.bool_]
    due: NDArray[np.bool_]


def advance(
    wins: NDArray[np.float64],
    known: NDArray[np.bool_],
    question: Question,
    subject: int = 0,
    *,
    alpha: float = ALPHA,
    margin: float = MARGIN,
) -> Reached:
    """Play the schedule as far as results are known.

    The same results lead to the same state whenever they came, since results beyond what the
    schedule has asked for are not looked at. A win that is not certain yet is 0 in both directions:
    the capital grows with each value, so that claims hold whatever it turns out to be.

    Args:
        wins: (N, K, K), the data sets in the run's order; the least win of row against column.
        known: (N, K), whether the framework's result on the data set can be looked at.
        question, subject, alpha, margin: as of `play`.
    """
    orders = np.arange(len(wins))[None]
    state = _State(wins, orders, question, subject, alpha, margin)
    frameworks = np.arange(wins.shape[1])
    while (step := state.next_step()).any():
        here = frameworks[step[0]]
        if not known[state.ran[0, here], here].all():
            break
        state.ran += step
    return Reached(state.played(), state.open_pairs()[0], step[0])


def needed_capital(question: Question, count: int, alpha: float) -> float:
    """The capital that a pair's claim needs among `count` frameworks (see `play`)."""
    pairs = count * (count - 1) // 2
    return {"best": count, "against": count - 1}.get(question.kind, pairs) / alpha


def _first_at(evidence: NDArray[np.float64], needed: float) -> NDArray[np.int64]:
    """After how many data sets the capital first reaches `needed`; beyond all where it does not."""
    reached = evidence >= needed
    first: NDArray[np.int64] = np.where(reached.any(axis=0), reached.argmax(axis=0), len(evidence))
    return first


class _State:
    """All orders at once: what ran, what is decided, and which pairs are open."""

    def __init__(  # noqa: PLR0917
        self,
        wins: NDArray[np.float64],
        orders: NDArray[np.int64],
        question: Question,
        subject: int,
        alpha: float,
        margin: float,
    ) -> None:
        self.question, self.subject, self.alpha = question, subject, alpha
        self.size, count = len(wins), wins.shape[1]
        needed = needed_capital(question, count, alpha)
        drawn = wins[orders.T]
        null, null_near = null_total(self.size), null_total(self.size, margin)
        self._evidence = capital(drawn, self.size, null)
        self._above_at = self._near_at = _first_at(self._evidence, needed)
        if null_near < null:
            self._near_at = _first_at(capital(drawn, self.size, null_near), needed)
        self._other = ~np.eye(count, dtype=bool)
        self.ran = np.zeros((len(orders), count), dtype=np.int64)
        self.inside = np.zeros((len(orders), count), dtype=bool)
        self.outside = np.zeros((len(orders), count), dtype=bool)
        # best: whether the contenders' pairs have all seen the same data sets.
        self._aligned = np.ones(len(orders), dtype=bool)
        self._look()

    def next_step(self) -> NDArray[np.bool_]:
        """(O, K): the frameworks that need a further data set, all False at the end."""
        wanted = self.open_pairs()
        behind = self.ran[:, :, None] <= self.ran[:, None, :]
        step: NDArray[np.bool_] = np.any(wanted & behind, axis=2)
        return step

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
    clearly &= other
    beaten = clearly.sum(axis=0) >= question.count
    beats_all = ((share > 0.5) | ~other).all(axis=1)
    if question.kind == "best" and beats_all.any():
        beaten = clearly[beats_all.argmax()]
    at_least_level = (ahead & other).sum(axis=0) >= question.count
    wrong |= (played.inside & beaten).any(axis=1)
    wrong |= (played.outside & ~at_least_level).any(axis=1)
    result: NDArray[np.bool_] = wrong
    return result
