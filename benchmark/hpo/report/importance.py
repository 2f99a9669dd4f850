"""Shared settings for parameter importance (PED-ANOVA)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.importance import PedAnovaImportanceEvaluator

# Three trials of thirty would mostly reflect chance.
_FEWEST_GOOD = 10
_SHARES = (0.1, 0.5)


def good_share(trials: int) -> float:
    """The share of trials that count as good: a tenth, and up to half of few trials."""
    low, high = _SHARES
    return min(high, max(low, _FEWEST_GOOD / max(trials, 1)))


def evaluator(trials: int) -> PedAnovaImportanceEvaluator:
    """The PED-ANOVA evaluator (Watanabe et al. 2023) for this many successful trials."""
    import optuna

    return optuna.importance.PedAnovaImportanceEvaluator(target_quantile=good_share(trials))
