"""The whole analysis: compare, draw, report, export. `benchmark.analysis.process` is its door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from benchmark.analysis import comparison, missing
from benchmark.analysis import export as tables
from benchmark.analysis.comparison import Change
from benchmark.analysis.figures import CLASSIC_NAMES, drawn, remove_others, save
from benchmark.analysis.figures.fonts import covering
from benchmark.analysis.report import write_report
from benchmark.analysis.results.table import TYPES
from benchmark.analysis.type_statistics import Statistics, narrowed, overall, study
from benchmark.notebook import Shown, heading, picture, table


@dataclass(frozen=True, repr=False)
class Analysis(Shown):
    """What `process` found and wrote.

    `leaderboards` by task type, `figures` and `report` the files written, in `notes` what was
    imputed or left out, a sentence each, and all statistics by task type in `studies`, those of all
    types together in `overall`. `change` is what changed since an older run, `tables` the files for
    papers, where those were asked for.
    """

    leaderboards: dict[str, pd.DataFrame]
    figures: list[Path]
    report: Path
    notes: list[str]
    studies: dict[str, Statistics] = field(default_factory=dict)
    change: Change | None = None
    tables: list[Path] = field(default_factory=list)
    overall: Statistics | None = None

    def _line(self) -> str:
        first = [
            f"{type}: {board['framework'].iloc[0]} is first of {len(board)}"
            for type, board in self.leaderboards.items()
            if len(board)
        ]
        return f"Analysis: {', '.join(first) or 'no results'}; {self.report}"

    def _html(self) -> list[Markup]:
        """The boards, and the figure of them."""
        boards = [
            part
            for type, board in self.leaderboards.items()
            for part in (
                heading(type.capitalize()),
                table(list(board.columns), board.to_numpy().tolist()),
            )
        ]
        drawn = [p for p in self.figures if p.name == "Leaderboard.png" and p.is_file()]
        return [*boards, *(picture(path.read_bytes(), "Leaderboard") for path in drawn)]


def studies_of(frame: pd.DataFrame) -> dict[str, Statistics]:
    """The statistics of every task type that the results have."""
    found = narrowed(frame)
    return {type: study(found, type) for type in TYPES if (found["TYPE"] == type).any()}


def shapes_of(frame: pd.DataFrame) -> pd.DataFrame | None:
    """`rows`, `features` and `type` by data set; None where the results do not say them."""
    if not {"ROWS", "FEATURES"} <= set(frame.columns):
        return None
    known = frame.dropna(subset=["ROWS", "FEATURES"]).drop_duplicates("DATASET_ID")
    if known.empty:
        return None
    table = known.set_index("DATASET_ID")[["ROWS", "FEATURES", "TYPE"]]
    return table.set_axis(["rows", "features", "type"], axis=1)


def _notes(studies: Mapping[str, Statistics]) -> list[str]:
    """Each note once, after the task types that it is about."""
    types: dict[str, list[str]] = {}
    for type, found in studies.items():
        for note in found.notes:
            types.setdefault(note, []).append(type)
    return [
        f"{' and '.join(names).capitalize()}{' each' * (len(names) > 1)}: {note}"
        for note, names in types.items()
    ]


def process(
    frame: pd.DataFrame,
    figures: str | Path,
    report: str | Path,
    facts: Mapping[str, object],
    *,
    before: tuple[str, pd.DataFrame] | None = None,
    export: str | Path | None = None,
) -> Analysis:
    """As `benchmark.analysis.process`, of results that have been read.

    `before` is an older run's name and its results. Only the classic figures have a PDF
    beside the PNG, and all with `export`.
    """
    since = None if before is None else (before[0], comparison.against(frame, before[1]))
    studies = studies_of(frame)
    together = overall(frame, studies)
    with covering(_drawn_names(frame)) as absent:
        pictures = drawn(frame, studies, missing.by_cause(frame), shapes_of(frame), together)
        files = {
            name: save(figure, figures, name, pdf=export is not None or name in CLASSIC_NAMES)
            for name, figure in pictures
        }
    remove_others(figures, [path for paths in files.values() for path in paths])
    images = {name: paths[-1] for name, paths in files.items()}
    written = write_report(frame, studies, images, report, facts, since=since, overall=together)
    notes = _notes(studies)
    if absent:
        notes.append(
            f"Figures have boxes in place of {absent}, since no font of this machine has them; the "
            "report and the tables have the names."
        )
    boards = {type: found.board for type, found in studies.items()}
    return Analysis(
        boards,
        [path for paths in files.values() for path in paths],
        written,
        notes + missing.sentences(frame),
        studies,
        since[1] if since else None,
        [] if export is None else tables.export(frame, studies, export, together),
        together,
    )


def _drawn_names(frame: pd.DataFrame) -> list[str]:
    columns = [column for column in ("MODEL", "METRIC") if column in frame.columns]
    return [str(name) for column in columns for name in frame[column].unique()]
