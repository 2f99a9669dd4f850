"""The file of an OpenML data set as OpenML serves it, for declarations with a target of their own.

file = OpenMLFile.kept(openml_cache().folder, 61)   # None if it has not been fetched
file.read(reading)                                  # its table, without what OpenML ignores

The file lies in the client's cache; its description is kept with the data sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from benchmark.data.cache import write_whole
from benchmark.data.formats.tables import read_table
from benchmark.data.kinds import Reading, without_missing
from benchmark.errors import DataError


@dataclass(frozen=True)
class OpenMLFile:
    """The parquet or ARFF file; `ignored` names the row id and what is ignored, as OpenML does."""

    number: int
    path: Path
    size: int
    sha256: str
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, number: int, path: Path, ignored: Iterable[str], notes: Iterable[str]) -> Self:
        """An existing file, with its content's size and hash."""
        return cls(number, path, path.stat().st_size, _sha256(path), tuple(ignored), tuple(notes))

    @classmethod
    def kept(cls, folder: Path, number: int) -> Self | None:
        """The file that `keep` recorded; None if there is none, or it no longer exists."""
        try:
            values = json.loads(_place(folder, number).read_bytes())
            names, notes = tuple(values.pop("ignored")), tuple(values.pop("notes"))
            file = cls(**values | {"path": Path(values["path"]), "ignored": names, "notes": notes})
            return file if file.path.stat().st_size == file.size else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # A broken description counts as missing: it is fetched again.

    def keep(self, folder: Path) -> None:
        """Write the file's description."""
        content = json.dumps(asdict(self) | {"path": str(self.path)}).encode()
        write_whole(_place(folder, self.number), content)

    @property
    def source(self) -> str:
        return f"OpenML data set {self.number}"

    @property
    def identity(self) -> list[Any]:
        """What a table that was read depends on, independent of the file's path."""
        return [self.sha256, self.ignored, self.notes]

    def read(self, reading: Reading) -> pa.Table:
        """The table; a column that OpenML ignores is included if the declaration names it.

        Raises:
            DataError: the file is damaged, and is removed; or it cannot be read.
        """
        gone = DataError(
            f"The copy of {self.source} in {self.path.parent} was damaged and has been removed; "
            "start the command again to fetch it again."
        )
        try:
            if _sha256(self.path) != self.sha256:
                self.path.unlink(missing_ok=True)
                raise gone
            table = read_table(self.path, reading)
        except (OSError, DataError) as error:
            if not self.path.exists():  # Another reader has found the damage.
                raise gone from None
            if isinstance(error, OSError):
                raise DataError(f"{self.path} cannot be read: {error.strerror or error}.") from None
            said = str(error).replace(str(self.path), self.source)
            raise DataError(said.replace(self.path.name, self.source)) from None
        # A missing number may be written in any way, as in parquet.
        table = without_missing(table, reading)
        return without_ignored(table, self.ignored, {*reading.named, *reading.columns})


def without_ignored(table: pa.Table, ignored: Iterable[str], kept: Collection[str]) -> pa.Table:
    """The table without the columns that OpenML ignores; each name is one column or a list."""
    names: set[str] = set()
    for name in ignored:
        if name in table.column_names:
            names.add(name)
        else:
            names.update(part.strip(" \"'") for part in name.split(","))
    return table.drop_columns(
        [name for name in table.column_names if name in names and name not in kept]
    )


def _place(folder: Path, number: int) -> Path:
    return folder / "files" / f"{number}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
