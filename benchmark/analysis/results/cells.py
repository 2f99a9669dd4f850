"""Checks of the cells of a results table: numbers, possible scores, distinct names.

Every refusal is one sentence that names the file, the column, the value and the row.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from benchmark.analysis.results.metrics import bounds, canonical
from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import METRICS
from benchmark.files.numbers import NOT_ZERO

MISSING = ("", "nan", "none", "null", "na")
NO_RESULT_CAUSES = ("data", "setup", "interrupted", "infrastructure")
"""The causes that are no failures of the framework: their tasks run again."""
RETIRED = "retired"
"""The cause of tasks that were not run because a run's question does not need them."""
SCORED = {
    **{"MSE": "mse", "R2_SCORE": "r2", "LOGLOSS": "log_loss", "F1_SCORE": "f1_weighted"},
    **{"AUC": "auc", "BALANCED_ACCURACY": "balanced_accuracy", "ACCURACY": "accuracy"},
    **{"RMSE": "rmse", "MAE": "mae"},
}
_COLUMNS = {metric: column for column, metric in SCORED.items()}
# Two cells of one value differ by rounding at most this much, relatively.
SAME = 1e-4
# A mean of values that are all 1 may exceed 1 by rounding.
_ROUNDING = 1e-9
_LARGEST = 2**63 - 1
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
# What the eye does not see: white space and the marks of no width.
_UNSEEN = re.compile(r"[\s\u200b-\u200d\u2060\ufeff]+")


def empty(texts: pd.Series[str]) -> pd.Series[bool]:
    return texts.str.strip().str.lower().isin(MISSING)


def first_row(wrong: pd.Series[bool]) -> int:
    """The first wrong row as people count them: from 1, without the header."""
    return int(wrong.to_numpy().argmax()) + 1


def numbers(texts: pd.Series[str], source: object) -> pd.Series[float]:
    """The column as floats, NaN where it is empty; a column of floats is as it should be.

    Raises:
        BenchmarkError: a cell is neither a number nor empty, or one that no float can hold.
    """
    if texts.dtype.kind == "f":
        return texts.astype(float)
    plain = _plain_numbers(texts)
    if plain is not None:
        _check_held(texts, plain, source)
        return plain
    missing = empty(texts)
    found = pd.to_numeric(texts.mask(missing), errors="coerce").astype(float)
    wrong = found.isna() & ~missing
    if wrong.any():
        raise BenchmarkError(
            f'{source}: {texts.name} is "{texts[wrong].iloc[0]}" in row {first_row(wrong)}; '
            "it must be a number or empty."
        )
    _check_held(texts, found, source)
    return found


def _check_held(texts: pd.Series[str], found: pd.Series[float], source: object) -> None:
    """Refuse a number that is read as infinite or as 0, such as 1e400 and 1e-400."""
    for place, name in ((found.abs() == float("inf"), "inf"), (found == 0, "0")):
        lost = texts[place].astype(str).str.contains(NOT_ZERO)
        if lost.any():
            row = first_row(pd.Series(texts.index == lost[lost].index[0]))
            raise BenchmarkError(
                f'{source}: {texts.name} is "{_short(str(texts.iloc[row - 1]))}" in row {row}, '
                f"which a floating-point number holds as {name}; write {name}, or correct it."
            )


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}…"


def _plain_numbers(texts: pd.Series[str]) -> pd.Series[float] | None:
    """The column by Arrow, in a tenth of pandas' time; None if it has what Arrow does not take."""
    import pyarrow as pa
    from pyarrow import compute

    cells = pa.array(texts.array)
    try:
        found = compute.if_else(compute.equal(cells, ""), None, cells).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    values = found.to_numpy(zero_copy_only=False)
    return pd.Series(values, texts.index, dtype=float, name=texts.name)


def amounts(
    texts: pd.Series[str], source: object, what: str, *, whole: bool = False
) -> pd.Series[float]:
    """The column as finite floats of at least 0, NaN where it is empty.

    Args:
        texts: the column.
        source: the file.
        what: what a cell is, for the message, such as "seconds".
        whole: whether fractions are refused, too.

    Raises:
        BenchmarkError: a cell is neither such a number nor empty.
    """
    found = numbers(texts, source)
    for wrong, fault in (
        (found < 0, "negative"),
        (found == float("inf"), "infinite"),
        ((found % 1 != 0) & found.notna() & whole, "a fraction"),
    ):
        if wrong.any():
            raise BenchmarkError(
                f'{source}: {texts.name} is "{_written(texts[wrong].iloc[0])}" in row '
                f"{first_row(wrong)}; {what} cannot be {fault}, so correct it, or leave it empty."
            )
    return found


