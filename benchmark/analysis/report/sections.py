"""The report's sections between the answer and the records: leaderboards, tests, failures, run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.analysis import missing
from benchmark.analysis.figures.style import DASH, size
from benchmark.analysis.hypotheses import ALPHA
from benchmark.analysis.leaderboard import CLASSIC_METRIC, MEAN_COLUMN
from benchmark.analysis.metrics import shown
from benchmark.analysis.mixtures import CONDITIONS
from benchmark.analysis.report.html import filter_box, number, table
from benchmark.analysis.sensitivity import DEFAULT_RULE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.analysis.statistics import Statistics

HEADINGS = {
    **{"rank": "Rank", "places": "95 % places", "framework": "Framework"},
    **{"mean_rank": "Mean rank", "scaled_score": "Scaled score", "win_rate": "Win rate"},
    **{"elo": "Elo", "elo_interval": "95 % Elo", "improvability": "Improvable by", "wins": "Wins"},
    **{"mean_f1": "Mean F1", "mean_rmse": "Mean RMSE", "failures": "Failures"},
    **{"success_share": "Success", "median_fit_s": "Median fit (s)"},
}
FORMATS = {
    **{"rank": "d", "mean_rank": ".2f", "scaled_score": ".3f", "win_rate": ".0%", "elo": ".0f"},
    **{"improvability": ".1%", "wins": ",d", "mean_f1": ".4g", "mean_rmse": ".4g"},
    **{"failures": ",d", "success_share": ".1%", "median_fit_s": ".4g"},
}
MOST_LISTED = 2_000
RUN_FACTS = {
    **{"RUN": "run", **CONDITIONS},
    **{"SANDBOX": "held by", "HOST": "machine", "HARNESS": "harness"},
}


def leaderboard(found: Statistics) -> str:
    """A task type's leaderboard with what the ratings add, and what was left out."""
    board = found.board.set_index("framework").join(found.extra.drop(columns=["mrr"]))
    board = board.reset_index()
    board["places"] = _interval(board["rank_low"], board["rank_high"], "d")
    board["elo_interval"] = _interval(board["elo_low"], board["elo_high"], ".0f", " to ")
    columns = [
        *("rank", "places", "framework", "mean_rank", "scaled_score", "win_rate", "elo"),
        *("elo_interval", "improvability", "wins", MEAN_COLUMN[found.type], "failures"),
        *("success_share", "median_fit_s"),
    ]
    columns = [name for name in columns if board[name].notna().any() or name == "mean_rank"]
    comparison = found.comparison
    scope = f"{size(comparison.datasets, comparison.seeds)}; judged by {shown(comparison.metrics)}"
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    identity = f"board-{found.type}"
    return (
        f'<h2 id="{found.type}">{found.type.capitalize()}</h2>'
        f'<p class="size">{escape(scope)}</p>{filter_box(identity, "frameworks")}'
        + table(
            board[columns],
            HEADINGS,
            FORMATS,
            identity=identity,
            leaders=board["rank"].eq(1).fillna(False).tolist(),
        )
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + _left_out(comparison.left_out)
    )


