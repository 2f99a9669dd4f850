"""Leaderboards: one task type's frameworks, the best first."""

from __future__ import annotations

import pandas as pd

from benchmark.analysis.results.metrics import USUAL_METRIC, direction
from benchmark.analysis.results.scores import usual_column
from benchmark.analysis.statistics import imputation, ranking, scaling
from benchmark.analysis.statistics.comparable import Comparison, compare, of_type

CLASSIC_METRIC = {"classification": "F1_SCORE", "regression": "MSE"}
MEAN_COLUMN = {"classification": "mean_f1", "regression": "mean_rmse"}


def leaderboard(
    frame: pd.DataFrame, type: str, comparison: Comparison | None = None
) -> pd.DataFrame:
    """One task type's frameworks, the best first.

    Columns: `rank` (by mean rank; ties share the smaller; missing where nothing can be
    compared), `framework`, `mean_rank` over data sets, `scaled_score` (median over data sets of the
    scaled seed means, so that one catastrophe does not decide), `wins`, `mean_f1` or `mean_rmse`,
    `failures`, `success_share` 0…1 and `median_fit_s` over successes.
    """
    comparison = comparison or compare(frame, type)
    counts, means = comparison.counts, comparison.means
    board = pd.DataFrame(index=counts.index)
    board["mean_rank"] = ranking.ranks(means).mean().reindex(board.index).astype(float)
    scaled = scaling.scaled(means)
    medians = {name: scaling.median_notch(scaled[name].to_numpy())[0] for name in scaled}
    board["scaled_score"] = pd.Series(medians, dtype=float).reindex(board.index)
    board["wins"] = ranking.wins(means).reindex(board.index).fillna(0).astype(int)
    if type in MEAN_COLUMN:
        board[MEAN_COLUMN[type]] = mean_metric(frame, type).reindex(board.index).astype(float)
    board["failures"] = counts["failures"].astype(int)
    results = counts["results"].where(counts["results"] > 0)
    board["success_share"] = (counts["successes"] / results).astype(float)
    board["median_fit_s"] = _median_fit(frame, type).reindex(board.index).astype(float)
    places = board["mean_rank"].round(ranking.DECIMALS).rank(method="min").astype("Int64")
    board = board.reset_index()
    board.insert(0, "rank", places.to_numpy())
    order = ["mean_rank", "scaled_score", "framework"]
    return board.sort_values(order, ascending=[True, False, True], ignore_index=True)


def mean_metric(frame: pd.DataFrame, type: str) -> pd.Series[float]:
    """Raw weighted F1 or RMSE, imputed alike, over seeds and then over data sets.

    Missing for a framework that has succeeded without it, as in another program's results.
    """
    metric = USUAL_METRIC[type]
    found = compare(frame, type, metric).means.mean() * direction(metric)
    if "STATUS" in frame.columns:
        columns = [one for one in frame if one in {"MODEL", metric, "MSE"}]
        rows = frame.loc[(frame["TYPE"] == type) & (frame["STATUS"] == "success"), columns]
        without = usual_column(rows, metric).isna()
        found = found.mask(found.index.isin(rows.loc[without, "MODEL"]))
    return found


def other_scales(frame: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The same results on the scales of other reports, a row per framework.

    `amlb_2019`: mean over data sets, 0 = constant predictor, 1 = tuned random forest, failures by
    the random forest. `amlb_2024`: median over data sets, 0 = random forest, 1 = best, failures by
    the constant predictor, and `amlb_2024_of` the number of these data sets: only those whose best
    is another than the random forest have this scale. `classic`, `classic_low`, `classic_high`:
    median and notch of z-scored and then 0…1 scaled weighted F1 or MSE, failures dropped for all;
    `classic_mean` the raw mean.
    What a run has not the baselines or the metric for is missing.
    """
    table = pd.DataFrame(index=comparison.gains.columns)
    old = scaling.amlb_2019(imputation.by_amlb_2019(comparison.gains).gains)
    new = scaling.amlb_2024(comparison.means)
    table["amlb_2019"] = float("nan") if old is None else ranking.seed_means(old).mean()
    table["amlb_2024"] = float("nan") if new is None else new.median()
    table["amlb_2024_of"] = float("nan") if new is None else new.count().astype(float)
    if comparison.type not in CLASSIC_METRIC:
        return table
    metric = CLASSIC_METRIC[comparison.type]
    kept = imputation.by_drop(compare(frame, comparison.type, metric).gains).gains
    scaled = scaling.classic(kept)
    notches = {name: scaling.median_notch(scaled[name].to_numpy(float)) for name in scaled}
    ends = ["classic", "classic_low", "classic_high"]
    classic = pd.DataFrame.from_dict(notches, orient="index", columns=ends).reindex(table.index)
    table["classic_mean"] = kept.mean() * direction(metric)
    return table.join(classic.astype(float))


def _median_fit(frame: pd.DataFrame, type: str) -> pd.Series[float]:
    if "FIT_S" not in frame.columns:
        return pd.Series(dtype=float)
    columns = [one for one in frame if one in {"TYPE", "MODEL", "FIT_S", "STATUS"}]
    rows = of_type(frame[columns], type)
    if "STATUS" in rows.columns:
        rows = rows[rows["STATUS"] == "success"]
    return rows.groupby("MODEL")["FIT_S"].median()
