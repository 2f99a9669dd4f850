"""The classic contract over the experiments: what its REST and its gRPC wire both speak.

Faults of the first implementation are fixed here: NEW answers the bare number of a trial that is
ready, SUBSEQUENT a trial with its configuration, several trials may run at once, values keep their
precision and sign, and an `error` ends the experiment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from benchmark.hpo.service.classic import checks, phrases
from benchmark.hpo.service.core import terms
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import (
    ConflictError,
    ExistsError,
    FinishedError,
    InvalidError,
    NotFoundError,
    PausedError,
    ServiceError,
)
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web import plots

_OWN_KEYS = {
    "experiment_name": "name",
    "direction": "direction",
    "total_trials": "trials",
    "parallel_trials": "parallel",
    "hpo_algo_impl": "algorithm",
    **{key: key for key in ("tunables", "layers", "forbidden", "initial")},
}
_FACTS = ("experiment_id", "value_type", "objective_function", "function_variables", "slo_class")


class PhraseError(ServiceError):
    """A refusal in the contract's own words."""

    def __init__(self, phrase: str, status: int = 400) -> None:
        super().__init__(phrase)
        self.status = status


def post(service: Service, body: Any) -> str:
    """An operation of POST /experiment_trials; returns the answer's text.

    Raises:
        PhraseError: says what is wrong.
    """
    if not isinstance(body, dict):
        raise PhraseError(phrases.NO_JSON + "an object is expected")
    if "operation" not in body:
        raise PhraseError(phrases.OPERATION_MISSING)
    operation = body["operation"]
    if checks.is_empty(operation):
        raise PhraseError(phrases.EMPTY)
    if operation == "EXP_TRIAL_GENERATE_NEW":
        _refuse(", ".join(checks.keys(body, ("operation", "search_space"))))
        return str(new(service, body["search_space"]))
    if operation == "EXP_TRIAL_RESULT":
        tell_checked(service, body)
        return phrases.POSTED
    if operation in ("EXP_TRIAL_GENERATE_SUBSEQUENT", "EXP_DELETE", "EXP_STOP"):
        _refuse(", ".join(checks.keys(body, ("operation", "experiment_name"))))
        name = body["experiment_name"]
        if not isinstance(name, str):
            raise PhraseError(phrases.EMPTY)
        if operation == "EXP_TRIAL_GENERATE_SUBSEQUENT":
            return str(subsequent(service, name))
        delete(service, name)
        return phrases.DELETED
    raise PhraseError(phrases.OPERATION_INVALID)


def new(service: Service, space: Any) -> int:
    """Found an experiment and ask its first trial; where that fails its name is free again."""
    if not isinstance(space, dict):
        no_object = phrases.NO_JSON + "'search_space' is no object"
        raise PhraseError(phrases.EMPTY if space is None else no_object)
    faults, wrong = checks.search_space(space)
    values = {own: space[key] for key, own in _OWN_KEYS.items() if key in space}
    if faults:
        others = terms.other_faults(values, [_OWN_KEYS.get(key, key) for key in wrong])
        raise PhraseError(", ".join([*faults, *others]))
    name = values.pop("name")
    values = {"parallel": 1, "algorithm": "optuna_tpe"} | values
    facts = {key: space[key] for key in _FACTS if key in space}
    try:
        service.create(name, values, lease_s=None, facts=facts)
    except ExistsError:
        raise PhraseError(phrases.EXISTS) from None
    except InvalidError as error:
        raise PhraseError(str(error)) from None
    try:
        with service.use(name) as experiment:
            return experiment.ask()[0].number
    except BaseException:
        service.delete(name)
        raise


def subsequent(service: Service, name: str) -> int:
    """A trial to run: a new one while fewer are under way than may be, else the oldest of these.

    So a client that did not hear the answer and asks again is given the same trial.
    """
    with using(service, name) as experiment:
        running = experiment.running()
        if len(running) >= experiment.definition.parallel:
            return running[0]
        try:
            given = experiment.ask()
        except FinishedError:
            raise PhraseError(phrases.COMPLETED + name) from None
        except PausedError as error:
            raise PhraseError(str(error)) from None
        if given:
            return given[0].number
        running = experiment.running()
        if not running:
            raise PhraseError(phrases.COMPLETED + name)
        return running[0]


def configuration(service: Service, name: str, number: int) -> list[dict[str, Any]]:
    """The tunables of a trial, by name and value."""
    with using(service, name) as experiment:
        trial = _trial(experiment, number)
        params = experiment.optimizer.params_of(trial)
    return [{"tunable_name": key, "tunable_value": value} for key, value in params.items()]


def tell_checked(service: Service, body: dict[str, Any]) -> None:
    """End a trial by a result's body."""
    _refuse(checks.result(body))
    result, value = body["trial_result"], body["result_value"]
    tell(service, body["experiment_name"], body["trial_number"], result, value)


def tell(service: Service, name: str, number: int, result: str, value: float) -> None:
    """End a trial; `error` ends the experiment with it."""
    with using(service, name) as experiment:
        if _trial(experiment, number).state.is_finished():
            raise PhraseError(phrases.TRIAL_COMPLETED)
        # One write: a kill cannot leave the experiment running, nor a refused tell stop it.
        stops = result == "error"
        ending = Ending("failure", message=f"The client told {result}.", stops=stops)
        if result == "success":
            ending = Ending("success", (float(value),))
        elif result == "prune":
            ending = Ending("prune")
        try:
            first = experiment.tell(number, ending)
        except ConflictError:
            first = False
        if not first:
            raise PhraseError(phrases.TRIAL_COMPLETED)


def plot(service: Service, name: str, kind: str) -> str:
    """A page with a plot, at any time after two results."""
    with using(service, name) as experiment:
        if kind not in plots.TYPES:
            raise PhraseError(phrases.PLOT_TYPE)
        try:
            return plots.plot(experiment, kind)
        except ConflictError as error:
            raise PhraseError(str(error)) from None


def delete(service: Service, name: str) -> None:
    try:
        service.delete(name)
    except (NotFoundError, InvalidError):
        raise PhraseError(phrases.NOT_FOUND, 404) from None


@contextlib.contextmanager
def using(service: Service, name: str) -> Iterator[Experiment]:
    """The experiment, or the contract's words for that there is none."""
    if checks.is_empty(name) or name == "null":
        raise PhraseError(phrases.EMPTY)
    try:
        with service.use(name) as experiment:
            yield experiment
    except (NotFoundError, InvalidError):
        raise PhraseError(phrases.NOT_FOUND, 404) from None


def _trial(experiment: Experiment, number: int) -> Any:
    if number < 0:
        raise PhraseError(phrases.NEGATIVE_TRIAL)
    try:
        return experiment.trial(number)
    except NotFoundError:
        raise PhraseError(phrases.TRIAL_EXCEEDED) from None


def _refuse(fault: str) -> None:
    if fault:
        raise PhraseError(fault)
