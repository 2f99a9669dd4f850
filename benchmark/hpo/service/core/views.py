"""What clients see of an experiment: its summary, its trials, the best of them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial

from benchmark.hpo.report import export
from benchmark.hpo.report.importance import evaluator
from benchmark.hpo.service.core.counts import APPENDED
from benchmark.hpo.service.core.endings import ENDED, GIVEN, seconds_of, status_of
from benchmark.hpo.service.core.errors import ConflictError, NotFoundError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.records import record_of


def summary(experiment: Experiment) -> dict[str, Any]:
    """Where it stands."""
    counts, definition, terms = experiment.counts(), experiment.definition, experiment.terms
    limits = experiment.limits
    states, found = experiment.standing.look()
    state = experiment.state
    return {
        "name": terms.experiment,
        "study": definition.name,
        "state": "finished" if state == "running" and experiment.is_finished else state,
        "algorithm": definition.algorithm,
        "directions": dict(definition.directions),
        "tunables": list(definition.space.names),
        "trials": limits.trials,
        "parallel": limits.parallel,
        "queued": len(experiment.queued()),
        "asked": counts.asked,
        "told": counts.told,
        "running": states["RUNNING"],
        "successes": states["COMPLETE"],
        "failures": states["FAIL"],
        "pruned": states["PRUNED"],
        "appended": states[APPENDED],
        "cost": counts.cost,
        "max_time_s": limits.max_time_s,
        "max_cost": limits.max_cost,
        "lease_s": limits.lease_s,
        "created": terms.created,
        "best": trial_view(experiment, found[0]) if found else None,
        "facts": limits.facts,
    }


def trial_view(
    experiment: Experiment,
    trial: FrozenTrial,
    attributes: Callable[[int], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A trial, whole; of many trials with the attributes of all, which are read once."""
    attributes = attributes or experiment.attributes()
    ending = trial.user_attrs.get(ENDED) or {}
    done = trial.state.name == "COMPLETE"
    return {
        "number": trial.number,
        "status": status_of(trial),
        "params": experiment.optimizer.params_of(trial),
        "values": [_finite(value) for value in trial.values or ()] if done else [],
        "metrics": trial.user_attrs.get("metrics") or {},
        "constraints": trial.system_attrs.get("constraints") or [],
        "intermediate": {str(k): _finite(v) for k, v in trial.intermediate_values.items()},
        "cost": ending.get("cost"),
        "message": ending.get("message", ""),
        "attributes": attributes(trial.number),
        "appended": bool((trial.user_attrs.get(GIVEN) or {}).get("appended")),
        "seconds": seconds_of(trial),
    }


def trials(
    experiment: Experiment, first: int, most: int, status: str | None = None
) -> list[dict[str, Any]]:
    """At most so many trials from a number on, of one status or of any."""
    deleted = experiment.optimizer.deleted
    found = experiment.optimizer.by_number()
    each = (found[number] for number in range(first, len(found)) if number not in deleted)
    wanted = (trial for trial in each if status in (None, status_of(trial)))
    return _all_views(experiment, itertools.islice(wanted, most))


def _all_views(experiment: Experiment, trials: Iterable[FrozenTrial]) -> list[dict[str, Any]]:
    attributes = experiment.attributes()
    return [trial_view(experiment, trial, attributes) for trial in trials]


def exported(experiment: Experiment, form: Literal["csv", "json", "env"]) -> str:
    """All trials as CSV or JSON, or the best one's tunables as lines NAME=value.

    Raises:
        NotFoundError: no trial has succeeded, so that there is no best one.
        ConflictError: of several directions there is no best one.
    """
    if form == "json":
        rows = _all_views(experiment, experiment.optimizer.trials())
        whole = {"experiment": summary(experiment), "trials": rows}
        return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"
    definition = experiment.definition
    if form == "csv":
        ended = [trial for trial in experiment.optimizer.trials() if trial.state.is_finished()]
        return export.table([record_of(experiment, trial) for trial in ended], definition)
    name = experiment.terms.experiment
    if len(definition.directions) > 1:
        raise ConflictError(f"'{name}' has several directions and so no best trial; take csv.")
    found = best(experiment)
    if not found:
        raise NotFoundError(f"No trial of '{name}' has succeeded yet.")
    return export.as_environment(record_of(experiment, experiment.trial(found[0]["number"])))


def best(experiment: Experiment) -> list[dict[str, Any]]:
    """The best success that keeps its constraints; of several directions the Pareto front."""
    _, found = experiment.standing.look()
    return _all_views(experiment, found)


def importance(experiment: Experiment) -> dict[str, float]:
    """What each tunable has to do with a first value among the best (PED-ANOVA).

    Empty where the successes do not tell: too few, or all alike.
    """
    successes = experiment.optimizer.study.get_trials(
        deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)
    )
    if len({trial.values[0] for trial in successes}) < 2:
        return {}
    found = optuna.importance.get_param_importances(
        experiment.optimizer.study,
        evaluator=evaluator(len(successes)),
        target=first_loss(experiment),
    )
    return {name: float(share) for name, share in found.items()}


def first_loss(experiment: Experiment) -> Callable[[FrozenTrial], float] | None:
    """Of several directions the first value, the less the better: what the evaluator wants."""
    if len(experiment.definition.directions) == 1:
        return None
    sign = experiment.definition.signs[0]
    return lambda trial: sign * trial.values[0]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
