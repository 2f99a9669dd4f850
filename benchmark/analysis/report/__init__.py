"""Lays a run out as one HTML file that needs nothing else: the answer, then what it rests on.

    write_report(frame, studies, {"Leaderboard": path}, "report.html", {"run": "default"})

Everything that comes from the results is escaped; figures are embedded as images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.analysis.report import sections
from benchmark.analysis.report.answer import answer
from benchmark.analysis.report.captions import caption
from benchmark.analysis.report.changes import changes, verdict
from benchmark.analysis.report.page import facts_line, figure, page, write_page
from benchmark.analysis.report.records import records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from benchmark.analysis.comparison import Change
    from benchmark.analysis.statistics import Statistics


def write_report(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    figures: Mapping[str, Path],
    path: str | Path,
    facts: Mapping[str, object],
    *,
    since: tuple[str, Change] | None = None,
) -> Path:
    """Write the report, whole or not at all, and return its path.

    Args:
        frame: the results, see `table.read_results`.
        studies: the statistics by task type.
        figures: the figures' PNG files by name, in the order in which they are shown.
        path: the HTML file to write.
        facts: what else is to be said of the run, such as its name and limits.
        since: an older run's name, and what changed since.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    return write_page(
        page("AutoML benchmark", *_content(frame, studies, figures, facts, since)), path
    )


def _content(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    figures: Mapping[str, Path],
    facts: Mapping[str, object],
    since: tuple[str, Change] | None,
) -> tuple[dict[str, str], list[str]]:
    """The links at the top, and the parts."""
    places = {type: type.capitalize() for type in studies}
    places |= {"changes": "Changes"} if since else {}
    places |= {"figures": "Figures"} if figures else {}
    places |= {"failures": "Failures", "run": "What was run", "every": "All records"}
    told = sections.conditions(frame) | {str(word): str(value) for word, value in facts.items()}
    return places, [
        *(answer(found, frame) for found in studies.values()),
        verdict(since[1], since[0]) if since else "",
        facts_line(told),
        *(
            sections.leaderboard(found)
            + sections.tests(found)
            + sections.sensitivity(found)
            + sections.other_scales(found)
            for found in studies.values()
        ),
        changes(since[1], since[0]) if since else "",
        '<h2 id="figures">Figures</h2>' if figures else "",
        *(figure(name, file.read_bytes(), caption(name)) for name, file in figures.items()),
        sections.failures(frame),
        sections.what_ran(frame, facts),
        records(frame),
    ]
