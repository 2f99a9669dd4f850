"""Compares two runs: what changed, by framework and data set, with intervals.

    found = against(read_results("now.csv"), read_results("released.csv"))
    found.regressions        # a sentence each; empty is a release that got no worse

The release check of a framework's author. Tasks are paired by framework, data set and seed. A
change is in scaled score, where the older run's constant predictor (or its worst framework) has 0
and its best has 1 on every data set and seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.analysis import imputation
from benchmark.analysis.cells import check_names
from benchmark.analysis.comparable import compare
from benchmark.analysis.hypotheses import ROPE
from benchmark.analysis.mixtures import CONDITIONS
from benchmark.analysis.table import TYPES
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 2000


@dataclass(frozen=True)
class Change:
    """What changed from one run to another.

    `frameworks` has by framework `change`, `low`, `high` (95 %, data sets resampled), `datasets`,
    `new_failures` and `mended`. `datasets` has the columns `framework`, `dataset`, `type`,
    `change`, `low`, `high` (95 % by Student's t over seeds, NaN with one seed) and `seeds`.
    `regressions` and `notes` are sentences.
    """

    frameworks: pd.DataFrame
    datasets: pd.DataFrame
    regressions: tuple[str, ...]
    notes: tuple[str, ...]


def against(now: pd.DataFrame, before: pd.DataFrame, tolerance: float = ROPE) -> Change:
    """Compare two runs' results on the tasks that both have.

    Args:
        now: the newer results, see `table.read_results`.
        before: the older results.
        tolerance: a change of scaled score within it is none.

    Raises:
        BenchmarkError: the two have no task in common, or a data set is scored by two metrics.
    """
    for column in ("MODEL", "DATASET_ID"):
        check_names([*now[column], *before[column]], column, "Of the two runs")
    parts = [_paired(now, before, type) for type in TYPES if _has(now, type) and _has(before, type)]
    pairs = pd.concat([part for part in parts if len(part)]) if any(map(len, parts)) else None
    if pairs is None:
        raise BenchmarkError(
            "The two runs have no task in common (framework, data set and seed), so nothing can be "
            "compared; name a run of the same frameworks and data sets."
        )
    datasets = _by_dataset(pairs)
    frameworks = _by_framework(pairs, datasets)
    return Change(
        frameworks,
        datasets,
        tuple(_regressions(frameworks, datasets, tolerance)),
        tuple(_notes(now, before)),
    )


def lines(found: Change) -> list[str]:
    """The comparison for a terminal: a line per framework, then regressions and notes."""
    said = []
    for name, row in found.frameworks.iterrows():
        interval = f" ({row['low']:+.3f} to {row['high']:+.3f})" if row["low"] == row["low"] else ""
        change = f"{row['change']:+.3f}{interval}" if row["datasets"] else "no score in both runs"
        said.append(
            f"{name}: {change} over {_count(row['datasets'], 'data set')}, "
            f"{_count(row['new_failures'], 'new failure')}, {row['mended']:.0f} mended"
        )
    return [*said, *(f"regression: {text}" for text in found.regressions), *found.notes]


def _count(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}" + ("" if number == 1 else "s")


def _has(frame: pd.DataFrame, type: str) -> bool:
    return bool((frame["TYPE"] == type).any())


def _paired(now: pd.DataFrame, before: pd.DataFrame, type: str) -> pd.DataFrame:
    """A row per task in both: `new` and `old` scaled gain, NaN where it failed."""
    old, new = compare(before, type, all_rows=True), compare(now, type, all_rows=True)
    common = sorted(set(old.metric_of) & set(new.metric_of))
    for name in common:
        if old.metric_of[name] != new.metric_of[name]:
            raise BenchmarkError(
                f"{name} is scored by {new.metric_of[name]} now and was by {old.metric_of[name]}; "
                "results of different metrics cannot be compared."
            )
    names = [name for name in old.gains.columns if name in set(new.gains.columns)]
    index = old.gains.index.intersection(new.gains.index)
    zero, span = _scale(old.gains.loc[index])
    scaled = {
        when: gains.loc[index, names].sub(zero, axis=0).div(span, axis=0)
        for when, gains in (("old", old.gains), ("new", new.gains))
    }
    table = pd.DataFrame({when: values.stack(future_stack=True) for when, values in scaled.items()})
    table.index = table.index.set_names(["dataset", "seed", "framework"])
    ran = old.ran.loc[index, names] & new.ran.loc[index, names]
    both = ran.stack(future_stack=True).to_numpy(bool)
    return table[both].reset_index().assign(type=type)


def _scale(gains: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """By row the older run's zero and how far its best is from it."""
    finite = gains.replace([np.inf, -np.inf], np.nan)
    source = imputation.baseline(gains.columns, imputation.CONSTANT)
    worst, best = finite.min(axis=1), finite.max(axis=1)
    zero = worst if source is None else finite[source].fillna(worst)
    span = (best - zero).where(best > zero, zero - worst)
    return zero, span.where(span > 0, 1.0)


def _by_dataset(pairs: pd.DataFrame) -> pd.DataFrame:
    from scipy.stats import t

    scored = pairs.dropna(subset=["old", "new"])
    change = (scored["new"] - scored["old"]).where(scored["new"] != scored["old"], 0.0)
    scored = scored.assign(change=change).dropna(subset=["change"])
    groups = scored.groupby(["framework", "dataset", "type"])["change"]
    table = groups.agg(change="mean", spread="std", seeds="size").reset_index()
    with np.errstate(invalid="ignore", divide="ignore"):
        half = t.ppf(0.975, table["seeds"] - 1) * table["spread"] / np.sqrt(table["seeds"])
    table["low"], table["high"] = table["change"] - half, table["change"] + half
    return table[["framework", "dataset", "type", "change", "low", "high", "seeds"]]


def _by_framework(pairs: pd.DataFrame, datasets: pd.DataFrame) -> pd.DataFrame:
    failed = {
        "new_failures": pairs["new"].isna() & pairs["old"].notna(),
        "mended": pairs["new"].notna() & pairs["old"].isna(),
    }
    table = pd.DataFrame(
        {name: rows.groupby(pairs["framework"]).sum().astype(int) for name, rows in failed.items()}
    )
    table["datasets"] = datasets.groupby("framework").size().reindex(table.index, fill_value=0)
    for name in table.index:
        changes = datasets.loc[datasets["framework"] == name, "change"].to_numpy(float)
        table.loc[name, ["change", "low", "high"]] = _interval(changes)
    return table[["change", "low", "high", "datasets", "new_failures", "mended"]]


def _interval(changes: NDArray[np.float64]) -> list[float]:
    """The mean and its 95 % interval over resampled data sets; no interval from one."""
    if not changes.size:
        return [np.nan, np.nan, np.nan]
    if changes.size < 2 or not np.isfinite(changes).all():
        return [float(changes.mean()), np.nan, np.nan]
    random = np.random.default_rng(0)
    means = changes[random.integers(0, changes.size, (DRAWS, changes.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return [float(changes.mean()), float(low), float(high)]


def _regressions(frameworks: pd.DataFrame, datasets: pd.DataFrame, tolerance: float) -> list[str]:
    said = []
    for name, change, high in _worse(frameworks.reset_index(), tolerance):
        said.append(f"{name[0]} got worse by {-change:.3f} of the scale (at least {-high:.3f}).")
    for name, change, high in _worse(datasets, tolerance):
        said.append(
            f"{name[0]} got worse on {name[1]} by {-change:.3f} of the scale "
            f"(at least {-high:.3f})."
        )
    for framework, failures in frameworks["new_failures"].items():
        if failures:
            tasks = "task" if failures == 1 else "tasks"
            said.append(f"{framework} fails on {failures:,} {tasks} that it had a score on.")
    return said


def _worse(table: pd.DataFrame, tolerance: float) -> list[tuple[tuple[str, ...], float, float]]:
    """The rows whose whole interval lies below no change, and whose change is beyond tolerance."""
    worse = table[(table["high"] < 0) & (table["change"] < -tolerance)].sort_values("change")
    owners = [column for column in ("framework", "dataset") if column in worse.columns]
    return [
        (tuple(str(value) for value in owner), float(change), float(high))
        for owner, change, high in zip(
            worse[owners].itertuples(index=False, name=None),
            worse["change"],
            worse["high"],
            strict=True,
        )
    ]


def _notes(now: pd.DataFrame, before: pd.DataFrame) -> list[str]:
    """What else differs between the two, since a change may come from that."""
    said = []
    for column, word in CONDITIONS.items():
        values = [_only(frame, column) for frame in (now, before)]
        if values[0] != values[1] and all(values):
            said.append(f"The {word} is {values[0]} now and was {values[1]}.")
    for column, owner, word in (
        ("DATASET_HASH", "DATASET_ID", "data set"),
        ("ENVIRONMENT_HASH", "MODEL", "environment of the framework"),
    ):
        changed = _changed(now, before, owner, column)
        if changed:
            said.append(f"The {word} {', '.join(changed[:8])} has changed.")
    return said


def _only(frame: pd.DataFrame, column: str) -> str:
    if column not in frame.columns:
        return ""
    return ", ".join(sorted({str(value) for value in frame[column].dropna()} - {""}))


def _changed(now: pd.DataFrame, before: pd.DataFrame, owner: str, column: str) -> list[str]:
    if column not in now.columns or column not in before.columns:
        return []
    known = [
        frame.loc[frame[column].fillna("") != ""].drop_duplicates(owner).set_index(owner)[column]
        for frame in (now, before)
    ]
    both = known[0].index.intersection(known[1].index)
    return sorted(str(name) for name in both if known[0][name] != known[1][name])
