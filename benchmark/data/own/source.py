"""Users' own data sets: files are fetched, read as declared, and kept in the cache."""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmark.config.cache import cache_folder
from benchmark.data import exact
from benchmark.data.cache import DataCache, Entry, UnwritableCacheError
from benchmark.data.datasets import Dataset, natural_type
from benchmark.data.download import checked, download, shown
from benchmark.data.folds import Folds
from benchmark.data.formats.parquet import lost_orders
from benchmark.data.formats.tables import changed_numbers, format_of, read_table
from benchmark.data.kinds import suspect_columns, with_target
from benchmark.data.openml.file import OpenMLFile
from benchmark.errors import DataError
from benchmark.files.input_files import expanded

if TYPE_CHECKING:
    from benchmark.data.own.declarations import Declaration


def entry(
    declaration: Declaration,
    base: OpenMLFile | None = None,
    *,
    refresh: bool = False,
    on_bytes: Callable[[int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Entry:
    """The declared data set; cached while neither declaration nor files change.

    If the cache cannot be written, the data set is read each time and kept in memory; `on_note`
    gets the reason. `base` is the file of the OpenML data set that the declaration names, if any.

    Raises:
        DataError: it is unavailable or unusable.
    """
    cache = _cache()
    place = hashlib.sha256(str(declaration.place.absolute()).encode()).hexdigest()[:12]
    key = f"{declaration.name}~{place}"
    paths = _files(declaration, refresh, on_bytes)
    signature = _signature(declaration, paths, base)
    with cache.lock_if_writable(key) as locked:
        fault = locked
        present = cache.entry(key)
        fresh = present and present.description.get("signature") == signature
        if present and fresh and not present.outdated and cache.is_whole(key):
            return present
        dataset = _read(declaration, paths, signature, base)
        try:
            if fault is None:
                return cache.put(dataset, key)
        except UnwritableCacheError as error:
            fault = error
    if on_note is not None:
        on_note(f"{fault} Until then each command reads own data sets again.")
    return Entry(key, dataset.description, dataset)


def kept(name: str) -> list[Entry]:
    """The data sets of this name that were read on this machine, of any declaration."""
    cache = _cache()
    keys = [path.stem for path in cache.folder.glob(f"{glob.escape(name)}~*.json")]
    return [entry for key in keys if (entry := cache.entry(key)) is not None]


def _cache() -> DataCache:
    return DataCache(cache_folder() / "datasets" / "own")


def _files(
    declaration: Declaration, refresh: bool, on_bytes: Callable[[int], None] | None
) -> list[Path]:
    if declaration.url is not None:
        folder = cache_folder() / "datasets" / "urls"
        sha256 = declaration.sha256
        return [download(declaration.url, folder, sha256, refresh=refresh, on_bytes=on_bytes)]
    names = [declaration.file, declaration.train, declaration.test]
    paths = [_within(declaration, name) for name in names if name]
    return [checked(path, declaration.sha256, str(path)) for path in paths]


def _within(declaration: Declaration, name: str) -> Path:
    """Refuse a relative path that leads out of its file's folder, also by a link."""
    path = expanded(name)
    if path.is_absolute():
        return path
    folder = declaration.place.absolute().parent
    full = folder / path
    if not full.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f'{declaration.place} names "{name}", which leads out of its folder; move the file '
            "there, or write the whole path."
        )
    return full


def _signature(declaration: Declaration, paths: list[Path], base: OpenMLFile | None) -> str:
    said: list[Any] = [json.loads(declaration.model_dump_json()), base.identity if base else None]
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        said.append([str(path), status.st_ino, status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _read(
    declaration: Declaration, paths: list[Path], signature: str, base: OpenMLFile | None
) -> Dataset:
    reading = declaration.reading
    tables = [base.read(reading)] if base else [read_table(path, reading) for path in paths]
    text = [format_of(path, reading) == "csv" for path in paths]
    if not all(text):
        pairs = zip(tables, text, strict=True)
        tables = [with_target(table, reading)[0] if csv else table for table, csv in pairs]
    table, folds = _with_folds(declaration, tables)
    table, notes = with_target(table, reading) if text and all(text) else (table, [])
    found = [
        changed_numbers(path, reading, table) for path, csv in zip(paths, text, strict=True) if csv
    ]
    changed = list(dict.fromkeys(itertools.chain(*found)))
    if text and all(text):
        notes = [*notes, *suspect_columns(table, reading)]
    wanted = declaration.type or natural_type(table, declaration.target)
    source = shown(declaration.url) if declaration.url else ", ".join(path.name for path in paths)
    for path in paths:
        if format_of(path, reading) == "parquet":
            notes = [*notes, *lost_orders(path, table)]
    if base is not None:
        source, notes = base.source, [*base.notes]
    facts: dict[str, Any] = {"source": source, "licence": declaration.licence}
    facts |= {
        "signature": signature,
        "notes": notes,
        "changed": changed,
        "declared_split": folds is not None,
    }
    return Dataset.of(declaration.name, wanted, declaration.target, table, facts, folds)


def _with_folds(declaration: Declaration, tables: list[pa.Table]) -> tuple[pa.Table, Folds | None]:
    name, column = declaration.name, declaration.split_column
    if len(tables) == 2:
        train, test = _with_same_columns(name, *tables)
        try:
            table = pa.concat_tables([train, test], promote_options="permissive")
        except pa.ArrowException as error:
            reason = " ".join(str(error).split())[:160]
            raise DataError(
                f"Train and test of data set {name} differ in columns: {reason}."
            ) from None
        first, rest = range(train.num_rows), range(train.num_rows, table.num_rows)
        return table, Folds.of_rows(table.num_rows, [((0, 0), first, rest)], name)
    table = tables[0]
    if column is None:
        return table, None
    if column not in table.column_names:
        raise DataError(f'Data set {name} has no column "{column}" for the split.')
    return table.drop_columns([column]), _folds_of(table.column(column), column, name)


def _with_same_columns(name: str, train: pa.Table, test: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Both with the columns in the order of train, and decimals as numbers beside floats.

    Raises:
        DataError: only one of them has a column, or one has a name twice.
    """
    tables = {"train": train, "test": test}
    for part, table in tables.items():
        names = table.column_names
        other = "test" if part == "train" else "train"
        twice = next((one for one in names if names.count(one) > 1), None)
        if twice is not None:
            raise DataError(
                f'The {part} file of data set {name} has two columns "{twice}"; rename one of them.'
            )
        alone = next((one for one in names if one not in tables[other].column_names), None)
        if alone is not None:
            raise DataError(
                f"Train and test of data set {name} differ in columns: only the {part} file has "
                f'"{alone}"; add it to the {other} file or remove it.'
            )
    test = test.select(train.column_names)
    for place, column in enumerate(train.column_names):
        kinds = [table.schema.field(place).type for table in (train, test)]
        if any(map(pa.types.is_decimal, kinds)) and any(map(pa.types.is_floating, kinds)):
            # Arrow casts decimals to floats without a check of their digits.
            train, test = (_without_decimals(one, place, column) for one in (train, test))
    return train, test


def _without_decimals(table: pa.Table, place: int, name: str) -> pa.Table:
    column = exact.combined(table.column(place))
    if not pa.types.is_decimal(column.type):
        return table
    numbers = exact.numbers(column.cast(pa.string()), f'column "{name}"')
    return table.set_column(place, name, numbers)


def _folds_of(column: pa.ChunkedArray, label: str, name: str) -> Folds:
    place = f'The split column "{label}" of data set {name}'
    if column.null_count:
        raise DataError(f"{place} has missing values; write train, test or a fold in each row.")
    values = exact.as_text(column.combine_chunks()).to_pylist()
    if all(re.fullmatch(r"[+-]?\d{1,9}", value) for value in values):
        return _numbered([int(value) for value in values], place)
    words = [value.strip().lower() for value in values]
    if set(words) != {"train", "test"}:
        odd = next(iter(sorted(set(words) - {"train", "test"})), words[0])
        raise DataError(
            f'{place} holds "{odd}"; it takes "train" and "test", or whole fold numbers.'
        )
    rows = {word: [row for row, value in enumerate(words) if value == word] for word in set(words)}
    return Folds.of_rows(len(words), [((0, 0), rows["train"], rows["test"])], name)


def _numbered(numbers: list[int], place: str) -> Folds:
    """Fold numbers as scikit-learn's PredefinedSplit takes them: -1 is never tested."""
    found = set(numbers)
    if found == {0, 1}:
        raise DataError(
            f"{place} holds 0 and 1, which may be two folds or mark the rows of a test part; write "
            '"train" and "test", or number two folds 1 and 2.'
        )
    if min(found) < -1:
        raise DataError(f"{place} holds {min(found)}; folds are numbered from 0, and -1 trains.")
    if len(found) < 2:
        raise DataError(f"{place} holds {min(found)} in every row; it takes two folds or more.")
    return Folds.of_numbers(numbers)
