"""Suggestions for unknown names, and messages that quote what a user wrote."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.files.spelling import is_typo, meant


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("jobb", "job", True),
        ("clas", "class", True),
        ("jbo", "job", True),
        ("p95", "p99", False),
        ("p9", "p99", False),
        ("val_loss", "loss", False),
        ("jobs", "job", False),
    ],
)
def test_typos(name: str, known: str, found: bool) -> None:
    assert is_typo(name, known) == found


def test_of_many_names_the_nearest_are_listed() -> None:
    known = ["name", "direction", *(f"other_{number}" for number in range(25)), "limits"]
    said = meant("memory_limit", known)
    assert said.startswith("there are limits, ")
    assert said.endswith(", and 16 more.")
    assert meant("zz", ["b", "a"]) == "there are b, a."
    assert meant("9" * 5000, known).endswith(", and 16 more.")


def test_a_message_has_the_start_of_a_very_long_word() -> None:
    error = BenchmarkError(f"'trials' is {'7' * 5000}; write a whole number.")
    assert str(error) == f"'trials' is {'7' * 60}… (5,001 characters); write a whole number."
