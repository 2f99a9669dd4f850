"""The report's sections between the answer and the records: leaderboards, tests, failures, run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup

from benchmark.analysis import missing
from benchmark.analysis.early_stop.standing import Standing
from benchmark.analysis.early_stop.stopped import ahead
from benchmark.analysis.figures.style import DASH, number
from benchmark.analysis.report.html import table
from benchmark.analysis.results.metrics import shown
from benchmark.analysis.statistics.hypotheses import ALPHA
from benchmark.analysis.statistics.leaderboard import CLASSIC_METRIC
from benchmark.analysis.statistics.sensitivity import DEFAULT_RULE
from benchmark.analysis.type_statistics import Statistics
from benchmark.templates import macros

HEADINGS = {
    **{"rank": "Rank", "places": "95 % places", "framework": "Framework"},
    **{"mean_rank": "Mean rank", "scaled_score": "Median scaled score", "win_rate": "Win rate"},
    **{"elo": "Elo", "elo_interval": "95 % Elo", "improvability": "Gap to best", "wins": "Wins"},
    **{"mean_f1": "Mean F1", "failures": "Failures"},
    **{"success_share": "Success", "median_fit_s": "Median fit (s)"},
}
FORMATS = {
    **{"rank": "d", "mean_rank": ".2f", "scaled_score": ".3f", "win_rate": ".0%", "elo": ".0f"},
    **{"improvability": ".1%", "wins": ",d", "mean_f1": ".4g"},
    **{"failures": ",d", "success_share": ".1%", "median_fit_s": ".4g"},
}
MOST_LISTED = 2_000
_MOST_LEFT_OUT = 50
RUN_FACTS = {
    **{"RUN": "Run", "RUNTIME": "Budget (s)", "HARD_LIMIT": "Hard limit (s)", "CORES": "Cores"},
    **{"MEMORY": "Memory (MiB)", "SPLIT": "Split", "CONSTRAINT": "Constraint"},
    **{"SANDBOX": "Sandbox", "HOST": "Machine", "HARNESS": "Harness"},
}


def _html(macro: str) -> Callable[..., Markup]:
    made: Callable[..., Markup] = getattr(macros("report/sections.html"), macro)
    return made


def leaderboard(found: Statistics) -> Markup | str:
    """A task type's leaderboard with ratings, and what was left out."""
    board = found.board.set_index("framework").join(found.extra.drop(columns=["mrr"]))
    board = board.reset_index()
    board["places"] = _interval(board["rank_low"], board["rank_high"], "d")
    board["elo_interval"] = _interval(board["elo_low"], board["elo_high"], ".0f", " to ")
    columns = [
        *("rank", "places", "framework", "mean_rank", "scaled_score", "win_rate", "elo"),
        # A mean of RMSE over data sets would add up unlike scales.
        *("elo_interval", "improvability", "wins", "mean_f1", "failures"),
        *("success_share", "median_fit_s"),
    ]
    columns = [
        name
        for name in columns
        if name == "mean_rank" or (name in board and board[name].notna().any())
    ]
    comparison = found.comparison
    scope = f"{comparison.size}; judged by {shown(comparison.metrics)}"
    identity = f"board-{found.type}"
    leaders = board["rank"].eq(1).fillna(False).tolist()
    return _html("leaderboard")(
        found,
        identity,
        scope,
        table(board[columns], HEADINGS, FORMATS, identity=identity, leaders=leaders),
        _left_out(comparison.left_out),
    )


def question(found: Statistics) -> Markup | str:
    """The claims of a run that stops early, and what was not run, with reasons."""
    standing = found.standing
    if standing is None:
        return ""
    design, retired = standing.design, standing.retired()
    rows = pd.DataFrame(
        {
            "framework": design.frameworks,
            "datasets": standing.ran,
            "claim": standing.sentences(),
            "retired": [retired.get(name, "open") for name in design.frameworks],
            **_ahead(found, standing),
        }
    ).sort_values("datasets", ascending=False, kind="stable")
    first = design.frameworks[standing.reference]
    headings = {
        **{"framework": "Framework", "datasets": design.units.capitalize()},
        "claim": "Claim for the full grid",
        "retired": "Not run further, because",
        "wins": f"Wins of {first}",
        "ranks": f"Ranks that {first} is ahead",
        "scores": f"Scaled score that {first} is ahead",
    }
    headings = {name: heading for name, heading in headings.items() if name in rows}
    return _html("question")(design, standing.answered, table(rows, headings, {"datasets": "d"}))


