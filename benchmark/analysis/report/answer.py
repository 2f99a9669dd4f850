"""The answer first: who wins, how sure that is, and what it cost, in sentences."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.analysis.figures.style import size
from benchmark.analysis.hypotheses import ALPHA
from benchmark.analysis.report.html import listed, number

if TYPE_CHECKING:
    from benchmark.analysis.statistics import Statistics

SURE = 0.95


def answer(found: Statistics, frame: pd.DataFrame) -> str:
    """One task type's answer as HTML."""
    sentences = [f'<p class="first">{_who(found)}</p>']
    if found.leaders and found.board["mean_rank"].notna().sum() > 1:
        sentences += [f"<p>{_how_sure(found)}</p>", *_flips(found)]
    cost = _cost(found, frame)
    if cost:
        sentences.append(f"<p>{cost}</p>")
    return f'<div class="answer">{"".join(sentences)}</div>'


def _who(found: Statistics) -> str:
    kind = found.type.capitalize()
    if not found.leaders:
        return f"{kind}: no result can be compared yet."
    ranked = found.board[found.board["mean_rank"].notna()]
    scope = size(found.comparison.datasets, found.comparison.seeds)
    names = listed(found.leaders)
    if len(ranked) == 1:
        return f"{kind}: {names} is the only framework with results ({scope})."
    mean_rank = f"mean rank {ranked['mean_rank'].iloc[0]:.2f}"
    if len(found.leaders) > 1:
        return f"{kind}: {names} share the lead with {mean_rank} ({scope})."
    second = ranked.iloc[1]
    rival = f"{escape(str(second['framework']))} has {second['mean_rank']:.2f}"
    return f"{kind}: {names} leads with {mean_rank}; {rival} ({scope})."


def _how_sure(found: Statistics) -> str:
    """What the tests say of the leader."""
    if found.difference is None:
        return "How sure that is cannot be computed from one data set."
    leader = found.leaders[0]
    ranks = found.mean_ranks.dropna()
    near = ranks[(ranks - ranks.min() <= found.difference) & (ranks.index != leader)]
    names = [str(name) for name in near.sort_values(kind="stable").index]
    if found.friedman is not None and found.friedman.p > ALPHA:
        said = [f"No difference is shown (Friedman p = {found.friedman.p:.2g})."]
    elif names:
        said = [f"Not told apart from {escape(leader)} at {ALPHA} (Nemenyi): {listed(names)}."]
    else:
        said = [f"{escape(leader)} differs from every other framework at {ALPHA} (Nemenyi)."]
    low, high = (found.sensitivity.interval[end][leader] for end in ("low", "high"))
    if pd.notna(low):
        places = f"place {low}" if low == high else f"places {low} to {high}"
        said.append(f"Over resampled data sets {escape(leader)} takes {places} (95 %).")
    rivals = found.mean_ranks.drop(leader).dropna()
    if len(rivals):
        rival = str(rivals.idxmin())
        better = found.extra["better"][rival]
        if pd.notna(better):
            said.append(
                f"{escape(leader)} is practically better than {escape(rival)} with probability "
                f"{better:.0%} (Bayesian signed rank, differences within 1 % of the scale count as "
                "none)."
            )
    return " ".join(said)


def _flips(found: Statistics) -> list[str]:
    """The claims that another way to count failures turns round."""
    said = []
    for place, claim in enumerate(found.claims):
        if claim.flips and place == 0:
            said.append(
                f'<p><span class="flip">This flips</span> where {escape(claim.where)}: there '
                f"{escape(claim.second)} is ahead of {escape(claim.first)}.</p>"
            )
    others = sum(1 for claim in found.claims[1:] if claim.flips)
    if others:
        noun = "other place flips" if others == 1 else "other places flip"
        said.append(f"<p>{others} {noun} with the way missing results are counted; see below.</p>")
    return said


def _cost(found: Statistics, frame: pd.DataFrame) -> str:
    """Time and failures: of the leader, and of all."""
    rows = frame[frame["TYPE"] == found.type]
    said = []
    if found.leaders:
        leader = found.board[found.board["framework"] == found.leaders[0]]
        fit = leader["median_fit_s"].iloc[0]
        if pd.notna(fit):
            failed = int(leader["failures"].iloc[0])
            tasks = "no task" if not failed else f"{failed:,} task" + ("s" if failed > 1 else "")
            said.append(f"Its median fit took {number(float(fit))} s and it failed on {tasks}.")
    if "TOTAL_S" in rows.columns and rows["TOTAL_S"].notna().any():
        total = float(rows["TOTAL_S"].sum())
        said.append(f"All {len(rows):,} tasks took {duration(total)} of task time.")
    return " ".join(said)


def duration(seconds: float) -> str:
    for unit, size_s in (("days", 172800.0), ("hours", 5400.0), ("minutes", 120.0)):
        if seconds >= size_s:
            length = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0}[unit]
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"
