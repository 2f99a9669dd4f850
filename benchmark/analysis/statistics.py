"""The rules by which results are compared: imputation, scaling, ranks, leaderboards.

Pure functions on frames. A *gain* is a score with the sign that makes larger better, so that log
loss, RMSE and AUC are handled alike.

    comparison = compare(frame, "classification")
    leaderboard(frame, "classification")

A failure (cause `framework`, `timeout`, `memory`) is a result, and its score is imputed. A task
without a result (not run yet, or ended by `data`, `setup`, `interrupted`, `infrastructure`) says
nothing about its framework: its data set and seed are left out for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CONSTANT = "constant"
NO_RESULT_CAUSES = ("data", "setup", "interrupted", "infrastructure")
MEAN_METRIC = {"classification": "F1_SCORE", "regression": "RMSE"}
MEAN_COLUMN = {"classification": "mean_f1", "regression": "mean_rmse"}
_HIGHER = frozenset(
    {
        *("auc", "roc_auc", "accuracy", "acc", "balanced_accuracy", "balacc", "f1", "f1_score"),
        *("r2", "r2_score", "average_precision", "precision", "recall", "mcc", "kappa"),
    }
)
_LOWER = frozenset(
    {
        *("log_loss", "logloss", "brier", "mse", "rmse", "mae", "rmsle", "mape", "msle"),
        *("median_absolute_error", "error_rate"),
    }
)


@dataclass(frozen=True)
class Comparison:
    """The part of one task type's results on which all its frameworks can be compared.

    `scores` has a row per framework, data set and seed: `framework`, `dataset`, `seed`, `gain`, and
    `imputed` ("", "constant" or "worst"). `tasks` has every task, also those left out, with
    `failed` (it ended without a score) and `result` (whether it counts).
    """

    type: str
    scores: pd.DataFrame
    tasks: pd.DataFrame
    metrics: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def datasets(self) -> int:
        """The number of data sets compared on."""
        return int(self.scores["dataset"].nunique())

    @property
    def seeds(self) -> int:
        """The number of distinct seeds compared on."""
        return int(self.scores["seed"].nunique())


def direction(metric: str) -> int:
    """1 where a larger value of the metric is better, -1 where a smaller one is.

    Raises:
        BenchmarkError: the metric is unknown, so that nothing can be said to be better.
    """
    name = metric.strip().lower().replace("-", "_").replace(" ", "_")
    if name in METRICS:
        return 1 if METRICS[name].direction == "maximize" else -1
    if name in _HIGHER or name.startswith("neg_"):
        return 1
    if name in _LOWER:
        return -1
    raise BenchmarkError(
        f'The metric "{metric}" is unknown to the analysis, so it cannot tell better from worse; '
        f"it knows {', '.join(sorted(_HIGHER | _LOWER | METRICS.keys()))}."
    )


def compare(frame: pd.DataFrame, type: str, metric: str | None = None) -> Comparison:
    """Judge one task type's results by each task's own metric, or by the column `metric`.

    Where the results name no metric (`METRIC`, `SCORE`) it is weighted F1 and RMSE.
    """
    tasks, metrics = _judged(frame, type, metric)
    tasks = _whole_grid(tasks, absent_is_failure="STATUS" not in frame.columns)
    notes: list[str] = []
    scores = impute(_comparable(tasks, notes))
    notes += _imputation_notes(scores)
    lost = scores["gain"].isna()
    if lost.any():
        names = sorted(scores.loc[lost, "dataset"].unique())
        notes.append(f"Left out, since every framework failed on them: {_listed(names)}.")
    scores = scores[~lost].reset_index(drop=True)
    return Comparison(type, scores, tasks, metrics, tuple(notes))


def _judged(
    frame: pd.DataFrame, type: str, metric: str | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The type's tasks with their gains, and the metrics they are judged by."""
    rows = frame[frame["TYPE"] == type].reset_index(drop=True)
    status = rows["STATUS"] if "STATUS" in rows.columns else pd.Series("", index=rows.index)
    cause = rows["CAUSE"] if "CAUSE" in rows.columns else pd.Series("", index=rows.index)
    values, names = _values(rows, type, metric)
    signs = {name: direction(name) for name in sorted(names.unique())}
    gains = (values * names.map(signs).astype(float)).mask(status == "failure").astype(float)
    if "STATUS" in rows.columns:
        result = (status != "") & ~((status == "failure") & cause.isin(NO_RESULT_CAUSES))
        failed = (status == "failure") | ((status == "success") & gains.isna())
    else:
        result, failed = pd.Series(True, index=rows.index), gains.isna()
    columns = {
        "framework": rows["MODEL"],
        "dataset": rows["DATASET_ID"].astype(str),
        "seed": rows["SEED"],
        "gain": gains,
        "failed": failed,
        "result": result,
    }
    return pd.DataFrame(columns), tuple(signs)


