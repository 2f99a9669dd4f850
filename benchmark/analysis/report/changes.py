"""The report's section on what changed since an older run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.analysis.figures.style import DASH
from benchmark.analysis.report.html import filter_box, number, table

if TYPE_CHECKING:
    from benchmark.analysis.comparison import Change

HEADINGS = {
    **{"framework": "Framework", "dataset": "Data set", "type": "Type", "change": "Change"},
    **{"interval": "95 %", "datasets": "Data sets", "seeds": "Seeds"},
    **{"new_failures": "New failures", "mended": "Mended"},
    **{"p": "p (worse)", "p_failures": "p (more failures)"},
}
BY_FRAMEWORK = (
    *("framework", "change", "interval", "p", "datasets"),
    *("new_failures", "mended", "p_failures"),
)
MOST_LISTED = 2_000
FORMATS = {
    **{"p": ".2g", "p_failures": ".2g"},
    **{"change": "+.3f", "datasets": ",d", "seeds": ",d", "new_failures": ",d", "mended": ",d"},
}


def verdict(change: Change, name: str) -> str:
    """One sentence for the top of the page."""
    found = len(change.regressions)
    said = f"{found:,} regression{'' if found == 1 else 's'}" if found else "no regression"
    link = '<a href="#changes">what changed</a>'
    return f'<p class="facts">Against <b>{escape(name)}</b>: <b>{said}</b>, {link}.</p>'


def changes(change: Change, name: str) -> str:
    """What changed by framework, what got worse, and every data set."""
    items = "".join(
        f'<li><span class="flip">worse</span> {escape(t)}</li>' for t in change.regressions
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in change.notes)
    frameworks = _with_interval(change.frameworks.reset_index())
    datasets = _with_interval(change.datasets.sort_values("change", kind="stable"))
    cut = f" (the {MOST_LISTED:,} worst)" if len(datasets) > MOST_LISTED else ""
    return (
        f'<h2 id="changes">Changes since {escape(name)}</h2>'
        '<p class="size">On the tasks that both runs have. A change is in scaled score: 0 is the '
        "older run's constant predictor, 1 its best framework on the same data set and seed. "
        "Intervals over frameworks resample data sets, those of a data set are Student's t over "
        "seeds. Regressions are judged by framework: p of worse scores and of more failures, "
        "adjusted for all that are judged (Holm).</p>"
        + (f"<ul>{items}</ul>" if items else "<p>No framework got worse.</p>")
        + table(
            frameworks[list(BY_FRAMEWORK)],
            HEADINGS,
            FORMATS,
        )
        + f"<details><summary>By data set: {len(datasets):,}{cut}</summary>"
        + filter_box("each-change", "changes")
        + table(
            datasets.iloc[:MOST_LISTED][
                ["framework", "dataset", "type", "change", "interval", "seeds"]
            ],
            HEADINGS,
            FORMATS,
            identity="each-change",
        )
        + "</details>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _with_interval(rows: pd.DataFrame) -> pd.DataFrame:
    texts = [
        DASH if pd.isna(low) else f"{number(low, '+.3f')} to {number(high, '+.3f')}"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    return rows.assign(interval=texts)
