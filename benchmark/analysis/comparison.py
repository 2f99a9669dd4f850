"""Compares two runs: what changed, by framework and data set, with intervals.

    found = against(read_results("now.csv"), read_results("released.csv"))
    found.regressions        # a sentence each; empty is a release that got no worse

The release check of a framework's author. Tasks are paired by framework, data set and seed. A
change is in scaled score, where the older run's constant predictor (or its worst framework) has 0
and its best has 1 on every data set and seed.

A regression is judged by framework, so that of unchanged releases at most 5 % have any. Where
nothing has changed, the older and the newer score of a task are as likely to be exchanged, which
gives two exact tests for each framework:

- scores: Wilcoxon's signed ranks of its changes, one-sided; the mean change must exceed the
  tolerance as well;
- failures: new failures against fixed ones, each as likely as the other (McNemar).

The p of all tests that can reach 5 % at all are adjusted together by Holm. Apart from these, a
framework that had scores and has none any more has regressed. One data set is never judged alone:
among hundreds some look worse by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.results.amlb_form import constraints
from benchmark.analysis.results.cells import check_names
from benchmark.analysis.results.mixtures import CONDITIONS
from benchmark.analysis.results.table import TYPES
from benchmark.analysis.statistics import imputation
from benchmark.analysis.statistics.comparable import compare
from benchmark.analysis.statistics.hypotheses import ALPHA, ROPE, holm, signed_rank
from benchmark.errors import BenchmarkError

DRAWS = 2000
MOST_LOWER = 5


@dataclass(frozen=True)
class Change:
    """What changed from one run to another.

    `frameworks` has by framework `change`, `low`, `high` (95 %, data sets resampled), `datasets`,
    `new_failures`, `mended`, `scored` (tasks with a score before), and the adjusted `p` of worse
    scores and `p_failures` of more failures (1 where there is nothing to judge). `datasets` has the
    columns `framework`, `dataset`, `type`, `change`, `low`, `high` (95 % by Student's t over seeds,
    NaN with one seed) and `seeds`. `regressions` and `notes` are sentences.
    """

    frameworks: pd.DataFrame
    datasets: pd.DataFrame
    regressions: tuple[str, ...]
    notes: tuple[str, ...]


def against(now: pd.DataFrame, before: pd.DataFrame) -> Change:
    """Compare two runs' results on the tasks that both have.

    Args:
        now: the newer results, see `table.read_results`.
        before: the older results.

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
    frameworks = _by_framework(pairs, datasets).join(_tested(pairs))
    return Change(
        frameworks,
        datasets,
        tuple(_regressions(frameworks)),
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
            f"{_count(row['new_failures'], 'new failure')}, {row['mended']:.0f} fixed"
        )
    said += [f"regression: {text}" for text in found.regressions]
    return [*said, *_lower(found.datasets), *found.notes]


def _count(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}" + ("" if number == 1 else "s")


def _has(frame: pd.DataFrame, type: str) -> bool:
    return bool((frame["TYPE"] == type).any())


def _paired(now: pd.DataFrame, before: pd.DataFrame, type: str) -> pd.DataFrame:
    """A row per task in both: `new` and `old` scaled gain, NaN where it failed, and `even`.

    `even` is the change on the mean of both runs' scales, for tests: on the older run's alone its
    noise would make changes for the better and for the worse unequal where nothing has changed.
    """
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
    gains = [run.gains.loc[index, names] for run in (old, new)]
    spans = (_scale(gains[0])[1] + _scale(gains[1])[1]) / 2
    with np.errstate(invalid="ignore"):
        scaled["even"] = (gains[1] - gains[0]).mask(gains[0] == gains[1], 0.0).div(spans, axis=0)
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
        "scored": pairs["old"].notna(),
    }
    table = pd.DataFrame(
        {name: rows.groupby(pairs["framework"]).sum().astype(int) for name, rows in failed.items()}
    )
    table["datasets"] = datasets.groupby("framework").size().reindex(table.index, fill_value=0)
    for name in table.index:
        changes = datasets.loc[datasets["framework"] == name, "change"].to_numpy(float)
        table.loc[name, ["change", "low", "high"]] = _interval(changes)
    return table[["change", "low", "high", "datasets", "new_failures", "mended", "scored"]]


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


