"""The importance of tunables for being among the best trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.analysis.figures import style
from benchmark.hpo.report.importance import evaluator, good_share

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

    from benchmark.hpo.report.figures.trials import Axis, Trials

FEWEST = 4
MOST_SHOWN = 25


def importances(trials: Trials) -> dict[str, float]:
    """The importance of each tunable for the first direction by PED-ANOVA (Watanabe et al. 2023).

    For the tunables that every good trial has; empty if it cannot be computed: few trials, or
    equal values only.
    """
    import optuna

    from benchmark.hpo.storages.optuna_private import MemoryParts

    everywhere = [
        axis for axis in trials.axes if all(axis.name in r.labels["params"] for r in trials.good)
    ]
    values = trials.values(0)
    if len(values) < FEWEST or not everywhere or values.min() == values.max():
        return {}
    direction = next(iter(trials.definition.directions.values()))
    study = optuna.create_study(storage=MemoryParts(), direction=direction)
    ranges = {axis.name: _range(trials, axis) for axis in everywhere}
    for record, value in zip(trials.good, values, strict=True):
        params = {axis.name: axis.place(record.labels["params"][axis.name]) for axis in everywhere}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=ranges, value=float(value))
        )
    return optuna.importance.get_param_importances(study, evaluator=evaluator(len(values)))


def importance(trials: Trials, shares: dict[str, float]) -> Figure:
    """Bars, the most important on top."""
    first, count = next(iter(trials.directions)), len(trials.good)
    ordered = sorted(shares.items(), key=lambda pair: -pair[1])[:MOST_SHOWN]
    figure = style.sheet(
        "Importance",
        f"Share of each tunable in being among the best {round(good_share(count) * count)} "
        f"of {count} trials in {style.short(first)}",
        *(9.2, 1.2 + 0.34 * len(ordered)),
    )
    axes = figure.subplots()
    style.rows(axes, [name for name, _ in ordered])
    axes.barh(range(len(ordered)), [share for _, share in ordered], 0.62, color=style.PALETTE[0])
    for row, (_, share) in enumerate(ordered):
        axes.text(share + 0.008, row, f"{share:.0%}", **style.small())
    axes.set_xlim(0, max(share for _, share in ordered) * 1.12)
    return style.laid_out(figure)


def _range(trials: Trials, axis: Axis) -> BaseDistribution:
    """The tried range, so that later changes of the space have no effect."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if axis.choices:
        return CategoricalDistribution([float(place) for place in range(len(axis.choices))])
    tried = trials.param(axis)
    return FloatDistribution(float(tried.min()), float(tried.max()), log=axis.log)
