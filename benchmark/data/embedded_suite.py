"""The data sets that ship with the program.

names("starter")                          # the eight sets of the quickstart
entry("credit-g").load()
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmark.data.datasets import Dataset
from benchmark.errors import DataError

FOLDER = Path(__file__).parent / "embedded"
SUITES = ("starter", "embedded")


def suite() -> dict[str, dict[str, Any]]:
    """The descriptions by name."""
    entries = json.loads((FOLDER / "suite.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in entries}


def names(which: str = "embedded") -> list[str]:
    """The names of a suite: "starter" (8) or "embedded" (16).

    Raises:
        DataError: there is no such suite.
    """
    if which not in SUITES:
        raise DataError(f'There is no embedded suite "{which}"; write "starter" or "embedded".')
    return [name for name, entry in suite().items() if which == "embedded" or entry["starter"]]


def read(name: str) -> Dataset:
    """An embedded data set."""
    entry = suite()[name]
    table = pq.ParquetFile(FOLDER / f"{name}.parquet").read()
    facts = {key: entry[key] for key in ("source", "licence", "openml")}
    return Dataset.of(name, entry["type"], entry["target"], table, facts)
