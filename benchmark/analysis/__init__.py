"""What a run's results say: statistics, figures and one report.

    from benchmark import analysis
    analysis.process("compiled_results.csv").leaderboards["classification"]

Light to import: pandas and matplotlib are loaded by `process`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

    from benchmark.analysis.statistics import Comparison

__all__ = ["Analysis", "process"]

BOXES = {
    "classification": ("RawDataBoxPlotF1_SCORE", "F1_SCORE"),
    "regression": ("RawDataBoxPlotMSE", "MSE"),
}


@dataclass(frozen=True)
class Analysis:
    """What `process` found and wrote.

    `leaderboards` by task type, `figures` and `report` the files written, and in `notes` what was
    imputed or left out, a sentence each.
    """

    leaderboards: dict[str, pd.DataFrame]
    figures: list[Path]
    report: Path
    notes: list[str]


def process(
    results: str | Path = "compiled_results.csv",
    figures: str | Path = "figures",
    report: str | Path = "report.html",
    facts: Mapping[str, object] | None = None,
) -> Analysis:
    """Read the results, compare the frameworks, draw the figures and write the report.

    Args:
        results: the compiled results.
        figures: the folder for the figures; made where it is missing.
        report: the HTML file to write.
        facts: what else the report says of the run, such as its name and limits.

    Raises:
        BenchmarkError: the results cannot be used or a file cannot be written.
    """
    from benchmark.analysis.figures import save
    from benchmark.analysis.report import write_report
    from benchmark.analysis.statistics import compare, leaderboard
    from benchmark.analysis.table import TYPES, read_results

    frame = read_results(results)
    types = [type for type in TYPES if (frame["TYPE"] == type).any()]
    comparisons = {type: compare(frame, type) for type in types}
    leaderboards = {type: leaderboard(frame, type) for type in types}
    drawn = _drawn(frame, leaderboards, comparisons)
    files = [path for name, figure in drawn.items() for path in save(figure, figures, name)]
    told = _conditions(frame) | dict(facts or {})
    written = write_report(frame, leaderboards, drawn, report, told)
    notes = [f"{type.capitalize()}: {note}" for type in types for note in comparisons[type].notes]
    return Analysis(leaderboards, files, written, notes)


def _conditions(frame: pd.DataFrame) -> dict[str, object]:
    """Under which conditions the results came about, as far as their file says."""
    words = {
        "RUN": "run",
        "RUNTIME": "budget, s",
        "HARD_LIMIT": "killed at, s",
        "CORES": "cores",
        "MEMORY": "memory, MB",
        "SPLIT": "split",
        "HOST": "host",
    }
    found: dict[str, object] = {}
    for column, word in words.items():
        if column in frame.columns:
            values = frame[column].dropna().astype(str)
            kinds = sorted(set(values[values != ""]))
            if kinds:
                found[word] = ", ".join(kinds)
    return found


def _drawn(
    frame: pd.DataFrame,
    leaderboards: Mapping[str, pd.DataFrame],
    comparisons: Mapping[str, Comparison],
) -> dict[str, Figure]:
    """The figures by the names of their files."""
    from benchmark.analysis.figures import mean_ranks, score_boxes, size

    sizes = {type: size(c.datasets, c.seeds) for type, c in comparisons.items()}
    figures = {"Leaderboard": mean_ranks(leaderboards, sizes)}
    for type in leaderboards:
        name, metric = BOXES[type]
        absent = frame.loc[frame["TYPE"] == type, metric].isna().all()
        figures[name] = score_boxes(frame, type, None if absent else metric)
    return figures
