"""People's own data, declared in YAML files that the configuration's `datasets` names.

    name: my-sales                 # the file's name, if left out
    file: sales.csv                # in the folder of this file or below; or an absolute path
    target: amount
    type: regression               # inferred from the target, if left out

In place of `file`: `url` (http, https, s3; with `sha256` if wanted), `openml` (a data set's id, for
another target or type), or `train` and `test` (two files). `split_column` names a column of
"train" and "test" or of fold numbers (-1 always trains). `columns` sets kinds by name; `format`,
`separator`, `decimal`, `encoding` and `missing` say how to read. A file may hold a list of
declarations.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.cache import cache_folder
from benchmark.data import exact
from benchmark.data.cache import DataCache, Entry
from benchmark.data.datasets import Dataset, natural_type
from benchmark.data.download import SCHEMES, checked, download, shown
from benchmark.data.folds import Folds
from benchmark.data.kinds import Reading, with_target
from benchmark.data.tables import format_of, read_table
from benchmark.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmark.data.openml_file import OpenMLFile

Kind = Literal["number", "integer", "category", "boolean", "date", "text", "ignore"]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Declaration(BaseModel):
    """One data set of the user's own; `place` is the YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    place: Path
    name: Annotated[str, Field(pattern=_NAME)]
    file: str | None = None
    url: str | None = None
    openml: Annotated[int, Field(gt=0, lt=10**9, strict=True)] | None = None
    train: str | None = None
    test: str | None = None
    target: str
    type: Literal["classification", "regression"] | None = None
    split_column: str | None = None
    format: Literal["csv", "parquet", "arff"] | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    missing: tuple[str, ...] | None = None
    columns: dict[str, Kind] = {}
    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None = None
    licence: str | None = None

    @field_validator("target", mode="before")
    @classmethod
    def _one_target(cls, value: Any) -> Any:
        if isinstance(value, list):
            raise ValueError(f"names {len(value)} targets; name one, and leave the others out")
        return value

    @field_validator("separator")
    @classmethod
    def _readable_separator(cls, value: str | None) -> str | None:
        if value is not None and (not value.isascii() or value in "\r\n\0"):
            raise ValueError("must be one ASCII character, and no end of line")
        return value

    @field_validator("file", "train", "test")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if not value or "\0" in value:
            raise ValueError("is empty or has a zero character; name a file")
        try:
            Path(value).expanduser()
        except RuntimeError:
            raise ValueError(
                f'is "{value}", and nobody here has that home; write the whole path'
            ) from None
        return value

    @field_validator("url")
    @classmethod
    def _parsable_url(cls, value: str | None) -> str | None:
        try:
            urlsplit(value or "")
        except ValueError as error:
            raise ValueError(f"is no URL ({error})") from None
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Declaration:
        given = [k for k in ("file", "url", "openml") if getattr(self, k) is not None]
        given += ["train and test"] if self.train and self.test else []
        if bool(self.train) != bool(self.test):
            raise ValueError("has one of 'train' and 'test'; name both files")
        if len(given) != 1:
            raise ValueError(
                f"names {' and '.join(given) or 'no source'}; name one of file, url, openml, or "
                "train and test"
            )
        unused = [key for key in self._without_meaning() if getattr(self, key) is not None]
        if unused:
            raise ValueError(
                f"names {given[0]}, for which '{unused[0]}' means nothing; leave it out"
            )
        if self.split_column and self.train:
            raise ValueError("has split files and 'split_column'; leave one of them out")
        if self.split_column == self.target:
            raise ValueError("has the target as 'split_column'; name another column")
        if self.url is not None and self.url.partition(":")[0] not in SCHEMES:
            raise ValueError(f"has a URL that is none of {', '.join(SCHEMES)}")
        return self

    def _without_meaning(self) -> tuple[str, ...]:
        if self.openml is not None:
            return ("format", "separator", "decimal", "encoding", "sha256")
        return ("sha256",) if self.train else ()

    @property
    def reading(self) -> Reading:
        return Reading(
            self.format,
            self.separator,
            self.decimal,
            self.encoding,
            self.missing,
            dict(self.columns),
            self.target,
            self.type,
            frozenset(filter(None, (self.target, self.split_column))),
        )


