"""Where data sets come from: the embedded suite; OpenML is a later milestone.

embedded_names("starter")                 # the eight sets of the quickstart
find("31", None)                          # ("credit-g", "classification")
load("credit-g")                          # -> Dataset
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from benchmark.data.datasets import Dataset
from benchmark.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent / "embedded"
SUITES = ("starter", "embedded")


def embedded_names(suite: str = "embedded") -> list[str]:
    """The names of a suite that ships with the program: "starter" (8) or "embedded" (16).

    Raises:
        DataError: there is no such suite.
    """
    if suite not in SUITES:
        raise DataError(f'There is no embedded suite "{suite}"; write "starter" or "embedded".')
    return [name for name, entry in _suite().items() if suite == "embedded" or entry["starter"]]


def load(name: str) -> Dataset:
    """Read an embedded data set.

    Raises:
        DataError: no data set has this name.
    """
    entry = _suite().get(name)
    if entry is None:
        raise DataError(_unknown(name))
    table = pq.read_table(FOLDER / f"{name}.parquet")
    facts = {key: entry[key] for key in ("source", "licence", "openml")}
    return Dataset.of(name, entry["type"], entry["target"], table, facts)


def find(name_or_id: str | int, type: str | None = None) -> tuple[str, str]:
    """The name and type of a data set, by its name or by its OpenML id.

    An id is known only where the embedded data are the whole OpenML data set.

    Raises:
        DataError: no data set is called so, or it has another type than `type`.
    """
    suite = _suite()
    wanted = str(name_or_id).strip()
    name = wanted if wanted in suite else None
    for candidate, entry in suite.items():
        if name is None and wanted.isdigit() and str(entry["openml"]) == wanted:
            name = candidate
    if name is None:
        raise DataError(_unknown(wanted))
    kind = str(suite[name]["type"])
    if type is not None and type != kind:
        raise DataError(f"Data set {name} is for {kind}, not for {type}; ask for it as {kind}.")
    return name, kind


def of_studies(studies: Iterable[Any]) -> list[tuple[str, str]]:
    """The data sets (name, type) of the configuration's `studies`, each once, in order.

    Raises:
        DataError: a study is an OpenML study, which this version cannot fetch.
    """
    suite = _suite()
    names: dict[str, str] = {}
    for study in studies:
        if not isinstance(study, str):
            raise DataError(
                f"OpenML study {study[0]} cannot be fetched: OpenML studies are not supported yet "
                'in this version; set "studies" to ["starter"] (8 small data sets) or '
                '["embedded"] (16).'
            )
        for name in embedded_names(study):
            names[name] = str(suite[name]["type"])
    return list(names.items())


def _suite() -> dict[str, dict[str, Any]]:
    entries = json.loads((FOLDER / "suite.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in entries}


def _unknown(wanted: str) -> str:
    if wanted.isdigit():
        return (
            f"OpenML data set {wanted} is not embedded and OpenML is not supported yet in this "
            f"version; the embedded ones are {', '.join(_suite())}."
        )
    near = difflib.get_close_matches(wanted, _suite(), n=1, cutoff=0.5)
    mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(_suite())}."
    return f'There is no data set "{wanted}"; {mend}'