def tests(found: Statistics) -> str:
    """Friedman, Nemenyi, and the leader against every other framework."""
    if found.difference is None or not found.leaders:
        return ""
    leader = found.leaders[0]
    others = [str(name) for name in found.mean_ranks.dropna().sort_values().index if name != leader]
    rows = pd.DataFrame({"framework": others})
    ranks = found.mean_ranks
    rows["difference"] = [float(ranks[name] - ranks[leader]) for name in others]
    # Nemenyi's test is for what Friedman's has shown to differ somewhere (Demsar, JMLR 2006).
    holds = found.friedman is None or found.friedman.p <= ALPHA
    far = rows["difference"] > found.difference
    rows["nemenyi"] = ["yes" if one and holds else "no" for one in far]
    if found.wilcoxon is not None:
        rows["wilcoxon"] = found.wilcoxon.loc[leader, others].to_numpy(float)
    for column in ("better", "alike", "worse"):
        rows[column] = found.extra.loc[others, column].to_numpy(float)
    headings = {
        **{"framework": f"{leader} against", "difference": "Mean ranks apart"},
        **{"nemenyi": "Differs (Nemenyi, 0.05)", "wilcoxon": "p (Wilcoxon, Holm)"},
        **{"better": "P(better)", "alike": "P(alike)", "worse": "P(worse)"},
    }
    formats = {
        **{"difference": ".2f", "wilcoxon": ".2g", "better": ".1%", "alike": ".1%"},
        "worse": ".1%",
    }
    friedman = (
        f"Friedman: χ² = {found.friedman.statistic:.2f}, p = {found.friedman.p:.2g}. "
        if found.friedman
        else ""
    )
    if not holds:
        friedman += "It shows no difference, so that none of a pair counts. "
    return (
        f"<h3>Is {escape(leader)} better?</h3>"
        f'<p class="size">{friedman}Critical difference of mean ranks (Nemenyi): '
        f"{found.difference:.3f}. P: probabilities of the Bayesian signed-rank test, alike being "
        "within 0.01 of the scaled score.</p>" + table(rows, headings, formats)
    )


def sensitivity(found: Statistics) -> str:
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
    marks = "".join(
        f'<li><span class="flip">flips</span> {escape(claim.first)} ahead of '
        f"{escape(claim.second)}: not where {escape(claim.where)}.</li>"
        for claim in turned
    )
    told = (
        f"<ul>{marks}</ul>"
        if marks
        else '<p class="size">No place depends on how missing results are counted.</p>'
    )
    return (
        "<h3>Does it depend on how failures are counted?</h3>"
        '<p class="size">Place and mean rank when a missing result takes the constant predictor\'s '
        "score, the random forest's, the worst, or is dropped for all.</p>"
        f"{table(rows, headings, {})}{told}"
    )


def other_scales(found: Statistics) -> str:
    """What other reports would print of the same results."""
    rows = found.scales.dropna(axis=1, how="all").reindex(found.mean_ranks.sort_values().index)
    if rows.empty or not len(rows.columns):
        return ""
    rows = rows.rename_axis("framework").reset_index()
    if "classic" in rows.columns:
        notch = _interval(rows["classic_low"], rows["classic_high"], ".3f", " to ")
        rows["notch"] = notch.where(rows["classic"].notna(), DASH)
        rows = rows.drop(columns=["classic_low", "classic_high"])
    metric = shown([CLASSIC_METRIC[found.type]])
    headings = {
        **{"framework": "Framework", "amlb_2019": "AMLB 2019 mean"},
        **{"amlb_2024": "AMLB 2024 median", "classic": "Classic median", "notch": "Notch"},
        "classic_mean": f"Mean {metric}",
    }
    formats = {
        **{"amlb_2019": ".3f", "amlb_2024": ".3f", "classic": ".3f", "classic_mean": ".4g"},
    }
    return (
        "<h3>On other scales</h3>"
        '<p class="size">AMLB 2019: 0 = constant predictor, 1 = tuned random forest. AMLB 2024: 0 '
        f"= random forest, 1 = best. Classic: {metric} as z-scores per data set, then 0 to 1; what "
        "a framework misses is dropped for all; notch: 1.57 IQR / √N.</p>"
        + table(rows, headings, formats)
    )


def failures(frame: pd.DataFrame) -> str:
    """What failed or was not run, with message and log; what was never begun is counted."""
    counts = missing.all_missing(frame)
    counts = counts[counts.sum(axis=1) > 0]
    heading = '<h2 id="failures">Failures and tasks not run</h2>'
    if counts.empty:
        return f"{heading}<p>None.</p>"
    counts["tasks"] = counts.sum(axis=1)
    summary = counts.sort_values("tasks", ascending=False, kind="stable").reset_index()
    formats = {str(column): ",d" for column in summary.columns if column != "MODEL"}
    return (
        heading
        + table(summary, {"MODEL": "Framework", "tasks": "all"}, formats)
        + _each(frame)
        + f'<ul class="notes">{_mend(frame)}</ul>'
    )


