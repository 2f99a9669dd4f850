"""Quantities with units, as users write and tools print them.

    quantity("812us")                   # Quantity(0.000812, "s")
    quantity("1m30s")                   # Quantity(90.0, "s"): a duration as Go prints it
    in_unit("1.5Gi", unit("MiB"))       # 1536.0

Times are in seconds, memory in bytes, processors in cores. MB is 10^6 bytes and MiB 2^20; k, M, G
and T alone are factors of 1000. `m` is a thousandth of a core, as in Kubernetes, and a minute
where a time is expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from keyword import iskeyword
from typing import Any

from pydantic import BeforeValidator

from benchmark.errors import BenchmarkError
from benchmark.files.spelling import nearest

NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_TIME, _MEMORY, _CORES, _COUNT = "s", "bytes", "cores", ""


@dataclass(frozen=True)
class Unit:
    """A unit: its name, what it measures (`s`, `bytes`, `cores`, or nothing), and its size in that.

    One that was not declared for a metric, but printed by its tool, is `found`.
    """

    name: str
    base: str
    size: Fraction
    found: bool = False


@dataclass(frozen=True)
class Quantity:
    """A number in seconds, bytes or cores (`base`; empty for a plain number)."""

    number: float
    base: str = _COUNT


class UnitError(BenchmarkError):
    """A text is not a quantity, or its unit does not fit."""


def _table() -> dict[str, Unit]:
    sizes: list[tuple[str, str, Fraction]] = []
    for names, size in (
        ("ns", Fraction(1, 10**9)),
        ("us µs μs usec", Fraction(1, 10**6)),
        ("ms msec", Fraction(1, 1000)),
        ("s sec secs second seconds", Fraction(1)),
        ("min mins minute minutes", Fraction(60)),
        ("h hr hour hours", Fraction(3600)),
        ("d day days", Fraction(86400)),
    ):
        sizes += [(name, _TIME, size) for name in names.split()]
    sizes += [(name, _MEMORY, Fraction(1)) for name in ("B", "byte", "bytes")]
    for power, letter in enumerate("KMGTP", 1):
        sizes += [(f"{letter}i{end}", _MEMORY, Fraction(1024**power)) for end in ("", "B")]
        sizes.append((f"{letter}B", _MEMORY, Fraction(1000**power)))
        sizes.append((letter if power > 1 else "k", _COUNT, Fraction(1000**power)))
    sizes.append(("kB", _MEMORY, Fraction(1000)))
    cores = ("vCPU", "vCPUs", "vcpu", "vcpus", "CPU", "CPUs", "cpu", "cpus", "core", "cores")
    sizes += [(name, _CORES, Fraction(1)) for name in cores]
    sizes.append(("m", _CORES, Fraction(1, 1000)))
    return {name: Unit(name, base, size) for name, base, size in sizes}


UNITS = _table()
BASES = {base: Unit(base, base, Fraction(1), found=True) for base in (_TIME, _MEMORY, _CORES)}
SHOWN = "us, ms, s, min, h; B, KiB, MiB, GiB, kB, MB, GB; m, cores, vCPU"
# No finite number has more digits before its point, and no measured one as many after it.
_LONGEST = 400
_NAMES = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_QUANTITY = re.compile(rf"([+-]?)({NUMBER})\s*({_NAMES})")
_DURATION = re.compile(r"([+-]?)((?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s|us|µs|μs|ns)){2,})")
_PART = re.compile(r"([0-9.]+)(h|ms|m|s|us|µs|μs|ns)")
# In an expression: a number with a unit, not followed by a letter, digit or bracket.
LITERAL = re.compile(rf"(?<![\w.])({NUMBER})\s*({_NAMES})(?![\w(])")

# The word behind a number where a unit may be.
_WORD = re.compile(rf"(?<![\w.]){NUMBER}\s*([A-Za-zµμ]+)(?![\w(])")


def unit(name: Any) -> Unit:
    """The unit of this name.

    Raises:
        UnitError: there is none.
    """
    if not isinstance(name, str) or name not in UNITS:
        near = nearest(name, UNITS) if isinstance(name, str) else None
        hint = f" (did you mean '{near}'?)" if near else ""
        raise UnitError(f"{name!r} is not a unit{hint}; units are {SHOWN}.")
    return UNITS[name]


def unknown_unit(text: str) -> str | None:
    """The sentence on the first word behind a number that is not a unit, without its full stop."""
    for word in _WORD.findall(re.sub(r"'[^']*'|\"[^\"]*\"", "", text)):
        if word not in UNITS and not iskeyword(word):
            try:
                unit(word)
            except UnitError as error:
                return str(error).rstrip(".")
    return None


def unit_of(text: str) -> Unit | None:
    """The unit of a number; None if the text is not a number with a unit."""
    text = text.strip()
    found = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    return None if found is None else UNITS[found[3]]


def quantity(text: str, base: str | None = None) -> Quantity | None:
    """The exact quantity of a text; None if it is not one, or not one of `base`.

    A plain number is not a quantity.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if duration := _DURATION.fullmatch(text):
        parts = _PART.findall(duration[2])
        seconds = sum((Fraction(number) * _size(name, _TIME) for number, name in parts), Fraction())
        return _of(duration[1], seconds, _TIME) if base in (None, _TIME) else None
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    sign, number, name = found.groups()
    minutes = name == "m" and base == _TIME
    kind = _TIME if minutes else UNITS[name].base
    if base not in (None, kind) and kind != _COUNT:
        return None
    return _of(sign, Fraction(number) * _size(name, kind), kind)


