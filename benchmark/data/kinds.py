"""The kinds of columns: declared ones, and those of a target.

table = retyped(table, Reading(columns={"zip": "category", "day": "date"}), "sales.csv")
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmark.data import exact, targets
from benchmark.errors import DataError

_NUMBER = r"^\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*$"
# With a currency, a percent sign, or marks between thousands.
_FORMATTED = (
    r"^[\s\x{a0}]*[+\-\x{2212}]?\s*[$€£¥]?\s*"
    r"(\d+|\d{1,3}([,.' \x{a0}\x{202f}]\d{3})+)([.,]\d+)?[\s\x{a0}]*[%$€£¥]?[\s\x{a0}]*$"
)
_DATE = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}(:?\d{2}.*)?)?\s*$"
_POINTED = r"^\s*[+-]?\d+(\.\d+)+(,\d*)?\s*$"
_COMMA = '"decimal" is ","; remove the points between thousands, or correct "decimal"'


@dataclass(frozen=True)
class Reading:
    """Options for reading a file; `columns` has kinds by name.

    `named` are columns that are wanted even if they are an index. The labels of a classification
    (`type`) are read as they are written.
    """

    format: str | None = None
    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    missing: tuple[str, ...] | None = None
    columns: dict[str, str] = field(default_factory=dict)
    target: str | None = None
    type: str | None = None
    named: frozenset[str] = frozenset()


def plain_numbers(text: pa.Array, reading: Reading) -> pa.Array:
    """Text of numbers with a decimal point; null for a word that means missing."""
    if reading.missing is None:
        text = exact.without_words(text, exact.MISSING_NUMBERS)
    plain = _with_point(text, reading)
    if not reading.missing:
        return plain
    words = _digits(_with_point(pa.array(reading.missing), reading))
    return pc.if_else(pc.is_in(_digits(plain), words), pa.scalar(None, plain.type), plain)


def _with_point(text: pa.Array, reading: Reading) -> pa.Array:
    return pc.replace_substring(text, ",", ".") if reading.decimal == "," else text


def _pointed(text: pa.Array, reading: Reading) -> str | None:
    """The first number such as 1.234 where the decimal sign is a comma, so a point is none."""
    if reading.decimal != ",":
        return None
    found = text.filter(pc.match_substring_regex(text, _POINTED))
    return str(found[0].as_py()).strip() if len(found) else None


def _digits(text: pa.Array) -> pa.Array:
    """The text of a number without zeros at the end of its fraction: -999 for -999.0."""
    shorter = pc.replace_substring_regex(exact.trim(text), r"(\d\.\d*?)0*$", r"\1")
    return pc.replace_substring_regex(shorter, r"(\d)\.$", r"\1")


def without_missing(table: pa.Table, reading: Reading) -> pa.Table:
    """Null where a typed value is a word that means missing; a numeric word matches its number."""
    words = reading.missing
    if not words:
        return table
    columns = [_without(column, reading) for column in table.columns]
    return without_levels(pa.table(columns, table.column_names), reading)


def _without(column: pa.ChunkedArray | pa.Array, reading: Reading) -> pa.ChunkedArray | pa.Array:
    """A column of text, numbers, booleans or dates without the words that mean missing."""
    kind, words = column.type, reading.missing or ()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return exact.without_words(column.cast(pa.string()), words)
    plain = [word.replace(reading.decimal or ".", ".") for word in words]
    values = column
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        values = exact.seconds(column)
    gaps = [value for word in plain if (value := _as_value(word, kind)) is not None]
    if not gaps:
        return column
    hit = pc.is_in(values, pa.array(gaps, values.type))
    return pc.if_else(hit, pa.scalar(None, kind), column)


def _as_value(word: str, kind: pa.DataType) -> Any:
    """A word as a value of this kind (a date as seconds since 1970); None if it is not one."""
    is_ = pa.types
    try:
        if is_.is_date(kind) or is_.is_timestamp(kind):
            return exact.seconds(exact.dates(pa.array([word])))[0].as_py()
        if is_.is_boolean(kind):
            return {"true": True, "false": False}.get(word.strip().lower())
        if is_.is_integer(kind):
            number = Decimal(word)
            fits = "_" not in word and abs(number) < 2**64 and number == number.to_integral()
            word = f"{number:f}".partition(".")[0] if fits else ""
        numeric = is_.is_integer(kind) or is_.is_floating(kind) or is_.is_decimal(kind)
        return pa.array([word]).cast(kind)[0].as_py() if numeric else None
    except (pa.ArrowException, ArithmeticError):
        return None


def without_levels(table: pa.Table, reading: Reading) -> pa.Table:
    """The categories without levels that mean missing."""
    words = reading.missing
    if not words:
        return table
    for place, name in enumerate(table.column_names):
        if not pa.types.is_dictionary(table.schema.field(place).type):
            continue
        array = table.column(place).combine_chunks()
        text = exact.as_text(array.dictionary)
        kept = exact.without_words(exact.as_text(_without(array.dictionary, reading)), words)
        if kept.null_count == text.null_count:
            continue
        levels = kept.drop_null()
        codes = pc.index_in(kept, levels, skip_nulls=True).take(array.indices)
        ordered = array.type.ordered
        new = pa.DictionaryArray.from_arrays(codes, levels, ordered=ordered)
        table = table.set_column(place, name, new)
    return table


def with_target(table: pa.Table, reading: Reading) -> tuple[pa.Table, list[str]]:
    """The text of a CSV's target as labels, as numbers, or as dates for a regression; and notes.

    Labels are text as they are written. Where no type is asked for, numbers are a regression. A
    word such as "NA" is missing among numbers, also where these are labels.
    """
    target = reading.target
    if table.column_names.count(target) != 1 or target in reading.columns:
        return table, []
    place = table.column_names.index(target)
    text = exact.combined(table.column(place))
    if not pa.types.is_string(text.type):
        return table, []
    plain = plain_numbers(text, reading)
    column, notes = text, list[str]()
    pointed = _pointed(text, reading) if reading.type != "classification" else None
    rest = pc.match_substring_regex(text, _POINTED) if pointed else None
    if pointed and exact.are_numbers(plain.filter(pc.invert(rest))):
        raise DataError(f'The target "{target}" holds {pointed}, and {_COMMA}.')
    if exact.are_numbers(plain):
        if reading.type == "classification":
            column = pc.if_else(plain.is_null(), pa.scalar(None, pa.string()), text)
        else:
            column, notes = _numbers(plain)
            column = _without(column, reading)
    elif reading.type == "regression":
        # If it is neither, the data set reports a text that is not a number.
        with contextlib.suppress(pa.ArrowInvalid):
            column = exact.dates(text)
    return table.set_column(place, target, column), notes


def _numbers(text: pa.Array) -> tuple[pa.Array, list[str]]:
    """Numbers of a regression target; a loss of digits is noted."""
    trimmed = exact.trim(text)
    floats = trimmed.cast(pa.float64())
    notes = targets.lost(trimmed, floats)
    return (floats, notes) if notes else (exact.numbers(trimmed, "target"), notes)


def suspect_columns(table: pa.Table, reading: Reading) -> list[str]:
    """Notes on undeclared columns of a CSV: numbers or dates that are read as text, an index."""
    notes = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in reading.columns:
            continue
        if name in reading.named:
            if name == reading.target and reading.type is None and pa.types.is_string(column.type):
                text = exact.combined(column).drop_null()
                words = _others(text, _NUMBER)
                if not len(words) or not _are_few(words, text):  # `targets.notes` names those.
                    notes += _stray(name, text)
            continue
        if re.fullmatch(r"(Unnamed: \d+)?", name):
            notes.append(
                f'column "{name}" has no name, as an index that pandas or R wrote; "ignore" in '
                '"columns" leaves it out'
            )
        if pa.types.is_string(column.type):
            notes += _stray(name, exact.combined(column).drop_null())
    return notes


def _stray(name: str, text: pa.Array) -> list[str]:
    words = _others(text, _NUMBER)
    if not len(words):
        return _with_commas(name, text)
    if _are_few(words, text):
        return [
            f'column "{name}" is a category because of {_shown(words)}; list such words in '
            '"missing" to read the numbers of the others'
        ]
    distinct = text.unique()
    if not len(_others(distinct, _FORMATTED)):
        return [
            f'the numbers of column "{name}" are text because of their form, as in "{words[0]}"; '
            "write them with digits and a decimal sign only"
        ]
    words = _others(distinct, _DATE)
    if not _are_few(words, distinct):
        return []
    if not len(words):
        return [
            f'column "{name}" is a category although its values are dates, such as "{text[0]}"; '
            'declare "date" in "columns" to read them as seconds since 1970'
        ]
    return [
        f'column "{name}" is a category because of {_shown(text.filter(pc.is_in(text, words)))}; '
        'list such words in "missing" and declare "date" in "columns" to read the dates of the '
        "others"
    ]


def _others(text: pa.Array, pattern: str) -> pa.Array:
    return text.filter(pc.invert(pc.match_substring_regex(text, pattern)))


def _are_few(words: pa.Array, text: pa.Array) -> bool:
    return len(words) <= (1 - targets.MANY_NUMBERS) * len(text)


def _shown(words: pa.Array) -> str:
    """ "NA", "-" in 3 rows."""
    shown = ", ".join(f'"{word}"' for word in words.unique()[:3].to_pylist())
    return f"{shown} in {len(words)} row{'s' * (len(words) != 1)}"


def _with_commas(name: str, text: pa.Array) -> list[str]:
    """A note if all values are numbers and some have a comma, so that they were read as text."""
    commas = text.filter(pc.match_substring(text, ","))
    if not len(commas) or not pc.all(pc.match_substring_regex(text, _NUMBER)).as_py():
        return []
    return [
        f'the numbers of column "{name}" are text because of the comma in "{commas[0]}"; if it is '
        'a decimal comma, declare "decimal": ","'
    ]


_FIXES = {
    "number": 'add the word to "missing", or declare "category"',
    "integer": 'correct the value, or declare "number" or "category"',
    "boolean": 'write true or false, or declare "category"',
    "category": 'declare "ignore"',
    "text": 'declare "ignore"',
    "date": 'write dates as 2026-01-31 or 2026-01-31T12:00:00, or declare "category"',
}


def retyped(table: pa.Table, reading: Reading, place: str) -> pa.Table:
    """The table with the declared kinds; `place` is its source.

    Raises:
        DataError: a column is missing, or holds a value that does not fit its kind.
    """
    strangers = sorted(set(reading.columns) - set(table.column_names))
    if strangers:
        raise DataError(
            f'{place} has no column "{strangers[0]}", which "columns" names; it has '
            f"{', '.join(table.column_names[:10])}{' …' if table.num_columns > 10 else ''}."
        )
    for name, kind in reading.columns.items():
        number = table.column_names.index(name)
        if kind == "ignore":
            table = table.remove_column(number)
            continue
        try:
            column = _as_kind(exact.combined(table.column(number)), kind, reading)
        except (pa.ArrowException, ValueError) as error:
            reason = " ".join(str(error).split())[:240].rstrip(".")
            fix = f"; {_FIXES[kind]}" if isinstance(error, pa.ArrowException) else ""
            raise DataError(
                f'The column "{name}" of {place} cannot be read as {kind}: {reason}{fix}.'
            ) from None
        table = table.set_column(number, name, column)
    return table


def _as_kind(column: pa.Array, kind: str, reading: Reading) -> pa.Array:
    if kind in ("category", "text"):
        dictionary = pa.types.is_dictionary(column.type)
        return column if dictionary else exact.as_text(column).dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = exact.as_text(column.dictionary).take(column.indices)
    if pa.types.is_string(column.type):
        pointed = _pointed(column, reading) if kind in ("number", "integer") else None
        if pointed:
            raise ValueError(f"it holds {pointed}, and {_COMMA}")
        column = exact.trim(plain_numbers(column, reading))
    if pa.types.is_boolean(column.type) and kind in ("number", "integer"):
        raise ValueError('it holds true and false; declare "boolean" or "category"')
    if pa.types.is_temporal(column.type) and kind in ("number", "integer"):
        raise ValueError(
            f'it holds {column.type}, which is a number in no certain unit; declare "date", which '
            'gives seconds since 1970, or "category"'
        )
    return {"number": exact.floats, "integer": _integer, "boolean": _boolean, "date": _date}[kind](
        column
    )


def _integer(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type):
        column = exact.numbers(column, "column")
        if (
            pa.types.is_floating(column.type)
            and pc.max(pc.abs(column)).as_py() >= exact.EXACT_FLOAT
        ):
            raise ValueError("a float such as 1e20 may have lost digits of a whole number")
    return column if pa.types.is_uint64(column.type) else column.cast(pa.int64())


def _boolean(column: pa.Array) -> pa.Array:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        odd = column.filter(pc.invert(pc.is_in(column, pa.array([0, 1]).cast(column.type))))
        odd = odd.drop_null()
        if len(odd):
            raise ValueError(
                f"it holds {odd[0].as_py()}, but only the numbers 0 and 1 are booleans"
            )
    return column.cast(pa.bool_())


def _date(column: pa.Array) -> pa.Array:
    """Timestamps from ISO 8601, with or without dashes, or from seconds since 1970."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column
    if pa.types.is_null(kind):
        return column.cast(pa.timestamp("us"))
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not numeric and not pa.types.is_string(kind):
        raise ValueError(f"it holds {kind}, which is not a date")
    text = exact.as_text(column) if numeric else column
    given = text.drop_null()
    if not len(given) or not exact.are_numbers(given):
        return exact.dates(text)
    return _dates_of_numbers(text, given)


def _dates_of_numbers(text: pa.Array, given: pa.Array) -> pa.Array:
    """Timestamps from years, days such as 20260131, or seconds since 1970; one form for all."""
    lengths = set(pc.utf8_length(given).to_pylist())
    if pc.all(pc.match_substring_regex(given, r"^\d+$")).as_py():
        if lengths == {4}:
            return exact.dates(pc.binary_join_element_wise(text, "01-01", "-"))
        if lengths == {8}:
            parts = [pc.utf8_slice_codeunits(text, *ends) for ends in ((0, 4), (4, 6), (6, 8))]
            return exact.dates(pc.binary_join_element_wise(*parts, "-"))
        if lengths <= {9, 10}:
            return text.cast(pa.int64()).cast(pa.timestamp("s"))
    raise ValueError(
        f"it holds numbers such as {given[0].as_py()}, which are neither years, nor days such as "
        "20260131, nor seconds since 1970; write dates as 2026-01-31 or 2026-01-31T12:00:00, or "
        'declare "number"'
    )
