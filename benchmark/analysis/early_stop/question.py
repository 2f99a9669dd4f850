"""The questions that end a benchmark early, and how sure the answer has to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import BenchmarkError
from benchmark.files.spelling import nearest

ALPHA = 0.05
MARGIN = 0.01
DATASET, SPLIT = "dataset", "split"
UNITS = {DATASET: "data sets", SPLIT: "splits"}
"""What is drawn: a data set with all its seeds, or one data set and seed; and their plurals."""
QUESTIONS = "best, top:K, order, against:NAME"


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

    def __str__(self) -> str:
        rest = {"top": f":{self.count}", "against": f":{self.name}"}.get(self.kind, "")
        return self.kind + rest

    def among(self, frameworks: Sequence[str]) -> int:
        """The place of NAME among the frameworks, 0 without one.

        Raises:
            BenchmarkError: the question cannot be put to these frameworks.
        """
        if len(frameworks) < 2:
            raise BenchmarkError(
                f"--until needs at least two frameworks, and {frameworks[0]} is the only one; "
                "there is nothing to compare it with."
            )
        if self.kind == "top" and self.count >= len(frameworks):
            raise BenchmarkError(
                f"--until is top:{self.count}, but there are {len(frameworks)} frameworks; K must "
                "be smaller than their number."
            )
        if self.kind != "against":
            return 0
        if self.name not in frameworks:
            near = nearest(self.name, frameworks)
            fix = f'did you mean "{near}"?' if near else f"there are: {', '.join(frameworks)}."
            raise BenchmarkError(
                f'--until is against:{self.name}, but there is no framework "{self.name}"; {fix}'
            )
        return list(frameworks).index(self.name)


def check_ranges(alpha: float, margin: float) -> None:
    """Raises:
    BenchmarkError: a number is out of range.
    """
    if not 0 < alpha < 1:
        raise BenchmarkError(f"--alpha is {alpha}; it must be above 0 and below 1.")
    if not 0 <= margin < 0.5:
        raise BenchmarkError(f"--margin is {margin}; it must be at least 0 and below 0.5.")
