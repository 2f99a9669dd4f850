"""A study file, YAML or JSON: its own form, the HPO service's search_space, or the scripts' one.

    definition = read_study("study.yaml")

All faults are said in one answer, a sentence each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmark.hpo.algorithms import (
    BAYESIAN,
    DEFAULT,
    MANY_TUNABLES,
    PRUNERS,
    AlgorithmError,
    check_algorithm,
    portable_sampler,
    pruner_of,
)
from benchmark.hpo.documents import StudyError, read_document
from benchmark.hpo.layering import Layering, read_layering
from benchmark.hpo.objective_file import directions_of, read_objective
from benchmark.hpo.space import Space, SpaceError
from benchmark.hpo.space_file import declared_names, read_space
from benchmark.hpo.spelling import check_keys, meant, nearest
from benchmark.hpo.stopping import Stop, read_stop
from benchmark.hpo.study_environment import read_environment
from benchmark.hpo.study_parts import put_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.hpo.objective import Objective
    from benchmark.hpo.optimizer import Direction

__all__ = ["StudyDefinition", "StudyError", "define", "own_form", "read_study"]

KEYS = (
    *("name", "direction", "directions", "algorithm", "seed", "trials", "parallel", "storage"),
    *("tunables", "layers", "forbidden", "initial", "objective", "limits", "pruner"),
    *("tune_layers", "layer_trials", "stop", "default_every", "environment"),
    *("trials_per_task", "max_parallelism", "resources", "secrets"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PASSWORD = re.compile(r"(^|&)\w*(password|passwd|pwd|secret|token)=", re.IGNORECASE)
_LIMITS = {"time": 600.0, "memory": 1500, "cores": 1}


@dataclass(frozen=True)
class StudyDefinition:
    """A study as it was declared. `time_s` and `memory_mb` bind one run of the objective.

    `source` is the file as it was read, with its parts; `folder` is where its objective's files
    are, and `also` where its parts' are. `default_every` is after how many trials the default runs
    again; `environment` what a Python objective runs in. `max_parallelism` workers share the
    study, each with `trials_per_task` trials before it ends. `resources` has the ranks of an MPI
    program: numbers, or the names of tunables that give them. `secrets` names the variables of the
    program's environment that the objective and its hooks get although they hold a secret. `file`
    is what it was read from.
    """

    name: str
    space: Space
    directions: dict[str, Direction]
    objective: Objective
    algorithm: str
    seed: int | None
    trials: int
    parallel: int
    time_s: float
    memory_mb: int
    cores: int
    resources: dict[str, int | str]
    storage: str | None
    pruner: dict[str, Any]
    source: dict[str, Any]
    folder: Path
    also: tuple[Path, ...] = ()
    layering: Layering = field(default_factory=Layering)
    stop: Stop = field(default_factory=Stop)
    default_every: int | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    trials_per_task: int | None = None
    max_parallelism: int | None = None
    secrets: tuple[str, ...] = ()
    file: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether the Python objective itself declares its tunables, by asking for them."""
        return not self.space.tunables

    @property
    def total_s(self) -> float:
        """What one trial may take: every run of the objective, with its hooks."""
        return self.time_s * self.objective.turns + self.objective.hooks_s

    @property
    def warnings(self) -> list[str]:
        """What may be meant, and seldom goes well."""
        count, found = len(self.space.tunables), []
        if self.algorithm == "cmaes" and self.objective.constraints:
            found.append(
                "cmaes does not see the constraints, and may search where they are broken; "
                f"{DEFAULT} does."
            )
        if self.algorithm in BAYESIAN and count > MANY_TUNABLES:
            found.append(
                f"{count} tunables with {self.algorithm}: a model over more than {MANY_TUNABLES} "
                "needs many trials to be better than random points; tune layer by layer, or more "
                "trials."
            )
        return found


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
    values: Mapping[str, Any], folder: Path, place: str = "The study", also: tuple[Path, ...] = ()
) -> StudyDefinition:
    """A definition from its values, in our own form.

    Raises:
        StudyError: says every fault.
    """
    faults: list[str] = []
    check_keys(values, KEYS, "A study", faults)
    name = values.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(
            f"'name' is {name!r}; a study's name has letters, digits, '.', '_' and '-', parts "
            "divided by '/'."
        )
    before = len(faults)
    space = _space(values, faults)
    has_space = len(faults) == before
    said = {nearest(key, KEYS) for key in values if key not in KEYS}
    misspelt = "direction" in said or "directions" in said
    directions = directions_of(values, [] if misspelt else faults)
    before = len(faults)
    tunables = declared_names(values)
    own = [] if "objective" in said else faults
    objective = read_objective(values.get("objective"), directions, tunables, own)
    has_objective = len(faults) == before and own is faults
    algorithm = values.get("algorithm", DEFAULT)
    pruner = values.get("pruner") or {}
    pruner = {"name": pruner} if isinstance(pruner, str) else pruner
    _check_search(str(algorithm), len(directions), pruner, space, faults)
    seed = values.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**32):
        faults.append(f"'seed' is {seed!r}; write a whole number from 0 to 2^32-1.")
    limits = _limits(values.get("limits"), faults)
    resources = _resources(values.get("resources"), tunables, faults)
    limits["time"] = resources.pop("time_s", limits["time"])
    if has_objective:
        _check_kind(objective, pruner, resources, faults)
    told = values.get("objective")
    has_cost = "cost" in told if isinstance(told, dict) else told is None
    stop = read_stop(values.get("stop"), has_cost, faults)
    layering = read_layering(values, space if has_space else None, faults)
    environment = read_environment(values.get("environment"), faults)
    if environment and has_objective and not objective.function:
        faults.append("'environment' is for a Python objective; a command brings its own.")
    storage = _storage(values.get("storage"), faults)
    secrets = _names(values.get("secrets"), faults)
    if secrets and objective.benchmark:
        faults.append("'secrets' of a framework stand in its framework.toml; leave them out here.")
    counts = {key: _positive(values, key, least, faults) for key, least in _COUNTS.items()}
    more: dict[str, Any] = {k: _positive_if_any(values, k, faults) for k in _COUNTS_IF_ANY}
    without = not (space.tunables and space.default() is not None)
    if more["default_every"] and has_space and without:
        faults.append("'default_every' needs a 'default' for every tunable.")
    if faults:
        raise StudyError(_said(place, faults))
    return StudyDefinition(
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
        **more,
    )


