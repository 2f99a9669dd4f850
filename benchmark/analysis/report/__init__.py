"""Lays a run out as one HTML file that needs nothing else: the answer, then what it rests on.

    write_report(frame, studies, {"Leaderboard": path}, "report.html", {"run": "default"})

Everything that comes from the results is escaped; figures are embedded as images.
"""

from __future__ import annotations

import base64
import os
import struct
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.analysis.figures.saving import DOTS_PER_INCH
from benchmark.analysis.report import sections
from benchmark.analysis.report.answer import answer
from benchmark.analysis.report.captions import caption
from benchmark.analysis.report.changes import changes, verdict
from benchmark.analysis.report.records import records
from benchmark.analysis.report.scripting import SCRIPT
from benchmark.analysis.report.styling import STYLE
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    page = "\n".join(_parts(frame, studies, figures, facts, since))
    target = Path(path)
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.write_text(page, encoding="utf-8", errors="replace")
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise BenchmarkError(
            f"The report cannot be written to {path}: {error.strerror}; choose another path."
        ) from None
    return target


def _parts(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    figures: Mapping[str, Path],
    facts: Mapping[str, object],
    since: tuple[str, Change] | None,
) -> list[str]:
    places = {type: type.capitalize() for type in studies}
    places |= {"changes": "Changes"} if since else {}
    places |= {"figures": "Figures"} if figures else {}
    places |= {"failures": "Failures", "run": "What was run", "every": "All records"}
    links = "".join(f'<a href="#{place}">{word}</a>' for place, word in places.items())
    told = sections.conditions(frame) | {str(word): str(value) for word, value in facts.items()}
    said = " ".join(
        f"<span>{escape(word)} <b>{escape(value)}</b></span>" for word, value in told.items()
    )
    return [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>AutoML benchmark</title><style>{STYLE}</style></head><body>",
        f"<nav><div>{links}</div></nav><main>",
        "<h1>AutoML benchmark</h1>",
        *(answer(found, frame) for found in studies.values()),
        verdict(since[1], since[0]) if since else "",
        f'<p class="facts">{said}</p>' if said else "",
        *(
            sections.leaderboard(found)
            + sections.tests(found)
            + sections.sensitivity(found)
            + sections.other_scales(found)
            for found in studies.values()
        ),
        changes(since[1], since[0]) if since else "",
        '<h2 id="figures">Figures</h2>' if figures else "",
        *(_figure(name, file) for name, file in figures.items()),
        sections.failures(frame),
        sections.what_ran(frame, facts),
        records(frame),
        f"</main><script>{SCRIPT}</script></body></html>",
    ]


def _figure(name: str, file: Path) -> str:
    data = file.read_bytes()
    image = base64.b64encode(data).decode("ascii")
    text = caption(name)
    # A PNG's size stands after its first 16 bytes; shown so, its text is as large as the page's.
    width, height = (round(dots * 96 / DOTS_PER_INCH) for dots in struct.unpack(">II", data[16:24]))
    return (
        f'<figure><img alt="{escape(f"{name}: {text}")}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{image}"><figcaption>{escape(text)}</figcaption></figure>'
    )
