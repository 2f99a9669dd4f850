"""Reads results into a checked frame, a row for every task.

    frame = read_results("compiled_results.csv")
    frame = read_results("results.csv")                                # AMLB's form
    frame = read_results(["monday.csv", "tuesday.csv"], merge=True)

The classic columns suffice; all others are optional and kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.analysis.results.amlb import NEEDED, from_amlb, is_amlb
from benchmark.analysis.results.cells import (
    NO_RESULT_CAUSES,
    RETIRED,
    SCORED,
    amounts,
    check_directions,
    check_names,
    check_scores,
    first_row,
    numbers,
    seeds,
)
from benchmark.analysis.results.csv_texts import texts, texts_of, typed
from benchmark.analysis.results.mixtures import checked
from benchmark.errors import BenchmarkError
from benchmark.files.input_files import check_regular
from benchmark.files.safe_text import unguarded_cell

TYPES = ("classification", "regression")
CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
NUMBERS = (
    *("MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE", "SCORE", "AUC", "BALANCED_ACCURACY", "ACCURACY"),
    *("RMSE", "MAE", "FIT_S", "PREDICT_S", "TOTAL_S", "OVERHEAD_S", "PEAK_MEMORY_MB", "MODELS"),
    *("SETUP_S", "INFERENCE_S", "OVERRUN_S", "ROWS", "FEATURES", "CLASSES", "DRAWN"),
)
# What such a column has, which is finite and not negative.
AMOUNTS = {
    **dict.fromkeys(("FIT_S", "PREDICT_S", "TOTAL_S", "SETUP_S", "OVERRUN_S"), "seconds"),
    "PEAK_MEMORY_MB": "megabytes",
}
COUNTS = ("MODELS", "ROWS", "FEATURES", "CLASSES", "DRAWN")
# What frameworks, hosts and users name; fetch-results guards it from spreadsheets.
TEXTS = ("MODEL", "DATASET_ID", "MESSAGE", "VERSION", "HOST", "RUN", "HARNESS", "PARAMS")
UNIQUE = ("ID", "LOG")
LIMITS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY")
STATUSES = ("success", "failure", "not run", "interrupted", "")
KEY = ["MODEL", "DATASET_ID", "TYPE", "SEED"]
DIRECTIONS = ("maximize", "minimize", "")


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
            a task or column twice, an unknown type or status, text where a number belongs, an
            impossible score, names that differ by white space only, or results that cannot be
            compared with each other.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    frames = [_read_one(Path(each)) for each in paths]
    if len(frames) > 1:
        frames = [texts_of(one) for one in frames]
    source = " and ".join(str(each) for each in paths)
    frame = frames[0]
    mixed = any("STATUS" in one for one in frames)
    classic = [len(one) for one in frames if mixed and "STATUS" not in one]
    if len(frames) > 1:
        classics_first = sorted(frames, key=lambda one: "STATUS" in one)
        frame = _concatenated([_with_status(one) if mixed else one for one in classics_first])
    for column in ("MODEL", "DATASET_ID", "METRIC"):
        if column in frame.columns:
            check_names(frame[column].unique(), column, source)
    check_directions(frame, source)
    for each, one in zip(paths, frames, strict=True):
        _check_pair(one, each)
    frame = checked(frame, source, merge=merge)
    twice = frame.duplicated(KEY)
    if twice.any():
        task = "/".join(str(value) for value in frame.loc[twice, KEY].iloc[0])
        raise BenchmarkError(f"{source} has the task {task} twice; keep one of its rows.")
    frame = texts_of(frame)
    return _with_absent(frame, sum(classic)) if classic else frame


def _concatenated(frames: list[pd.DataFrame]) -> pd.DataFrame:
    frame = pd.concat(frames, ignore_index=True)
    texts = [column for column in frame.columns if frame[column].dtype.kind not in "fi"]
    frame[texts] = frame[texts].fillna("")
    return frame


def _with_status(frame: pd.DataFrame) -> pd.DataFrame:
    """Classic results with the status that a score, or its absence, stands for."""
    if "STATUS" in frame.columns:
        return frame
    scores = [column for column in (*SCORED, "SCORE") if column in frame.columns]
    ended = frame[scores].notna().any(axis=1)
    return frame.assign(STATUS=ended.map({True: "success", False: "failure"}))


def _with_absent(frame: pd.DataFrame, classic: int) -> pd.DataFrame:
    """A failure for each task that the first `classic` rows lack, as these hold no failures."""
    rows = frame.iloc[:classic]
    tasks = rows[KEY[1:]].drop_duplicates()
    grid = rows[["MODEL"]].drop_duplicates().merge(tasks, how="cross")
    absent = pd.MultiIndex.from_frame(grid[KEY]).difference(pd.MultiIndex.from_frame(frame[KEY]))
    failures = absent.to_frame(index=False).assign(STATUS="failure")
    return _concatenated([frame, failures]) if len(failures) else frame


def _read_one(path: Path) -> pd.DataFrame:
    frame = _read(path)
    names: dict[str, str] = {}
    if is_amlb(frame.columns):
        if set(CLASSIC) <= set(frame.columns):
            raise BenchmarkError(
                f"{path} has the columns of AMLB's results ({','.join(NEEDED)}) and of compiled "
                f"results ({','.join(CLASSIC)}), which may differ; remove those of one form."
            )
        frame, names = from_amlb(frame, path)
    _check_columns(frame, path)
    _check_words(frame, path)
    frame = _with_outcomes(frame)
    for column in TEXTS:
        if column in frame.columns and frame[column].str.startswith("'").any():
            frame[column] = frame[column].astype("str").map(unguarded_cell)
    for column in frame.columns:
        cells = frame[column].rename(names.get(column, column))
        if column in COUNTS:
            frame[column] = amounts(cells, path, "a count", whole=True)
        elif column in AMOUNTS or column.startswith("INFERENCE_S"):
            frame[column] = amounts(cells, path, AMOUNTS.get(column, "seconds"))
        elif column in NUMBERS:
            frame[column] = numbers(cells, path)
    for column in LIMITS:
        if column in frame.columns and frame[column].str.endswith(".0").any():
            # 3600.0 and 3600 are one budget.
            frame[column] = frame[column].astype("str").str.removesuffix(".0")
    frame["SEED"] = seeds(frame["SEED"], path, names.get("SEED", "SEED"))
    check_scores(frame, path, names)
    return frame


def _check_columns(frame: pd.DataFrame, path: Path) -> None:
    missing = [column for column in CLASSIC if column not in frame.columns]
    theirs = [column for column in NEEDED if column not in frame.columns]
    if missing and len(theirs) <= 2:
        raise BenchmarkError(
            f"{path} lacks the column {theirs[0]}; AMLB's results have {','.join(NEEDED)}."
        )
    if missing and len(frame.columns) == 1:
        raise BenchmarkError(
            f'{path} has one column, "{str(frame.columns[0])[:60]}"; write it with commas between '
            "its columns."
        )
    if missing:
        raise BenchmarkError(
            f"{path} lacks the column {missing[0]}; results start with {','.join(CLASSIC)}, "
            f"so write them with fetch-results (AMLB's form has {','.join(NEEDED)})."
        )
    if frame.empty:
        raise BenchmarkError(f"{path} has no rows; run fetch-results once tasks have finished.")


def _read(path: Path) -> pd.DataFrame:
    try:
        check_regular(path)
        frame = typed(path, _numbers, UNIQUE)
        if frame is None:
            rows = texts(path)
            header = rows.iloc[0].to_list()
            frame = rows.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)
    except FileNotFoundError:
        raise BenchmarkError(
            f"There are no results at {path}; run fetch-results to write them."
        ) from None
    except IsADirectoryError:
        raise BenchmarkError(
            f"{path} cannot be read: it is a folder; name the file in it."
        ) from None
    except pd.errors.EmptyDataError:
        raise BenchmarkError(
            f"{path} has no rows, not even a header; run fetch-results to write it again."
        ) from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise BenchmarkError(
            f"{path} cannot be read as CSV: {reason}; save it in UTF-8, with commas between its "
            "columns."
        ) from None
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise BenchmarkError(
            f'{path} has the column "{twice[0]}" twice; keep the one that is right.'
        )
    return frame


def _numbers(header: list[str]) -> list[str]:
    """The columns of numbers; none in another program's results, whose names differ."""
    if is_amlb(header) or not set(CLASSIC) <= set(header):
        return []
    return [one for one in header if one in NUMBERS or one.startswith("INFERENCE_S_")]