def _said(place: str, faults: list[str]) -> str:
    """One fault as a sentence, several in a line each."""
    if len(faults) == 1:
        return f"{place}: {faults[0]}"
    return "\n".join([f"{place} has {len(faults)} faults:", *(f"- {fault}" for fault in faults)])


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
        # Somebody may have written the secret itself.
        faults.append("'secrets' takes the names of environment variables, such as [PGPASSWORD].")
        return ()
    return tuple(names)


def _space(values: Mapping[str, Any], faults: list[str]) -> Space:
    """The declared space; none where a Python objective declares it by asking."""
    entry = values.get("objective")
    function = isinstance(entry, str) or (isinstance(entry, dict) and "python" in entry)
    if function and not any(values.get(key) for key in ("tunables", "layers")):
        if values.get("forbidden") or values.get("initial"):
            faults.append("'forbidden' and 'initial' need declared tunables; declare them.")
        return Space(())
    try:
        return read_space(values)
    except SpaceError as error:
        faults += str(error).splitlines()
        return Space(())


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


def _limits(entry: Any, faults: list[str]) -> dict[str, Any]:
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        faults.append(f"'limits' is {entry!r}; it takes time (seconds), memory (MB) and cores.")
        return dict(_LIMITS)
    check_keys(entry, _LIMITS, "'limits'", faults)
    for key, value in entry.items():
        if key not in _LIMITS:
            continue
        whole = key == "time" or type(value) is int
        if type(value) not in (int, float) or not 0 < value < 1e9 or not whole:
            faults.append(f"'limits' has {value!r} as '{key}'; write a number above 0.")
    return {key: entry.get(key, least) for key, least in _LIMITS.items()}


_RANKS = {"nodes": 1, "ranks_per_node": 1, "threads_per_rank": 1, "gpus_per_rank": 0}


def _resources(entry: Any, tunables: Sequence[str], faults: list[str]) -> dict[str, Any]:
    """Of an MPI program: each a whole number, or a tunable's name; empty where it is none."""
    if not entry:
        return {}
    known = (*_RANKS, "time_s")
    if not isinstance(entry, dict):
        faults.append(f"'resources' is {entry!r}; it takes {', '.join(known)}.")
        return {}
    before = len(faults)
    check_keys(entry, known, "'resources'", faults)
    if len(faults) > before:
        return {}
    for key, value in entry.items():
        if key == "time_s":
            fits = type(value) in (int, float) and 0 < value < 1e9
        else:
            fits = value in tunables if isinstance(value, str) else type(value) is int
            fits = fits and (isinstance(value, str) or value >= min(1, _RANKS[key]))
        if not fits:
            faults.append(
                f"'resources' has {value!r} as '{key}'; write a number, or the name of a tunable."
            )
    return dict(entry) if set(entry) == {"time_s"} else _RANKS | entry


def own_form(values: dict[str, Any], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The HPO service's search_space, bare or in its request, and the scripts', in our own keys.

    `changes`, in our own keys, go over it; an objective among them keeps the file's expression.
    """
    if isinstance(values.get("search_space"), dict):
        values = values["search_space"]
    values = values | dict(changes or {})
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