def _ahead(found: Statistics, standing: Standing) -> dict[str, list[str]]:
    """Intervals of the reference against each framework, as texts."""
    design, first = standing.design, standing.reference
    others = range(len(design.frameworks))
    ends = [standing.interval(first, k) for k in others]
    wins = tuple(np.array([end[-1] for end in side]) for side in zip(*ends, strict=True))
    columns = {"wins": wins, **ahead(standing, found.comparison)}
    form = {"wins": ".0%", "ranks": ".1f", "scores": ".2f"}
    return {
        kind: [
            DASH if k == first else f"{low[k]:z{form[kind]}} to {high[k]:z{form[kind]}}"
            for k in others
        ]
        for kind, (low, high) in columns.items()
    }


def tests(found: Statistics) -> Markup | str:
    """Friedman, Nemenyi, and the leader against every other framework."""
    if found.difference is None or not found.leaders:
        return ""
    leader = found.leaders[0]
    others = [str(name) for name in found.mean_ranks.dropna().sort_values().index if name != leader]
    rows = pd.DataFrame({"framework": others})
    ranks = found.mean_ranks
    rows["difference"] = [float(ranks[name] - ranks[leader]) for name in others]
    # Nemenyi's test requires a significant Friedman test (Demsar, JMLR 2006).
    holds = found.friedman is None or found.friedman.p <= ALPHA
    far = rows["difference"] > found.difference
    rows["nemenyi"] = ["yes" if one and holds else "no" for one in far]
    if found.wilcoxon is not None:
        rows["wilcoxon"] = found.wilcoxon.loc[leader, others].to_numpy(float)
    for column in ("better", "alike", "worse"):
        rows[column] = found.extra.loc[others, column].to_numpy(float)
    headings = {
        **{"framework": f"{leader} against", "difference": "Difference of mean ranks"},
        **{"nemenyi": "Differs (Nemenyi, 0.05)", "wilcoxon": "p (Wilcoxon, Holm)"},
        **{"better": "P(better)", "alike": "P(tie)", "worse": "P(worse)"},
    }
    formats = {
        **{"difference": ".2f", "wilcoxon": ".2g", "better": ".1%", "alike": ".1%"},
        "worse": ".1%",
    }
    shown = table(rows, headings, formats)
    return _html("tests")(leader, found.friedman, holds, found.difference, shown)


def sensitivity(found: Statistics) -> Markup | str:
    """Places under every rule for missing results, with flips marked."""
    known = found.sensitivity
    if known.mean_ranks.empty or known.mean_ranks[DEFAULT_RULE].isna().all():
        return ""
    rows = pd.DataFrame({"framework": [str(name) for name in known.places.index]})
    for rule in known.rules:
        places, ranks = known.places[rule], known.mean_ranks[rule]
        rows[rule] = [
            f"{place} ({rank:.2f})" if pd.notna(place) else DASH
            for place, rank in zip(places, ranks, strict=True)
        ]
    low, high = known.places.min(axis=1), known.places.max(axis=1)
    rows["span"] = _interval(low, high, "d").to_numpy()
    rows["interval"] = _interval(known.interval["low"], known.interval["high"], "d").to_numpy()
    headings = {
        "framework": "Framework",
        **{
            rule: f"by {rule} ({known.rests_on[rule]} data sets)"
            for rule in known.rules
            if rule != "drop"
        },
        "drop": f"dropped ({known.rests_on['drop']} data sets)",
        **{"span": "Places over rules", "interval": "95 % places"},
    }
    turned = [claim for claim in found.claims if claim.flips]
    return _html("sensitivity")(table(rows, headings, {}), turned, known.is_the_same)


def other_scales(found: Statistics) -> Markup | str:
    """The same results on the scales of other reports."""
    rows = found.scales.dropna(axis=1, how="all").reindex(found.mean_ranks.sort_values().index)
    if "amlb_2024" not in rows.columns:
        rows = rows.drop(columns="amlb_2024_of", errors="ignore")
    if rows.empty or not len(rows.columns):
        return ""
    rows = rows.rename_axis("framework").reset_index()
    if "classic" in rows.columns:
        notch = _interval(rows["classic_low"], rows["classic_high"], ".3f", " to ")
        rows["notch"] = notch.where(rows["classic"].notna(), DASH)
        rows = rows.drop(columns=["classic_low", "classic_high"])
    metric = shown([CLASSIC_METRIC[found.type]]) if found.type in CLASSIC_METRIC else ""
    headings = {
        **{"framework": "Framework", "amlb_2019": "AMLB 2019 mean"},
        **{"amlb_2024": "AMLB 2024 median", "amlb_2024_of": "of data sets"},
        **{"classic": "Classic median", "notch": "Notch"},
        "classic_mean": f"Mean {metric}",
    }
    formats = {
        **{"amlb_2019": ".3f", "amlb_2024": ".3f", "amlb_2024_of": ".0f"},
        **{"classic": ".3f", "classic_mean": ".4g"},
    }
    return _html("other_scales")(metric, table(rows, headings, formats))


