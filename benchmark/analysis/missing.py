"""What is missing from results, by framework and cause, and what to do about it."""

from __future__ import annotations

import pandas as pd

from benchmark.analysis.results.cells import NO_RESULT_CAUSES, RETIRED, SCORED
from benchmark.analysis.results.scores import judged
from benchmark.analysis.statistics.comparable import NOT_STARTED

UNKNOWN = "unknown"
NO_SCORE = "no score"
MOST_LISTED = 12
_FIX = (
    f"run resume-compute for what is {NOT_STARTED} (and still configured), and for "
    f"{', '.join(NO_RESULT_CAUSES)}"
)


def by_cause(frame: pd.DataFrame) -> pd.DataFrame:
    """How many tasks ended without a score: a row per framework, a column per cause.

    A failure without a cause is `unknown`. Tasks that were never started, or that a question did
    not need, are not counted.
    """
    rows = _without_score(frame)
    return _counted(frame, rows[~rows["CAUSE"].isin((NOT_STARTED, RETIRED))])


def all_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """As `by_cause`, with the tasks that were never started in the column `not started`.

    A task that classic results do not name at all counts as `unknown`, since they hold only what
    ended well.
    """
    table = _counted(frame, _without_score(frame))
    if "STATUS" not in frame.columns:
        absent = _unnamed(frame)
        if absent.any():
            table[UNKNOWN] = table.get(UNKNOWN, 0) + absent
    return table


def sentences(frame: pd.DataFrame) -> list[str]:
    """A sentence for each framework that misses most results, one for the others, and the fix."""
    table = all_missing(frame).drop(columns=str(RETIRED), errors="ignore")
    table = table[table.sum(axis=1) > 0]
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    if table.empty:
        return []
    said = _scored_failures(frame)
    for name, row in table.head(MOST_LISTED).iterrows():
        causes = ", ".join(f"{count:,} {cause}" for cause, count in row[row > 0].items())
        tasks = "1 task" if row.sum() == 1 else f"{int(row.sum()):,} tasks"
        said.append(f"{name} has no score on {tasks}: {causes}.")
    rest = table.iloc[MOST_LISTED:]
    if len(rest):
        frameworks = "1 other framework has" if len(rest) == 1 else f"{len(rest)} others have"
        said.append(f"{frameworks} no score on {int(rest.to_numpy().sum()):,} tasks.")
    if any(
        cause in table.columns and table[cause].any() for cause in (NOT_STARTED, *NO_RESULT_CAUSES)
    ):
        said.append(f"To fill them, {_FIX}; the rest are results.")
    return said


def _scored_failures(frame: pd.DataFrame) -> list[str]:
    """A note on rows that have a score, and a status that says otherwise."""
    if "STATUS" not in frame.columns:
        return []
    scores = [one for one in (*SCORED, "SCORE") if one in frame.columns]
    scored = frame[scores].notna().any(axis=1) & (frame["STATUS"] != "success")
    number = int(scored.sum())
    if not number:
        return []
    rows = "1 row has" if number == 1 else f"{number:,} rows have"
    first = frame[scored].iloc[0]
    task = f"{first['MODEL']}/{first['DATASET_ID']}/{first['SEED']}"
    return [
        f"{rows} a score that is not used, since STATUS is not success, such as {task} "
        f'("{first["STATUS"]}").'
    ]


def _without_score(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without a score, with their cause."""
    cause = frame["CAUSE"] if "CAUSE" in frame.columns else pd.Series("", index=frame.index)
    cause = cause.astype(object)
    gains = [judged(rows, str(kind))[0] for kind, rows in frame.groupby("TYPE")]
    no_score = pd.concat(gains).reindex(frame.index).isna()
    if "STATUS" in frame.columns:
        status = frame["STATUS"]
        ended = ~status.isin(["success", ""])
        cause = cause.mask(ended & (cause == ""), UNKNOWN)
        cause = cause.mask(status == "", NOT_STARTED).mask(status == "success", "")
        cause = cause.mask((status == "success") & no_score, NO_SCORE)
    else:
        cause = pd.Series("", index=frame.index, dtype=object).mask(no_score, UNKNOWN)
    return pd.DataFrame({"MODEL": frame["MODEL"].astype(str), "CAUSE": cause})[cause != ""]


def _counted(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    names = pd.Index(sorted(frame["MODEL"].astype(str).unique()), name="MODEL")
    counts = rows.groupby(["MODEL", "CAUSE"]).size().unstack(fill_value=0)
    return counts.reindex(names, fill_value=0).astype(int)


def _unnamed(frame: pd.DataFrame) -> pd.Series[int]:
    """How many tasks of the whole grid have no row, by framework."""
    pairs = frame[["DATASET_ID", "TYPE", "SEED"]].drop_duplicates()
    named = frame.groupby(frame["MODEL"].astype(str)).size()
    return (len(pairs) - named).astype(int)
