"""A data set's target: classes as text or float64 numbers, and notes on suspicious values.

goal = classes_of("iris", column)                   # a dictionary array, levels sorted as text
notes(column, goal, dropped)                        # ['2 rows without a target are left out']
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from benchmark.data import exact
from benchmark.errors import DataError

MANY_NUMBERS = 0.9
_MOST_NAMED = 5


def with_levels(column: pa.Array, levels: list[str], *, ordered: bool) -> pa.DictionaryArray:
    """The text of a column as codes of these levels."""
    values = exact.texts(levels)
    codes = pc.index_in(column.cast(pa.string()), values)
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    return pa.DictionaryArray.from_arrays(codes, values, ordered=ordered)


def classes_of(name: str, goal: pa.Array) -> pa.DictionaryArray:
    """The labels as text, with the classes that occur as levels, sorted.

    Raises:
        DataError: there is only one class.
    """
    decoded = goal.dictionary_decode() if pa.types.is_dictionary(goal.type) else goal
    labels = exact.as_text(decoded)
    classes = sorted(labels.unique().to_pylist())
    if len(classes) < 2:
        raise DataError(
            f'Data set {name} has only the class "{classes[0]}"; a classification needs two.'
        )
    return with_levels(labels, classes, ordered=False)


def numbers_of(name: str, target: str, goal: pa.Array) -> pa.Array:
    """The numbers as float64.

    Raises:
        DataError: they are text or categories, or one is infinite.
    """
    if pa.types.is_dictionary(goal.type):
        example = goal[0].as_py()
        raise DataError(
            f'The regression target of data set {name} is not numeric (it holds "{example}"); '
            f'make it numbers, as with "columns": {{"{target}": "number"}}, or the type '
            '"classification".'
        )
    numbers = goal.cast(pa.float64(), safe=False)
    if not pc.all(pc.is_finite(numbers)).as_py():
        raise DataError(
            f"The regression target of data set {name} holds an infinite value; correct or remove "
            "its row."
        )
    return numbers


def notes(raw: pa.Array, goal: pa.Array, dropped: int) -> list[str]:
    """Notes on a target; `raw` is the column as read, without the dropped rows."""
    found = []
    if dropped:
        rows = f"{dropped} row" if dropped == 1 else f"{dropped} rows"
        found.append(f"{rows} without a target (it is missing there) left out")
    if not pa.types.is_dictionary(goal.type):
        return found + lost(raw, goal)
    found += _unused(raw, goal)
    counts = Counter(goal.dictionary.take(goal.indices).to_pylist())
    if len(counts) == len(goal) and len(goal) > 2:
        found.append(f"each of the {len(goal)} rows has a class of its own; is it a regression?")
    return found + _mixed(counts) + _alike(list(counts))


def lost(raw: pa.Array, numbers: pa.Array) -> list[str]:
    """A note on a target with more digits than float64 can hold."""
    value = exact.lost_digits(raw, numbers)
    if value is None:
        return []
    return [f"the target loses digits: {value} is read as {float(value)!r}"]


def _unused(raw: pa.Array, goal: pa.Array) -> list[str]:
    if not pa.types.is_dictionary(raw.type):
        return []
    present = set(goal.dictionary.to_pylist())
    declared = exact.as_text(raw.dictionary).to_pylist()
    unused = [name for name in declared if name is not None and name not in present]
    return [f"{_quoted(unused)} declared as a class but in no row"] if unused else []


def _mixed(counts: Counter[str]) -> list[str]:
    """A note on numbers with a few words, which probably mean missing values, not classes."""
    classes = list(counts)
    numeric = exact.number_mask(exact.texts(classes))
    words = [name for name, is_number in zip(classes, numeric, strict=True) if not is_number]
    rows = sum(counts[word] for word in words)
    if not words or rows > (1 - MANY_NUMBERS) * counts.total():
        return []
    return [
        f"the target is a number in all rows but {rows}, which have {_quoted(words)}; the numbers "
        'are treated as classes unless "missing" lists such words'
    ]


def _alike(classes: list[str]) -> list[str]:
    """A note on labels that differ as text but are equal as numbers, or but for white space."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_without_form(name), []).append(name)
    twins = [names for names in groups.values() if len(names) > 1]
    shown = "; ".join(_quoted(sorted(names)) for names in twins[:_MOST_NAMED])
    more = "; …" if len(twins) > _MOST_NAMED else ""
    return [f"{shown}{more} are different classes"] if twins else []


def _without_form(name: str) -> str:
    """A number's digits, or a word without case and outer white space."""
    try:
        return str(Decimal(name.strip()).normalize())
    except InvalidOperation:
        return name.strip().casefold()


def _quoted(names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:_MOST_NAMED])
    return f"{shown} …" if len(names) > _MOST_NAMED else shown
