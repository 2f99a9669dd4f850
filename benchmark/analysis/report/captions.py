"""How to read each figure, in a sentence or two."""

from __future__ import annotations

_BOXES = (
    "Further right is better. Each box spans the middle half of a framework's {scores}, its notch "
    "the uncertainty of the median: where two do not overlap, the medians likely differ. Fewer "
    "than five scores are shown as points and their median. Numbers at the left edge, if any, "
    "count scores out of view."
)
_SCATTERS = (
    "A point is a data set. Points above the dotted line have the larger {value} for the framework "
    "of the row, {better} for it; points below for that of the column. The numbers count the "
    "data sets that each of the two wins."
)
_CAPTIONS = {
    "Leaderboard": "Further left is better: 1 would be the best framework on every data set.",
    "CriticalDifference": (
        "Further left is better. Frameworks under one bar cannot be told apart by these data sets; "
        "CD is how far apart mean ranks must be."
    ),
    "ScaledScores": _BOXES.format(scores="scaled scores by the metric that ranks"),
    "RawDataBoxPlotF1_SCORE": _BOXES.format(scores="scaled weighted F1 scores"),
    "RawDataBoxPlotMSE": _BOXES.format(scores="scaled squared errors (1 = the smallest)"),
    "Elo": (
        "Further right is better. Where two lines overlap much, another choice of data sets could "
        "turn the two round."
    ),
    "WinMatrix": (
        "Read a row: above 50 the row's framework beats the column's on most data sets. The best "
        "mean rank is in the first row."
    ),
    "Pareto": (
        "A framework off the line is beaten by one on it that predicts as fast or faster and "
        "scores as well or better."
    ),
    "FitTime": (
        "Boxes span the middle half of the fits. What lies right of the dashed line ran over its "
        "budget; the column at the right says how many did."
    ),
    "ScoreOverTime": (
        "Further left is sooner. Each search is measured by itself, from its first model (0) to "
        "the last improvement (1) of its own validation score, so a line says when more time "
        "stopped helping that framework and not which framework is better. It begins where half of "
        "the tasks have a model."
    ),
    "Failures": "Longer is worse. A framework without a bar scored on every task.",
    "DatasetMeanF1Score": _SCATTERS.format(value="F1", better="which is better"),
    "DatasetMeanMSE": _SCATTERS.format(value="error", better="which is worse"),
    "DatasetShapes": "How many data sets have how many rows and columns; both scales are powers.",
    "DatasetPerformance": (
        "Higher is better. A line that falls to the right does worse on larger data sets than "
        "others do."
    ),
}


def caption(name: str) -> str:
    """The sentence for a figure, by the name of its file; "" for one that is unknown."""
    for start in sorted(_CAPTIONS, key=len, reverse=True):
        if name.startswith(start):
            return _CAPTIONS[start]
    return ""
