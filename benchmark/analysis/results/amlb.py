"""Reads AMLB's `results.csv`, of 2019 and of today, into the columns of compiled results.

    is_amlb(["id", "task", "framework", "fold", "type", "result", ...])     # True
    frame, names = from_amlb(texts, "results.csv")

A fold is a seed. A row without a result is a failure: AMLB counts all of them as results, so its
causes here are `timeout`, `memory` or `framework`, by what `info` says. In a file that this program
wrote, `info` begins with the cause.

A score's direction follows the metric's name. AMLB negates a loss and names it `neg_logloss` since
April 2021 (its pull request 278); before, `logloss` stood as it is, and in 2019 without its name.
Here every loss is positive, under its plain name, and the smaller one is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from benchmark.analysis.results.amlb_form import MEASURES
from benchmark.analysis.results.cells import check_range, differ, empty, first_row, numbers
from benchmark.analysis.results.metrics import SIGNS, canonical, known_direction
from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import METRICS
from benchmark.records.results import Cause

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
    **{"params": "PARAMS", "app_version": "HARNESS", "id": "AMLB_ID", "seed": "AMLB_SEED"},
}
# What this program writes at the start of `info`.
_OWN_CAUSE = rf"^({'|'.join(cause.value for cause in Cause)}): "
_CAUSES = (
    ("timeout", r"^timeout|time ?out|timelimit|time limit|exceeded.*time|requested time"),
    ("memory", r"^memory|memoryerror|out of memory|cannot allocate|oom|bad_alloc"),
)
# `result` and the metric's own column are the same value, rounded to six digits or not at all.
_NEGATED = "neg_"


def is_amlb(columns: Iterable[object]) -> bool:
    return set(NEEDED) <= {str(column) for column in columns}


def from_amlb(texts: pd.DataFrame, source: object) -> tuple[pd.DataFrame, dict[str, str]]:
    """Compiled results, all text still, and the file's own names of their columns.

    `read_results` checks and converts them.

    Raises:
        BenchmarkError: a task type is unknown, or it is not clear which results are better.
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
    frame["METRIC"], scores, frame["METRIC_DIRECTION"] = _scores(texts, kinds, source)
    frame["SCORE"] = ["" if math.isnan(score) else repr(score) for score in scores]
    missing = scores.isna()
    frame["STATUS"] = missing.map({True: "failure", False: "success"})
    frame["CAUSE"] = _causes(frame.get("MESSAGE"), missing)
    if "MESSAGE" in frame.columns:
        frame["MESSAGE"] = frame["MESSAGE"].str.replace(_OWN_CAUSE, "", regex=True)
    for column in texts.columns:
        size = column.removeprefix("infer_batch_size_df_")
        if size.isdecimal() and int(size) > 0:
            seconds = numbers(texts[column], source) / int(size)
            frame[f"INFERENCE_S_{size}"] = seconds.astype(str).where(seconds.notna(), "")
    return frame, {ours: theirs for theirs, ours in given.items()} | {"SCORE": "result"}


def _scores(
    texts: pd.DataFrame, kinds: pd.Series[str], source: object
) -> tuple[pd.Series[str], pd.Series[float], pd.Series[str]]:
    """Each row's metric by its plain name, its value with the metric's own sign, its direction."""
    results = numbers(texts["result"], source)
    named = kinds.map(METRIC_OF_2019).fillna("")
    if "metric" in texts.columns:
        blank = empty(texts["metric"])
        exact = texts["metric"].str.strip()
        own = _directions(texts).ne("") & ~exact.str.removeprefix(_NEGATED).isin(METRICS)
        named = texts["metric"].map(canonical).mask(own, exact).mask(blank, "")
    unclear = (named == "") & results.notna()
    if unclear.any():
        raise BenchmarkError(
            f"{source}: row {first_row(unclear)} has a result and no metric; name it in the column "
            "metric."
        )
    directions = _directions(texts)
    scores, metrics, ways = results.copy(), named.copy(), pd.Series("", index=texts.index)
    for (name, way), rows in results.groupby([named, directions]):
        place = rows.index
        if rows.isna().all() and known_direction(str(name).removeprefix(_NEGATED)) is None:
            metrics[place] = ""
        elif name:
            plain, sign = _read_as(str(name), str(way), source)
            if str(name).startswith(_NEGATED):
                scores[place] = 0.0 - rows
            if sign == known_direction(plain) == -1:
                _check_sign(rows, str(name), source)
            if way and plain not in METRICS:
                metrics[place] = plain
            else:
                if plain not in MEASURES:  # The others are checked with the classic columns.
                    check_range(scores[place], plain, f"{source}: result")
                _check_same(scores[place], texts, plain, source)
                metrics[place] = MEASURES.get(plain, plain)
            ways[place] = "maximize" if sign > 0 else "minimize"
    return metrics, scores, ways