def _written(cell: object) -> str:
    """A cell as its file has it, or the number that it was, without a trailing `.0`."""
    return str(cell).removesuffix(".0")


def seeds(texts: pd.Series[str], source: object, name: str) -> pd.Series[int]:
    """The column as whole numbers of 64 bits, every digit kept.

    Raises:
        BenchmarkError: a cell is no such number.
    """
    places, names = pd.factorize(texts)
    found = [_whole(text) for text in names]
    if None not in found:
        return pd.Series(np.array(found, dtype="int64")[places], texts.index, name=texts.name)
    wrong = found.index(None)
    raise BenchmarkError(
        f'{source}: {name} is "{names[wrong]}" in row {int((places == wrong).argmax()) + 1}; '
        "it must be a whole number of at most 64 bits."
    )


def _whole(text: str) -> int | None:
    """A whole number of 64 bits, or None for anything else; a float writes 7 as 7.0."""
    stripped = text.strip()
    if not _WHOLE.fullmatch(stripped):
        return None
    number = int(stripped.partition(".")[0])
    return number if abs(number) <= _LARGEST else None


def check_scores(frame: pd.DataFrame, source: object, names: Mapping[str, str]) -> None:
    """Refuse scores that no predictions can have, such as an AUC of 2 or a negative RMSE.

    Args:
        frame: the results, numbers converted.
        source: the file.
        names: what the file calls a column, where that differs.

    Raises:
        BenchmarkError: names the first one.
    """
    for column, metric in SCORED.items():
        if column in frame.columns:
            check_range(frame[column], metric, f"{source}: {names.get(column, column)}")
    if {"METRIC", "SCORE"} <= set(frame.columns):
        _check_named(frame, source, names)
    _check_errors(frame, source)


def _check_named(frame: pd.DataFrame, source: object, names: Mapping[str, str]) -> None:
    """The same of scores by the metrics that the results name."""
    place = f"{source}: {names.get('SCORE', 'SCORE')}"
    for (named, way), rows in frame["SCORE"].groupby([frame["METRIC"], _directions(frame)]):
        check_range(rows, str(named), place, str(way))
    is_regression = frame["TYPE"] == "regression"
    for named, rows in frame["SCORE"].groupby(frame["METRIC"]):
        # By its exact name: a user's own metric may be called AUC.
        own = _COLUMNS.get(str(named))
        if own is None:
            continue
        is_of_numbers = "regression" in METRICS[str(named)].problem_types
        wrong = rows.notna() & (is_regression[rows.index] != is_of_numbers)
        if wrong.any():
            row = int(rows.index[int(wrong.to_numpy().argmax())])
            raise BenchmarkError(
                f"{place} is of the metric {named} in row {row + 1}, which is a "
                f"{frame['TYPE'][row]}; correct the type, or name the metric that the row has."
            )
        if own in frame.columns:
            _check_same(rows, frame.loc[rows.index, own], source, names)


