"""A study file, YAML or JSON: its own form, the HPO service's search_space, or the scripts' one.

    definition = read_study("study.yaml")

All faults are said in one answer, a sentence each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.files.declared import read
from benchmark.files.spelling import meant, nearest
from benchmark.hpo.objectives.environment import read_environment
from benchmark.hpo.objectives.objective import Objective
from benchmark.hpo.objectives.objective_file import KEYS as OBJECTIVE_KEYS
from benchmark.hpo.objectives.objective_file import directions_of, read_objective
from benchmark.hpo.objectives.stages import port_faults
from benchmark.hpo.samplers.algorithms import (
    AUTO,
    CLASSIC_DEFAULT,
    DEFAULT,
    PRUNERS,
    AlgorithmError,
    check_algorithm,
    check_options,
    check_pruner,
    chosen,
    portable_sampler,
    pruner_of,
)
from benchmark.hpo.samplers.proposal import Direction
from benchmark.hpo.space.rules import without_effect
from benchmark.hpo.space.search_space import Layering, Space, SpaceError, check_layers
from benchmark.hpo.space.space_file import declared_names, read_space
from benchmark.hpo.spec.documents import StudyError, faults_of, put_in, read_document
from benchmark.hpo.spec.past_studies import read_warm_start
from benchmark.hpo.spec.safe import SAFE_EVERY, read_safe
from benchmark.hpo.spec.stop_rules import check_stop
from benchmark.hpo.spec.study_spec import OF_OPTUNA, StudyDefinition, StudySpec, read_resources

__all__ = [
    "StudyDefinition",
    "StudyError",
    "classic_names",
    "define",
    "own_form",
    "read_study",
    "written_names",
]

_WAYS = ("direction", "directions")
_SPACE = ("tunables", "layers", "forbidden", "initial")


def read_study(path: str | Path, changes: Mapping[str, Any] | None = None) -> StudyDefinition:
    """Read and check a study file; `changes` are keys of the command line over the file's.

    Raises:
        StudyError: the file cannot be read, or says every fault in it.
    """
    file = Path(path)
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    folder = file.absolute().parent
    document, faults = read_document(file), list[str]()
    values, also = put_in(own_form(document, given), folder, str(file), faults)
    names = classic_names(document, faults)
    found = define(values, folder, str(file), also, faults=faults, names=names)
    return replace(found, file=file.absolute())


def define(
    values: Mapping[str, Any],
    folder: Path,
    place: str = "The study",
    also: tuple[Path, ...] = (),
    *,
    stored: bool = False,
    faults: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> StudyDefinition:
    """A definition from its values, in our own form.

    Rules that can never apply and templates that are none are faults, except in a study that is
    `stored` with them. `faults` were found before and are in the same answer; `names` are the keys
    of another form of a study by our own.

    Raises:
        StudyError: says every fault.
    """
    faults = list(faults)
    # An earlier version took false, 0 and "" for none.
    optional = (*_SPACE, "secrets", "resources", "pruner") if stored else ()
    given = {
        key: value
        for key, value in values.items()
        if value is not None and (value or key not in optional)
    }
    places = dict.fromkeys(OBJECTIVE_KEYS, "objective") | OF_OPTUNA
    spec = read(StudySpec, given, "A study", faults, places=places, names=names)
    if "name" not in given:
        faults.append("The study has no 'name'; write one, such as name: first.")
    keys = StudySpec.keys()
    meant_keys = {nearest(key, keys) for key in given if key not in keys}
    directions = _directions(given, [] if meant_keys & {*_WAYS} else faults, stored=stored)
    known_space = _space(given, spec, faults, stored=stored)
    space = known_space or Space(())
    before = len(faults)
    tunables = declared_names({key: getattr(spec, key) for key in _SPACE})
    own = [] if "objective" in meant_keys else faults
    objective = read_objective(spec.objective, directions, tunables, own, stored=stored)
    has_objective = len(faults) == before and own is faults
    algorithm, algorithm_options = _algorithm(spec.algorithm, faults, stored=stored)
    pruner = {} if spec.pruner is None else spec.pruner
    pruner = {"name": pruner} if isinstance(pruner, str) else pruner
    name = str(DEFAULT if algorithm == AUTO else algorithm)
    _check_search(name, len(directions), pruner, space, faults, stored=stored)
    checked = Space(()) if stored else space
    resources = read_resources(spec.resources, tunables, faults, checked)
    time_s = resources.pop("time_s", spec.limits.time)
    if spec.limits.cores == 0 and (resources or objective.benchmark):
        faults.append(
            "'limits' has 0 as 'cores', for trials that run on other machines; a benchmark and MPI "
            "ranks need cores here."
        )
    if has_objective:
        _check_kind(objective, pruner, resources, faults)
        faults += [] if stored else port_faults(objective.wait_ready, space.tunables)
    cost, declares = _has_cost(spec.objective), known_space is None or bool(space.tunables)
    faults += check_stop(spec.stop, len(directions), has_cost=cost, declares=declares)
    faults += check_layers(spec.tune_layers, str(algorithm), known_space)
    environment = read_environment(spec.environment, faults)
    if environment and has_objective and not objective.function:
        faults.append("'environment' is for a Python objective; a command brings its own.")
    if spec.secrets and objective.benchmark:
        faults.append("'secrets' of a framework stand in its framework.toml; leave them out here.")
    if "remeasure" in given and spec.remeasure and len(directions) > 1:
        faults.append("'remeasure' needs a study of one direction; leave it out.")
    warm_start = read_warm_start(spec.warm_start, known_space, len(directions), faults)
    safe = read_safe(given, known_space, len(directions), objective, faults)
    if spec.default_every and known_space and not space.default():
        faults.append("'default_every' needs a 'default' for every tunable.")
    if faults:
        raise StudyError(faults_of(place, faults), faults)
    definition = StudyDefinition(
        name=spec.name,
        space=space,
        directions=directions,
        objective=objective,
        algorithm=str(algorithm),
        seed=spec.seed,
        trials=spec.trials,
        parallel=spec.parallel,
        time_s=float(time_s),
        memory_mb=spec.limits.memory,
        cores=spec.limits.cores,
        resources=resources,
        storage=spec.storage,
        pruner=pruner,
        source=dict(values),
        folder=folder,
        also=also,
        layering=Layering(spec.tune_layers, spec.layer_trials),
        stop=spec.stop,
        default_every=spec.default_every or (SAFE_EVERY if safe else None),
        environment=environment,
        trials_per_task=spec.trials_per_task,
        max_parallelism=spec.max_parallelism,
        secrets=spec.secrets,
        algorithm_options=algorithm_options,
        remeasure=spec.remeasure or None if len(directions) == 1 else None,
        warm_start=warm_start,
        safe=safe,
    )
    return _automatic(definition) if algorithm == AUTO else definition


def _has_cost(objective: Any) -> bool:
    """Whether it says what a trial costs; clients of the service may report it without a rule."""
    return "cost" in objective if isinstance(objective, dict) else objective is None


def _automatic(definition: StudyDefinition) -> StudyDefinition:
    """The same with the algorithm that `auto` stands for, also in its source."""
    space, objective = definition.space, definition.objective
    limit_s = definition.time_s if "time" in (definition.source.get("limits") or {}) else None
    is_plain = not (definition.pruner or objective.constraints or space.forbidden)
    directions, trials = len(definition.directions), definition.trials
    algorithm, why = chosen(space, directions, trials, limit_s, is_plain)
    source = definition.source | {"algorithm": algorithm}
    return replace(definition, algorithm=algorithm, algorithm_why=why, source=source)


def _directions(
    given: Mapping[str, Any], faults: list[str], *, stored: bool
) -> dict[str, Direction]:
    if set(_WAYS) <= given.keys() and not stored:
        faults.append("The study has 'direction' and 'directions'; leave one out.")
    return directions_of(given, faults)


def _space(
    given: Mapping[str, Any], spec: StudySpec, faults: list[str], *, stored: bool
) -> Space | None:
    """The declared space, empty where a Python objective declares it by asking; None if faulty."""
    entry = spec.objective
    function = isinstance(entry, str) or (isinstance(entry, dict) and "python" in entry)
    if function and not any(given.get(key) for key in ("tunables", "layers")):
        if spec.forbidden or spec.initial:
            faults.append("'forbidden' and 'initial' need declared tunables; declare them.")
        return Space(())
    if given.keys() & {*_SPACE} - spec.model_fields_set:
        return None  # its shape is wrong, which is among the faults
    try:
        space = read_space({key: getattr(spec, key) for key in _SPACE}, stored=stored)
    except SpaceError as error:
        faults += str(error).splitlines()
        return None
    before = len(faults)
    if not stored:
        faults += without_effect(space, spec.forbidden)
    return space if len(faults) == before else None


def _algorithm(entry: Any, faults: list[str], *, stored: bool) -> tuple[Any, dict[str, Any]]:
    """The name of the algorithm, and the options of its sampler."""
    if not isinstance(entry, dict):
        return entry, {}
    options = {key: value for key, value in entry.items() if key != "name"}
    name = entry.get("name")
    if not isinstance(name, str):
        faults.append(
            f"'algorithm' is {entry!r}; write {{name: NAME}} with the options of its sampler."
        )
        return DEFAULT, {}
    if options and name == AUTO:
        faults.append("'algorithm' is auto, which takes no options; name an algorithm.")
        return name, {}
    try:
        check_algorithm(name)
        check_options(name, options, stored=stored)
    except AlgorithmError as error:
        faults.append(str(error))
        return DEFAULT, {}
    return name, options


def check_resumable(definition: StudyDefinition) -> None:
    """Refuse to resume with options of the sampler or pruner that a study file may not have.

    A stored study may be read with them, because earlier versions accepted them.

    Raises:
        StudyError: the message names the option.
    """
    pruner = {key: value for key, value in definition.pruner.items() if key != "name"}
    try:
        check_options(str(definition.algorithm), definition.algorithm_options)
        check_pruner(definition.pruner.get("name", "none"), pruner)
    except AlgorithmError as error:
        raise StudyError(
            f"Study '{definition.name}' cannot be resumed as it is stored. {error} Change it in "
            "the study file, and resume with tune FILE."
        ) from None


def _check_search(
    algorithm: str,
    directions: int,
    pruner: Any,
    space: Space,
    faults: list[str],
    *,
    stored: bool,
) -> None:
    try:
        check_algorithm(algorithm, directions)
        if not space.tunables and not faults:
            portable_sampler(algorithm, None)
    except AlgorithmError as error:
        faults.append(str(error))
    if not isinstance(pruner, dict) or pruner.get("name", "none") not in [*PRUNERS]:
        name = pruner.get("name") if isinstance(pruner, dict) else pruner
        faults.append(f"'pruner' is {name!r}; {meant(name, PRUNERS)}")
        return
    if pruner and "name" not in pruner and not stored:
        faults.append("'pruner' has no 'name'; write {name: NAME} with the options of the pruner.")
    if "name" in pruner:
        try:
            check = pruner_of if stored else check_pruner
            check(pruner["name"], {k: v for k, v in pruner.items() if k != "name"})
        except AlgorithmError as error:
            faults.append(str(error))


def _check_kind(
    objective: Objective, pruner: Any, resources: Mapping[str, Any], faults: list[str]
) -> None:
    """Keys that the kind of objective would pass over without a word."""
    kind = "benchmark" if objective.benchmark else "python" if objective.function else "command"
    prunes = isinstance(pruner, dict) and pruner.get("name", "none") != "none"
    if prunes and kind != "python" and not objective.is_external:
        faults.append(
            f"'pruner' has no effect beside '{kind}', which reports no intermediate values; leave "
            "it out."
        )
    if resources and kind != "command":
        faults.append(
            f"'resources' has no effect beside '{kind}', which has no ranks; leave it out."
        )


_CLASSIC = {
    "experiment_name": "name",
    "total_trials": "trials",
    "parallel_trials": "parallel",
    "hpo_algo_impl": "algorithm",
    "ml_algo_impl": "algorithm",
}
_IGNORED = ("experiment_id", "id", "value_type", "function_variables", "application_name")


def own_form(values: dict[str, Any], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The HPO service's search_space, bare or in its request, and the scripts', in our own keys.

    `changes`, in our own keys, go over it; an objective among them keeps the file's expression.
    """
    values = _inner(values) | dict(changes or {})
    if not _is_classic(values):
        return values
    renamed = {_CLASSIC.get(key, key): value for key, value in values.items()}
    renamed.setdefault("algorithm", CLASSIC_DEFAULT)
    renamed.setdefault("name", values.get("application_name"))
    expression = renamed.pop("objective_function", None)
    for key in _IGNORED:
        renamed.pop(key, None)
    if isinstance(expression, dict):
        expression = expression.get("expression")
    objective = renamed.get("objective")
    if isinstance(objective, dict) and expression:
        renamed["objective"] = {"value": expression} | objective
    return renamed


def _inner(values: dict[str, Any]) -> dict[str, Any]:
    inner = values.get("search_space")
    return inner if isinstance(inner, dict) else values


def _is_classic(values: Mapping[str, Any]) -> bool:
    names = {"experiment_name", "application_name", "hpo_algo_impl", "ml_algo_impl"}
    return bool(names & values.keys())


def classic_names(document: dict[str, Any], faults: list[str]) -> dict[str, str] | None:
    """The keys of the service's form by our own; None in our own form."""
    inner = _inner(document)
    return written_names(inner, _CLASSIC, faults) if _is_classic(inner) else None


def written_names(
    values: Mapping[str, Any], renamed: Mapping[str, str], faults: list[str]
) -> dict[str, str]:
    """The keys of another form of a study by our own; two keys for the same are a fault."""
    names: dict[str, str] = {}
    for key in values:
        first = names.setdefault(renamed.get(key, key), key)
        if first != key:
            faults.append(f"'{first}' and '{key}' are the same; leave one out.")
    usual = {own: key for key, own in list(renamed.items())[::-1]}
    return usual | names
