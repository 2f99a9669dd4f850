"""How the importance of tunables is told: everywhere the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.importance import PedAnovaImportanceEvaluator

# Three trials of thirty would say more of their own luck than of the tunables.
_FEWEST_GOOD = 10
_SHARES = (0.1, 0.5)


def good_share(trials: int) -> float:
    """The share of the trials that count as good: a tenth, and of few trials up to half."""
    low, high = _SHARES
    return min(high, max(low, _FEWEST_GOOD / max(trials, 1)))


def evaluator(trials: int) -> PedAnovaImportanceEvaluator:
    """PED-ANOVA (Watanabe et al. 2023) of what makes one of `trials` successes a good one."""
    import optuna

    return optuna.importance.PedAnovaImportanceEvaluator(target_quantile=good_share(trials))