def _left_out(pairs: pd.DataFrame) -> str:
    """Where the data sets and seeds that are left out for all have no result, and why."""
    if pairs.empty:
        return ""
    names = {"framework": "Framework", "dataset": "Data set", "cause": "Cause", "seeds": "Seeds"}
    return (
        "<details><summary>Frameworks and data sets without a result</summary>"
        + table(pairs.iloc[:MOST_LISTED], names, {"seeds": ",d"})
        + "</details>"
    )


def _mend(frame: pd.DataFrame) -> str:
    said = [text for text in missing.sentences(frame) if text.startswith("To fill")]
    return "".join(f"<li>{escape(text)}</li>" for text in said)


def _each(frame: pd.DataFrame) -> str:
    if "STATUS" not in frame.columns:
        return ""
    rows = frame[~frame["STATUS"].isin(["success", ""])]
    if rows.empty:
        return ""
    columns = ["MODEL", "DATASET_ID", "SEED", "STATUS", "CAUSE", "MESSAGE", "LOG"]
    rows = rows.reindex(columns=columns, fill_value="").astype(object).fillna("")
    rows = rows.loc[:, [column for column in columns if (rows[column].astype(str) != "").any()]]
    cut = f" (the first {MOST_LISTED:,})" if len(rows) > MOST_LISTED else ""
    opened = " open" if len(rows) <= 20 else ""
    names = {
        **{"MODEL": "Framework", "DATASET_ID": "Data set", "SEED": "Seed"},
        **{"STATUS": "Outcome", "CAUSE": "Cause"},
        **{"MESSAGE": "Message", "LOG": "Log in the store"},
    }
    return (
        f"<details{opened}><summary>All {len(rows):,} with their messages{cut}</summary>"
        + filter_box("each-failure", "tasks")
        + table(rows.iloc[:MOST_LISTED], names, {}, identity="each-failure")
        + "</details>"
    )


def what_ran(frame: pd.DataFrame, facts: Mapping[str, object]) -> str:
    """Conditions, machines, versions and hashes, as far as the results say them."""
    told = "".join(
        f"<li>{escape(word)}: <b>{escape(str(value))}</b></li>"
        for word, value in (conditions(frame) | dict(facts)).items()
    )
    parts = ['<h2 id="run">What was run</h2>', f"<ul>{told}</ul>" if told else ""]
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
            parts.append(
                f"<details><summary>{heading}: {len(listed)}</summary>"
                + table(listed, {owner: heading[:-1]}, {})
                + "</details>"
            )
    return "".join(parts)


def conditions(frame: pd.DataFrame) -> dict[str, str]:
    """Under which conditions the results came about, as far as they say."""
    found = {}
    for column, word in RUN_FACTS.items():
        if column in frame.columns:
            kinds = sorted(set(frame[column].dropna().astype(str)) - {""})
            if kinds:
                more = f" and {len(kinds) - 8} more" if len(kinds) > 8 else ""
                found[word] = ", ".join(kinds[:8]) + more
    return found


def _identities(frame: pd.DataFrame, owner: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
    present = [column for column in columns if column in frame.columns]
    present = [column for column in present if (frame[column].astype(str) != "").any()]
    if not present:
        return None
    texts = pd.DataFrame({owner: frame[owner].astype(str)})
    for column in present:
        texts[column] = [
            number(value) if isinstance(value, float) else str(value)[:16]
            for value in frame[column]
        ]
    distinct = texts.drop_duplicates()
    return distinct.groupby(owner)[present].agg(_distinct).reset_index()


def _distinct(values: pd.Series[str]) -> str:
    return ", ".join(sorted({str(value) for value in values} - {"", DASH}))


def _interval(
    low: pd.Series[float], high: pd.Series[float], form: str, until: str = DASH
) -> pd.Series[str]:
    """Two ends as one text, or one end where both are equal."""
    texts = [
        number(a, form) if pd.isna(a) or a == b else f"{number(a, form)}{until}{number(b, form)}"
        for a, b in zip(low, high, strict=True)
    ]
    return pd.Series(texts, index=low.index, dtype=object)
