"""Declarations of users' own data sets, in YAML or JSON files that `datasets` names.

    name: my-sales                 # the file's name, if left out
    file: sales.csv                # in the folder of this file or below; or an absolute path
    target: amount
    type: regression               # inferred from the target, if left out

In place of `file`: `url` (http, https, s3; with `sha256` if wanted), `openml` (a data set's id, for
another target or type), or `train` and `test` (two files). `split_column` names a column of
"train" and "test" or of fold numbers (-1 always trains). `columns` sets kinds by name; `format`,
`separator`, `decimal`, `encoding` and `missing` set how to read. A file may hold a list of
declarations. Numbers are read as the text that is written: `target: 1.0` is the column "1.0".

    found, faults = declared(["sales.yaml"])    # a faulty declaration does not stop the others
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from benchmark.data import embedded_suite
from benchmark.data.download import SCHEMES
from benchmark.data.kinds import Reading
from benchmark.data.openml.fetch import is_reference
from benchmark.errors import DataError
from benchmark.files.input_files import read_input
from benchmark.files.safe_text import plain_text
from benchmark.files.spelling import meant, nearest

Kind = Literal["number", "integer", "category", "boolean", "date", "text", "ignore"]
_SUFFIXES = (".yaml", ".yml", ".json")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


# The values of keys that are not one text.
_TAKES = {
    "name": 'letters, digits, ".", "_" and "-", at most 100, with a letter or digit first',
    "openml": "the id of an OpenML data set, such as 61",
    "type": "classification or regression",
    "format": "csv, parquet or arff",
    "separator": 'one character, such as ";", or "\\t" in double quotes for a tab',
    "decimal": '"." or ","',
    "missing": 'a list of texts, such as ["NA", "-999"]',
    "columns": "a kind for each column, such as {zip: category}",
    "sha256": "64 hexadecimal digits",
}


def _id(value: Any) -> Any:
    return (
        int(value) if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,8}", value) else value
    )


class Declaration(BaseModel):
    """One data set of the user's own; `place` is the file that declares it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    place: Path
    name: Annotated[str, Field(pattern=_NAME)]
    file: str | None = None
    url: str | None = None
    openml: Annotated[int | None, Field(gt=0, lt=10**9, strict=True), BeforeValidator(_id)] = None
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
            raise ValueError(f"names {len(value)} targets; name one, without a list")
        return value

    @field_validator("missing", mode="before")
    @classmethod
    def _some_words(cls, value: Any) -> Any:
        if value is None:
            raise ValueError(f"is null; write {_TAKES['missing']}, or leave it out")
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
                f'is "{value}", and no user here has that home folder; write the whole path'
            ) from None
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except (LookupError, ValueError):
            shown = json.dumps(value)
            raise ValueError(f"is {shown}; write an encoding such as utf-8 or latin-1") from None
        return value

    @field_validator("url")
    @classmethod
    def _parsable_url(cls, value: str | None) -> str | None:
        try:
            urlsplit(value or "")
        except ValueError as error:
            raise ValueError(f"is not a URL ({error})") from None
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
                f"names {given[0]}, to which '{unused[0]}' does not apply; leave it out"
            )
        if self.split_column and self.train:
            raise ValueError("has split files and 'split_column'; leave one of them out")
        if self.split_column == self.target:
            raise ValueError("has the target as 'split_column'; name another column")
        if self.url is not None and self.url.partition(":")[0] not in SCHEMES:
            raise ValueError(
                f"has a URL that starts with none of {', '.join(SCHEMES)}; write one such as "
                "https://example.org/sales.csv"
            )
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


class Declared(NamedTuple):
    """The usable declarations, and the faults of others: by name, or else by place."""

    found: dict[str, Declaration]
    faults: dict[str, str]


def declared(files: Iterable[str], is_taken: Callable[[str], bool] = lambda _: False) -> Declared:
    """The declarations of files by name, in order; a faulty one does not stop the others.

    `is_taken` returns whether a name belongs to a data set that is not declared.
    """
    found: dict[str, Declaration] = {}
    faults: dict[str, str] = {}
    for where, path, values in _written(files, faults):
        name = values.get("name", path.stem) if isinstance(values, dict) else None
        usable = isinstance(name, str) and re.fullmatch(_NAME, name) and not is_taken(name)
        key = name if usable and name else where
        try:
            one = _one(where, path, values)
            if not usable:
                raise DataError(
                    f"{where}: 'name' is \"{one.name}\", which is the name of another data set; "
                    "choose another name."
                )
            if key in found or key in faults:
                raise DataError(
                    f"'datasets' declares \"{key}\" twice, the second time in {where}; give one of "
                    "them another name."
                )
            found[key] = one
        except DataError as error:
            found.pop(key, None)
            faults[key] = str(error)
    return Declared(found, faults)


