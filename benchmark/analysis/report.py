"""Lays a run out as one HTML file that needs nothing else: answer, leaderboards, figures, failures.

    write_report(frame, leaderboards, {"Leaderboard": figure}, "report.html", {"run": "default"})

Everything that comes from the results is escaped; figures are embedded as SVG images.
"""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.analysis import statistics
from benchmark.analysis.figures import DASH, as_svg, size
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.figure import Figure

BOX_CAPTION = (
    "Further right is better. Each box spans the middle half of a framework's {scores}, its notch "
    "the uncertainty of the median: where two do not overlap, the medians likely differ. Fewer "
    "than five scores are shown as points and their median. Numbers at the left edge, if any, "
    "count scores out of view."
)
CAPTIONS = {
    "Leaderboard": "Further left is better: 1 would be the best framework on every data set.",
    "RawDataBoxPlotF1_SCORE": BOX_CAPTION.format(scores="scaled weighted F1 scores"),
    "RawDataBoxPlotMSE": BOX_CAPTION.format(scores="scaled squared errors (1 = the smallest)"),
}
HEADINGS = {
    **{"rank": "Rank", "framework": "Framework", "mean_rank": "Mean rank", "wins": "Wins"},
    **{"scaled_score": "Scaled score", "mean_f1": "Mean F1", "mean_rmse": "Mean RMSE"},
    **{"failures": "Failures", "success_share": "Success", "median_fit_s": "Median fit (s)"},
}
LONGEST_MESSAGE = 400
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2430; --quiet: #5d6675; --line: #e4e7ec;
  --soft: #f7f8fa; --accent: #0072b2; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --ink: #e6e9ef; --quiet: #9aa3b2;
  --line: #2b313c; --soft: #1b1f27; --accent: #56b4e9; --bad: #f97066; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 1rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; }
.answer { border-left: 4px solid var(--accent); background: var(--soft); padding: .8rem 1.1rem;
  border-radius: 0 8px 8px 0; font-size: 1.08rem; } .answer p { margin: .25rem 0; }
