"""Draw the figures, one function each; `drawn` yields all that the results allow.

    for name, figure in drawn(frame, studies, absent):
        save(figure, "figures", name)     # .png and .pdf

Needs no display. A framework has one colour, mark and hatch in every figure of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmark.analysis.early_stop.stopped import covered
from benchmark.analysis.figures.boxes import score_boxes
from benchmark.analysis.figures.costs import failures, fit_times, pareto, prediction_seconds
from benchmark.analysis.figures.intervals import closing_intervals
from benchmark.analysis.figures.pairs import dataset_means, win_matrix
from benchmark.analysis.figures.searches import score_over_time
from benchmark.analysis.figures.shapes import dataset_performance, dataset_shapes
from benchmark.analysis.figures.standings import critical_difference, elo, mean_ranks
from benchmark.analysis.figures.style import Look, is_empty, looks, save
from benchmark.analysis.statistics.comparable import Comparison, compare
from benchmark.analysis.trajectories import read_trajectories
from benchmark.analysis.type_statistics import Statistics
from benchmark.errors import BenchmarkError

__all__ = [
    "CLASSIC_NAMES",
    "Look",
    "closing_intervals",
    "critical_difference",
    "dataset_means",
    "dataset_performance",
    "dataset_shapes",
    "drawn",
    "elo",
    "failures",
    "fit_times",
    "looks",
    "mean_ranks",
    "pareto",
    "prediction_seconds",
    "remove_others",
    "save",
    "score_boxes",
    "score_over_time",
    "win_matrix",
]

# The files that the original benchmark wrote, by task type: the column, the boxes, the scatters.
CLASSIC = {
    "classification": ("F1_SCORE", "RawDataBoxPlotF1_SCORE", "DatasetMeanF1Score"),
    "regression": ("MSE", "RawDataBoxPlotMSE", "DatasetMeanMSE"),
}
CLASSIC_NAMES = {name for _, *names in CLASSIC.values() for name in names}
_BY_TYPE = ("Until", "CriticalDifference", "ScaledScores", "Elo", "WinMatrix", "Pareto")
_NAMES = {
    *("Leaderboard", "CriticalDifferenceAll", "FitTime", "ScoreOverTime", "Failures"),
    *("DatasetShapes", "DatasetPerformance", *CLASSIC_NAMES),
    *(f"{name}{type.capitalize()}" for name in _BY_TYPE for type in CLASSIC),
}


def remove_others(folder: str | Path, written: Collection[Path]) -> None:
    """Remove the figures of earlier results, which would be taken for those of these.

    Raises:
        BenchmarkError: one cannot be removed.
    """
    for name in _NAMES:
        for path in (Path(folder) / f"{name}.png", Path(folder) / f"{name}.pdf"):
            if path in written or path.is_dir():
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise BenchmarkError(
                    f"The earlier figure {path} cannot be removed: {error.strerror}; choose "
                    "another folder."
                ) from None


def drawn(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    absent: pd.DataFrame,
    shapes: pd.DataFrame | None = None,
    overall: Statistics | None = None,
) -> Iterator[tuple[str, Figure]]:
    """(file name, figure) for every figure that the results allow, in the report's order.

    A figure with nothing to show is left out.

    Args:
        frame: the results, see `table.read_results`.
        studies: the statistics by task type.
        absent: failures by framework and cause, see `missing.by_cause`.
        shapes: `rows`, `features` and `type` by data set, if known.
        overall: the statistics of all task types together.
    """
    for name, figure in _every(frame, studies, absent, shapes, overall):
        if not is_empty(figure):
            yield name, figure


def _every(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    absent: pd.DataFrame,
    shapes: pd.DataFrame | None,
    overall: Statistics | None,
) -> Iterator[tuple[str, Figure]]:
    shown = looks(frame["MODEL"].unique())
    yield "Leaderboard", mean_ranks(studies, shown)
    if overall:
        yield "CriticalDifferenceAll", critical_difference(overall, shown)
    for type, found in studies.items():
        ending = type.capitalize()
        if found.standing:
            yield f"Until{ending}", closing_intervals(found.standing, shown)
        yield f"CriticalDifference{ending}", critical_difference(found, shown)
        yield f"ScaledScores{ending}", score_boxes(found.comparison, shown)
        yield f"Elo{ending}", elo(found, shown)
        yield f"WinMatrix{ending}", win_matrix(found)
        seconds, what = prediction_seconds(frame[frame["TYPE"] == type])
        if len(seconds):
            yield f"Pareto{ending}", pareto(found, seconds, what, shown)
    if "FIT_S" in frame.columns:
        yield "FitTime", fit_times(frame, shown)
    searches = read_trajectories(frame)
    if searches:
        yield "ScoreOverTime", score_over_time(frame, searches, shown)
    yield "Failures", failures(absent)
    for type, found in studies.items():
        classic = _classic(covered(frame, type, found.standing), type)
        if classic is not None:
            _, boxes, scatters = CLASSIC[type]
            yield scatters, dataset_means(classic, shown)
            yield boxes, score_boxes(classic, shown)
    if shapes is not None and len(shapes):
        yield "DatasetShapes", dataset_shapes(shapes)
        yield "DatasetPerformance", dataset_performance(studies, shapes, shown)


def _classic(frame: pd.DataFrame, type: str) -> Comparison | None:
    """The comparison by the classic metric; None if no task has it."""
    metric = CLASSIC[type][0]
    if metric not in frame.columns or frame.loc[frame["TYPE"] == type, metric].isna().all():
        return None
    return compare(frame, type, metric)