def _check_errors(frame: pd.DataFrame, source: object) -> None:
    """Refuse an RMSE that is not the root of the MSE, and an MAE above it."""
    rmse, mse, mae = (_of_metric(frame, metric) for metric in ("rmse", "mse", "mae"))
    root = mse**0.5
    for wrong, one, other, rule in (
        (differ(rmse, root), ("RMSE", rmse), ("MSE", mse), "the MSE is the square of the RMSE"),
        (mae > rmse * (1 + SAME), ("MAE", mae), ("RMSE", rmse), "an MAE is at most the RMSE"),
        (mae > root * (1 + SAME), ("MAE", mae), ("MSE", mse), "the square of an MAE is at most it"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise BenchmarkError(
                f"{source}: the {one[0]} is {float(one[1].iloc[row])!r} in row {row + 1} and the "
                f"{other[0]} is {float(other[1].iloc[row])!r}; {rule}, so correct the wrong one."
            )


def _of_metric(frame: pd.DataFrame, metric: str) -> pd.Series[float]:
    """A built-in metric's values: of its column, or of the rows that are scored by it."""
    column = _COLUMNS[metric]
    values = frame[column] if column in frame.columns else pd.Series(np.nan, frame.index)
    if {"METRIC", "SCORE"} <= set(frame.columns):
        values = values.fillna(frame["SCORE"].where(frame["METRIC"] == metric))
    return values.astype(float)


def differ(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[bool]:
    """Where two columns of one value contradict each other; what is missing does not."""
    finite = ((one - other).abs() > SAME * one.abs().clip(lower=SAME)) & one.abs().lt(float("inf"))
    endless = one.abs().eq(float("inf")) & (one != other) & other.notna()
    return finite | endless


def _check_same(
    scores: pd.Series[float], own: pd.Series[float], source: object, names: Mapping[str, str]
) -> None:
    """Refuse a score that is not what the metric's own column has."""
    wrong = differ(scores, own)
    if wrong.any():
        row = int(scores.index[int(wrong.to_numpy().argmax())])
        column = str(own.name)
        raise BenchmarkError(
            f"{source}: {names.get('SCORE', 'SCORE')} is {float(scores[row])!r} in row {row + 1} "
            f"and its {names.get(column, column)} is {float(own[row])!r}; the two are one value, "
            "so correct the wrong one."
        )


def check_directions(frame: pd.DataFrame, source: object) -> None:
    """Refuse a METRIC_DIRECTION that the metric's name or another row contradicts.

    Raises:
        BenchmarkError: names the metric.
    """
    if "METRIC" not in frame.columns:
        return
    known: dict[str, str] = {name: metric.direction for name, metric in METRICS.items()}
    pairs = pd.DataFrame({"metric": frame["METRIC"], "way": _directions(frame)}).drop_duplicates()
    for metric, way in pairs.itertuples(index=False):
        if way and metric and known.setdefault(canonical(metric), way) != way:
            raise BenchmarkError(
                f'{source}: METRIC_DIRECTION is "{way}" for {metric}, which is to be '
                f"{known[canonical(metric)]}d; correct the direction, or give another metric "
                "another name."
            )


def _directions(frame: pd.DataFrame) -> pd.Series[str]:
    if "METRIC_DIRECTION" in frame.columns:
        return frame["METRIC_DIRECTION"]
    return pd.Series(pd.Categorical([""]).repeat(len(frame)), index=frame.index)


def check_names(values: Iterable[object], what: str, source: object) -> None:
    """Refuse names that differ by white space only: they look like one and would count as two.

    So do letters with an accent that are written as one character or as two.

    Raises:
        BenchmarkError: names the first two.
    """
    seen: dict[str, str] = {}
    for name in sorted({str(value) for value in values}):
        other = seen.setdefault(unicodedata.normalize("NFC", _UNSEEN.sub("", name)), name)
        if other != name:
            is_space = _UNSEEN.sub("", other) == _UNSEEN.sub("", name)
            by = "white space" if is_space else "the encoding of their accents"
            one, two = (ascii(each) if not is_space else repr(each) for each in (other, name))
            raise BenchmarkError(
                f"{source}: the {what} {one} and {two} differ by {by} only; write them alike if "
                "they are one, and else give one another name."
            )


def check_range(scores: pd.Series[float], metric: str, place: str, way: str = "") -> None:
    """Refuse the first score outside the metric's range; `place` names the file and the column."""
    low, high = bounds(metric, way)
    wrong = (scores < low - _ROUNDING) | (scores > high + _ROUNDING)
    if wrong.any():
        row = int(scores.index[int(wrong.to_numpy().argmax())]) + 1
        of = "" if canonical(metric) in place.lower() else f" ({metric})"
        limits = f"between {low:g} and {high:g}"
        if high == float("inf"):
            limits = f"at least {low:g}"
        elif low == -float("inf"):
            limits = f"at most {high:g}"
        raise BenchmarkError(
            f"{place}{of} is {float(scores[wrong].iloc[0])!r} in row {row}, which is impossible: "
            f"it must be {limits}; correct the file, or name the metric that it holds."
        )
