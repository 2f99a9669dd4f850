"""The metrics, and which of them ranks a problem type; without numpy, which most commands need not.

`metric_values` computes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """A metric, which way is better, and where it applies."""

    name: str
    direction: Literal["maximize", "minimize"]
    needs_probabilities: bool
    problem_types: tuple[str, ...]


_CLASSES = ("binary", "multiclass")
_NUMBERS = ("regression",)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "maximize", True, _CLASSES),
        Metric("log_loss", "minimize", True, _CLASSES),
        Metric("f1_weighted", "maximize", False, _CLASSES),
        Metric("balanced_accuracy", "maximize", False, _CLASSES),
        Metric("accuracy", "maximize", False, _CLASSES),
        Metric("rmse", "minimize", False, _NUMBERS),
        Metric("mse", "minimize", False, _NUMBERS),
        Metric("mae", "minimize", False, _NUMBERS),
        Metric("r2", "maximize", False, _NUMBERS),
    )
}

DEFAULT_METRIC = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


def chosen(conditions: Mapping[str, Any], problem_type: str) -> Metric:
    """The metric that ranks a problem type: a run's conditions' own, or the type's default."""
    own = own_metric(conditions, problem_type)
    if own is not None:
        own_types = (problem_type,)
        return Metric(own["name"], own["direction"], own["needs_probabilities"], own_types)
    return METRICS[built_in(conditions, problem_type)]


def own_metric(conditions: Mapping[str, Any], problem_type: str) -> dict[str, Any] | None:
    """The user's own metric as the manifest holds it, or None where a built-in one ranks."""
    named = (conditions.get("metric") or {}).get(problem_type)
    return named if isinstance(named, dict) else None


def built_in(conditions: Mapping[str, Any], problem_type: str) -> str:
    """The built-in metric that a framework receives; the type's default beside an own one."""
    named = (conditions.get("metric") or {}).get(problem_type)
    return named if isinstance(named, str) and named else DEFAULT_METRIC[problem_type]
