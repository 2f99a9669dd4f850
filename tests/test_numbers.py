"""Numbers as studies show them."""

from __future__ import annotations

import pytest

from benchmark.analysis.figures.style import DASH, INFINITE, PLAIN, number
from benchmark.files.numbers import plain_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (406640.2, "406640"),
        (406640.0, "406640"),
        (999999.7, "1000000"),
        (12345678.9, "12345679"),
        (-123456789.0, "-123456789"),
        (1.5e9, "1.5e+09"),
        (0.0001, "0.0001"),
        (0.000123456789, "0.000123457"),
        (0.00001, "1e-05"),
        (0.1 + 0.2, "0.3"),
        (0.0, "0"),
        (7, "7"),
        (True, "true"),
        ("full", "full"),
    ],
)
def test_six_digits_and_no_exponent(value: object, text: str) -> None:
    assert plain_number(value) == text
    if isinstance(value, float):
        assert number(value, PLAIN) == text


def test_a_sign_and_what_is_no_number() -> None:
    assert plain_number(2500000.0, "+") == "+2500000"
    assert [number(value, PLAIN) for value in (None, float("inf"))] == [DASH, INFINITE]
