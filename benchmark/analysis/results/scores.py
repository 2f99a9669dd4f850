"""The score by which each task is judged, for boards, counts of what is missing, and exports alike.

gains, metric_of, sign_of = judged(frame[frame["TYPE"] == "regression"], "regression")
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.analysis.results.cells import SCORED
from benchmark.analysis.results.metrics import SIGNS, USUAL_METRIC, canonical, direction
from benchmark.errors import BenchmarkError


def judged(
    rows: pd.DataFrame, type: str, metric: str | None = None
) -> tuple[pd.Series[float], dict[str, str], dict[str, int]]:
    """One task type's gains by row, and the metric and its direction by data set.

    A gain is a score with the sign that makes larger better, NaN without a success. The score is
    that of the metric that the results name for the data set, else weighted F1 or RMSE.

    Args:
        rows: the results, with an index that names no row twice.
        type: "classification" or "regression".
        metric: the column to judge by instead.

    Raises:
        BenchmarkError: a metric is unknown, or a data set is scored by two.
    """
    chosen = metric or USUAL_METRIC[type]
    values = usual_column(rows, chosen)
    usual = SCORED.get(chosen, chosen.lower())
    places, found = pd.factorize(rows["DATASET_ID"])
    names = [str(one) for one in found]
    per_set = pd.Series(usual, index=pd.unique(pd.Series(names, dtype=object)))
    if metric is None and {"METRIC", "SCORE"} <= set(rows.columns):
        named = _named(rows)
        per_set.update(named)
        values = values.where(~rows["DATASET_ID"].isin(named.index), _scores(rows, named, values))
    directions = _own_directions(rows)
    signs = per_set.map({name: direction(name, directions) for name in sorted(per_set.unique())})
    gains = values * signs.reindex(names).to_numpy(float)[places]
    if "STATUS" in rows.columns:
        gains = gains.mask(rows["STATUS"] != "success")
    metric_of = {str(name): str(word) for name, word in per_set.items()}
    return gains.astype(float), metric_of, {str(name): int(sign) for name, sign in signs.items()}


def usual_column(rows: pd.DataFrame, metric: str) -> pd.Series[float]:
    """A metric's column; RMSE is the root of MSE where it stands nowhere."""
    empty = pd.Series(np.nan, index=rows.index)
    values = rows[metric].astype(float) if metric in rows.columns else empty
    if metric == "RMSE" and "MSE" in rows.columns:
        return values.fillna(rows["MSE"].astype(float) ** 0.5)
    return values


def _named(rows: pd.DataFrame) -> pd.Series[str]:
    """The metric that the results name, by data set."""
    pairs = rows[["DATASET_ID", "METRIC"]].drop_duplicates().astype(object)
    named = pairs[pairs["METRIC"].fillna("") != ""]
    twice = named["DATASET_ID"].duplicated(keep=False)
    if twice.any():
        mixed = sorted(named.loc[twice, "DATASET_ID"])[0]
        _refuse(mixed, sorted(named.loc[named["DATASET_ID"] == mixed, "METRIC"]))
    return named.set_index("DATASET_ID")["METRIC"].astype(str)


def _scores(rows: pd.DataFrame, named: pd.Series[str], usual: pd.Series[float]) -> pd.Series[float]:
    """The scores by the named metrics; of classic rows, which name none, from its own column."""
    scores = rows["SCORE"].astype(float)
    nameless = rows["METRIC"].isna() | (rows["METRIC"] == "")
    classic = rows["DATASET_ID"].isin(named.index) & nameless
    if not (classic & scores.isna()).any():
        return scores
    columns = {metric: column for column, metric in SCORED.items()}
    for dataset, part in rows[classic & scores.isna()].groupby("DATASET_ID"):
        column = columns.get(str(named[dataset]))
        if column is not None:
            scores[part.index] = usual_column(part, column)
        if (scores[part.index].isna() & usual[part.index].notna()).any():
            _refuse(str(dataset), [str(named[dataset]), "by a metric without a name"])
    return scores


def _refuse(dataset: str, metrics: list[str]) -> None:
    raise BenchmarkError(
        f"The results on {dataset} are scored by {' and '.join(metrics)}; results of runs with "
        "different metrics do not mix, so analyse them apart."
    )


def _own_directions(rows: pd.DataFrame) -> dict[str, int]:
    """The directions that the results bring themselves, by metric."""
    if not {"METRIC", "METRIC_DIRECTION"} <= set(rows.columns):
        return {}
    pairs = rows[["METRIC", "METRIC_DIRECTION"]].drop_duplicates()
    return {
        canonical(str(metric)): SIGNS[word]
        for metric, word in pairs.itertuples(index=False)
        if word in SIGNS
    }