def _values(
    rows: pd.DataFrame, type: str, metric: str | None
) -> tuple[pd.Series[float], pd.Series[str]]:
    """Each row's value and the name of its metric."""
    chosen = metric or MEAN_METRIC[type]
    values = _column(rows, chosen)
    names = pd.Series(chosen.lower(), index=rows.index)
    if metric is not None or not {"METRIC", "SCORE"} <= set(rows.columns):
        return values, names
    own = rows["METRIC"].fillna("").astype(str)
    named = own[own != ""]
    per_set = named.groupby(rows.loc[named.index, "DATASET_ID"]).unique()
    mixed = per_set[per_set.map(len) > 1]
    if len(mixed):
        raise BenchmarkError(
            f"The results on {mixed.index[0]} are scored by {' and '.join(sorted(mixed.iloc[0]))}; "
            "results of runs with different metrics do not mix, so analyse them apart."
        )
    known = rows["DATASET_ID"].map(per_set.map(lambda found: str(found[0])))
    return values.where(known.isna(), rows["SCORE"]), names.where(known.isna(), known)


def _column(rows: pd.DataFrame, metric: str) -> pd.Series[float]:
    """A metric's column; RMSE is the root of MSE where it stands nowhere."""
    empty = pd.Series(np.nan, index=rows.index)
    values = rows[metric].astype(float) if metric in rows.columns else empty
    if metric == "RMSE" and "MSE" in rows.columns:
        return values.fillna(rows["MSE"].astype(float) ** 0.5)
    return values


def _whole_grid(tasks: pd.DataFrame, absent_is_failure: bool) -> pd.DataFrame:
    """Every framework on every (data set, seed).

    Classic results hold only what ended well, so what is absent there failed; results with a
    status have a row for every task, so what is absent there was never to be run.
    """
    pairs = tasks[["dataset", "seed"]].drop_duplicates()
    frameworks = tasks[["framework"]].drop_duplicates()
    grid = frameworks.merge(pairs, how="cross").merge(tasks, how="left")
    for column in ("failed", "result"):
        grid[column] = grid[column].where(grid[column].notna(), absent_is_failure).astype(bool)
    return grid.sort_values(["dataset", "seed", "framework"], ignore_index=True)


def _comparable(tasks: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The tasks whose data set and seed have a result of every framework that has any."""
    ran = tasks.groupby("framework")["result"].any()
    idle = sorted(ran[~ran].index)
    if idle:
        notes.append(f"Not ranked, since no task has a result yet: {_listed(idle)}.")
    tasks = tasks[tasks["framework"].map(ran).astype(bool)]
    whole = tasks.groupby(["dataset", "seed"])["result"].transform("all").astype(bool)
    pairs = tasks.loc[~whole, ["dataset", "seed"]].drop_duplicates()
    if len(pairs):
        open_tasks = int((~tasks["result"]).sum())
        notes.append(
            f"{_count(len(pairs), 'pair')} of data set and seed left out for all frameworks, since "
            f"{_count(open_tasks, 'task')} there {'has' if open_tasks == 1 else 'have'} no result."
        )
    return tasks.loc[whole, ["framework", "dataset", "seed", "gain"]].reset_index(drop=True)


def impute(scores: pd.DataFrame) -> pd.DataFrame:
    """Fill missing gains, and say in `imputed` by what.

    A missing gain takes the constant predictor's on the same data set and seed (Gijsbers et al.,
    JMLR 2024), else the constant predictor's mean on the data set; where the run has no `constant`,
    the worst gain of any framework and seed on the data set. It stays missing where all failed.
    """
    filled = scores.assign(imputed="")
    constant = scores[scores["framework"] == CONSTANT]
    by_pair = constant.set_index(["dataset", "seed"])["gain"]
    pairs = pd.MultiIndex.from_frame(scores[["dataset", "seed"]])
    sources = (
        ("constant", by_pair.reindex(pairs).to_numpy()),
        ("constant", scores["dataset"].map(constant.groupby("dataset")["gain"].mean()).to_numpy()),
        ("worst", scores["dataset"].map(scores.groupby("dataset")["gain"].min()).to_numpy()),
    )
    for name, values in sources:
        gap = filled["gain"].isna() & pd.notna(values)
        filled.loc[gap, "imputed"] = name
        filled.loc[gap, "gain"] = values[gap]
    return filled


def _imputation_notes(scores: pd.DataFrame) -> list[str]:
    counts = scores["imputed"].value_counts()
    means = {
        "constant": "the constant predictor's score",
        "worst": "the worst score on their data set, as the run has no constant predictor there",
    }
    return [
        f"{_count(int(counts[name]), 'missing result')} imputed by {meaning}."
        for name, meaning in means.items()
        if name in counts
    ]


def seed_means(scores: pd.DataFrame) -> pd.DataFrame:
    """The mean gain over seeds: a row per data set, a column per framework."""
    means = scores.groupby(["dataset", "framework"])["gain"].mean()
    return means.unstack("framework")


def ranks(means: pd.DataFrame) -> pd.DataFrame:
    """Ranks within each row, 1 the best; ties take the average of the ranks they span."""
    return means.rank(axis=1, ascending=False, method="average")


def wins(means: pd.DataFrame) -> pd.Series[int]:
    """On how many rows a framework is best; where several tie for best, each has the win."""
    return means.eq(means.max(axis=1), axis=0).sum().astype(int)


def scale(gains: NDArray[np.float64], zero: float | None) -> NDArray[np.float64]:
    """Scale one data set's gains: 0 is the constant predictor's, `zero`, and 1 the best.

    Nothing is clipped: what is worse than the constant predictor is negative, an infinite loss
    minus infinity. Without a finite `zero` the worst finite gain is 0. Where nothing beats the
    zero point the worst is -1, and where all are equal (a framework alone, too) all are 0.
    """
    finite = gains[np.isfinite(gains)]
    if not finite.size:
        return np.zeros_like(gains)
    best, worst = float(finite.max()), float(finite.min())
    origin = zero if zero is not None and np.isfinite(zero) else worst
    span = (best - origin) or (origin - worst) or 1.0
    scaled: NDArray[np.float64] = (gains - origin) / span
    return scaled


def scaled_by_dataset(means: pd.DataFrame) -> pd.DataFrame:
    """`scale` applied to each row of gains; a column per framework."""
    scaled = [
        scale(row.to_numpy(float), float(row[CONSTANT]) if CONSTANT in row.index else None)
        for _, row in means.iterrows()
    ]
    return pd.DataFrame(scaled, index=means.index, columns=means.columns)


def scaled_by_seed(scores: pd.DataFrame) -> pd.DataFrame:
    """Scaled gains of every data set and seed; a column per framework."""
    return scaled_by_dataset(scores.set_index(["dataset", "seed", "framework"])["gain"].unstack())


def median_notch(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """The median and its notch, median ± 1.57·IQR/√N (McGill, Tukey & Larsen 1978).

    Returns:
        median, lower and upper end; NaN without values, the whole line where the IQR is infinite.
    """
    array = np.asarray(values, dtype=float)
    if not array.size:
        return (np.nan, np.nan, np.nan)
    low, median, high = (float(value) for value in quartiles(array))
    half = 1.57 * (high - low) / np.sqrt(array.size) if high > low else 0.0
    if np.isinf(half):
        return median, -np.inf, np.inf
    return median, float(median - half), float(median + half)


def quartiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The three quartiles; an infinite value counts as the farthest, never as NaN."""
    shares = np.array([0.25, 0.5, 0.75])
    if np.isfinite(values).all():
        points = np.quantile(values, shares)
    else:
        points = np.quantile(values, shares, method="closest_observation")
    return np.asarray(points, dtype=float)


