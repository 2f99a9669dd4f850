"""The figures of a study, one function each; `drawn` yields all that its trials allow.

    for name, figure in drawn(Trials(records, definition)):
        save(figure, "figures", name)

Their style is that of a benchmark run: see `analysis.figures.style`.
"""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from benchmark.hpo.report.figures.history import history, pareto_front
from benchmark.hpo.report.figures.importance import importance, importances
from benchmark.hpo.report.figures.landscape import contour, parallel_coordinates, slices
from benchmark.hpo.report.figures.trials import Trials

__all__ = [
    "Trials",
    "contour",
    "drawn",
    "history",
    "importance",
    "importances",
    "parallel_coordinates",
    "pareto_front",
    "slices",
]

CAPTIONS = {
    "history": "Every trial's value in the order in which it was asked, and the best until then.",
    "importance": "The importance of each tunable for being among the best trials (PED-ANOVA over "
    "the trials of this study; uncertain with few trials).",
    "slice": "The value against each tunable alone; later trials have stronger colours.",
    "parallel_coordinates": "A line for each trial through its tunables; good ones have "
    "strong colours.",
    "contour": "The value over the two most important tunables, between the trials' points.",
    "pareto_front": "Trials by two of their values; none is better in both than one on the line.",
}


def drawn(trials: Trials) -> Iterator[tuple[str, Figure]]:
    """The figures by name, in the order of a report."""
    yield "history", history(trials)
    if len(trials.directions) > 1:
        yield "pareto_front", pareto_front(trials)
    if len(trials.good) < 2 or not trials.axes:
        return
    shares = importances(trials)
    if shares:
        yield "importance", importance(trials, shares)
    order = sorted(trials.axes, key=lambda axis: -shares.get(axis.name, 0.0))
    yield "slice", slices(trials, order)
    if len(order) > 1:
        yield "parallel_coordinates", parallel_coordinates(trials, order)
        numeric = sorted(order, key=lambda axis: bool(axis.choices))
        yield "contour", contour(trials, *numeric[:2])
