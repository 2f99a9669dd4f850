"""The part of one task type's results on which all its frameworks can be compared.

    comparison = compare(frame, "classification")
    comparison.gains        # a row per data set and seed, a column per framework

A *gain* is a score with the sign that makes larger better, so that log loss, RMSE and AUC are
handled alike. A failure (cause `framework`, `timeout`, `memory`) is a result, and its gain is
missing. A task without a result (not run yet, or ended by `data`, `setup`, `interrupted`,
`infrastructure`) says nothing about its framework: its data set and seed are left out for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.results.cells import NO_RESULT_CAUSES, RETIRED, SCORED
from benchmark.analysis.results.metrics import USUAL_METRIC
from benchmark.analysis.results.scores import judged
from benchmark.analysis.statistics import imputation, ranking

ALL = "all"
"""In place of a task type: the data sets of all types together."""
NOT_STARTED = "not started"
NOT_PLANNED = "not in the results"
_COLUMNS = (
    *("MODEL", "DATASET_ID", "SEED", "STATUS", "CAUSE"),
    *("METRIC", "METRIC_DIRECTION", "SCORE", *SCORED),
)
MEANT = {
    "constant": "the constant predictor's score",
    "worst": "the worst score on their data set, as the run has no constant predictor there",
}


@dataclass(frozen=True)
class Comparison:
    """Gains of what can be compared, and what was left out.

    `gains` has rows (data set, seed) and a column per framework, NaN where it failed. `counts` has
    a row per framework, also of those left out: `tasks`, `results`, `failures`, `successes`.
    `left_out` has a row per framework, data set and cause for which seeds were left out for all.
    `metric_of` names the metric by data set, and `sign_of` has 1 where more of it is better, or -1.
    `ran` is shaped as `gains`: whether the task has a result; True throughout unless all rows were
    asked for. `parts` are the comparisons by task type of which this one is joined.
    """

    type: str
    gains: pd.DataFrame
    counts: pd.DataFrame
    metric_of: dict[str, str]
    sign_of: dict[str, int]
    notes: tuple[str, ...]
    ran: pd.DataFrame
    left_out: pd.DataFrame
    parts: tuple[Comparison, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.metric_of.values())))

    @property
    def datasets(self) -> int:
        """The number of data sets compared on."""
        return int(self.gains.index.get_level_values(0).nunique())

    @property
    def seeds(self) -> int:
        """The number of distinct seeds compared on."""
        return int(self.gains.index.get_level_values(1).nunique())

    @property
    def size(self) -> str:
        """As "8 data sets \u00d7 2 seeds", or "7 splits of 5 data sets" if some are missing."""
        counts = (self.datasets, "data set"), (self.seeds, "seed"), (len(self.gains), "split")
        datasets, seeds, splits = (f"{n} {word}" + "s" * (n != 1) for n, word in counts)
        if len(self.gains) == self.datasets * self.seeds:
            return f"{datasets} \u00d7 {seeds}"
        return f"{splits} of {datasets}"

    def imputed(self, rule: str) -> pd.DataFrame:
        """The gains with failures counted by a rule of `imputation.RULES`."""
        if not self.parts or rule == "drop":
            return imputation.RULES[rule](self.gains).gains
        tables = [part.imputed(rule)[self.gains.columns] for part in self.parts]
        return _together(self.parts, tables)

    @cached_property
    def filled(self) -> pd.DataFrame:
        """The gains with failures imputed by the constant predictor."""
        return self.imputed("constant")

    @cached_property
    def means(self) -> pd.DataFrame:
        """Mean imputed gains: a row per data set, a column per framework."""
        return ranking.seed_means(self.filled)


def joined(parts: Sequence[Comparison]) -> Comparison:
    """The data sets of several task types as one comparison of the frameworks that are in all.

    A failure counts as in its own task type, where frameworks may be that are left out here.
    """
    names = [one for one in parts[0].gains if all(one in part.gains for part in parts)]
    others = sorted({str(one) for part in parts for one in part.gains} - set(map(str, names)))
    notes = [f"{part.type.capitalize()}: {note}" for part in parts for note in part.notes]
    if others:
        notes.append(f"Left out, since not of every task type: {_listed(others)}.")
    metrics: dict[str, str] = {}
    signs: dict[str, int] = {}
    for name, part in zip(_names(parts), parts, strict=True):
        metrics |= {shown: part.metric_of[one] for one, shown in name.items()}
        signs |= {shown: part.sign_of[one] for one, shown in name.items()}
    return Comparison(
        ALL,
        _together(parts, [part.gains[names] for part in parts]),
        sum((part.counts.loc[names] for part in parts[1:]), parts[0].counts.loc[names]),
        metrics,
        signs,
        tuple(notes),
        _together(parts, [part.ran[names] for part in parts]),
        pd.concat([part.left_out for part in parts], ignore_index=True),
        tuple(parts),
    )


def _together(parts: Sequence[Comparison], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of several task types as one; a data set of several has the type in its name."""
    return pd.concat(
        [table.rename(name, level=0) for name, table in zip(_names(parts), tables, strict=True)]
    )


