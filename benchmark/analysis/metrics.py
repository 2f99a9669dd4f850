"""What the analysis knows of metrics: which way is better, the best value, and names for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HIGHER = frozenset(
    {
        *("auc", "roc_auc", "accuracy", "acc", "balanced_accuracy", "balacc", "f1", "f1_score"),
        *("r2", "r2_score", "average_precision", "precision", "recall", "mcc", "kappa"),
    }
)
_LOWER = frozenset(
    {
        *("log_loss", "logloss", "brier", "mse", "rmse", "mae", "rmsle", "mape", "msle"),
        *("median_absolute_error", "error_rate"),
    }
)
NAMES = {
    **{"f1_score": "weighted F1", "f1_weighted": "weighted F1", "f1": "F1", "mse": "MSE"},
    **{"rmse": "RMSE", "mae": "MAE", "auc": "AUC", "roc_auc": "AUC", "r2": "R²", "r2_score": "R²"},
    **{"log_loss": "log loss", "logloss": "log loss", "balanced_accuracy": "balanced accuracy"},
}


def direction(metric: str, told: Mapping[str, int] | None = None) -> int:
    """1 where a larger value of the metric is better, -1 where a smaller one is.

    Args:
        metric: its name; case, blanks and hyphens do not matter.
        told: directions that the results bring themselves, such as that of a user's own metric.

    Raises:
        BenchmarkError: the metric is unknown, so that nothing can be said to be better.
    """
    name = canonical(metric)
    if told and name in told:
        return told[name]
    if name in METRICS:
        return 1 if METRICS[name].direction == "maximize" else -1
    if name in _HIGHER or name.startswith("neg_"):
        return 1
    if name in _LOWER:
        return -1
    raise BenchmarkError(
        f'The metric "{metric}" is unknown to the analysis, so it cannot tell better from worse; '
        f"it knows {', '.join(sorted(_HIGHER | _LOWER | METRICS.keys()))}. A column "
        'METRIC_DIRECTION with "maximize" or "minimize" says it too.'
    )


def canonical(metric: str) -> str:
    return metric.strip().lower().replace("-", "_").replace(" ", "_")


def optimum(metric: str) -> float | None:
    """The gain of a perfect prediction: 1 or 0; None where the metric is not known well enough."""
    name = canonical(metric)
    if name in _HIGHER or name == "f1_weighted":
        return 1.0
    if name in _LOWER or name.removeprefix("neg_") in _LOWER:
        return 0.0
    return None


def shown(names: Iterable[str]) -> str:
    return ", ".join(NAMES.get(canonical(name), name) for name in names)
