"""Reads AMLB's `results.csv`, of 2019 and of today, into the columns of compiled results.

    is_amlb(["id", "task", "framework", "fold", "type", "result", ...])     # True
    frame = from_amlb(texts, "results.csv")

A fold is a seed. A row without a result is a failure: AMLB counts all of them as results, so its
causes here are `timeout`, `memory` or `framework`, by what `info` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable

NEEDED = ("task", "framework", "fold", "type", "result")
TYPES = {
    "binary": "classification",
    "multiclass": "classification",
    "classification": "classification",
    "regression": "regression",
}
# The files of 2019 do not name the metric, and give its value as it is.
METRIC_OF_2019 = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}
NAMED = {
    **{"task": "DATASET_ID", "framework": "MODEL", "fold": "SEED", "type": "PROBLEM"},
    **{"logloss": "LOGLOSS", "mse": "MSE", "r2": "R2_SCORE", "auc": "AUC", "acc": "ACCURACY"},
    **{"balacc": "BALANCED_ACCURACY", "rmse": "RMSE", "mae": "MAE", "info": "MESSAGE"},
    **{"f1_weighted": "F1_SCORE", "duration": "TOTAL_S", "training_duration": "FIT_S"},
    **{"predict_duration": "PREDICT_S", "models_count": "MODELS", "models": "MODELS"},
    **{"version": "VERSION", "constraint": "CONSTRAINT", "utc": "ENDED", "mode": "MODE"},
}
_CAUSES = (
    ("timeout", r"^timeout|time ?out|timelimit|time limit|exceeded.*time|requested time"),
    ("memory", r"^memory|memoryerror|out of memory|cannot allocate|oom|bad_alloc"),
)
_EMPTY = ("", "nan", "none", "null", "na")


def is_amlb(columns: Iterable[object]) -> bool:
    return set(NEEDED) <= {str(column) for column in columns}


def from_amlb(texts: pd.DataFrame, source: object) -> pd.DataFrame:
    """Compiled results, all text still; `read_results` checks and converts them.

    Raises:
        BenchmarkError: a task type is unknown.
    """
    kinds = texts["type"].str.strip().str.lower()
    wrong = ~kinds.isin(TYPES)
    if wrong.any():
        row = int(wrong.to_numpy().argmax()) + 1
        raise BenchmarkError(
            f'{source}: type is "{texts.loc[wrong, "type"].iloc[0]}" in row {row}; it must be one '
            f"of: {', '.join(TYPES)}."
        )
    given = {theirs: ours for theirs, ours in NAMED.items() if theirs in texts.columns}
    frame = texts[list(given)].rename(columns=given)
    frame.insert(0, "ID", [str(place) for place in range(len(frame))])
    frame["TYPE"] = kinds.map(TYPES)
    for column in ("MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE"):
        if column not in frame.columns:
            frame[column] = ""
    metric = texts["metric"] if "metric" in texts.columns else kinds.map(METRIC_OF_2019)
    missing = _empty(texts["result"])
    frame["METRIC"] = metric.fillna("").where(metric.fillna("") != "", kinds.map(METRIC_OF_2019))
    frame["SCORE"] = texts["result"].mask(missing, "")
    frame["STATUS"] = missing.map({True: "failure", False: "success"})
    frame["CAUSE"] = _causes(frame.get("MESSAGE"), missing)
    if "metric" in texts.columns:
        # Today's results are larger where they are better, whatever the metric.
        frame["METRIC_DIRECTION"] = "maximize"
    for column in texts.columns:
        size = column.removeprefix("infer_batch_size_df_")
        if size.isdecimal():
            seconds = pd.to_numeric(texts[column], errors="coerce") / int(size)
            frame[f"INFERENCE_S_{size}"] = seconds.astype(str).where(seconds.notna(), "")
    return frame


def _causes(messages: pd.Series[str] | None, missing: pd.Series[bool]) -> pd.Series[str]:
    causes = pd.Series("", index=missing.index, dtype=object).mask(missing, "framework")
    if messages is None:
        return causes
    lower = messages.str.lower()
    for cause, pattern in reversed(_CAUSES):
        causes = causes.mask(missing & lower.str.contains(pattern, regex=True), cause)
    return causes


def _empty(texts: pd.Series[str]) -> pd.Series[bool]:
    return texts.str.strip().str.lower().isin(_EMPTY)
