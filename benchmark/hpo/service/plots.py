"""Plots of an experiment as pages, drawn by Optuna; the script they need comes from this server."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.important import evaluator
from benchmark.hpo.service.errors import ConflictError
from benchmark.hpo.service.views import first_loss

if TYPE_CHECKING:
    from benchmark.hpo.service.experiment import Experiment

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
_STYLES = {"light": "body { background: #fff; }", "dark": "body { background: #111; }"}


def plot(experiment: Experiment, kind: str, theme: Theme = "light") -> str:
    """A page with the plot.

    Raises:
        KeyError: there is no such kind.
        ConflictError: fewer than two trials have succeeded.
    """
    import optuna

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
    figure = drawing(experiment.optimizer.study, **more)
    if theme == "dark":
        figure.update_layout(template="plotly_dark")
    page: str = figure.to_html(include_plotlyjs=SCRIPT)
    # Around the figure there is the page, which is white otherwise.
    return page.replace("<head>", f"<head><style>{_STYLES[theme]}</style>", 1)


@cache
def script() -> bytes:
    """plotly.js as its package ships it."""
    from plotly.offline import get_plotlyjs

    return bytes(get_plotlyjs().encode())
