"""Keeps results of different conditions apart: two budgets, two manifests.

frame = checked(frame, "compiled_results.csv")                 # refuses a mixture
frame = checked(frame, "compiled_results.csv", merge=True)     # tells them apart by name
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.results.amlb_form import constraints
from benchmark.errors import BenchmarkError

# The conditions of a run, and how they are named to people. `CONSTRAINT` is AMLB's.
CONDITIONS = {
    "RUNTIME": "budget in s",
    "HARD_LIMIT": "hard limit in s",
    "CORES": "cores",
    "MEMORY": "memory in MiB",
    "SPLIT": "split",
    "CONSTRAINT": "constraint",
}
RUN = "RUN"
# What must be the same for all results of one thing: the column, and what it belongs to.
IDENTITIES = {
    "DATASET_HASH": (["DATASET_ID"], "data set"),
    "SPLIT_HASH": (["DATASET_ID", "SEED"], "split of"),
    "ENVIRONMENT_HASH": (["MODEL"], "framework"),
}


def checked(frame: pd.DataFrame, source: object, *, merge: bool = False) -> pd.DataFrame:
    """The results as they are, or distinguished by name.

    With `merge`, results that differ in a condition keep their names where each framework has only
    one value of it; else the value is added to every framework's name, such as `tpot (3600)`.

    Raises:
        BenchmarkError: the results mix conditions or manifests and `merge` is not set.
    """
    if "CONSTRAINT" in frame.columns:
        frame = frame.assign(CONSTRAINT=constraints(frame))
    mixed = differing(frame)
    if not mixed:
        return frame
    if not merge:
        said = "; ".join(f"{word}: {', '.join(values)}" for word, values in mixed.values())
        raise BenchmarkError(
            f"Results of different runs are mixed in {source} ({said}), and cannot be compared as "
            "one; analyse each alone, or distinguish them by the frameworks' names with --merge."
        )
    columns = [column for column in (*CONDITIONS, RUN) if column in mixed]
    if not columns:
        return frame
    return _renamed(frame, columns)


def differing(frame: pd.DataFrame) -> dict[str, tuple[str, list[str]]]:
    """The columns that say that results are of different runs: what they are, and their values.

    Rows in which a condition is empty differ from none.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for column, word in (*CONDITIONS.items(), (RUN, "run")):
        if column in frame.columns:
            values = _values(frame[column])
            if len(values) > 1:
                found[column] = (word, _some(values))
    for column, (owner, word) in IDENTITIES.items():
        if column in frame.columns:
            pairs = frame[[*owner, column]].drop_duplicates()
            known = pairs[(pairs[column] != "") & pairs[column].notna()]
            twice = known.duplicated(owner, keep=False)
            if twice.any():
                names = known.loc[twice, owner[0]].astype(str).unique()
                found[column] = (f"changed {word}", _some(sorted(names)))
    return found


def _renamed(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Frameworks distinguished by the first condition that does it, else by all of them."""
    places, kinds = _kinds(frame, ["MODEL", *columns])
    per_framework = kinds.groupby("MODEL")[columns].nunique()
    needed = [column for column in columns if (per_framework[column] > 1).any()]
    if not needed:
        return frame
    limits = [column for column in needed if column in CONDITIONS]
    # A hard limit goes with its budget and says nothing more; a run's name says all.
    chosen = [limits[0]] if _tells(kinds, limits[:1], needed) else limits or [RUN]
    if not _tells(kinds, chosen, needed):
        chosen = needed
    text = kinds[chosen].agg(", ".join, axis=1)
    known = (kinds[chosen] != "").all(axis=1)
    names = kinds["MODEL"].where(~known, kinds["MODEL"] + " (" + text + ")")
    return frame.assign(MODEL=pd.Categorical(names).take(places))


def _kinds(frame: pd.DataFrame, columns: list[str]) -> tuple[NDArray[np.integer], pd.DataFrame]:
    """Which row of the distinct ones each row is, and these as text."""
    places = frame.groupby(columns, sort=False, observed=True, dropna=False).ngroup().to_numpy()
    first = np.unique(places, return_index=True)[1]
    kinds = frame[columns].iloc[first].reset_index(drop=True)
    return places, kinds.astype("str").fillna("")


def _tells(frame: pd.DataFrame, chosen: list[str], needed: list[str]) -> bool:
    """Whether the values of the chosen columns settle those of all needed ones."""
    if not chosen:
        return False
    return bool((frame.groupby(chosen)[needed].nunique() <= 1).all(axis=None))


def _values(column: pd.Series[str]) -> list[str]:
    return sorted({str(value) for value in column.dropna().unique()} - {"", "nan"})


def _some(values: list[str]) -> list[str]:
    return values if len(values) <= 4 else [*values[:4], f"{len(values) - 4} more"]
