"""A study file, YAML or JSON: its own form, the HPO service's search_space, or the scripts' one.

    definition = read_study("study.yaml")

All faults are said in one answer, a sentence each.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmark.files.spelling import check_keys, meant, nearest
from benchmark.hpo.objectives.environment import read_environment
from benchmark.hpo.objectives.objective_file import KEYS as OBJECTIVE_KEYS
from benchmark.hpo.objectives.objective_file import directions_of, read_objective
from benchmark.hpo.objectives.readiness import port_faults
from benchmark.hpo.samplers.algorithms import (
    AUTO,
    CLASSIC_DEFAULT,
    DEFAULT,
    PRUNERS,
    AlgorithmError,
    check_algorithm,
    check_options,
    chosen,
    portable_sampler,
    pruner_of,
)
from benchmark.hpo.space.layering import read_layering
from benchmark.hpo.space.rules import without_effect
from benchmark.hpo.space.search_space import Space, SpaceError
from benchmark.hpo.space.space_file import declared_names, read_space
from benchmark.hpo.spec.definition import StudyDefinition
from benchmark.hpo.spec.documents import StudyError, read_document
from benchmark.hpo.spec.limits import read_limits, read_remeasure, read_resources
from benchmark.hpo.spec.past_studies import read_warm_start
from benchmark.hpo.spec.referenced_files import put_in
from benchmark.hpo.spec.safe import SAFE_EVERY, read_safe
from benchmark.hpo.spec.stop_rules import read_stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.objectives.objective import Objective

__all__ = ["StudyDefinition", "StudyError", "define", "own_form", "read_study"]

KEYS = (
    *("name", "direction", "directions", "algorithm", "seed", "trials", "parallel", "storage"),
    *("tunables", "layers", "forbidden", "initial", "objective", "limits", "pruner"),
    *("tune_layers", "layer_trials", "stop", "default_every", "environment"),
    *("trials_per_task", "max_parallelism", "resources", "secrets", "remeasure", "warm_start"),
    "safe",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PASSWORD = re.compile(r"(^|&)\w*(password|passwd|pwd|secret|token)=", re.IGNORECASE)


def read_study(path: str | Path, changes: Mapping[str, Any] | None = None) -> StudyDefinition:
    """Read and check a study file; `changes` are keys of the command line over the file's.

    Raises:
        StudyError: the file cannot be read, or says every fault in it.
    """
    file = Path(path)
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    folder = file.absolute().parent
    values, also = put_in(own_form(read_document(file), given), folder)
    return replace(define(values, folder, str(file), also), file=file.absolute())


def define(
    values: Mapping[str, Any],
    folder: Path,
    place: str = "The study",
    also: tuple[Path, ...] = (),
    *,
    stored: bool = False,
) -> StudyDefinition:
    """A definition from its values, in our own form.

    Rules that can never apply and templates that are none are faults, except in a study that is
    `stored` with them.

    Raises:
        StudyError: says every fault.
    """
    faults: list[str] = []
    check_keys(values, KEYS, "A study", faults, dict.fromkeys(OBJECTIVE_KEYS, "objective"))
    name = values.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(
            f"'name' is {name!r}; a study's name has letters, digits, '.', '_' and '-', parts "
            "divided by '/' that start with a letter or digit."
        )
    before = len(faults)
    space = _space(values, faults, stored=stored)
    has_space = len(faults) == before
    said = {nearest(key, KEYS) for key in values if key not in KEYS}
    misspelt = "direction" in said or "directions" in said
    directions = directions_of(values, [] if misspelt else faults)
    before = len(faults)
    tunables = declared_names(values)
    own = [] if "objective" in said else faults
    objective = read_objective(values.get("objective"), directions, tunables, own, stored=stored)
    has_objective = len(faults) == before and own is faults
    algorithm, algorithm_options = _algorithm(values.get("algorithm", DEFAULT), faults)
    pruner = values.get("pruner") or {}
    pruner = {"name": pruner} if isinstance(pruner, str) else pruner
    _check_search(
        str(DEFAULT if algorithm == AUTO else algorithm), len(directions), pruner, space, faults
    )
    seed = values.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**32):
        faults.append(f"'seed' is {seed!r}; write a whole number from 0 to 2^32-1.")
    limits = read_limits(values.get("limits"), faults)
    resources = read_resources(
        values.get("resources"), tunables, faults, Space(()) if stored or not has_space else space
    )
    limits["time"] = resources.pop("time_s", limits["time"])
    if limits["cores"] == 0 and (resources or objective.benchmark):
        faults.append(
            "'limits' has 0 as 'cores', for trials that run on other machines; a benchmark and MPI "
            "ranks need cores here."
        )
    if has_objective:
        _check_kind(objective, pruner, resources, faults)
        faults += [] if stored else port_faults(objective.wait_ready, space.tunables)
    stop = read_stop(
        values.get("stop"),
        _has_cost(values.get("objective")),
        len(directions),
        faults,
        declares=bool(space.tunables) or not has_space,
    )
    layering = read_layering(
        {**values, "algorithm": algorithm}, space if has_space else None, faults
    )
    environment = read_environment(values.get("environment"), faults)
    if environment and has_objective and not objective.function:
        faults.append("'environment' is for a Python objective; a command brings its own.")
    storage = _storage(values.get("storage"), faults)
    secrets = _names(values.get("secrets"), faults)
    if secrets and objective.benchmark:
        faults.append("'secrets' of a framework stand in its framework.toml; leave them out here.")
    counts = {key: _positive(values, key, least, faults) for key, least in _COUNTS.items()}
    more: dict[str, Any] = {
        "remeasure": read_remeasure(values.get("remeasure"), len(directions), faults),
        "warm_start": read_warm_start(
            values.get("warm_start"), space if has_space else None, len(directions), faults
        ),
        "safe": read_safe(values, space if has_space else None, len(directions), objective, faults),
        **{key: _positive_if_any(values, key, faults) for key in _COUNTS_IF_ANY},
    }
    more["default_every"] = more["default_every"] or (SAFE_EVERY if more["safe"] else None)
    if values.get("default_every") and has_space and not space.default():
        faults.append("'default_every' needs a 'default' for every tunable.")
    if faults:
        raise StudyError(_said(place, faults))
    definition = StudyDefinition(
        name=str(name),
        space=space,
        directions=directions,
        objective=objective,
        algorithm=str(algorithm),
        seed=seed,
        trials=counts["trials"] or 1,
        parallel=counts["parallel"] or 1,
        time_s=float(limits["time"]),
        memory_mb=int(limits["memory"]),
        cores=int(limits["cores"]),
        resources=resources,
        storage=storage,
        pruner=pruner,
        source=dict(values),
        folder=folder,
        also=also,
        layering=layering,
        stop=stop,
        environment=environment,
        secrets=secrets,
        algorithm_options=algorithm_options,
        **more,
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


def _said(place: str, faults: list[str]) -> str:
    """One fault as a sentence, several in a line each."""
    many = [f"{place} has {len(faults)} faults:", *(f"- {fault}" for fault in faults)]
    return f"{place}: {faults[0]}" if len(faults) == 1 else "\n".join(many)


_COUNTS = {"trials": 20, "parallel": 1}
_COUNTS_IF_ANY = ("default_every", "trials_per_task", "max_parallelism")


def _positive(values: Mapping[str, Any], key: str, default: int, faults: list[str]) -> int:
    found = _positive_if_any(values, key, faults)
    return default if found is None else found


def _positive_if_any(values: Mapping[str, Any], key: str, faults: list[str]) -> int | None:
    value = values.get(key)
    if value is not None and (type(value) is not int or value < 1):
        faults.append(f"'{key}' is {value!r}; it should be a whole number greater than 0.")
        return None
    return value


def _storage(place: Any, faults: list[str]) -> str | None:
    """Without a password: the definition is kept in the store, which others may read."""
    if place is not None and not isinstance(place, str):
        faults.append(
            "'storage' must be a text: a URL such as postgresql://user@host/db, or a file."
        )
        return None
    if place and "://" in place:
        parts = urlsplit(place)
        if ":" in parts.netloc.rpartition("@")[0] or _PASSWORD.search(parts.query):
            faults.append(
                f"'storage' at {parts.netloc.rpartition('@')[2]} has a password, which would be "
                "kept with the study; leave it out and give it by PGPASSWORD or ~/.pgpass."
            )
            return None
    return place


def _names(entry: Any, faults: list[str]) -> tuple[str, ...]:
    """Names of environment variables, never their values."""
    names = [entry] if isinstance(entry, str) else entry or []
    if not isinstance(names, list) or not all(
        isinstance(name, str) and _VARIABLE.fullmatch(name) for name in names
    ):
        # Someone may have written the secret itself.
        faults.append("'secrets' takes the names of environment variables, such as [PGPASSWORD].")
        return ()
    return tuple(names)


def _space(values: Mapping[str, Any], faults: list[str], *, stored: bool) -> Space:
    """The declared space; none where a Python objective declares it by asking."""
    entry = values.get("objective")
    function = isinstance(entry, str) or (isinstance(entry, dict) and "python" in entry)
    if function and not any(values.get(key) for key in ("tunables", "layers")):
        if values.get("forbidden") or values.get("initial"):
            faults.append("'forbidden' and 'initial' need declared tunables; declare them.")
        return Space(())
    try:
        space = read_space(values, stored=stored)
    except SpaceError as error:
        faults += str(error).splitlines()
        return Space(())
    if not stored:
        faults += without_effect(space, values.get("forbidden"))
    return space


def _algorithm(entry: Any, faults: list[str]) -> tuple[Any, dict[str, Any]]:
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
        check_options(name, options)
    except AlgorithmError as error:
        faults.append(str(error))
        return DEFAULT, {}
    return name, options


def _check_search(
    algorithm: str, directions: int, pruner: Any, space: Space, faults: list[str]
) -> None:
    try:
        check_algorithm(algorithm, directions)
        if not space.tunables and not faults:
            portable_sampler(algorithm, None)
    except AlgorithmError as error:
        faults.append(str(error))
    if not isinstance(pruner, dict) or pruner.get("name", "none") not in PRUNERS:
        name = pruner.get("name") if isinstance(pruner, dict) else pruner
        faults.append(f"'pruner' is {name!r}; {meant(name, PRUNERS)}")
        return
    if "name" in pruner:
        try:
            pruner_of(pruner["name"], {k: v for k, v in pruner.items() if k != "name"})
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


def own_form(values: dict[str, Any], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The HPO service's search_space, bare or in its request, and the scripts', in our own keys.

    `changes`, in our own keys, go over it; an objective among them keeps the file's expression.
    """
    inner = values.get("search_space")
    values = (inner if isinstance(inner, dict) else values) | dict(changes or {})
    if not {"experiment_name", "application_name", "hpo_algo_impl", "ml_algo_impl"} & values.keys():
        return values
    renamed = {
        "experiment_name": "name",
        "total_trials": "trials",
        "parallel_trials": "parallel",
        "hpo_algo_impl": "algorithm",
        "ml_algo_impl": "algorithm",
    }
    told = {renamed.get(key, key): value for key, value in values.items()}
    told.setdefault("algorithm", CLASSIC_DEFAULT)
    told.setdefault("name", values.get("application_name"))
    expression = told.pop("objective_function", None)
    for key in ("experiment_id", "id", "value_type", "function_variables", "application_name"):
        told.pop(key, None)
    if isinstance(expression, dict):
        expression = expression.get("expression")
    objective = told.get("objective")
    if isinstance(objective, dict) and expression:
        told["objective"] = {"value": expression} | objective
    return told