def _tested(pairs: pd.DataFrame) -> pd.DataFrame:
    """`p` and `p_failures` by framework, adjusted together for how many are judged."""
    from scipy.stats import binom

    scored = pairs.dropna(subset=["even"])
    moved = scored[scored["even"] != 0].groupby("framework")["dataset"].nunique()
    tests = {}
    for framework, rows in scored.groupby("framework"):
        with np.errstate(invalid="ignore"):
            means = rows.groupby(["type", "dataset"])["even"].mean()
        # Infinitely better on one seed and infinitely worse on another is neither.
        found = signed_rank(means.fillna(0.0).to_numpy())
        if found.least * len(moved) > ALPHA:  # Too few data sets to find anything: by task.
            found = signed_rank(rows["even"].to_numpy())
        tests[framework, "p"] = (found.less, found.least)
    for framework, rows in pairs.groupby("framework"):
        new, mended = (
            int((rows[one].isna() & rows[other].notna()).sum())
            for one, other in (("new", "old"), ("old", "new"))
        )
        chance = binom.sf(new - 1, new + mended, 0.5) if new else 1.0
        tests[framework, "p_failures"] = (float(chance), 0.5 ** (new + mended))
    able = [test for test, (_, least) in tests.items() if least <= ALPHA]
    adjusted = dict(zip(able, holm(np.array([tests[test][0] for test in able])), strict=True))
    names = pd.Index(sorted(set(pairs["framework"])), name="framework")
    columns = ["p", "p_failures"]
    values = [[adjusted.get((name, column), 1.0) for column in columns] for name in names]
    return pd.DataFrame(values, names, columns)


def _regressions(frameworks: pd.DataFrame) -> list[str]:
    said = []
    worse = frameworks[(frameworks["p"] <= ALPHA) & (frameworks["change"] < -ROPE)]
    for name, row in worse.sort_values("change").iterrows():
        said.append(
            f"{name} got worse by {-row['change']:.3f} of the scale (p = {row['p']:.2g}, adjusted)."
        )
    for name, row in frameworks.iterrows():
        failures = int(row["new_failures"])
        text = f"{name} fails on {_count(failures, 'task')} that it had a score on"
        if failures and failures == row["scored"]:
            said.append(f"{text}.")
        elif row["p_failures"] <= ALPHA:
            said.append(
                f"{text}, and {row['mended']:,.0f} fixed (p = {row['p_failures']:.2g}, adjusted)."
            )
    return said


def _lower(datasets: pd.DataFrame) -> list[str]:
    """What to look at: data sets whose whole interval lies below no change, the worst first."""
    rows = datasets[(datasets["high"] < 0) & (datasets["change"] < -ROPE)].sort_values("change")
    shown = rows.head(MOST_LOWER)
    said = [
        f"lower, not judged alone: {framework} on {dataset} by {-change:.3f}"
        for framework, dataset, change in zip(
            shown["framework"], shown["dataset"], shown["change"].to_numpy(float), strict=True
        )
    ]
    if len(rows) > MOST_LOWER:
        said.append(f"lower, not judged alone: {len(rows) - MOST_LOWER:,} more data sets")
    return said


def _notes(now: pd.DataFrame, before: pd.DataFrame) -> list[str]:
    """What else differs between the two, since a change may come from that."""
    said: list[str] = []
    for column, word in CONDITIONS.items():
        values = [_only(frame, column) for frame in (now, before)]
        if column == "CONSTRAINT" and not said:  # AMLB's form has no other budget.
            values = [", ".join(sorted({*constraints(frame)} - {""})) for frame in (now, before)]
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