def in_unit(value: Any, wanted: Unit) -> Any:
    """A text with a unit as a number in the wanted unit; other values are unchanged.

    Raises:
        UnitError: it is a text without a unit, or with a unit of another kind.
    """
    if not isinstance(value, str):
        return value
    found = quantity(value, wanted.base)
    if found is None:
        reason = unknown_unit(value)
        why = f": {reason}" if reason else ""
        raise UnitError(f"{value!r} is not a number with a unit such as {wanted.name}{why}")
    return from_base(found.number, wanted) if found.base else _plain(found.number)


def declared_in(value: Any, name: str) -> Any:
    """`in_unit` by the unit's name, for a validator of pydantic, which takes a ValueError."""
    try:
        return in_unit(value, UNITS[name])
    except UnitError as error:
        raise ValueError(str(error)) from None


IN_SECONDS = BeforeValidator(lambda value: declared_in(value, "s"))


def read_seconds(
    entry: Mapping[str, Any],
    key: str,
    usual: float,
    faults: list[str],
    *,
    place: str,
    least: float | None = None,
    most: float = 1e6,
) -> float:
    """The seconds of a key, with or without a unit; what is wrong goes into `faults`.

    Args:
        entry: the keys and values of `place`.
        key: the key of the time.
        usual: the seconds without the key, and beside a fault.
        faults: receives one sentence at most.
        place: the entry's name in a message.
        least: the fewest seconds; without it more than 0.
        most: the most seconds.
    """
    value = entry.get(key, usual)
    try:
        value = in_unit(value, UNITS["s"])
    except UnitError as error:
        faults.append(f"'{key}' of {place}: {error}.")
        return usual
    ok = type(value) in (int, float) and value <= most
    if not ok or not (value > 0 if least is None else value >= least):
        bounds = f"above 0 and up to {most:g} s" if least is None else f"{least:g} to {most:g} s"
        faults.append(f"'{key}' of {place} is {value!r}; write a time such as 30s, {bounds}.")
        return usual
    return float(value)


def in_base(number: float, its: Unit) -> float:
    """A number of a unit in seconds, bytes or cores."""
    return number if its.size == 1 else float(Fraction(number) * its.size)


def from_base(number: float, wanted: Unit) -> float | int:
    """Seconds, bytes or cores in a unit; an int if exact."""
    return _plain(float(_exact(number) / wanted.size))


def _exact(number: float) -> Fraction:
    """The decimal number as written: 0.0012 is 12 ten-thousandths."""
    return Fraction(repr(number)) if math.isfinite(number) else Fraction(0)


def _plain(number: float) -> float | int:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _size(name: str, base: str) -> Fraction:
    return Fraction(60) if name == "m" and base == _TIME else UNITS[name].size


def _of(sign: str, value: Fraction, base: str) -> Quantity | None:
    try:
        number = float(-value if sign == "-" else value)
    except OverflowError:
        return None
    return None if value and not number else Quantity(number, base)