EACH = (leaderboard, question, tests, sensitivity, other_scales)


def failures(frame: pd.DataFrame) -> Markup | str:
    """Failed and not-run tasks, with message and log; tasks never started are only counted."""
    counts = missing.all_missing(frame)
    counts = counts[counts.sum(axis=1) > 0]
    if counts.empty:
        return _html("failures")("", "", [])
    counts["tasks"] = counts.sum(axis=1)
    summary = counts.sort_values("tasks", ascending=False, kind="stable").reset_index()
    formats = {str(column): ",d" for column in summary.columns if column != "MODEL"}
    return _html("failures")(
        table(summary, {"MODEL": "Framework", "tasks": "all"}, formats),
        _each(frame),
        [text for text in missing.sentences(frame) if text.startswith("To fill")],
    )


def _left_out(pairs: pd.DataFrame) -> Markup | str:
    """The data sets and seeds that are left out for all: where results are missing, and why."""
    if pairs.empty:
        return ""
    names = {"framework": "Framework", "dataset": "Data set", "cause": "Cause", "seeds": "Seeds"}
    shown = table(pairs.iloc[:_MOST_LEFT_OUT], names, {"seeds": ",d"})
    more = len(pairs) - _MOST_LEFT_OUT
    return shown if more <= 0 else shown + Markup("<p>and {:,} more</p>").format(more)


def _each(frame: pd.DataFrame) -> Markup | str:
    if "STATUS" not in frame.columns:
        return ""
    rows = frame[~frame["STATUS"].isin(["success", ""])]
    if rows.empty:
        return ""
    columns = ["MODEL", "DATASET_ID", "SEED", "STATUS", "CAUSE", "MESSAGE", "LOG"]
    rows = rows.reindex(columns=columns, fill_value="").astype(object).fillna("")
    rows = rows.loc[:, [column for column in columns if (rows[column].astype(str) != "").any()]]
    cut = f" (the first {MOST_LISTED:,})" if len(rows) > MOST_LISTED else ""
    names = {
        **{"MODEL": "Framework", "DATASET_ID": "Data set", "SEED": "Seed"},
        **{"STATUS": "Outcome", "CAUSE": "Cause"},
        **{"MESSAGE": "Message", "LOG": "Log in the store"},
    }
    shown = table(rows.iloc[:MOST_LISTED], names, {}, identity="each-failure")
    return _html("each_failure")(len(rows), cut, shown)


def what_ran(frame: pd.DataFrame, facts: Mapping[str, object]) -> Markup | str:
    """Conditions, machines, versions and hashes, as far as the results contain them."""
    tables = {}
    for heading, owner, columns in (
        ("Frameworks", "MODEL", ("VERSION", "ENVIRONMENT_HASH")),
        (
            "Data sets",
            "DATASET_ID",
            ("TYPE", "PROBLEM", "METRIC", "ROWS", "FEATURES", "CLASSES", "DATASET_HASH"),
        ),
    ):
        listed = _identities(frame, owner, columns)
        if listed is not None:
            tables[heading] = len(listed), table(listed, {owner: heading[:-1]}, {})
    return _html("what_ran")(conditions(frame) | dict(facts), tables)


def conditions(frame: pd.DataFrame) -> dict[str, str]:
    """The conditions of the results, as far as they contain them."""
    found = {}
    for column, word in RUN_FACTS.items():
        if column in frame.columns:
            kinds = sorted(set(frame[column].dropna().unique().astype(str)) - {""})
            if kinds:
                more = f" and {len(kinds) - 8} more" if len(kinds) > 8 else ""
                found[word] = ", ".join(kinds[:8]) + more
    return found


def _identities(frame: pd.DataFrame, owner: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
    present = [column for column in columns if column in frame.columns]
    present = [column for column in present if (frame[column].astype(str) != "").any()]
    if not present:
        return None
    texts = frame[[owner, *present]].drop_duplicates().astype({owner: str})
    for column in present:
        texts[column] = [
            number(value) if isinstance(value, float) else str(value)[:16]
            for value in texts[column]
        ]
    distinct = texts.drop_duplicates()
    return distinct.groupby(owner)[present].agg(_distinct).reset_index()


def _interval(
    low: pd.Series[float], high: pd.Series[float], form: str, until: str = DASH
) -> pd.Series[str]:
    """Two ends as one text, or one end where both are equal."""
    texts = [
        number(a, form) if pd.isna(a) or a == b else f"{number(a, form)}{until}{number(b, form)}"
        for a, b in zip(low, high, strict=True)
    ]
    return pd.Series(texts, index=low.index, dtype=object)


def _distinct(values: pd.Series[str]) -> str:
    return ", ".join(sorted({str(value) for value in values} - {"", DASH}))
