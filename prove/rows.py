"""A row of the table: a promise, what is done to break it, what came of it.

@row(1, "A server of another house is asked", "S3 of SeaweedFS")
def strangers(stage):
    return "figure"
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROMISES = {
    1: "n tasks in, n records out",
    2: "Limits are enforced",
    3: "Resume means resume",
    4: "The harness costs next to nothing",
    5: "The statistics are the field's own",
    6: "No bill without consent",
    7: "A result in minutes, without account and network",
}
HOLDS, BROKEN, NOT_SHOWN = "holds", "BROKEN", "not shown"


class BrokenError(Exception):
    """The promise does not hold."""


class NotShownError(Exception):
    """Something that the row needs is not here."""


@dataclass(frozen=True)
class Stage:
    """Where a row plays: its folder, the seed of its faults, and how many kills it may make."""

    folder: Path
    seed: int
    kills: int

    def dice(self, name: str) -> random.Random:
        """Chance of its own for each part of a row, the same whatever else runs."""
        return random.Random(f"{self.seed}/{name}")


@dataclass(frozen=True)
class Row:
    """`play` returns the figure, or raises what is above."""

    name: str
    promise: int
    fault: str
    play: Callable[[Stage], str]


@dataclass(frozen=True)
class Verdict:
    """What a row came to; `seconds` is how long that took."""

    row: Row
    figure: str
    verdict: str
    seconds: float


ROWS: list[Row] = []


def row(promise: int, fault: str) -> Callable[[Callable[[Stage], str]], Callable[[Stage], str]]:
    """Enter a function into the table; its name is the row's."""

    def enter(play: Callable[[Stage], str]) -> Callable[[Stage], str]:
        ROWS.append(Row(play.__name__.replace("_", "-"), promise, fault, play))
        return play

    return enter


def check(holds: object, sentence: str) -> None:
    """Raises BrokenError with the sentence unless it holds."""
    if not holds:
        raise BrokenError(sentence)


def until(true: Callable[[], object], what: str, patience_s: float = 900.0) -> None:
    """Wait for it.

    Raises:
        BrokenError: it did not come in time.
    """
    end = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > end:
            raise BrokenError(f"waited {patience_s:g} s for {what}")
        time.sleep(0.01)


def played(one: Row, stage: Stage) -> Verdict:
    """Play a row; whatever it raises is its verdict."""
    begun = time.monotonic()
    try:
        figure, verdict = one.play(stage), HOLDS
    except NotShownError as error:
        figure, verdict = str(error), NOT_SHOWN
    except BrokenError as error:
        figure, verdict = str(error), BROKEN
    except Exception as error:  # a row that breaks down has shown nothing that holds
        figure, verdict = f"{type(error).__name__}: {error}", BROKEN
    return Verdict(one, figure, verdict, time.monotonic() - begun)
