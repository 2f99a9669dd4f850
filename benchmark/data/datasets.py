"""A data set: a typed table with a target and a hash of its content.

dataset = Dataset.of("penguins", "classification", "species", table)
dataset.classes                                     # ["Adelie", "Chinstrap", "Gentoo"]
Dataset.from_parquet(dataset.to_parquet(), dataset.description).hash == dataset.hash
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.data import exact, targets
from benchmark.data.folds import Folds
from benchmark.errors import DataError

_TEXTS = (
    *(pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string),
    pa.types.is_string_view,
)
# Data read by another version are read again.
READER = 5
MOST_COLUMNS = 20_000
LEVELS_KEY = b"benchmark.levels"
EARLIER_HASH = "hash_without_levels"
"""The hash of earlier versions, if it differs: without the levels of categories."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set whose table holds only integers, floats and categories.

    Categories are dictionary columns of strings; the target of a classification is one whose
    levels are exactly the classes, the target of a regression is float64. Missing values are null.
    Build it with `of` or `from_parquet`.
    """

    name: str
    type: Literal["classification", "regression"]
    target: str
    table: pa.Table
    hash: str
    description: dict[str, Any]
    folds: Folds | None = None

    @classmethod
    def of(  # noqa: PLR0917
        cls,
        name: str,
        type: str,
        target: str,
        table: pa.Table,
        description: dict[str, Any] | None = None,
        folds: Folds | None = None,
    ) -> Dataset:
        """Bring a table into the data set's types and check it.

        Text, booleans and dictionary columns become categories of strings; dates and times
        become seconds since 1970; NaN becomes missing; rows without a target are dropped, from
        the data set's own `folds` too. The hash covers both.

        Raises:
            DataError: the target is missing or unusable, or a column's type is unsupported.
        """
        if type not in ("classification", "regression"):
            raise DataError(
                f'Data set {name} has the type "{type}"; write "classification" or "regression".'
            )
        names: list[str] = table.column_names
        if len(names) > MOST_COLUMNS:
            raise DataError(
                f"Data set {name} has {len(names)} columns, and at most {MOST_COLUMNS} are "
                "supported; leave some out."
            )
        if len(set(names)) < len(names):
            twice = next(column for column in names if names.count(column) > 1)
            raise DataError(f'Data set {name} has two columns "{twice}"; rename one of them.')
        if target not in names:
            raise DataError(_without_target(name, target, names))
        columns = {c: _normal(table.column(c), f'column "{c}" of {name}') for c in names}
        rounded = _rounded(table, columns, target if type == "classification" else None)
        goal, raw = columns[target], exact.combined(table.column(target))
        if not len(goal):
            raise DataError(f"Data set {name} has no rows; it needs at least two.")
        present = goal.is_valid()
        if not pc.any(present).as_py():
            raise DataError(f'The target "{target}" of data set {name} is missing in every row.')
        columns = {c: column.filter(present) for c, column in columns.items()}
        goal, raw = columns[target], raw.filter(present)
        goal = columns[target] = (
            targets.classes_of(name, raw)
            if type == "classification"
            else targets.numbers_of(name, target, goal)
        )
        if len(goal) < 2:
            raise DataError(f"Data set {name} has one row with a target; it needs at least two.")
        if len(names) < 2:
            raise DataError(f"Data set {name} has no column but its target; add features.")
        for feature in (each for each in names if each != target):
            _check_kept(columns[feature], f'column "{feature}" of {name}')
        notes = targets.notes(raw, goal, len(present) - len(goal))
        notes += _infinite({c: column for c, column in columns.items() if c != target})
        notes += rounded
        normal = pa.table(columns)
        if folds is not None:
            folds = folds.kept(present.to_numpy(zero_copy_only=False))
            empty = folds.empty_fold
            if empty is not None:
                raise DataError(
                    f"Fold {empty} of data set {name} has no row to train on, or none to test."
                )
        digest = _content_hash(normal, target, type, folds)
        earlier = _content_hash(normal, target, type, folds, levels=False)
        facts: dict[str, Any] = {"name": name, "type": type, "target": target, "hash": digest}
        if earlier != digest:
            facts[EARLIER_HASH] = earlier
        facts |= {"rows": normal.num_rows, "features": normal.num_columns - 1}
        facts["folds"] = folds.count if folds is not None else None
        known = list((description or {}).get("notes", ()))
        facts["reader"] = READER
        facts["notes"] = list(dict.fromkeys(known + notes))
        dataset = cls(name, type, target, normal, digest, (description or {}) | facts, folds)  # type: ignore[arg-type]
        classes = dataset.classes
        dataset.description.update(
            problem=dataset.problem_type, classes=len(classes) if classes else None
        )
        return dataset

    @classmethod
    def from_parquet(
        cls, content: bytes, description: dict[str, Any], folds: Folds | None = None
    ) -> Dataset:
        """Read what `to_parquet` wrote; `description` names `name`, `type` and `target`.

        If it also has the sha256 of these bytes (`parquet_sha256`), they were checked and hashed
        when they were written, and neither is done again.

        Raises:
            DataError: the bytes are not parquet, or not the content that `description` hashes.
        """
        name = str(description.get("name", "without a name"))
        sealed = description.get("parquet_sha256")
        try:
            table = pq.ParquetFile(io.BytesIO(content)).read()
            kind, target = str(description["type"]), str(description["target"])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"Data set {name} cannot be read as parquet: {error}.") from None
        except KeyError as error:
            raise DataError(f"The description of data set {name} lacks {error}.") from None
        levels = json.loads((table.schema.metadata or {}).get(LEVELS_KEY, b"{}"))
        for column, (values, ordered) in levels.items():
            place = table.column_names.index(column)
            restored = targets.with_levels(table.column(place), values, ordered=ordered)
            table = table.set_column(place, column, restored)
        if sealed and sealed == hashlib.sha256(content).hexdigest():
            table = table.replace_schema_metadata(None).combine_chunks()
            digest = str(description["hash"])
            return cls(name, kind, target, table, digest, description, folds)  # type: ignore[arg-type]
        dataset = cls.of(name, kind, target, table, description, folds)
        wanted = description.get("hash")
        if wanted and wanted == dataset.description.get(EARLIER_HASH):
            dataset.description["hash"] = wanted
            return replace(dataset, hash=wanted)
        if wanted and wanted != dataset.hash:
            raise DataError(
                f"Data set {name} has the hash {dataset.hash} but its description has {wanted}; "
                "download it again."
            )
        return dataset

    def to_parquet(self) -> bytes:
        """The table as parquet (zstd), including the order of all levels."""
        levels = {}
        for column in self.table.column_names:
            values = self.table.column(column)
            if pa.types.is_dictionary(values.type):
                one = values.combine_chunks()
                levels[column] = (one.dictionary.to_pylist(), bool(values.type.ordered))
        sink = io.BytesIO()
        metadata = {LEVELS_KEY: json.dumps(levels).encode()}
        pq.write_table(self.table.replace_schema_metadata(metadata), sink, compression="zstd")
        return sink.getvalue()

    @property
    def classes(self) -> list[str] | None:
        """All labels of the whole data set, sorted as text; None for a regression."""
        if self.type == "regression":
            return None
        levels: list[str] = self.table.column(self.target).combine_chunks().dictionary.to_pylist()
        return levels

    @property
    def problem_type(self) -> Literal["binary", "multiclass", "regression"]:
        """The kind of problem, by the number of classes."""
        classes = self.classes
        if classes is None:
            return "regression"
        return "binary" if len(classes) == 2 else "multiclass"

    @property
    def features(self) -> list[str]:
        """The columns without the target, in their order."""
        return [column for column in self.table.column_names if column != self.target]

    @property
    def categorical(self) -> list[str]:
        """The features that are categories."""
        schema = self.table.schema
        return [c for c in self.features if pa.types.is_dictionary(schema.field(c).type)]


def natural_type(table: pa.Table, target: str) -> str:
    """The default type for a target: regression for numbers, else classification."""
    if target not in table.column_names:
        return "classification"
    kind = table.schema.field(target).type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "regression" if numeric else "classification"


def _without_target(name: str, target: str, columns: list[str]) -> str:
    shown = f"its columns are {', '.join(columns[:10])}{' …' if len(columns) > 10 else ''}."
    parts = [part.strip() for part in target.split(",")]
    if len(parts) > 1 and all(part in columns for part in parts):
        return (
            f'Data set {name} names {len(parts)} targets ("{target}"); name one of them and leave '
            "the others out."
        )
    mark = next((mark for mark in ";\t|," if len(columns) == 1 and mark in columns[0]), None)
    if mark is not None:
        sign = json.dumps(mark)
        return (
            f'Data set {name} has one column, "{columns[0][:100]}"; if {sign} divides its columns, '
            f'declare "separator": {sign}.'
        )
    near = [each for each in columns if each.strip().lower() == target.strip().lower()]
    if near:
        shown = f"did you mean {json.dumps(near[0], ensure_ascii=False)}?"
    return f'Data set {name} has no column "{target}" for the target; {shown}'


def _normal(column: pa.ChunkedArray, place: str) -> pa.Array:
    """The column as integers, floats or a dictionary of strings, in one chunk."""
    kind = column.type
    array = exact.combined(column)
    is_ = pa.types
    if is_.is_dictionary(kind):
        return _category(array, place)
    if any(test(kind) for test in _TEXTS):
        return array.cast(pa.string()).dictionary_encode()
    if is_.is_integer(kind):
        return array
    if is_.is_timestamp(kind) or is_.is_date(kind):
        return exact.seconds(array)
    if is_.is_decimal(kind):
        return exact.numbers(array.cast(pa.string()), place)
    if is_.is_floating(kind) or is_.is_null(kind):
        keep = is_.is_float32(kind) or is_.is_float64(kind)
        return exact.without_nan(array if keep else array.cast(pa.float64()))
    raise DataError(
        f"The {place} holds {kind}; use numbers, text, booleans or dates, or leave it out with "
        '"ignore" in "columns".'
    )


def _check_kept(column: pa.Array, place: str) -> None:
    """Refuse whole numbers beside missing values that change as floats, which frameworks get then.

    Raises:
        DataError: there is such a number.
    """
    if not column.null_count or not pa.types.is_integer(column.type):
        return
    lost = exact.lost_digits(column, exact.floats(column))
    if lost is not None:
        raise DataError(
            f"The {place} holds {lost}, which loses digits as a floating-point number, and missing "
            "values, beside which frameworks get floating-point numbers; declare the column as "
            '"category" or "ignore", or as "number" for the nearest of these.'
        )


def _infinite(features: dict[str, pa.Array]) -> list[str]:
    """A note on infinite values, if there are any."""
    counts = {
        name: pc.sum(pc.is_inf(column)).as_py() or 0
        for name, column in features.items()
        if pa.types.is_floating(column.type)
    }
    names = [f'"{name}"' for name, count in counts.items() if count]
    total = sum(counts.values())
    values = "1 infinite value" if total == 1 else f"{total} infinite values"
    shown = f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    return [f"{values} among the features, in {shown}"] if names else []


def _rounded(table: pa.Table, columns: dict[str, pa.Array], labels: str | None) -> list[str]:
    """A note for each column of times, but not of `labels`, whose float64 seconds are not exact."""
    found = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name != labels and (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
            lost = exact.lost_time(exact.combined(column), columns[name])
            if lost is not None:
                found.append(
                    f'the times of column "{name}", such as {lost}, are rounded to seconds in '
                    "float64"
                )
    return found


def _category(array: pa.DictionaryArray, place: str) -> pa.DictionaryArray:
    """The same levels as strings, in the same order; levels with the same text are merged."""
    try:
        levels = exact.as_text(array.dictionary)
    except pa.ArrowException:
        raise DataError(f"The {place} holds categories of {array.type.value_type}.") from None
    # A missing value may be coded as a null level: normalise it.
    unique = levels.drop_null().unique()
    codes = pc.index_in(levels, unique).take(array.indices)
    return pa.DictionaryArray.from_arrays(codes, unique, ordered=array.type.ordered)


def _content_hash(
    table: pa.Table, target: str, kind: str, folds: Folds | None, *, levels: bool = True
) -> str:
    """sha256 (16 hex digits) of types, values, levels and folds, whatever the encoding of nulls.

    Levels that are the sorted values and unordered do not change the hash.
    """
    digest = hashlib.sha256(json.dumps([kind, target, table.num_rows]).encode())
    for name in table.column_names:
        array = table.column(name).combine_chunks()
        category = pa.types.is_dictionary(array.type)
        digest.update(json.dumps([name, "category" if category else str(array.type)]).encode())
        digest.update(np.packbits(exact.valid(array)).tobytes())
        if category:
            for part in _text_parts(array):
                digest.update(part)
            if levels:
                digest.update(_levels_part(array))
        else:
            filled = exact.to_numpy(array, missing=0)
            digest.update(filled.astype(filled.dtype.newbyteorder("<")).tobytes())
    found = digest.hexdigest()[:16]
    if folds is not None:
        found = hashlib.sha256(f"{found} {folds.digest()}".encode()).hexdigest()[:16]
    return found


def _levels_part(array: pa.DictionaryArray) -> bytes:
    """The levels and whether they are ordered; empty for sorted, unordered levels."""
    levels = array.dictionary.to_pylist()
    used = [levels[code] for code in array.indices.drop_null().unique().to_pylist()]
    if not array.type.ordered and levels == sorted(used):
        return b""
    return json.dumps(["levels", levels, array.type.ordered]).encode()


def _text_parts(array: pa.DictionaryArray) -> tuple[bytes, bytes]:
    """Where each value ends (int64, little-endian), and all values in one (UTF-8)."""
    values = pc.fill_null(array.dictionary_decode(), exact.texts([""])[0])
    lengths = exact.to_numpy(pc.binary_length(values))
    return np.cumsum(lengths, dtype="<i8").tobytes(), "".join(values.to_pylist()).encode()