def _with_outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """Earlier versions wrote `failure` for what the infrastructure did, too."""
    if not {"STATUS", "CAUSE"} <= set(frame.columns):
        return frame
    lost = (frame["STATUS"] == "failure") & frame["CAUSE"].isin((*NO_RESULT_CAUSES, RETIRED))
    if not lost.any():
        return frame
    cause, status = frame["CAUSE"].astype("str"), frame["STATUS"].astype("str")
    words = cause.where(cause == "interrupted", "not run")
    return frame.assign(STATUS=status.mask(lost, words))


def _check_pair(frame: pd.DataFrame, source: object) -> None:
    """Refuse a score without its metric and the reverse: other columns would be compared."""
    scored = [column for column in ("METRIC", "SCORE") if column in frame.columns]
    if len(scored) == 1:
        other = "SCORE" if scored == ["METRIC"] else "METRIC"
        raise BenchmarkError(
            f"{source} has the column {scored[0]} without {other}, which belong together; add "
            f"{other}, or remove {scored[0]} to compare weighted F1 and RMSE."
        )
    if scored:
        nameless = frame["SCORE"].notna() & (frame["METRIC"] == "")
        if nameless.any():
            score, row = frame.loc[nameless, "SCORE"].iloc[0], first_row(nameless)
            raise BenchmarkError(
                f"{source}: SCORE is {float(score)!r} in row {row} without a METRIC; name it."
            )


def _check_words(frame: pd.DataFrame, path: str | Path) -> None:
    for column in ("MODEL", "DATASET_ID"):
        nameless = frame[column].str.strip() == ""
        if nameless.any():
            raise BenchmarkError(f"{path}: row {first_row(nameless)} has no {column}; name it.")
    allowed: dict[str, tuple[str, ...]] = {"TYPE": TYPES}
    optional = {"STATUS": STATUSES, "METRIC_DIRECTION": DIRECTIONS}
    allowed |= {column: words for column, words in optional.items() if column in frame.columns}
    for column, words in allowed.items():
        wrong = ~frame[column].isin(words)
        if wrong.any():
            value = frame.loc[wrong, column].iloc[0]
            known = ", ".join(word or "empty" for word in words)
            raise BenchmarkError(
                f'{path}: {column} is "{value}" in row {first_row(wrong)}; it must be one of: '
                f"{known}."
            )
