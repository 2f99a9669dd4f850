"""Metrics selected from a whole JSON document, or from rows of CSV.

select:
  tps: summary.tps                                      # JMESPath
  p50: /latency/percentiles/50.0                        # JSON Pointer
  p99: {path: "samples[].ms", of: p99}                  # over a list
  get_rps: {column: rps, where: {test: GET}}            # the one row with this cell
  worst: {column: elapsed, where: {success: "true"}, of: max}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.files.spelling import is_typo, nearest
from benchmark.hpo.objectives.metrics.csv_rows import plain_name
from benchmark.hpo.objectives.metrics.measured_values import (
    MeasureError,
    NotThereError,
    as_quantity,
    finite_number,
    number_or_text,
)
from benchmark.hpo.space.units import Quantity, Unit, from_base

_WAYS = ("mean", "median", "min", "max", "sum", "count", "first", "last")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")


def is_way(text: Any) -> bool:
    """Whether `of` can be this."""
    return isinstance(text, str) and (text in _WAYS or bool(_PERCENTILE.fullmatch(text)))


WAYS = f"{', '.join(_WAYS)}, or a percentile such as p99"


@dataclass(frozen=True)
class Selection:
    """A metric by its `path` in a document, or by its `column` in the rows with the cells `where`.

    `of` makes one number of several: WAYS.
    """

    path: str | None = None
    column: str | None = None
    where: dict[str, str] = field(default_factory=dict)
    of: str | None = None

    def in_document(self, name: str, document: Any, place: str, unit: Unit | None) -> Any:
        """The number, or text, at the path.

        Raises:
            MeasureError: nothing is there, or several where one is needed.
        """
        assert self.path is not None
        pointer = self.path.startswith("/")
        found = pointed(document, self.path) if pointer else searched(document, self.path)
        if found is None:
            raise NotThereError(
                f"'{place}' has nothing at '{self.path}' for '{name}'{_there(document)}."
            )
        if isinstance(found, list):
            return self._one(name, found, f"'{self.path}' in '{place}'", unit)
        if self.of is not None:
            raise MeasureError(f"'{self.path}' in '{place}' is no list; leave 'of' out.")
        if isinstance(found, dict):
            raise MeasureError(
                f"'{self.path}' in '{place}' is an object with {_keys(found)}; name one of these."
            )
        return found

    def in_rows(
        self, name: str, names: Sequence[str], rows: list[Any], place: str, unit: Unit | None
    ) -> Any:
        """The number, or text, in the column of the rows that have the cells.

        Raises:
            MeasureError: there is no such column or row, or several where one is needed.
        """
        assert self.column is not None
        column = _place(names, self.column, place)
        cells = {_place(names, key, place): text for key, text in self.where.items()}
        fitting = [
            row
            for row in rows
            if all(n < len(row) and row[n].strip() == text for n, text in cells.items())
        ]
        shown = " and ".join(f"{key} = {text}" for key, text in self.where.items())
        what = f"'{self.column}' in '{place}'" + (f" where {shown}" if shown else "")
        if not fitting:
            raise MeasureError(f"No row has {what}.")
        values = [number_or_text(row[column]) if column < len(row) else "" for row in fitting]
        return self._one(name, values, what, unit)

    def _one(self, name: str, values: list[Any], what: str, unit: Unit | None) -> Any:
        if self.of is None and len(values) == 1:
            return values[0]
        if self.of is None:
            raise MeasureError(
                f"{what} has {len(values)} values for '{name}'; select one, or say by 'of' what "
                f"to take of them: {WAYS}."
            )
        if self.of == "count":
            return float(len(values))
        if not values:
            raise MeasureError(f"{what} has no value for '{name}'.")
        if self.of in ("first", "last"):
            return values[0 if self.of == "first" else -1]
        return self._aggregate([_number(value, what, unit) for value in values], what)

    def _aggregate(self, values: list[Quantity], what: str) -> Quantity:
        bases = {value.base for value in values}
        if len(bases) > 1:
            raise MeasureError(f"{what} has values with different units.")
        assert self.of is not None
        return Quantity(aggregated([value.number for value in values], self.of), bases.pop())


def aggregated(values: Sequence[float], of: str) -> float:
    """One number of several, by one of WAYS."""
    import numpy as np

    if of in ("first", "last"):
        return values[0 if of == "first" else -1]
    if of == "count":
        return float(len(values))
    if percentile := _PERCENTILE.fullmatch(of):
        return float(np.percentile(values, float(percentile[1])))
    return float(getattr(np, of)(values))


def searched(document: Any, path: str) -> Any:
    """What JMESPath finds.

    Raises:
        MeasureError: a function of the path cannot take what is there.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(path, document)
    except JMESPathError as error:
        raise MeasureError(f"'{path}' has no value here: {' '.join(str(error).split())}.") from None


def pointed(document: Any, pointer: str) -> Any:
    """What a JSON Pointer (RFC 6901) names; None where there is nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif (
            isinstance(document, list)
            and len(key) < 20
            and key.isdecimal()
            and int(key) < len(document)
        ):
            document = document[int(key)]
        else:
            return None
    return document


def path_fault(path: Any) -> str | None:
    """Why a text is no path, in a phrase."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    if not isinstance(path, str) or not path:
        return "it is no text"
    if path.startswith("/"):
        return None
    try:
        jmespath.compile(path)
    except RecursionError:
        return "it is nested too deeply"
    except JMESPathError as error:
        return " ".join(str(error).partition("\n")[0].split())
    return None


def _place(names: Sequence[str], wanted: str, place: str) -> int:
    """The column of a name, as the header has it or with underscores."""
    for columns in (list(names), [plain_name(name) for name in names]):
        if columns.count(wanted) == 1:
            return columns.index(wanted)
        if wanted in columns:
            raise MeasureError(f"The header of '{place}' has '{wanted}' twice; rename one.")
    near = nearest(wanted, names)
    hint = f" Did you mean '{near}'?" if near else ""
    raise NotThereError(
        f"'{place}' has no column '{wanted}'; its columns are {', '.join(names)[:200]}.{hint}",
        certain=near is not None and is_typo(wanted, near),
    )


def _number(value: Any, what: str, unit: Unit | None) -> Quantity:
    number = finite_number(value)
    if number is not None:
        return Quantity(number)
    found = as_quantity(value, unit)
    if found is None:
        raise MeasureError(f"{what} has {str(value)[:80]!r}, which is not a finite number.")
    if unit is not None and found.base == unit.base:
        return Quantity(float(from_base(found.number, unit)))
    return found


def _there(document: Any) -> str:
    if isinstance(document, dict):
        return f"; it is an object with {_keys(document)}"
    return f"; it is a list of {len(document)}" if isinstance(document, list) else ""


def _keys(values: dict[str, Any]) -> str:
    return ", ".join(map(str, values))[:200] or "no keys"
