"""The hypervolume of a study's Pareto front: one number for how far several directions got."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.hpo.report.export import is_good

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmark.hpo.spec.study_file import StudyDefinition
    from benchmark.records.results import Record


def hypervolume(records: Sequence[Record], definition: StudyDefinition) -> float | None:
    """The share, from 0 to 1, that the front dominates of the box between the worst and the best
    values of the feasible trials; None for one direction, or where a value is the same in all.
    """
    signs = np.array(definition.signs)
    good = [one for one in records if is_good(one)]
    if len(signs) < 2 or not good:
        return None
    points = signs * np.array([one.labels["values"] for one in good], dtype=float)
    best, worst = points.min(axis=0), points.max(axis=0)
    if (best == worst).any():
        return None
    return _dominated(np.unique((points - best) / (worst - best), axis=0))


def _dominated(points: NDArray[np.float64]) -> float:
    """The volume below the corner (1, …, 1) that points dominate, by slices of the last axis."""
    if points.shape[1] == 1:
        return float(1 - points.min())
    points = points[points[:, -1].argsort()]
    depths = np.diff(points[:, -1], append=1.0)
    return sum(
        float(depth) * _dominated(points[: place + 1, :-1])
        for place, depth in enumerate(depths)
        if depth > 0
    )
