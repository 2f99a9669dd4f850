"""Reads results into a checked frame, a row for every task.

    frame = read_results("compiled_results.csv")
    frame = read_results("results.csv")                                # AMLB's form
    frame = read_results(["monday.csv", "tuesday.csv"], merge=True)

The classic columns suffice; all others are optional and kept as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.analysis.amlb import NEEDED, from_amlb, is_amlb
from benchmark.analysis.mixtures import checked
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = ("classification", "regression")
CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
NUMBERS = (
    *("MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE", "SCORE", "AUC", "BALANCED_ACCURACY", "ACCURACY"),
    *("RMSE", "MAE", "FIT_S", "PREDICT_S", "TOTAL_S", "OVERHEAD_S", "PEAK_MEMORY_MB", "MODELS"),
    *("SETUP_S", "INFERENCE_S", "OVERRUN_S", "ROWS", "FEATURES", "CLASSES"),
)
LIMITS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY")
STATUSES = ("success", "failure", "")
KEY = ["MODEL", "DATASET_ID", "TYPE", "SEED"]
_MISSING = ("", "nan", "none", "null", "na")


def read_results(path: str | Path | Sequence[str | Path], *, merge: bool = False) -> pd.DataFrame:
    """Read results and check them.

    Args:
        path: compiled results or AMLB's `results.csv`, or several such files.
        merge: take results of different conditions and tell them apart by the framework's name;
            see `mixtures.checked`.

    Returns:
        The file's rows and columns. `SEED` is int; metrics, seconds and MB are float, NaN where a
        task has none; all else, `DATASET_ID` too, is text, "" where it is empty.

    Raises:
        BenchmarkError: a file is missing or no such table, lacks a classic column, has no row,
            a task twice, an unknown type or status, text where a number belongs, or results that
            cannot be compared with each other.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    frames = [_read_one(Path(each)) for each in paths]
    source = " and ".join(str(each) for each in paths)
    frame = frames[0]
    if len(frames) > 1:
        frame = pd.concat(frames, ignore_index=True)
        texts = [column for column in frame.columns if frame[column].dtype.kind not in "fi"]
        frame[texts] = frame[texts].fillna("")
    frame = checked(frame, source, merge=merge)
    twice = frame.duplicated(KEY)
    if twice.any():
        task = "/".join(str(value) for value in frame.loc[twice, KEY].iloc[0])
        raise BenchmarkError(f"{source} has the task {task} twice; keep one of its rows.")
    return frame


def _read_one(path: Path) -> pd.DataFrame:
    frame = _read(path)
    if is_amlb(frame.columns):
        frame = from_amlb(frame, path)
    missing = [column for column in CLASSIC if column not in frame.columns]
    if missing:
        raise BenchmarkError(
            f"{path} lacks the column {missing[0]}; results start with {','.join(CLASSIC)}, "
            f"so write them with fetch-results (AMLB's form has {','.join(NEEDED)})."
        )
    if frame.empty:
        raise BenchmarkError(f"{path} has no rows; run fetch-results once tasks have finished.")
    _check_words(frame, path)
    for column in frame.columns:
        if column in NUMBERS or column.startswith("INFERENCE_S_"):
            frame[column] = _numbers(frame[column], path)
    for column in LIMITS:
        if column in frame.columns:
            frame[column] = frame[column].str.removesuffix(".0")  # 3600.0 and 3600 are one budget
    frame["SEED"] = _seeds(frame["SEED"], path)
    return frame


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise BenchmarkError(
            f"There are no results at {path}; run fetch-results to write them."
        ) from None
    except pd.errors.EmptyDataError:
        raise BenchmarkError(
            f"{path} has no rows, not even a header; run fetch-results to write it again."
        ) from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise BenchmarkError(f"{path} cannot be read as CSV: {reason}.") from None


def _check_words(frame: pd.DataFrame, path: str | Path) -> None:
    for column in ("MODEL", "DATASET_ID"):
        empty = frame[column].str.strip() == ""
        if empty.any():
            raise BenchmarkError(f"{path}: row {_row(empty)} has no {column}; name it.")
    allowed: dict[str, tuple[str, ...]] = {"TYPE": TYPES}
    if "STATUS" in frame.columns:
        allowed["STATUS"] = STATUSES
    for column, words in allowed.items():
        wrong = ~frame[column].isin(words)
        if wrong.any():
            value = frame.loc[wrong, column].iloc[0]
            known = ", ".join(word or "empty" for word in words)
            raise BenchmarkError(
                f'{path}: {column} is "{value}" in row {_row(wrong)}; it must be one of: {known}.'
            )


def _numbers(texts: pd.Series[str], path: str | Path) -> pd.Series[float]:
    empty = texts.str.strip().str.lower().isin(_MISSING)
    numbers = pd.to_numeric(texts.mask(empty), errors="coerce").astype(float)
    wrong = numbers.isna() & ~empty
    if wrong.any():
        raise BenchmarkError(
            f'{path}: {texts.name} is "{texts[wrong].iloc[0]}" in row {_row(wrong)}; '
            "it must be a number or empty."
        )
    return numbers


def _seeds(texts: pd.Series[str], path: str | Path) -> pd.Series[int]:
    numbers = _numbers(texts, path)
    wrong = numbers.isna() | (numbers % 1 != 0)
    if wrong.any():
        raise BenchmarkError(
            f'{path}: SEED is "{texts[wrong].iloc[0]}" in row {_row(wrong)}; '
            "it must be a whole number."
        )
    return numbers.astype("int64")


def _row(wrong: pd.Series[bool]) -> int:
    """The first wrong row as people count them: from 1, without the header."""
    return int(wrong.to_numpy().argmax()) + 1
