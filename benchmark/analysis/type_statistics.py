"""All statistics of one task type, computed once: ranking, tests, ratings, sensitivity.

    found = study(frame, "classification")
    found.board; found.friedman; found.difference; found.ratings; found.sensitivity

The rules are pure functions in modules of their own: `comparable` (what can be compared),
`imputation`, `scaling`, `ranking`, `hypotheses`, `ratings`, `sensitivity`, `leaderboard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.analysis.early_stop.standing import Standing
from benchmark.analysis.early_stop.stopped import covered, scope, standing_of
from benchmark.analysis.results.metrics import known_direction
from benchmark.analysis.statistics import hypotheses, ranking, ratings, scaling
from benchmark.analysis.statistics.comparable import ALL, Comparison, compare, joined
from benchmark.analysis.statistics.hypotheses import Friedman
from benchmark.analysis.statistics.imputation import CONSTANT, baseline
from benchmark.analysis.statistics.leaderboard import leaderboard, other_scales
from benchmark.analysis.statistics.sensitivity import Claim, Sensitivity, claims, sensitivity

__all__ = ["CONSTANT", "Comparison", "Statistics", "compare", "leaderboard", "overall", "study"]

FEWEST_FOR_TESTS = 5
# The texts that statistics read.
_TEXTS = {
    *("MODEL", "DATASET_ID", "TYPE", "STATUS", "CAUSE", "METRIC", "METRIC_DIRECTION"),
    *("UNTIL", "ALPHA", "MARGIN"),
}


@dataclass(frozen=True)
class Statistics:
    """What can be said of one task type; None or empty where `notes` say that it cannot.

    `board` is the leaderboard. `scores` are the scaled seed means, a row per data set. `extra` has
    by framework `win_rate`, `improvability`, `mrr`, `elo`, `elo_low`, `elo_high`, `rank_low` and
    `rank_high` (95 % of resampled data sets), and `better`, `alike`, `worse`: the probabilities
    that the leader is practically better, by the Bayesian signed-rank test. `scales` has what
    other reports would print, see `leaderboard.other_scales`. `standing` is where the question of a
    run that stops early stands; all else is then of the data sets that all frameworks ran on.
    """

    comparison: Comparison
    board: pd.DataFrame
    scores: pd.DataFrame
    extra: pd.DataFrame
    scales: pd.DataFrame
    mean_ranks: pd.Series[float]
    win_matrix: pd.DataFrame
    friedman: Friedman | None
    difference: float | None
    groups: tuple[tuple[str, ...], ...]
    wilcoxon: pd.DataFrame | None
    sensitivity: Sensitivity
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    standing: Standing | None = None

    @property
    def type(self) -> str:
        return self.comparison.type

    @property
    def title(self) -> str:
        """The task type in a heading."""
        return "All task types" if self.type == ALL else self.type.capitalize()

    @property
    def leaders(self) -> list[str]:
        """Who has the smallest mean rank; no one where nothing can be compared."""
        first = self.board["rank"].eq(1).fillna(False)
        return [str(name) for name in self.board.loc[first, "framework"]]


def narrowed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that statistics read, text as categories: choosing rows copies a byte or two."""
    texts = [one for one in frame if one in _TEXTS]
    numbers = [one for one in frame if frame[one].dtype.kind in "fi"]
    categories = {
        one: pd.Categorical(frame[one])
        for one in texts
        if not isinstance(frame[one].dtype, pd.CategoricalDtype)
    }
    return frame[[*texts, *(one for one in numbers if one not in _TEXTS)]].assign(**categories)


def study(frame: pd.DataFrame, type: str, seed: int = 0) -> Statistics:
    """Compute all statistics of one task type.

    Args:
        frame: the results, see `table.read_results`.
        type: "classification" or "regression".
        seed: of resamples and Monte Carlo draws, so that the same results say the same.

    Raises:
        BenchmarkError: a metric is unknown, or a data set is scored by two.
    """
    frame = narrowed(frame)
    standing = standing_of(frame, type)
    frame = covered(frame, type, standing)
    return _found(frame, compare(frame, type), standing, seed)


def overall(
    frame: pd.DataFrame, studies: Mapping[str, Statistics], seed: int = 0
) -> Statistics | None:
    """The statistics over the data sets of all task types together, as AMLB's; None for one type.

    Ranks, wins and scaled scores are of a data set, whatever its metric.
    """
    compared = {type: found for type, found in studies.items() if len(found.comparison.gains)}
    if len(compared) < 2:
        return None
    comparison = joined([found.comparison for found in compared.values()])
    if comparison.gains.shape[1] < 2:
        return None
    if any(found.standing for found in compared.values()) or len(compared) < len(studies):
        parts = [covered(frame, type, found.standing) for type, found in compared.items()]
        frame = pd.concat(parts, ignore_index=True)
    return _found(frame, comparison, None, seed)