def _written(
    files: Iterable[str], faults: dict[str, str]
) -> Iterator[tuple[str, Path, dict[str, Any] | Any]]:
    """Each declaration with its place; a file that cannot be read is among the faults."""
    for file in files:
        try:
            path, values = _read(file)
        except DataError as error:
            faults[file] = str(error)
            continue
        if isinstance(values, list):
            for number, value in enumerate(values, 1):
                yield f"{path}, data set {number}", path, value
        else:
            yield str(path), path, values


def _read(name: str) -> tuple[Path, Any]:
    import yaml

    from benchmark.files import json_text, yaml_text

    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise DataError(
            f"'datasets' names {name}, and no user here has that home folder; write the whole path."
        ) from None
    try:
        text = read_input(path)
    except FileNotFoundError:
        raise DataError(_absent(name, path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}, which 'datasets' names, cannot be read: {reason}.") from None
    try:
        if path.suffix.lower() == ".json":
            return path, json_text.load(text, numbers=str)
        return path, yaml_text.load(text, numbers=False)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML: {yaml_text.reason(error)}; fix it there.") from None
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
        raise DataError(f"{path} is not {kind}: {str(error)[:200]}; fix it there.") from None


def _absent(name: str, path: Path) -> str:
    """The message for a missing file: a data set of another key, or a file of a similar name."""
    said = f"'datasets' names {name}, and there is no file of that name"
    if name in embedded_suite.SUITES or is_reference(name):
        return f"{said}; {name} is not a file of your own: name it in 'studies'."
    suite = embedded_suite.suite()
    near = nearest(name, suite, 0.7)
    with contextlib.suppress(OSError):
        files = [each.name for each in path.parent.iterdir() if each.suffix in _SUFFIXES]
        close = nearest(path.name, files)
        if close:
            return f"{said}; did you mean {path.with_name(close)}?"
    if near:
        which = "starter" if suite[near]["starter"] else "embedded"
        return (
            f"{said}; for the embedded {near} set 'studies' to [\"{which}\"] and pass --dataset "
            f"{near}."
        )
    return f"{said}; name a YAML or JSON file that declares your own data sets."


def _one(where: str, path: Path, values: Any) -> Declaration:
    if not isinstance(values, dict):
        raise DataError(f"{where} declares no data set; write name, file, target and type.")
    try:
        json.dumps(values, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise DataError(f"{where}: half of a surrogate pair is not text; remove it.") from None
    known = [key for key in Declaration.model_fields if key != "place"]
    for key in [key for key in values if key not in known]:
        fix = meant(key, known, cutoff=0.5)
        raise DataError(plain_text(f"{where}: '{key}': unknown key; {fix}"))
    try:
        return Declaration.model_validate({"name": path.stem} | values | {"place": path})
    except ValidationError as error:
        fault = error.errors()[0]
        raise DataError(plain_text(f"{where}: {_sentence(fault, 'name' in values)}.")) from None


def _sentence(fault: ErrorDetails, is_named: bool) -> str:
    """The message for a faulty key."""
    if fault["type"] == "value_error":
        said = fault["msg"].removeprefix("Value error, ")
        return f"'{fault['loc'][0]}' {said}" if fault["loc"] else f"it {said}"
    key, *inside = map(str, fault["loc"])
    if fault["type"] == "missing":
        return f"it has no '{key}'; add the column that is to be predicted"
    value = json.dumps(fault["input"], default=str, ensure_ascii=False)[:80]
    if key == "columns" and inside and inside[-1] != "[key]":
        return f"'columns' has {value} for {inside[0]}; write one of {', '.join(get_args(Kind))}"
    if key == "missing" and inside:
        word = "NA" if isinstance(fault["input"], (list, dict)) else value
        return f"'missing' holds {value}; write each word as a text, such as \"{word}\""
    if key == "name" and not is_named:
        return f"its file's name, {value}, cannot name a data set; add 'name': {_TAKES['name']}"
    return f"'{key}' is {value}; write {_TAKES.get(key, 'a text')}"