def declared(files: Iterable[str]) -> list[Declaration]:
    """The declarations of YAML files, in order.

    Raises:
        ConfigError: a file is missing or no YAML, a key unknown, or a name stands twice.
    """
    found: list[Declaration] = []
    for name in files:
        found += _of_file(name)
    names = [declaration.name for declaration in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"'datasets' declares \"{twice}\" twice; give one of them another name.")
    return found


def entry(
    declaration: Declaration,
    base: OpenMLFile | None = None,
    *,
    refresh: bool = False,
    on_bytes: Callable[[int], None] | None = None,
) -> Entry:
    """The declared data set, from the cache while neither declaration nor files have changed.

    `base` is the file of the OpenML data set that the declaration names, where it names one.

    Raises:
        DataError: it cannot be had, or is unusable.
    """
    cache = DataCache(cache_folder() / "datasets" / "own")
    place = hashlib.sha256(str(declaration.place.absolute()).encode()).hexdigest()[:12]
    key = f"{declaration.name}~{place}"
    paths = _files(declaration, refresh, on_bytes)
    signature = _signature(declaration, paths, base)
    with cache.lock(key):
        present = cache.entry(key)
        fresh = present and present.description.get("signature") == signature
        if present and fresh and not present.outdated and cache.is_whole(key):
            return present
        return cache.put(_read(declaration, paths, signature, base), key)


def _of_file(name: str) -> list[Declaration]:
    import yaml

    from benchmark import yaml_text

    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"'datasets' names {name}, and nobody here has that home; write the whole path."
        ) from None
    try:
        values = yaml_text.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"'datasets' names {path}, which is not there.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}, which 'datasets' names, cannot be read: {reason}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} is not YAML: {reason}.") from None
    entries = values if isinstance(values, list) else [values]
    return [_one(path, value) for value in entries]


def _one(path: Path, value: Any) -> Declaration:
    if not isinstance(value, dict):
        raise ConfigError(f"{path} declares no data set; write name, file, target and type.")
    try:
        return Declaration.model_validate({"name": path.stem} | value | {"place": path})
    except ValidationError as error:
        # A key that is not known explains best why another one is missing.
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        fault = faults[0]
        key = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            known = ", ".join(name for name in Declaration.model_fields if name != "place")
            message = f"unknown key; there are {known}"
        where = f"'{key}': " if key else "it "
        raise ConfigError(f"{path}: {where}{message}.") from None


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
    """A relative path may not lead out of its file's folder, also not by a link."""
    path = Path(name).expanduser()
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
    wanted = declaration.type or natural_type(table, declaration.target)
    source = shown(declaration.url) if declaration.url else ", ".join(path.name for path in paths)
    if base is not None:
        source, notes = base.source, [*base.notes]
    facts: dict[str, Any] = {"source": source, "licence": declaration.licence}
    facts |= {"signature": signature, "notes": notes, "declared_split": folds is not None}
    return Dataset.of(declaration.name, wanted, declaration.target, table, facts, folds)


def _with_folds(declaration: Declaration, tables: list[pa.Table]) -> tuple[pa.Table, Folds | None]:
    name, column = declaration.name, declaration.split_column
    if len(tables) == 2:
        train, test = tables
        try:
            table = pa.concat_tables(
                [train, test.select(train.column_names)], promote_options="permissive"
            )
        except (pa.ArrowException, KeyError) as error:
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


def _folds_of(column: pa.ChunkedArray, label: str, name: str) -> Folds:
    place = f'The split column "{label}" of data set {name}'
    if column.null_count:
        raise DataError(f"{place} has missing values.")
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