def _found(
    frame: pd.DataFrame, comparison: Comparison, standing: Standing | None, seed: int
) -> Statistics:
    from threadpoolctl import threadpool_limits

    # The matrices are so small that threads would spend their processor time on waiting.
    with threadpool_limits(limits=1, user_api="blas"):
        return _computed(frame, comparison, standing, seed)


def _computed(
    frame: pd.DataFrame, comparison: Comparison, standing: Standing | None, seed: int
) -> Statistics:
    means = comparison.means
    mean_ranks = ranking.ranks(means).mean()
    scores = scaling.scaled(means)
    board = leaderboard(frame, comparison.type, comparison)
    difference = None
    groups: tuple[tuple[str, ...], ...] = ()
    if means.shape[1] > 1 and len(means) > 1:
        difference = hypotheses.critical_difference(means.shape[1], len(means))
        groups = tuple(hypotheses.groups(mean_ranks, difference))
    found = sensitivity(comparison.gains, seed=seed, imputed=comparison.imputed)
    friedman = hypotheses.friedman(ranking.ranks(means))
    return Statistics(
        comparison,
        board,
        scores,
        _extra(comparison, scores, str(board["framework"].iloc[0]), found, seed),
        other_scales(frame, comparison),
        mean_ranks,
        ranking.win_matrix(means),
        friedman,
        difference,
        groups,
        hypotheses.wilcoxon_holm(scores),
        found,
        tuple(claims(found)),
        comparison.notes
        + tuple(_cannot(comparison, friedman))
        + ((scope(standing),) if standing else ()),
        standing,
    )


def _extra(
    comparison: Comparison,
    scores: pd.DataFrame,
    leader: str,
    found: Sensitivity,
    seed: int,
) -> pd.DataFrame:
    means = comparison.means
    table = pd.DataFrame(index=means.columns)
    table["win_rate"] = ranking.win_rate(means)
    # A user's own metric may have a known one's name and the other direction.
    usual = {
        name: metric
        for name, metric in comparison.metric_of.items()
        if known_direction(metric) in (None, comparison.sign_of[name])
    }
    table["improvability"] = ranking.improvability(means, usual)
    table["mrr"] = ranking.reciprocal_rank(means)
    elo = ratings.ratings(means, seed=seed)
    for column in ("elo", "low", "high"):
        name = column if column == "elo" else f"elo_{column}"
        table[name] = float("nan") if elo is None else elo[column]
    table["rank_low"], table["rank_high"] = found.interval["low"], found.interval["high"]
    return table.join(_against_leader(scores, leader, seed))


def _against_leader(scores: pd.DataFrame, leader: str, seed: int) -> pd.DataFrame:
    """The Bayesian signed-rank test of the board's first framework against every other one."""
    columns = ["better", "alike", "worse"]
    rows: dict[Any, list[float]] = {}
    if leader in scores and not scores[leader].isna().all():
        others = scores.drop(columns=leader)
        chances = hypotheses.bayesian_signed_ranks(
            scores[leader].to_numpy(float), others.to_numpy(float), seed=seed
        )
        for name, found in zip(others, chances, strict=True):
            if found is not None:
                rows[name] = [found.better, found.alike, found.worse]
    absent = [float("nan")] * len(columns)
    values = [rows.get(name, absent) for name in scores.columns]
    return pd.DataFrame(values, index=scores.columns, columns=columns)


def _cannot(comparison: Comparison, friedman: Friedman | None) -> list[str]:
    """A sentence for each thing that these results cannot say."""
    frameworks, datasets = comparison.gains.shape[1], comparison.datasets
    if not datasets:
        return ["No result can be compared yet."]
    said = []
    if baseline(comparison.gains.columns, CONSTANT) is None:
        where = " on every task type" if comparison.type == ALL else ""
        said.append(
            f"Scaled scores count from the worst framework, as no constant predictor ran{where}."
        )
    if frameworks < 2:
        return [*said, "One framework alone cannot be ranked, tested or rated against another."]
    if datasets < 2:
        return [*said, "One data set alone allows no test and no interval over data sets."]
    if friedman is None:
        reason = "there are two frameworks" if frameworks < 3 else "all frameworks tie everywhere"
        said.append(f"The Friedman test cannot be computed, as {reason}.")
    if datasets < FEWEST_FOR_TESTS:
        said.append(
            f"{datasets} data sets are too few for a test to find much; read the ranks as a "
            "description of these data sets."
        )
    if comparison.seeds < 2:
        said.append("One seed alone does not show how much the scores vary by chance.")
    return said
