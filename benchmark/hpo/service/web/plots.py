"""Plots of an experiment as pages, drawn by Optuna; the script they need comes from this server.

A page in a frame draws what its parent posts to it, a figure as JSON, and keeps its zoom.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import optuna

from benchmark.hpo.report.importance import evaluator
from benchmark.hpo.service.core.errors import ConflictError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.views import first_loss
from benchmark.templates import render

TYPES = {
    "tunable_importance": "plot_param_importances",
    "optimization_history": "plot_optimization_history",
    "slice": "plot_slice",
    "parallel_coordinate": "plot_parallel_coordinate",
    "pareto_front": "plot_pareto_front",
}
SCRIPT = "/static/plotly.min.js"
NEEDED = 2
Theme = Literal["light", "dark"]


def plot(experiment: Experiment, kind: str, theme: Theme = "light") -> str:
    """A page with the plot.

    Raises:
        KeyError: there is no such kind.
        ConflictError: fewer than two trials have succeeded.
    """
    drawn: str = _figure(experiment, kind, theme).to_html(
        full_html=False, include_plotlyjs=SCRIPT, div_id="plot"
    )
    return render("service/plot.html", theme=theme, figure=drawn)


def figure(experiment: Experiment, kind: str, theme: Theme = "light") -> str:
    """The same plot as JSON, for the page that is there already.

    Raises:
        KeyError: there is no such kind.
        ConflictError: fewer than two trials have succeeded.
    """
    text: str = _figure(experiment, kind, theme).to_json()
    return text


def _figure(experiment: Experiment, kind: str, theme: Theme) -> Any:
    drawing: Any = getattr(optuna.visualization, TYPES[kind])
    trials = experiment.optimizer.study.get_trials(
        deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)
    )
    if len(trials) < NEEDED:
        raise ConflictError(
            f"The experiment '{experiment.terms.experiment}' has {len(trials)} successes; a plot "
            f"needs {NEEDED}."
        )
    more: dict[str, Any] = {}
    several = len(experiment.definition.directions) > 1
    if several and kind != "pareto_front":
        more = {"target": lambda trial: trial.values[0], "target_name": "first value"}
    if not several and kind == "pareto_front":
        raise ConflictError("A front needs two directions; this experiment has one.")
    if kind == "tunable_importance":
        more |= {"evaluator": evaluator(len(trials)), "target": first_loss(experiment)}
    drawn = drawing(experiment.optimizer.study, **more)
    if theme == "dark":
        drawn.update_layout(template="plotly_dark")
    # The same at each drawing: zoom and hidden traces stay.
    drawn.update_layout(uirevision="kept")
    return drawn


@cache
def script() -> bytes:
    """plotly.js as its package ships it."""
    from plotly.offline import get_plotlyjs

    return bytes(get_plotlyjs().encode())
