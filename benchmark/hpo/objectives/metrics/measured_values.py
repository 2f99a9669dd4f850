"""Measured values as numbers: what a text is, and in which unit a metric is kept.

A metric without a declared unit is kept as it was printed if it is a plain number, else in seconds,
bytes or cores. A declared unit (`units: {p99: ms}`) is what plain numbers are in, and what others
are converted to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files.numbers import vanishes
from benchmark.hpo.space.units import BASES, Quantity, Unit, from_base, quantity

_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class MeasureError(BenchmarkError):
    """What the command left holds no metrics."""


class OtherUnitError(MeasureError):
    """A metric has another kind of unit than the study file declares."""


class NotThereError(MeasureError):
    """What the study file names is not in what was read. `certain`: no trial can have it."""

    def __init__(self, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.certain = certain


def cell_number(text: str) -> float | None:
    """The finite number that a text is in decimal notation, or None; 1e-400 would be 0."""
    number = finite_number(float(text)) if _DECIMAL.fullmatch(text.strip()) else None
    return None if vanishes(text, number) else number


def finite_number(value: Any) -> float | None:
    """The finite number that a JSON value is, or None; a string or a boolean is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def share(value: Any) -> float | None:
    """`5%` or 0.05 as a number between 0 and 1; None for anything else."""
    if isinstance(value, str) and value.endswith("%"):
        found = (cell_number(value[:-1]) or 0.0) / 100
    else:
        found = finite_number(value) or 0.0
    return found if 0 < found < 1 else None


def number_or_text(cell: str) -> float | str:
    number = cell_number(cell)
    return cell if number is None else number


def as_quantity(value: Any, declared: Unit | None = None) -> Quantity | None:
    """The quantity that a value is, if it is one; `1.02m` may be minutes or thousandths of a core,
    and is none unless its unit is declared."""
    if isinstance(value, Quantity):
        return value if math.isfinite(value.number) else None
    if not isinstance(value, str):
        return None
    if declared is None and re.search(r"[0-9.]\s*m$", value.strip()):
        return quantity(value, "s") if re.search("[a-z][0-9]", value) else None
    found = quantity(value, declared.base) if declared else None
    return found or quantity(value)  # one of another kind is refused where it is converted


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, also with a unit."""
    return finite_number(value) is not None or as_quantity(value) is not None


def in_units(
    found: Mapping[str, Any], declared: Mapping[str, Unit], units: dict[str, Unit]
) -> dict[str, float | None]:
    """The values as numbers, None where one is not; the unit of each that has one into `units`.

    Raises:
        OtherUnitError: one has another kind of unit than is declared.
    """
    numbers: dict[str, float | None] = {}
    for name, value in found.items():
        own = declared.get(name)
        number = finite_number(value)
        if number is None and (measured := as_quantity(value, own)) is not None:
            number = _kept(name, measured, own)
            if own is None and measured.base:
                own = BASES[measured.base]
        if number is not None and own is not None:
            units[name] = own
        numbers[name] = number
    return numbers


def _kept(name: str, measured: Quantity, own: Unit | None) -> float:
    if own is None or not measured.base:
        return measured.number
    if measured.base != own.base:
        raise OtherUnitError(
            f"'{name}' was measured in {measured.base}, and 'units' declares {own.name} for it."
        )
    return float(from_base(measured.number, own))
