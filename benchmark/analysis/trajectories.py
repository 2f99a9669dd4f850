"""How far a framework's search had come, and when, from the scores that it reported.

    reached(frame, times)["flaml"]      # the median share of its own improvement, by time

A trajectory is a framework's own best validation score over time, in its own unit: neither its
values nor its direction can be compared with another's. So each is measured by itself: 0 at
its first model, 1 at its last improvement.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError

COLUMN = "TRAJECTORY"
# Of a framework's tasks an even choice suffices for a median, and bounds the time of a large run.
MOST_TASKS = 1000


def read_trajectories(frame: pd.DataFrame) -> dict[str, list[NDArray[np.float64]]]:
    """By framework its trajectories, each an array of (seconds, score) by time.

    Raises:
        BenchmarkError: a cell is no list of pairs of numbers.
    """
    if COLUMN not in frame.columns:
        return {}
    found = {}
    rows = frame.loc[frame[COLUMN].fillna("") != "", ["MODEL", COLUMN]]
    for name, texts in rows.groupby("MODEL", sort=True)[COLUMN]:
        step = max(1, -(-len(texts) // MOST_TASKS))
        found[str(name)] = [_points(text) for text in texts.iloc[::step]]
    return found


def share(points: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of its improvement that a search had reached at each of the times.

    Its first model counts as the start: the share is 0 at it, 1 from the best on, and NaN before
    there is a model. A search that never improved on its first model is at 1 with it. The better
    way is the one in which the scores went.
    """
    seconds, scores = points[:, 0], points[:, 1]
    way = 1.0 if scores[-1] >= scores[0] else -1.0
    best = np.maximum.accumulate(way * scores)
    gained = best - best[0]
    whole = gained / gained[-1] if gained[-1] > 0 else np.ones(len(gained))
    place = np.searchsorted(seconds, times, side="right")
    reached_by: NDArray[np.float64] = np.concatenate([[np.nan], whole])[place]
    return reached_by


def reached(
    searches: dict[str, list[NDArray[np.float64]]], times: NDArray[np.float64]
) -> pd.DataFrame:
    """The median share by time: a row per time, a column per framework.

    NaN until half of a framework's tasks have a model: those without count as less than any share.
    """
    medians = {}
    for name, each in searches.items():
        shares = np.array([share(points, times) for points in each])
        medians[name] = np.median(np.where(np.isnan(shares), -np.inf, shares), axis=0)
    return pd.DataFrame(medians, index=times).replace(-np.inf, np.nan)


def _points(text: str) -> NDArray[np.float64]:
    try:
        points = np.array(json.loads(text), dtype=float)
    except (ValueError, TypeError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise BenchmarkError(
            f'{COLUMN} is "{text[:60]}" in some row; it must be a list of [seconds, score], or '
            "empty."
        )
    return points[np.argsort(points[:, 0], kind="stable")]