def _directions(texts: pd.DataFrame) -> pd.Series[str]:
    """Which results are better, where the file says so: its metrics may be of the user's own."""
    if "metric_direction" not in texts.columns:
        return pd.Series("", index=texts.index)
    return texts["metric_direction"].str.strip().str.lower()


def _read_as(name: str, direction: str, source: object) -> tuple[str, int]:
    """A metric's plain name, and 1 or -1 as more or less of it is better.

    Args:
        name: AMLB's, such as `auc`, `logloss` or `neg_logloss`.
        direction: "maximize" or "minimize", as the file says of its results, or "".

    Raises:
        BenchmarkError: it is not clear, or name and direction contradict each other.
    """
    negated = name.startswith(_NEGATED)
    plain = name.removeprefix(_NEGATED)
    known = known_direction(plain)
    said = SIGNS.get(direction)
    if direction not in {"", *SIGNS}:
        raise BenchmarkError(
            f'{source}: metric_direction is "{direction}" for {name}; it must be maximize or '
            "minimize."
        )
    if said is not None and negated:
        said = -said
    sign = said or (-1 if negated else known)
    if sign is None:
        raise BenchmarkError(
            f'{source}: the metric "{name}" is unknown to the analysis, so it cannot tell better '
            "from worse; name a loss neg_… and negate it, or add a column metric_direction with "
            "maximize or minimize."
        )
    own = said is not None and plain not in METRICS
    if known not in {None, sign} and not own:
        raise BenchmarkError(
            f"{source}: the metric is {name}, and it is not clear whether a larger result is "
            f"better, since {plain} is {'a loss' if sign > 0 else 'no loss'}; name the metric "
            "that the results are of."
        )
    return plain, sign


def _check_sign(results: pd.Series[float], name: str, source: object) -> None:
    """Refuse a loss below 0, and a negated one above 0."""
    negated = name.startswith(_NEGATED)
    wrong = results > 0 if negated else results < 0
    if wrong.any():
        row, value = int(results.index[int(wrong.to_numpy().argmax())]) + 1, results[wrong].iloc[0]
        fix = name.removeprefix(_NEGATED) if negated else f"{_NEGATED}{name}"
        raise BenchmarkError(
            f"{source}: result is {value:g} in row {row}, and a {'negated ' * negated}loss cannot "
            f"be {'positive' if negated else 'negative'}; the metric is {name}, so correct the "
            f"sign, or name the metric {fix} if that is what it is."
        )


def _check_same(scores: pd.Series[float], texts: pd.DataFrame, plain: str, source: object) -> None:
    """Refuse a result that is not what the metric's own column has."""
    if plain not in texts.columns:
        return
    own = numbers(texts.loc[scores.index, plain], source)
    differs = differ(scores, own)
    if differs.any():
        row = int(scores.index[int(differs.to_numpy().argmax())])
        result, other = texts["result"].iloc[row], texts[plain].iloc[row]
        raise BenchmarkError(
            f"{source}: result is {result} in row {row + 1} and its {plain} is {other}; the two "
            "are one value, so correct the wrong one."
        )


def _causes(messages: pd.Series[str] | None, missing: pd.Series[bool]) -> pd.Series[str]:
    causes = pd.Series("", index=missing.index, dtype=object).mask(missing, "framework")
    if messages is None:
        return causes
    lower = messages.str.lower()
    for cause, pattern in reversed(_CAUSES):
        causes = causes.mask(missing & lower.str.contains(pattern, regex=True), cause)
    own = messages.str.extract(_OWN_CAUSE, expand=False)
    return causes.mask(missing & own.notna(), own)
