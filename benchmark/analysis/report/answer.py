"""The answer first: the best framework, how certain that is, and the cost, in sentences."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from benchmark.analysis.early_stop.standing import Standing
from benchmark.analysis.figures.style import number
from benchmark.analysis.statistics.comparable import of_type
from benchmark.analysis.statistics.hypotheses import ALPHA
from benchmark.analysis.type_statistics import Statistics
from benchmark.templates import macros


def answer(found: Statistics, frame: pd.DataFrame) -> Markup:
    """One task type's answer as HTML."""
    ranked = found.board[found.board["mean_rank"].notna()]
    return macros("report/answer.html").answer(
        found=found,
        ranked=ranked[["framework", "mean_rank"]].to_dict("records"),
        size=found.comparison.size,
        design=found.standing and found.standing.design,
        claimed=_claimed(found.standing) if found.standing else {},
        near=_near(found),
        places=_places(found),
        alpha=ALPHA,
        cost=_cost(found, frame),
    )


def _claimed(standing: Standing) -> dict[str, list[str]]:
    """The claims of a run that stops early: each with its frameworks."""
    claimed: dict[str, list[str]] = {}
    for name, sentence in zip(standing.design.frameworks, standing.sentences(), strict=True):
        claimed.setdefault(sentence, []).append(name)
    return claimed


def _near(found: Statistics) -> list[str]:
    """What does not differ from the leader by the tests on mean ranks, the best first."""
    if found.difference is None or not found.leaders:
        return []
    ranks = found.mean_ranks.dropna()
    near = ranks[(ranks - ranks.min() <= found.difference) & (ranks.index != found.leaders[0])]
    return [str(name) for name in near.sort_values(kind="stable").index]


def _places(found: Statistics) -> str:
    """The leader's places over resampled data sets."""
    interval = found.sensitivity.interval
    if not found.leaders or found.leaders[0] not in interval.index:
        return ""
    low, high = (interval[end][found.leaders[0]] for end in ("low", "high"))
    if pd.isna(low):
        return ""
    return f"place {low}" if low == high else f"places {low} to {high}"


def _cost(found: Statistics, frame: pd.DataFrame) -> str:
    """Time and failures of the leader, and of all."""
    rows = of_type(frame, found.type)
    sentences = []
    if found.leaders:
        leader = found.board[found.board["framework"] == found.leaders[0]]
        fit = leader["median_fit_s"].iloc[0]
        if pd.notna(fit):
            failed = int(leader["failures"].iloc[0])
            tasks = "no task" if not failed else f"{failed:,} task" + ("s" if failed > 1 else "")
            sentences.append(
                f"Its median fit took {number(float(fit))} s and it failed on {tasks}."
            )
    if "TOTAL_S" in rows.columns and rows["TOTAL_S"].notna().any():
        total, ran = float(rows["TOTAL_S"].sum()), int(rows["TOTAL_S"].notna().sum())
        those = (
            f"All {ran:,} tasks" if ran == len(rows) else f"{ran:,} of {len(rows):,} tasks ran and"
        )
        sentences.append(f"{those} took {duration(total)} of task time.")
    return " ".join(sentences)


def duration(seconds: float) -> str:
    for unit, size_s in (("days", 172800.0), ("hours", 5400.0), ("minutes", 120.0)):
        if seconds >= size_s:
            length = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0}[unit]
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"