.facts, .notes, figcaption, .size { color: var(--quiet); font-size: .9rem; }
.facts span { margin-right: 1.2rem; white-space: nowrap; } .facts b { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; } .failure { color: var(--bad); }
tbody tr:hover { background: var(--soft); } td.message { overflow-wrap: anywhere; }
.leaderboard tbody tr:first-child td { font-weight: 650; }
figure { margin: 1.2rem 0 2rem; }
figure img { width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 10px; padding: .5rem; }
figcaption { margin-top: .4rem; }
summary { cursor: pointer; color: var(--accent); padding: .4rem 0; }
@media print { details > summary { display: none; } main { max-width: none; } }
"""


def write_report(
    frame: pd.DataFrame,
    leaderboards: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    path: str | Path,
    facts: Mapping[str, object],
) -> Path:
    """Write the report and return its path.

    Args:
        frame: the results, see `table.read_results`.
        leaderboards: a `statistics.leaderboard` by task type.
        figures: the figures by name, in the order in which they are shown.
        path: the HTML file to write.
        facts: what else is to be said of the run, such as its name and limits.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    comparisons = {type: statistics.compare(frame, type) for type in leaderboards}
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>AutoML benchmark</title><style>{STYLE}</style></head><body><main>",
        "<h1>AutoML benchmark</h1>",
        '<div class="answer">',
        *(f"<p>{answer(leaderboards[type], comparisons[type])}</p>" for type in leaderboards),
        "</div>",
        _facts(facts),
        *(_board(leaderboards[type], comparisons[type]) for type in leaderboards),
        "<h2>Figures</h2>" if figures else "",
        *(_figure(name, figure) for name, figure in figures.items()),
        _failures(frame),
        _all_rows(frame),
        "</main></body></html>",
    ]
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("\n".join(part for part in parts if part), encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(
            f"The report cannot be written to {path}: {error.strerror}; choose another path."
        ) from None
    return Path(path)


def answer(board: pd.DataFrame, comparison: statistics.Comparison) -> str:
    """Who leads a task type and on how much that rests, as one HTML sentence."""
    type = comparison.type.capitalize()
    leaders = board[board["rank"].eq(1).fillna(False)]
    if leaders.empty:
        return f"{type}: no result can be compared yet."
    scope = size(comparison.datasets, comparison.seeds)
    names = " and ".join(f"<strong>{escape(str(name))}</strong>" for name in leaders["framework"])
    mean_rank = f"mean rank {leaders['mean_rank'].iloc[0]:.2f}"
    ranked = board[board["mean_rank"].notna()]
    if len(ranked) == 1:
        return f"{type}: {names} is the only framework with results ({scope})."
    if len(leaders) > 1:
        return f"{type}: {names} share the lead with {mean_rank} ({scope})."
    second = ranked.iloc[1]
    rival = f"{escape(str(second['framework']))} has {second['mean_rank']:.2f}"
    return f"{type}: {names} leads with {mean_rank}; {rival} ({scope})."


def _facts(facts: Mapping[str, object]) -> str:
    items = (f"<span>{escape(str(k))} <b>{escape(str(v))}</b></span>" for k, v in facts.items())
    return f'<p class="facts">{" ".join(items)}</p>' if facts else ""


def _board(board: pd.DataFrame, comparison: statistics.Comparison) -> str:
    head = "".join(
        f"<th{_numeric(column)}>{escape(HEADINGS.get(str(column), str(column)))}</th>"
        for column in board
    )
    rows = (
        "<tr>"
        + "".join(
            f"<td{_numeric(column)}>{escape(_cell(column, value))}</td>"
            for column, value in zip(board.columns, row, strict=True)
        )
        + "</tr>"
        for row in board.itertuples(index=False)
    )
    judged = ", ".join(escape(name) for name in comparison.metrics)
    scope = f"{size(comparison.datasets, comparison.seeds)}; judged by {judged}"
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    return (
        f'<h2>{escape(comparison.type.capitalize())}</h2><p class="size">{scope}</p>'
        f'<div class="scroll"><table class="leaderboard"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _numeric(column: object) -> str:
    return "" if column == "framework" else ' class="number"'


def _cell(column: object, value: Any) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return DASH
    if column == "success_share":
        return f"{value:.0%}" if value in (0, 1) else f"{value:.1%}"
    if column in ("mean_rank", "scaled_score"):
        return f"{value:.2f}"
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure(name: str, figure: Figure) -> str:
    image = base64.b64encode(as_svg(figure)).decode("ascii")
    caption = CAPTIONS.get(name, "")
    return (
        f'<figure><img alt="{escape(name)}: {escape(caption)}" '
        f'src="data:image/svg+xml;base64,{image}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _failures(frame: pd.DataFrame) -> str:
    if "STATUS" not in frame.columns:
        return ""
    failed = frame[frame["STATUS"] == "failure"]
    if failed.empty:
        return "<h2>Failures</h2><p>None.</p>"
    failed = failed.assign(CAUSE=failed.get("CAUSE", ""), MESSAGE=failed.get("MESSAGE", ""))
    counts = failed.groupby(["MODEL", "CAUSE"]).size().rename("TASKS").reset_index()
    columns = ["MODEL", "DATASET_ID", "TYPE", "SEED", "CAUSE", "MESSAGE"]
    opened = " open" if len(failed) <= 20 else ""
    return (
        f"<h2>Failures</h2>{_table(counts)}"
        f"<details{opened}><summary>All {len(failed):,} with their messages</summary>"
        f"{_table(failed[columns])}</details>"
    )


def _all_rows(frame: pd.DataFrame) -> str:
    """Every row; columns in which nothing stands are left out, messages stand above."""
    empty = [c for c in frame.columns if (frame[c].isna() | (frame[c].astype(str) == "")).all()]
    shown = frame.drop(
        columns=[*empty, *(c for c in ("MESSAGE",) if c in frame and c not in empty)]
    )
    return (
        f"<h2>All results</h2><details><summary>All {len(frame):,} tasks</summary>"
        f"{_table(shown)}</details>"
    )


def _table(rows: pd.DataFrame) -> str:
    kinds = [
        "number" if pd.api.types.is_numeric_dtype(rows[column]) else str(column).lower()
        for column in rows
    ]
    classes = [f' class="{kind}"' if kind in ("number", "message") else "" for kind in kinds]
    head = "".join(f"<th{c}>{escape(str(n))}</th>" for c, n in zip(classes, rows, strict=True))
    body = "".join(_row(row, classes) for row in rows.itertuples(index=False, name=None))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _row(values: Iterable[Any], classes: list[str]) -> str:
    cells = (f"<td{c}>{_text(v)}</td>" for c, v in zip(classes, values, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return escape(value if len(value) <= LONGEST_MESSAGE else value[:LONGEST_MESSAGE] + "…")
    return "" if pd.isna(value) else _number(value)