def success_shares(tasks: pd.DataFrame) -> pd.Series[float]:
    """The share of its results that have a score, 0…1; what has not run is not counted."""
    ended = tasks[tasks["result"]]
    return ended["gain"].notna().astype(float).groupby(ended["framework"]).mean()


def mean_metric(frame: pd.DataFrame, type: str) -> pd.Series[float]:
    """Raw weighted F1 or RMSE, imputed alike, over seeds and then over data sets."""
    means = seed_means(compare(frame, type, MEAN_METRIC[type]).scores)
    return means.mean() * direction(MEAN_METRIC[type])


def leaderboard(frame: pd.DataFrame, type: str) -> pd.DataFrame:
    """One task type's frameworks, the best first.

    Columns: `rank` (by mean rank; ties share the smaller; missing where nothing can be
    compared), `framework`, `mean_rank` over data sets, `scaled_score` (median over data sets of the
    scaled seed means, so that one catastrophe does not decide), `wins`, `mean_f1` or `mean_rmse`,
    `failures`, `success_share` 0…1 and `median_fit_s` over successes.
    """
    comparison = compare(frame, type)
    means = seed_means(comparison.scores)
    tasks = comparison.tasks
    board = pd.DataFrame(index=pd.Index(sorted(tasks["framework"].unique()), name="framework"))
    mean_ranks = ranks(means).mean()
    board["mean_rank"] = mean_ranks.reindex(board.index).astype(float)
    scaled = scaled_by_dataset(means)
    medians = {name: median_notch(scaled[name].to_numpy())[0] for name in scaled}
    board["scaled_score"] = pd.Series(medians, dtype=float).reindex(board.index)
    board["wins"] = wins(means).reindex(board.index).fillna(0).astype(int)
    board[MEAN_COLUMN[type]] = mean_metric(frame, type).reindex(board.index).astype(float)
    board["failures"] = tasks.groupby("framework")["failed"].sum().astype(int)
    board["success_share"] = success_shares(tasks)
    board["median_fit_s"] = _median_fit(frame, type).reindex(board.index).astype(float)
    board.insert(0, "rank", board["mean_rank"].round(9).rank(method="min").astype("Int64"))
    board = board.reset_index()
    board.insert(0, "rank", board.pop("rank"))
    order = ["mean_rank", "scaled_score", "framework"]
    return board.sort_values(order, ascending=[True, False, True], ignore_index=True)


def _median_fit(frame: pd.DataFrame, type: str) -> pd.Series[float]:
    rows = frame[frame["TYPE"] == type]
    if "FIT_S" not in rows.columns:
        return pd.Series(dtype=float)
    if "STATUS" in rows.columns:
        rows = rows[rows["STATUS"] == "success"]
    return rows.groupby("MODEL")["FIT_S"].median()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
