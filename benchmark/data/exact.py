"""Text, numbers and dates without loss: values are read exactly, or refused.

as_text(pa.array([1.0, 1.5]))                       # ["1", "1.5"]: equal where values are equal
numbers(pa.array(["9007199254740993"]), "x")        # int64, exact; float64 where that loses nothing
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

from benchmark.errors import DataError

EXACT_FLOAT = 2.0**53
# The words that Arrow's CSV reader treats as a missing number.
MISSING_NUMBERS: tuple[str, ...] = tuple(pc_csv.ConvertOptions().null_values)
_INTEGERS = (pa.int64(), pa.uint64())
_MANY_DIGITS = r"\d[\d.]{15,}|[eE]-\d{3}"
TINY = r"[eE]-0*([3-9]\d\d|[1-9]\d{3})|\.0{300}"
"""Numbers that may be nearer to 0 than a float64 of full precision can be."""
_SMALLEST = sys.float_info.min
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def combined(column: pa.ChunkedArray) -> pa.Array:
    """The column in one chunk."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        return pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    return array


def row_numbers(rows: NDArray[np.int64]) -> pa.Array:
    """The rows as an Arrow array over the same memory.

    Arrow's own conversions from and to NumPy import pandas, which takes longer than all else that
    the start of a runner does.
    """
    buffer = pa.py_buffer(np.ascontiguousarray(rows, dtype=np.int64))
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, buffer])


def texts(values: Sequence[str]) -> pa.Array:
    """The same for text."""
    parts = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(pa.string(), len(parts), buffers)


def valid(array: pa.Array) -> NDArray[np.bool_]:
    """Where a value is present."""
    return to_numpy(array.is_valid().cast(pa.uint8())).astype(bool)


def to_numpy(array: pa.Array, missing: float = np.nan) -> NDArray[Any]:
    """Integers or floats as NumPy has them, with `missing` where a value is missing."""
    kind = np.dtype(array.type.to_pandas_dtype())
    if not len(array):
        return np.empty(0, kind)
    values = np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize)
    return values if not array.null_count else np.where(valid(array), values, missing).astype(kind)


def without_nan(array: pa.Array) -> pa.Array:
    """Floats with every NaN as a missing value."""
    return pc.if_else(pc.is_nan(array), pa.nulls(1, array.type)[0], array)


def as_text(array: pa.Array) -> pa.Array:
    """The text of each value; whole floats have no fraction, NaN is missing."""
    if not pa.types.is_floating(array.type):
        return array.cast(pa.string())
    wide = array if not pa.types.is_float16(array.type) else array.cast(pa.float32())
    wide = without_nan(wide)
    whole = pc.and_(pc.equal(wide, pc.floor(wide)), pc.less(pc.abs(wide), 2.0**63))
    digits = pc.if_else(whole, wide, pa.scalar(None, wide.type)).cast(pa.int64())
    return pc.if_else(whole, digits.cast(pa.string()), wide.cast(pa.string()))


def floats(array: pa.Array) -> pa.Array:
    """The nearest float64 of each number; Arrow's own cast of decimals may miss it."""
    decimal = pa.types.is_decimal(array.type)
    return (array.cast(pa.string()) if decimal else array).cast(pa.float64(), safe=False)


def numbers(text: pa.Array, place: str) -> pa.Array:
    """The numbers that text holds: int64 or uint64 where all are whole, else float64.

    Raises:
        DataError: a whole number beyond 2^53 occurs together with fractions, or is beyond 64 bits;
            or a number is too near to 0 for float64.
        pyarrow.ArrowInvalid: something is not a number.
    """
    trimmed = trim(text)
    for kind in _INTEGERS:
        try:
            return trimmed.cast(kind)
        except pa.ArrowInvalid:
            continue
    found = trimmed.cast(pa.float64())
    tiny = lost_tiny(trimmed)
    if tiny is not None:
        raise DataError(
            f"The {place} holds {tiny}, which a floating-point number holds as {float(tiny)!r}; "
            'declare the column as "category" or "ignore", or as "number" for the nearest '
            "floating-point numbers."
        )
    lost = next(_inexact(_whole(trimmed)), None)
    if lost is not None:
        raise DataError(
            f"The {place} holds {lost}, which loses digits as a floating-point number, and not "
            'only whole numbers of 64 bits; declare the column as "category" or "ignore", or as '
            '"number" for the nearest floating-point numbers.'
        )
    return found


