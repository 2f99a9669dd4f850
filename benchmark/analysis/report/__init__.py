"""Write a run as one self-contained HTML file: the answer, then its evidence.

    write_report(frame, studies, {"Leaderboard": path}, "report.html", {"run": "default"})

Everything that comes from the results is escaped; figures are embedded as images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from benchmark.analysis.comparison import Change
from benchmark.analysis.report import page, sections
from benchmark.analysis.report.answer import answer
from benchmark.analysis.report.changes import changes, verdict
from benchmark.analysis.report.page import caption
from benchmark.analysis.report.tables import records, score_grid
from benchmark.analysis.type_statistics import Statistics

__all__ = ["write_report"]


def write_report(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    figures: Mapping[str, Path],
    path: str | Path,
    facts: Mapping[str, object],
    *,
    since: tuple[str, Change] | None = None,
    overall: Statistics | None = None,
) -> Path:
    """Write the report atomically and return its path.

    Args:
        frame: the results, see `table.read_results`.
        studies: the statistics by task type.
        figures: the figures' PNG files by name, in the order in which they are shown.
        path: the HTML file to write.
        facts: other facts about the run, such as its name and limits.
        since: an older run's name, and what changed since.
        overall: the statistics over all task types.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    boards = [overall, *studies.values()] if overall else list(studies.values())
    html = page.page("AutoML benchmark", *_content(frame, boards, figures, facts, since))
    return page.write_page(html, path)


def _content(
    frame: pd.DataFrame,
    boards: Sequence[Statistics],
    figures: Mapping[str, Path],
    facts: Mapping[str, object],
    since: tuple[str, Change] | None,
) -> tuple[dict[str, str], list[Markup | str]]:
    """The links at the top, and the parts."""
    places = {found.type: found.title for found in boards}
    places |= {"changes": "Changes"} if since else {}
    places |= {"figures": "Figures"} if figures else {}
    places |= {"failures": "Failures", "run": "What was run", "every": "All records"}
    all_facts = sections.conditions(frame) | {
        str(word): str(value) for word, value in facts.items()
    }
    return places, [
        *(answer(found, frame) for found in boards),
        verdict(since[1], since[0]) if since else "",
        page.facts_line(all_facts),
        *(section(found) for found in boards for section in (*sections.EACH, score_grid)),
        changes(since[1], since[0]) if since else "",
        page.figures((name, file.read_bytes(), caption(name)) for name, file in figures.items()),
        sections.failures(frame),
        sections.what_ran(frame, facts),
        records(frame),
    ]
