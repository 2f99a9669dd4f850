"""Questions that are rejected: typed wrong, or of another grid."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.analysis.early_stop.question import Question
from benchmark.errors import BenchmarkError
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.early_stop.until import Until
from tests.support.scripted_runs import (
    BEST,
    manifest,
    nothing,
)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (("worst", None, None, None), '--until is "worst"; it must be one of'),
        (("best", 0.0, None, None), "--alpha is 0.0"),
        (("best", None, 0.5, None), "--margin is 0.5"),
        (("best", None, None, -1), "--order-seed is -1"),
        ((None, 0.1, None, None), "--alpha is 0.1, and it needs --until QUESTION"),
        (("all", None, None, 3), "--order-seed is 3, and it needs --until QUESTION"),
        (("best", float("nan"), None, None), "--alpha is nan"),
        (("best", None, None, None, "fold"), '--unit is "fold"'),
        ((None, None, None, None, "split"), "--unit is split, and it needs --until QUESTION"),
    ],
)
def test_what_is_typed_wrong_is_named(typed: Any, problem: str) -> None:
    with pytest.raises(BenchmarkError, match=problem):
        Until.parse(*typed)


def test_a_question_that_does_not_fit_the_grid_is_rejected() -> None:
    with pytest.raises(BenchmarkError, match='there is no framework "mine"'):
        early_stop.planned(manifest(), None, Until(Question("against", name="mine")), nothing)
    with pytest.raises(BenchmarkError, match="a is the only one"):
        early_stop.planned(manifest(["a"]), None, BEST, nothing)
    holes = manifest()
    object.__setattr__(holes, "cells", holes.cells[1:])
    with pytest.raises(BenchmarkError, match="a is not planned on set00 with the seed 1"):
        early_stop.planned(holes, None, BEST, nothing)


@pytest.mark.parametrize(
    "until",
    [
        *([], {}, {"question": 3}, {"question": "best"}, {"question": "best", "alpha": "x"}),
        {"question": "best", "alpha": 0.1, "margin": 0.1, "unit": "fold"},
    ],
)
def test_a_broken_question_in_the_manifest_is_named(until: Any) -> None:
    with pytest.raises(BenchmarkError, match="'until' is broken"):
        early_stop.question_of(until)
