"""Faults that may pass: borne for so long, and then one sentence."""

from __future__ import annotations

import pytest

from benchmark.compute.faults import PassingError, Trouble, patiently
from benchmark.errors import BenchmarkError


def unreachable() -> None:
    raise PassingError("The engine cannot be reached.")


def test_a_fault_is_borne_and_forgotten_when_the_engine_answers() -> None:
    trouble = Trouble()
    for ask in (unreachable, lambda: None, unreachable):
        with trouble.borne(patience_s=0.0):
            ask()


def test_a_fault_that_lasts_is_a_sentence() -> None:
    trouble = Trouble()
    with trouble.borne(patience_s=0.0):
        unreachable()
    with (
        pytest.raises(BenchmarkError, match=r"cannot be reached\. This has lasted for too long\."),
        trouble.borne(patience_s=0.0),
    ):
        unreachable()
    with pytest.raises(BenchmarkError, match="too long"):
        patiently(unreachable, patience_s=0.0)


def test_what_will_not_pass_is_raised_at_once() -> None:
    with pytest.raises(BenchmarkError, match="refused"), Trouble().borne(patience_s=60.0):
        raise BenchmarkError("It is refused.")
