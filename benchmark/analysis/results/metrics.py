"""What the analysis knows of metrics: which way is better, the best value, and names for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import METRICS

_HIGHER = frozenset(
    {
        *("auc", "roc_auc", "accuracy", "acc", "balanced_accuracy", "balacc", "f1", "f1_score"),
        *("r2", "r2_score", "average_precision", "precision", "recall", "mcc", "kappa"),
        *("auc_ovo", "auc_ovr", "f05", "f2", "f1_micro", "f1_macro", "f1_weighted", "pr_auc"),
    }
)
_LOWER = frozenset(
    {
        *("log_loss", "logloss", "brier", "mse", "rmse", "mae", "rmsle", "mape", "msle"),
        *("median_absolute_error", "error_rate", "max_pce", "mean_pce"),
    }
)
_SHARES = (_HIGHER - {"r2", "r2_score", "mcc", "kappa"}) | {"error_rate", "max_pce", "mean_pce"}
SIGNS = {"maximize": 1, "minimize": -1}
USUAL_METRIC = {"classification": "F1_SCORE", "regression": "RMSE"}
"""The columns of the metrics that ranked results before they had a metric of their own."""
NAMES = {
    **{"f1_score": "weighted F1", "f1_weighted": "weighted F1", "f1": "F1", "mse": "MSE"},
    **{"rmse": "RMSE", "mae": "MAE", "auc": "AUC", "roc_auc": "AUC", "r2": "R²", "r2_score": "R²"},
    **{"log_loss": "log loss", "logloss": "log loss", "balanced_accuracy": "balanced accuracy"},
}


def direction(metric: str, own: Mapping[str, int] | None = None) -> int:
    """1 where a larger value of the metric is better, -1 where a smaller one is.

    Args:
        metric: its name; case, blanks and hyphens do not matter.
        own: directions that the results bring themselves, such as that of a user's own metric.

    Raises:
        BenchmarkError: the metric is unknown, so that nothing can be said to be better.
    """
    name = canonical(metric)
    if own and name in own and name not in METRICS:
        return own[name]
    found = known_direction(name)
    if found is not None:
        return found
    if name.startswith("neg_") and known_direction(name.removeprefix("neg_")) != 1:
        return 1
    raise BenchmarkError(
        f'The metric "{metric}" is unknown to the analysis, so it cannot tell better from worse; '
        f"it knows {', '.join(sorted(_HIGHER | _LOWER | METRICS.keys()))}. A column "
        'METRIC_DIRECTION with "maximize" or "minimize" says it too.'
    )


def known_direction(metric: str) -> int | None:
    """1 or -1 for a metric of the field by its plain name, None for any other."""
    name = canonical(metric)
    if name in METRICS:
        return 1 if METRICS[name].direction == "maximize" else -1
    return 1 if name in _HIGHER else -1 if name in _LOWER else None


def bounds(metric: str, way: str = "") -> tuple[float, float]:
    """The least and the greatest value that a metric can have.

    Args:
        metric: its name; of one that is not of the field nothing is known.
        way: the results' own "maximize" or "minimize": beside it, a name that is not exactly a
            built-in one may be that of a metric of the user's own, which has no bounds.
    """
    if way and metric not in METRICS:
        return -math.inf, math.inf
    name = canonical(metric)
    base = name.removeprefix("neg_")
    sign = known_direction(base)
    if sign is None:
        return -math.inf, math.inf
    expected = sign if base == name else -sign
    if SIGNS.get(way, expected) != expected:
        return -math.inf, math.inf
    low = 0.0 if base in _SHARES or sign < 0 else -1.0 if base in {"mcc", "kappa"} else -math.inf
    high = 1.0 if base in _SHARES or sign > 0 else math.inf
    return (low, high) if base == name else (-high, -low)


def canonical(metric: str) -> str:
    return metric.strip().lower().replace("-", "_").replace(" ", "_")


def optimum(metric: str) -> float | None:
    """The gain of a perfect prediction: 1 or 0; None where the metric is not known well enough."""
    name = canonical(metric)
    if name in _HIGHER:
        return 1.0
    if name in _LOWER or name.removeprefix("neg_") in _LOWER:
        return 0.0
    return None


def shown(names: Iterable[str]) -> str:
    return ", ".join(NAMES.get(canonical(name), name) for name in names)
