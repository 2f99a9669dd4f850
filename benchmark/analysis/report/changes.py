"""The report's section on what changed since an older run."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from benchmark.analysis.comparison import Change
from benchmark.analysis.figures.style import DASH, number
from benchmark.analysis.report.html import table
from benchmark.templates import macros

HEADINGS = {
    **{"framework": "Framework", "dataset": "Data set", "type": "Type", "change": "Change"},
    **{"interval": "95 %", "datasets": "Data sets", "seeds": "Seeds"},
    **{"new_failures": "New failures", "mended": "Fixed failures"},
    **{"p": "p (worse)", "p_failures": "p (more failures)"},
}
BY_FRAMEWORK = (
    *("framework", "change", "interval", "p", "datasets"),
    *("new_failures", "mended", "p_failures"),
)
BY_DATASET = ("framework", "dataset", "type", "change", "interval", "seeds")
MOST_LISTED = 2_000
FORMATS = {
    **{"p": ".2g", "p_failures": ".2g"},
    **{"change": "+.3f", "datasets": ",d", "seeds": ",d", "new_failures": ",d", "mended": ",d"},
}


def verdict(change: Change, name: str) -> Markup:
    """One sentence for the top of the page."""
    return macros("report/sections.html").verdict(name, len(change.regressions))


def changes(change: Change, name: str) -> Markup:
    """Changes by framework, regressions, and every data set."""
    frameworks = _with_interval(change.frameworks.reset_index())[list(BY_FRAMEWORK)]
    datasets = _with_interval(change.datasets.sort_values("change", kind="stable"))
    listed = datasets.iloc[:MOST_LISTED][list(BY_DATASET)]
    return macros("report/sections.html").changes(
        name,
        change,
        f" (the {MOST_LISTED:,} worst)" if len(datasets) > MOST_LISTED else "",
        table(frameworks, HEADINGS, FORMATS),
        table(listed, HEADINGS, FORMATS, identity="each-change"),
    )


def _with_interval(rows: pd.DataFrame) -> pd.DataFrame:
    texts = [
        DASH if pd.isna(low) else f"{number(low, '+.3f')} to {number(high, '+.3f')}"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    return rows.assign(interval=texts)
