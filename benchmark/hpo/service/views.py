"""What clients see of an experiment: its summary, its trials, the best of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmark.hpo.export import dominates
from benchmark.hpo.important import evaluator
from benchmark.hpo.service.endings import ENDED, GIVEN
from benchmark.hpo.service.tally import declared_parallel

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.trial import FrozenTrial

    from benchmark.hpo.service.experiment import Experiment
    from benchmark.hpo.service.giving import Given


def summary(experiment: Experiment) -> dict[str, Any]:
    """Where it stands."""
    counts, definition, terms = experiment.counts(), experiment.definition, experiment.terms
    states = [trial.state.name for trial in experiment.optimizer.trials()]
    found = best(experiment)
    state = experiment.state
    return {
        "name": terms.experiment,
        "study": definition.name,
        "state": "finished" if state == "running" and experiment.is_finished else state,
        "algorithm": definition.algorithm,
        "directions": dict(definition.directions),
        "tunables": list(definition.space.names),
        "trials": definition.trials,
        "parallel": declared_parallel(definition),
        "asked": counts.asked,
        "told": counts.told,
        "running": states.count("RUNNING"),
        "successes": states.count("COMPLETE"),
        "failures": states.count("FAIL"),
        "pruned": states.count("PRUNED"),
        "cost": counts.cost,
        "max_time_s": terms.max_time_s,
        "max_cost": terms.max_cost,
        "lease_s": terms.lease_s,
        "created": terms.created,
        "best": found[0] if found else None,
        "facts": terms.facts,
    }


def given_view(given: Given) -> dict[str, Any]:
    return {
        "number": given.number,
        "params": given.params,
        "lease": given.token,
        "lease_s": given.lease_s,
        "again": given.again,
    }


def trial_view(experiment: Experiment, trial: FrozenTrial) -> dict[str, Any]:
    """A trial, whole."""
    told = trial.user_attrs.get(ENDED) or {}
    status = {"COMPLETE": "success", "FAIL": "failure", "PRUNED": "prune"}
    done = trial.state.name == "COMPLETE"
    return {
        "number": trial.number,
        "status": told.get("status") or status.get(trial.state.name, trial.state.name.lower()),
        "params": experiment.optimizer.params_of(trial),
        "values": [_finite(value) for value in trial.values or ()] if done else [],
        "metrics": trial.user_attrs.get("metrics") or {},
        "constraints": trial.system_attrs.get("constraints") or [],
        "intermediate": {str(k): _finite(v) for k, v in trial.intermediate_values.items()},
        "cost": told.get("cost"),
        "message": told.get("message", ""),
        "appended": bool((trial.user_attrs.get(GIVEN) or {}).get("appended")),
        "seconds": trial.duration.total_seconds() if trial.duration is not None else None,
    }


def trials(experiment: Experiment, first: int, most: int) -> list[dict[str, Any]]:
    found = experiment.optimizer.trials()[first : first + most]
    return [trial_view(experiment, trial) for trial in found]


def best(experiment: Experiment) -> list[dict[str, Any]]:
    """The best success that keeps its constraints; of several directions the Pareto front."""
    import optuna

    signs = [1.0 if d == "minimize" else -1.0 for d in experiment.definition.directions.values()]
    complete = optuna.trial.TrialState.COMPLETE
    good = [
        trial
        for trial in experiment.optimizer.trials()
        if trial.state == complete
        and all(value <= 0 for value in trial.system_attrs.get("constraints") or ())
    ]
    if not good:
        return []
    if len(signs) == 1:
        first = min(good, key=lambda trial: (signs[0] * trial.values[0], trial.number))
        return [trial_view(experiment, first)]
    return [trial_view(experiment, trial) for trial in _front(good, signs)]


def importance(experiment: Experiment) -> dict[str, float]:
    """What each tunable has to do with a first value among the best (PED-ANOVA).

    Empty where the successes do not tell: too few, or all alike.
    """
    import optuna

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
    sign = 1.0 if next(iter(experiment.definition.directions.values())) == "minimize" else -1.0
    return lambda trial: sign * trial.values[0]


def _front(good: list[FrozenTrial], signs: list[float]) -> list[FrozenTrial]:
    """Those that no other one dominates: in order of the first value a quadratic look is short."""
    scored = [(tuple(s * v for s, v in zip(signs, t.values, strict=True)), t) for t in good]
    scored.sort(key=lambda pair: (pair[0], pair[1].number))
    front: list[tuple[tuple[float, ...], FrozenTrial]] = []
    for score, trial in scored:
        if not any(dominates(other, score) for other, _ in front):
            front.append((score, trial))
    return [trial for _, trial in front]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
