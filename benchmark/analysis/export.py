"""Tables for papers: LaTeX and Markdown leaderboards, all scores as Parquet and in AMLB's form.

export(frame, studies, "tables")     # leaderboard-TYPE.tex, .md, scores.parquet, results.csv
export(frame, studies, "tables", overall)    # leaderboard-all.tex and .md too
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from benchmark.analysis.figures.style import INFINITE, number
from benchmark.analysis.results.amlb_form import to_amlb
from benchmark.analysis.statistics import scaling
from benchmark.analysis.type_statistics import Statistics
from benchmark.errors import BenchmarkError
from benchmark.files.output_files import staged
from benchmark.files.safe_text import guarded_cell

COLUMNS = {
    "rank": ("Rank", "d"),
    "framework": ("Framework", ""),
    "mean_rank": ("Mean rank", ".2f"),
    "scaled_score": ("Median scaled score", ".3f"),
    "win_rate": ("Win rate", ".2f"),
    "elo": ("Elo", ".0f"),
    "failures": ("Failures", ",d"),
}
_LATEX = {
    **{"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_"},
    **{"{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
}


def export(
    frame: pd.DataFrame,
    studies: Mapping[str, Statistics],
    folder: str | Path,
    overall: Statistics | None = None,
) -> list[Path]:
    """Write the tables and return their paths.

    Args:
        frame: the results, see `table.read_results`.
        studies: the statistics by task type.
        folder: where to; made where it is missing.
        overall: the statistics over all task types.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    target = Path(folder)
    written = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for found in [*studies.values(), *([overall] if overall else [])]:
            for ending, render in (("tex", latex), ("md", markdown)):
                path = target / f"leaderboard-{found.type}.{ending}"
                with staged(path) as file:
                    file.write_text(render(found), encoding="utf-8")
                written.append(path)
        written += [target / "scores.parquet", target / "results.csv"]
        with staged(written[-2]) as file:
            tidy(frame, studies).to_parquet(file, index=False)
        table = to_amlb(frame)
        texts = table.select_dtypes(exclude="number").columns
        table[texts] = table[texts].map(guarded_cell)
        with staged(written[-1]) as file:
            table.to_csv(file, index=False, lineterminator="\n")
    except OSError as error:
        raise BenchmarkError(
            f"The tables cannot be written to {folder}: {error.strerror}; choose another folder."
        ) from None
    return written


def latex(found: Statistics) -> str:
    """The leaderboard as a table of LaTeX's package booktabs."""
    rows = _rows(found)
    head = " & ".join(heading for heading, _ in COLUMNS.values())
    body = "\n".join(" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows)
    columns = "".join("l" if name == "framework" else "r" for name in COLUMNS)
    datasets = found.comparison.datasets
    return (
        f"% {found.type}, {datasets} data set{'s' * (datasets != 1)}; needs "
        "\\usepackage{booktabs}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def markdown(found: Statistics) -> str:
    """The leaderboard as a table of Markdown."""
    rules = [":--" if name == "framework" else "--:" for name in COLUMNS]
    lines = [[heading for heading, _ in COLUMNS.values()], rules]
    lines += [[_markdown(cell) for cell in row] for row in _rows(found)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tidy(frame: pd.DataFrame, studies: Mapping[str, Statistics]) -> pd.DataFrame:
    """One row per framework, data set and seed that is compared.

    Columns: `type`, `dataset`, `seed`, `framework`, `metric`, `gain` (larger is better; missing
    where it failed), `imputed_gain` (by the constant predictor), `scaled_score` (0 = constant,
    1 = best), `fit_s` and `predict_s`.
    """
    parts = []
    for type, found in studies.items():
        gains = found.comparison.gains
        filled = found.comparison.filled
        columns = {
            "gain": gains.stack(future_stack=True),
            "imputed_gain": filled.stack(future_stack=True),
            "scaled_score": scaling.scaled(filled).stack(future_stack=True),
        }
        part = pd.DataFrame(columns)
        part.index = part.index.set_names(["dataset", "seed", "framework"])
        part = part.reset_index()
        part.insert(0, "type", type)
        part.insert(4, "metric", part["dataset"].map(found.comparison.metric_of))
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    keys = ["MODEL", "DATASET_ID", "TYPE", "SEED"]
    seconds = [column for column in ("FIT_S", "PREDICT_S") if column in frame.columns]
    times = frame[keys + seconds].set_axis(
        ["framework", "dataset", "type", "seed", *(column.lower() for column in seconds)], axis=1
    )
    return table.merge(times, how="left", on=["framework", "dataset", "type", "seed"])


def _rows(found: Statistics) -> list[list[str]]:
    board = found.board.set_index("framework").join(found.extra).reset_index()
    cells = [
        [str(value) for value in board[name]]
        if not form
        else [number(value, form) for value in board[name]]
        for name, (_, form) in COLUMNS.items()
    ]
    return [list(row) for row in zip(*cells, strict=True)]


def _latex(text: str) -> str:
    escaped = re.sub(r"[\\&%$#_{}~^]", lambda found: _LATEX[found.group()], " ".join(text.split()))
    return re.sub(f"(-?){INFINITE}", r"$\1\\infty$", escaped)


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))