def _names(parts: Sequence[Comparison]) -> list[dict[str, str]]:
    """By task type the names of its data sets in a joined comparison."""
    known = [set(part.gains.index.get_level_values(0)) for part in parts]
    return [
        {
            one: f"{one} ({part.type})" if sum(one in other for other in known) > 1 else one
            for one in sorted(own)
        }
        for part, own in zip(parts, known, strict=True)
    ]


def of_type(frame: pd.DataFrame, type: str) -> pd.DataFrame:
    """The rows of a task type, or all rows."""
    if type == ALL:
        return frame
    own = frame["TYPE"] == type
    return frame if own.all() else frame[own]


def compare(
    frame: pd.DataFrame, type: str, metric: str | None = None, *, all_rows: bool = False
) -> Comparison:
    """Judge one task type's results by each task's own metric, or by the column `metric`.

    Where the results name no metric (`METRIC`, `SCORE`) it is weighted F1 and RMSE. With `all_rows`
    nothing is left out: what cannot be compared stands in `gains` with `ran` False.

    Raises:
        BenchmarkError: a metric is unknown, or a data set is scored by two.
    """
    # Of a million rows a copy of all columns takes half a gigabyte.
    columns = [one for one in frame if one in {*_COLUMNS, metric or USUAL_METRIC[type]}]
    rows = of_type(frame[columns].assign(TYPE=frame["TYPE"]), type).reset_index(drop=True)
    grid = _grid(rows, *judged(rows, type, metric), absent_failed="STATUS" not in frame.columns)
    notes: list[str] = []
    names = pd.Index(grid.frameworks, name="framework", dtype=object)
    if all_rows:
        gains = pd.DataFrame(grid.gains, grid.index, names)
        ran = pd.DataFrame(grid.result, grid.index, names)
        left_out, scoring = _left_out(grid, rows), (grid.metric_of, grid.sign_of)
        return Comparison(type, gains, grid.counts, *scoring, (), ran, left_out)
    left_out = _left_out(grid, rows)
    gains = _comparable(grid, left_out, notes)
    imputed = imputation.by_constant(gains)
    notes += [
        f"{_count(number, 'missing result')} imputed by {MEANT[source]}."
        for source, number in imputed.filled.items()
    ]
    lost = imputed.gains.isna().any(axis=1)
    if lost.any():
        hopeless = sorted(set(gains.index[lost].get_level_values(0)))
        notes.append(f"Left out, since every framework failed on them: {_listed(hopeless)}.")
    gains = gains[~lost]
    kept = set(gains.index.get_level_values(0))
    metric_of = {name: word for name, word in grid.metric_of.items() if name in kept}
    ran = pd.DataFrame(True, gains.index, gains.columns)
    metric_of = metric_of or grid.metric_of
    scoring = metric_of, grid.sign_of
    return Comparison(type, gains, grid.counts, *scoring, tuple(notes), ran, left_out)


@dataclass(frozen=True)
class _Grid:
    """Every framework (column) on every data set and seed (row)."""

    index: pd.MultiIndex
    frameworks: list[str]
    gains: NDArray[np.float64]
    result: NDArray[np.bool_]
    counts: pd.DataFrame
    metric_of: dict[str, str]
    sign_of: dict[str, int]