def are_numbers(text: pa.Array) -> bool:
    """Whether every non-missing value is a number."""
    try:
        trim(text).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def number_mask(text: pa.Array) -> list[bool]:
    """For each text, whether it is a number."""

    def is_number(value: str) -> bool:
        try:
            float(value)
        except ValueError:
            return False
        return "_" not in value

    return [is_number(value) for value in text.to_pylist()]


def trim(text: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(text)


def without_words(text: pa.Array, words: Iterable[str]) -> pa.Array:
    """Null where the text is one of the words."""
    hit = pc.is_in(text, pa.array(list(words), pa.string()))
    return pc.if_else(hit, pa.scalar(None, text.type), text)


def lost_digits(values: pa.Array, numbers: pa.Array) -> str | None:
    """The first value that float64 does not hold; in text, more than 17 digits and 1e-400."""
    kind = values.type
    if pa.types.is_integer(kind):
        # A float beyond the integers' range cannot be cast back; it is not exact either.
        back = numbers.cast(pa.decimal128(38, 0), safe=False)
        differing = pc.not_equal(back, values.cast(pa.decimal128(38, 0)))
        lost = values.filter(differing)
        return str(lost[0].as_py()) if len(lost) else None
    if pa.types.is_decimal(kind):
        return next(_inexact(values.cast(pa.string())), None)
    if pa.types.is_string(kind):
        long = pc.match_substring_regex(values, _MANY_DIGITS)
        return next(_inexact(values.filter(long)), None)
    return None


def lost_tiny(text: pa.Array) -> str | None:
    """The first number that is too near to 0 for float64: 0 or a few digits are left of it."""
    found = text.filter(pc.match_substring_regex(text, TINY))
    return next((value for value in _inexact(found) if abs(float(value)) < _SMALLEST), None)


def dates(text: pa.Array) -> pa.Array:
    """Timestamps of ISO 8601 texts; one with a zone is an instant, one without is in UTC.

    Raises:
        pyarrow.ArrowInvalid: a text is not one, or only some have a zone.
    """
    trimmed = trim(text)
    for unit in ("us", "ns"):
        for zone in (None, "UTC"):
            try:
                return trimmed.cast(pa.timestamp(unit, zone))
            except pa.ArrowInvalid:
                continue
    return trimmed.cast(pa.timestamp("us"))


def seconds(array: pa.Array) -> pa.Array:
    """Seconds since 1970 of dates and timestamps of any unit, the nearest float64."""
    if pa.types.is_date32(array.type):
        return pc.multiply(array.cast(pa.int32()).cast(pa.float64()), 86_400.0)
    factor = _ticks_per_second(array.type)
    ticks = array.cast(pa.int64())
    extremes = pc.min_max(ticks).as_py()
    if factor > 1 and any(abs(end or 0) > EXACT_FLOAT for end in extremes.values()):
        # Python divides whole numbers without rounding them first.
        ratios = [None if tick is None else tick / factor for tick in ticks.to_pylist()]
        return pa.array(ratios, pa.float64())
    return pc.divide(ticks.cast(pa.float64(), safe=False), float(factor))


def lost_time(array: pa.Array, found: pa.Array) -> str | None:
    """The first date or timestamp that its float64 seconds, `found`, do not give back."""
    if pa.types.is_date32(array.type):
        return None
    factor = _ticks_per_second(array.type)
    ticks, floats = to_numpy(array.cast(pa.int64()), 0), to_numpy(found, 0)
    whole = np.floor(floats)
    with np.errstate(invalid="ignore"):
        back = whole.astype(np.int64) * factor + np.rint((floats - whole) * factor).astype(np.int64)
    places = np.flatnonzero(back != ticks)
    return str(array[int(places[0])].cast(pa.string()).as_py()) if len(places) else None


def _ticks_per_second(kind: pa.DataType) -> int:
    return 1_000 if pa.types.is_date64(kind) else _PER_SECOND[kind.unit]


def _whole(text: pa.Array) -> pa.Array:
    whole = pc.match_substring_regex(text, r"^[+-]?\d{16,}(\.0*)?$")
    return text.filter(whole)


def _inexact(text: pa.Array) -> Iterator[str]:
    """The texts that are not the shortest form of their float."""
    for value in text.unique().to_pylist():
        try:
            if Decimal(value) != Decimal(repr(float(value))):
                yield value
        except (ValueError, InvalidOperation):
            continue  # A hexadecimal number: it is exact.
