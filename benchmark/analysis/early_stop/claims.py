"""What an early stop claims about the full grid, in sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.analysis.early_stop import sequential
from benchmark.analysis.early_stop.question import Question
from benchmark.analysis.early_stop.schedule import Played


@dataclass(frozen=True)
class Claims:
    """The claims of one order, for the frameworks in the order of the grid.

    `wins` (N, K, K) are in the order in which the data sets were drawn.
    """

    names: tuple[str, ...]
    question: Question
    played: Played
    wins: NDArray[np.float64]
    alpha: float

    def sentences(self) -> list[str]:
        names, played = self.names, self.played
        if self.question.kind in ("best", "top"):
            places = zip(played.inside[0], played.outside[0], strict=True)
            return [self._place(bool(inside), bool(outside)) for inside, outside in places]
        if self.question.kind == "against":
            subject = names.index(self.question.name)
            return [self._against(subject, k) for k in range(len(names))]
        both = played.above[0] & played.above[0].T
        above = played.above[0] & ~both
        level = (both | played.level[0]) & ~above & ~above.T
        open_pairs = len(names) - 1 - (above | above.T | level).sum(axis=1)
        return [
            f"above {above[k].sum()}, below {above[:, k].sum()}"
            + (f", practically equal to {level[k].sum()}" if level[k].any() else "")
            + (f", open {open_pairs[k]}" if open_pairs[k] else "")
            for k in range(len(names))
        ]

    def _place(self, inside: bool, outside: bool) -> str:
        count = self.question.count
        if inside:
            return "the best" if count == 1 else f"in the top {count}"
        if outside:
            return "not the best" if count == 1 else f"not in the top {count}"
        return "open"

    def _against(self, subject: int, other: int) -> str:
        if other == subject:
            return "asked about"
        above, name = self.played.above[0], self.question.name
        if above[subject, other] and above[other, subject]:
            return f"exactly level with {name}"
        if above[other, subject]:
            return f"above {name}; wins {self._share(other, subject)}"
        if above[subject, other]:
            return f"below {name}, which wins {self._share(subject, other)}"
        if self.played.level[0, subject, other]:
            return f"practically equal to {name}"
        return "open"

    def _share(self, first: int, second: int) -> str:
        """The wins of the first so far, and the least share that it has of the full grid."""
        most = int(min(self.played.ran[0, first], self.played.ran[0, second]))
        values = self.wins[:most, first, second]
        alpha = self.alpha / (len(self.names) - 1)
        size = len(self.wins)
        least = sequential.lower_bounds(values, size, alpha)[-1]
        if least > 0:  # All wins and half wins up to it are refuted: the next one is the least.
            least = (math.floor(2 * least * size) + 1) / (2 * size)
        return f"{values.mean():.0%} so far, at least {least:.0%} of all"