def _grid(
    rows: pd.DataFrame,
    gains: pd.Series[float],
    metric_of: dict[str, str],
    sign_of: dict[str, int],
    *,
    absent_failed: bool,
) -> _Grid:
    """Classic results hold only what ended well, so what is absent there failed; results with a
    status have a row for every task, so what is absent there was never to be run.
    """
    framework, names = _places(rows["MODEL"])
    seed, seeds = pd.factorize(rows["SEED"], sort=True)
    dataset, datasets = _places(rows["DATASET_ID"])
    place, pairs = pd.factorize(dataset * max(len(seeds), 1) + seed, sort=True)
    shape = (len(pairs), len(names))
    values = np.full(shape, np.nan)
    values[place, framework] = gains.to_numpy(float)
    ended, failed = _outcomes(rows, gains)
    result = np.full(shape, absent_failed)
    result[place, framework] = ended
    failures = np.full(shape, absent_failed)
    failures[place, framework] = failed
    index = pd.MultiIndex.from_arrays(
        [
            datasets[pairs // max(len(seeds), 1)],
            np.asarray(seeds)[pairs % max(len(seeds), 1)],
        ],
        names=["dataset", "seed"],
    )
    counts = {
        "tasks": np.bincount(framework, minlength=len(names)),
        "results": result.sum(axis=0),
        "failures": failures.sum(axis=0),
        "successes": (result & ~np.isnan(values)).sum(axis=0),
    }
    labels = names.tolist()
    table = pd.DataFrame(counts, index=pd.Index(labels, name="framework", dtype=object))
    return _Grid(index, labels, values, result, table, metric_of, sign_of)


def _places(column: pd.Series) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Which of the sorted names each row has, and these."""
    codes, found = pd.factorize(column)
    names, order = np.unique(np.array([str(one) for one in found], object), return_inverse=True)
    return order[codes], names


def _outcomes(
    rows: pd.DataFrame, gains: pd.Series[float]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are results, and which of all rows failed."""
    if "STATUS" not in rows.columns:
        return np.ones(len(rows), dtype=bool), gains.isna().to_numpy()
    success = (rows["STATUS"] == "success").to_numpy(bool)
    failure = (rows["STATUS"] == "failure").to_numpy(bool)
    if "CAUSE" in rows.columns:
        failure = failure & ~rows["CAUSE"].isin(NO_RESULT_CAUSES).to_numpy(bool)
    return success | failure, failure | (success & gains.isna().to_numpy())


def _left_out(grid: _Grid, rows: pd.DataFrame) -> pd.DataFrame:
    """Where a framework that has results has none: framework, data set, cause, number of seeds."""
    columns = ["framework", "dataset", "cause"]
    place, column = np.nonzero(~grid.result & grid.result.any(axis=0))
    cause = rows["CAUSE"] if "CAUSE" in rows.columns else pd.Series("", index=rows.index)
    idle = cause.isin((*NO_RESULT_CAUSES, RETIRED)) | (rows.get("STATUS", cause) == "")
    known = {
        (str(model), str(dataset), seed): str(why) or NOT_STARTED
        for model, dataset, seed, why in zip(
            *(rows.loc[idle, name] for name in ("MODEL", "DATASET_ID", "SEED")),
            cause[idle],
            strict=True,
        )
    }
    found, keys = [], grid.index.to_list()
    for row, number in zip(place, column, strict=True):
        dataset, seed = keys[row]
        name = grid.frameworks[number]
        found.append((name, dataset, known.get((name, str(dataset), seed), NOT_PLANNED)))
    table = pd.DataFrame(found, columns=columns, dtype=object)
    return table.groupby(columns, as_index=False).size().rename(columns={"size": "seeds"})


def _comparable(grid: _Grid, left_out: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows on which every framework that has any result has one."""
    ran = np.asarray(grid.result.any(axis=0), dtype=bool)
    idle = [name for name, any_result in zip(grid.frameworks, ran, strict=True) if not any_result]
    if idle:
        notes.append(f"Not ranked, since no task has a result yet: {_listed(idle)}.")
    result = grid.result[:, ran]
    whole = np.asarray(result.all(axis=1), dtype=bool)
    if not whole.all():
        open_tasks = int((~result).sum())
        notes.append(
            f"{_count(int((~whole).sum()), 'pair')} of data set and seed left out for all "
            f"frameworks, since {_count(open_tasks, 'task')} there "
            f"{'has' if open_tasks == 1 else 'have'} no result: {_pairs(left_out)}."
        )
    whole &= bool(ran.any())
    kept = [name for name, kept in zip(grid.frameworks, ran, strict=True) if kept]
    names = pd.Index(kept, name="framework", dtype=object)
    return pd.DataFrame(grid.gains[whole][:, ran], grid.index[whole], names)


def _pairs(left_out: pd.DataFrame) -> str:
    """`flaml on adult (2 infrastructure), h2o on adult (1 not started)`."""
    pairs = left_out.groupby(["framework", "dataset"], sort=True)
    entries = []
    for (framework, dataset), part in pairs:
        causes = ", ".join(f"{row.seeds} {row.cause}" for row in part.itertuples())
        entries.append(f"{framework} on {dataset} ({causes})")
    return _listed(entries)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
