"""What stands in for a missing result: the field's rules, as functions on a table of gains.

Gains have a row per data set and seed (an index of two levels), a column per framework, and NaN
where a framework failed. A rule fills what it can and leaves the rest missing; `by_drop` leaves
rows out instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.analysis.statistics import ranking

CONSTANT, FOREST, TUNED_FOREST = "constant", "random-forest", "tuned-random-forest"
_SPELLINGS = {
    "constant": CONSTANT,
    "constantpredictor": CONSTANT,
    "randomforest": FOREST,
    "tunedrandomforest": TUNED_FOREST,
}


@dataclass(frozen=True)
class Imputed:
    """Gains without gaps as far as the rule goes, and how many it filled from which source."""

    gains: pd.DataFrame
    filled: dict[str, int]


def baseline(frameworks: Iterable[str], role: str) -> str | None:
    """The framework that has a baseline's role, however its name is spelt; None without one.

    `ConstantPredictor`, `constant`, `constantpredictor` and `constant (3600)` are one.
    """
    for name in sorted(frameworks):
        bare = re.sub(r" \(.*\)$|[^a-z0-9]", "", str(name).lower())
        if _SPELLINGS.get(bare) == role:
            return name
    return None


def by_constant(gains: pd.DataFrame) -> Imputed:
    """By the constant predictor's gain on the same data set and seed (Gijsbers et al., JMLR 2024).

    Else by its mean on the data set; where it has no result there, by the worst of any framework
    and seed on the data set. A data set on which all failed stays missing.
    """
    return _filled(gains, [*_of(gains, CONSTANT), ("worst", _worst(gains))])


def by_forest(gains: pd.DataFrame) -> Imputed:
    """By the random forest's gain on the same data set and seed.

    Else by its mean on the data set; where it has no result there, by the worst of any framework
    and seed on the data set. Without a random forest nothing is filled.
    """
    sources = _of(gains, FOREST)
    return _filled(gains, [*sources, ("worst", _worst(gains))]) if sources else Imputed(gains, {})


def by_amlb_2019(gains: pd.DataFrame) -> Imputed:
    """By the random forest's gain on the same data set and seed (Gijsbers et al., 2019).

    A framework without any result on a data set stays missing there, so that its mean rank leaves
    out the data sets on which it failed throughout: for the published tables, not for a ranking.
    """
    source = baseline(gains.columns, FOREST)
    if source is None:
        return Imputed(gains, {})
    hopeless = gains.isna().groupby(level=0).transform("all").to_numpy()
    found = _filled(gains, [(FOREST, _spread(gains, gains[source]))])
    values = found.gains.mask(hopeless)
    return Imputed(values, {FOREST: int((gains.isna() & values.notna()).to_numpy().sum())})


def by_worst(gains: pd.DataFrame) -> Imputed:
    """By the worst gain of any framework and seed on the data set."""
    return _filled(gains, [("worst", _worst(gains))])


def by_drop(gains: pd.DataFrame) -> Imputed:
    """By leaving out, for all frameworks (Balaji & Allen, 2018).

    A data set on which some framework misses every seed goes; of the others goes each seed that
    some framework misses.
    """
    hopeless = gains.isna().groupby(level=0).transform("all").any(axis=1)
    kept = gains[~hopeless].dropna()
    return Imputed(kept, {"dropped": len(gains) - len(kept)})


RULES: dict[str, Callable[[pd.DataFrame], Imputed]] = {
    "constant": by_constant,
    "random forest": by_forest,
    "worst": by_worst,
    "drop": by_drop,
}


def _of(gains: pd.DataFrame, role: str) -> list[tuple[str, np.ndarray]]:
    """A baseline's gains, and its means over the seeds of each data set."""
    source = baseline(gains.columns, role)
    if source is None:
        return []
    own = gains[source]
    return [(role, _spread(gains, own)), (role, _spread(gains, _mean_by_set(own)))]


def _worst(gains: pd.DataFrame) -> np.ndarray:
    return _spread(gains, gains.min(axis=1).groupby(level=0).transform("min"))


def _mean_by_set(values: pd.Series[float]) -> pd.Series[float]:
    names = values.index.get_level_values(0)
    return ranking.seed_means(values.to_frame()).iloc[:, 0].reindex(names)


def _spread(gains: pd.DataFrame, values: pd.Series[float]) -> np.ndarray:
    """One value a row, for every column."""
    return np.repeat(values.to_numpy(float)[:, None], gains.shape[1], axis=1)


def _filled(gains: pd.DataFrame, sources: list[tuple[str, np.ndarray]]) -> Imputed:
    values = gains.to_numpy(float, copy=True)
    counts: dict[str, int] = {}
    for name, source in sources:
        gaps = np.isnan(values) & ~np.isnan(source)
        values[gaps] = source[gaps]
        if gaps.any():
            counts[name] = counts.get(name, 0) + int(gaps.sum())
    return Imputed(pd.DataFrame(values, gains.index, gains.columns), counts)
