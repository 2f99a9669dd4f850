"""How far the ranking depends on how failures are counted, and on which data sets there are.

table = sensitivity(gains)      # a row per framework: its place under every rule, its interval
claims(table)                   # the claims of the ranking, and whether a rule turns them
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pandas as pd

from benchmark.analysis.statistics import imputation, ranking

DEFAULT_RULE = "constant"
DRAWS = 1000
# What becomes of missing results under a rule, as the end of a sentence about them.
MEANING = {
    "constant": "take the constant predictor's score",
    "random forest": "take the random forest's score",
    "worst": "take the worst score",
    "drop": "are dropped for all",
}


@dataclass(frozen=True)
class Claim:
    """One framework ahead of another by the default rule, and the rules under which it is not."""

    first: str
    second: str
    flips: tuple[str, ...]

    @property
    def where(self) -> str:
        """Under which rules it flips, in words: "missing results take the worst score"."""
        return f"missing results {' or '.join(MEANING[rule] for rule in self.flips)}"


@dataclass(frozen=True)
class Sensitivity:
    """Places by rule. `places` and `mean_ranks` have a row per framework, a column per rule.

    A place is missing where the rule leaves nothing to compare the framework on. `interval` has
    the places `low` and `high` of 95 % of the resamples of the data sets, by the default rule.
    `rests_on` says on how many data sets each rule ranks.
    """

    places: pd.DataFrame
    mean_ranks: pd.DataFrame
    interval: pd.DataFrame
    rests_on: dict[str, int]

    @property
    def rules(self) -> list[str]:
        return [str(rule) for rule in self.places.columns]

    @property
    def is_the_same(self) -> bool:
        """Whether every framework has the same place under every rule."""
        return bool(self.places.nunique(axis=1).le(1).all())


def sensitivity(
    gains: pd.DataFrame,
    draws: int = DRAWS,
    seed: int = 0,
    imputed: Callable[[str], pd.DataFrame] | None = None,
) -> Sensitivity:
    """Rank under every rule of `imputation.RULES`; a rule whose baseline is missing is left out.

    Args:
        gains: rows (data set, seed), a column per framework, NaN where it failed.
        draws: resamples of the data sets for the interval.
        seed: of the resamples.
        imputed: the gains by a rule, where they depend on more than `gains`.
    """
    imputed = imputed or (lambda rule: imputation.RULES[rule](gains).gains)
    means, mean_ranks, rests_on = {}, {}, {}
    for rule in imputation.RULES:
        if rule == "random forest" and not imputation.baseline(gains.columns, imputation.FOREST):
            continue
        means[rule] = ranking.seed_means(imputed(rule))
        mean_ranks[rule] = ranking.ranks(means[rule]).mean()
        rests_on[rule] = int(means[rule].notna().any(axis=1).sum())
    table = pd.DataFrame(mean_ranks, index=gains.columns).astype(float)
    places = table.round(ranking.DECIMALS).rank(method="min").astype("Int64")
    order = table[DEFAULT_RULE].sort_values(kind="stable").index
    interval = rank_interval(means[DEFAULT_RULE], draws, seed)
    return Sensitivity(places.loc[order], table.loc[order], interval.loc[order], rests_on)


def rank_interval(means: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """The places `low` and `high` between which a framework is in 95 % of the resamples.

    Data sets are resampled with replacement. Missing without data sets.
    """
    ranked = ranking.ranks(means)
    if ranked.empty or ranked.isna().to_numpy().any():
        empty = pd.Series(pd.NA, index=means.columns, dtype="Int64")
        return pd.DataFrame({"low": empty, "high": empty})
    places = ranking.positions(ranking.bootstrap_means(ranked, draws, seed))
    ends = np.percentile(places, [2.5, 97.5], axis=0, method="nearest")
    frame = pd.DataFrame(ends.T, index=means.columns, columns=["low", "high"])
    return frame.astype("Int64")


def claims(found: Sensitivity) -> list[Claim]:
    """Each framework ahead of those of the next place by the default rule, and which rules differ.

    A rule differs where the second's mean rank is smaller there. Frameworks that tie make no claim
    about each other, but each makes its own about those behind: only all of these together show
    that a rule reverses no order.
    """
    table = found.mean_ranks.round(ranking.DECIMALS)
    ranked = table[table[DEFAULT_RULE].notna()]
    places = [list(part.index) for _, part in ranked.groupby(DEFAULT_RULE)]
    stated = []
    for ahead, behind in pairwise(places):
        for first, second in product(ahead, behind):
            lower = ranked.loc[second] < ranked.loc[first]
            stated.append(Claim(str(first), str(second), tuple(map(str, lower.index[lower]))))
    return stated
