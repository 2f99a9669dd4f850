"""Table files of tests, and the data set that a declaration of one makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.data import Dataset
from benchmark.data.formats.tables import format_of, read_table
from benchmark.data.kinds import Reading, with_target


def dataset(path: Path, **keys: Any) -> Dataset:
    """The data set of one file with the target y, as a declaration reads it."""
    reading = Reading(**({"target": "y", "named": frozenset("y")} | keys))
    table = read_table(path, reading)
    notes: list[str] = []
    if format_of(path, reading) == "csv":
        table, notes = with_target(table, reading)
    kind = reading.type or "classification"
    return Dataset.of("d", kind, "y", table, {"notes": notes})


def column(data: Dataset, name: str) -> list[Any]:
    values: list[Any] = data.table.column(name).to_pylist()
    return values


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def arff(columns: dict[str, str], rows: list[str]) -> str:
    head = "".join(f"@attribute {name} {kind}\n" for name, kind in columns.items())
    return "@relation r\n" + head + "@data\n" + "".join(f"{row}\n" for row in rows)
