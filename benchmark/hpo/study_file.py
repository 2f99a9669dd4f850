"""A study file, YAML or JSON: its own form, the HPO service's search_space, or the scripts' one.

    definition = read_study("study.yaml")

All faults are said in one answer, a sentence each.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.algorithms import (
    BAYESIAN,
    DEFAULT,
    MANY_TUNABLES,
    PRUNERS,
    AlgorithmError,
    check_algorithm,
)
from benchmark.hpo.objective import Objective, directions_of, read_objective
from benchmark.hpo.space import Space, SpaceError
from benchmark.hpo.space_file import read_space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.hpo.optimizer import Direction

KEYS = (
    *("name", "direction", "directions", "algorithm", "seed", "trials", "parallel", "storage"),
    *("tunables", "layers", "forbidden", "initial", "objective", "limits", "resources"),
    "pruner",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*")
_LIMITS = {"time": 600.0, "memory": 1500, "cores": 1}


class StudyError(BenchmarkError):
    """A study file is wrong, or a study cannot go on."""


@dataclass(frozen=True)
class StudyDefinition:
    """A study as it was declared. `time_s` and `memory_mb` bind one run of the objective.

    `resources` has the ranks of an MPI program: numbers, or the names of tunables that give them.
    `source` is the file as it was read, and `folder` where its objective's files are.
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

    @property
    def warnings(self) -> list[str]:
        """What may be meant, and seldom goes well."""
        count = len(self.space.tunables)
        if self.algorithm in BAYESIAN and count > MANY_TUNABLES:
            return [
                f"{count} tunables with {self.algorithm}: a model over more than {MANY_TUNABLES} "
                "needs many trials to be better than random points; tune layer by layer, or more "
                "trials."
            ]
        return []


def read_study(path: str | Path, changes: Mapping[str, Any] | None = None) -> StudyDefinition:
    """Read and check a study file; `changes` are keys of the command line over the file's.

    Raises:
        StudyError: the file cannot be read, or says every fault in it.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise StudyError(f"The study file {file} cannot be read: {reason}.") from None
    values = _parsed(text, file)
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    return define(own_form(values) | given, file.absolute().parent, str(file))


def define(values: Mapping[str, Any], folder: Path, place: str = "The study") -> StudyDefinition:
    """A definition from its values, in our own form.

    Raises:
        StudyError: says every fault.
    """
    faults: list[str] = []
    for key in values:
        if key not in KEYS:
            faults.append(f"The key '{key}' is unknown; a study has {', '.join(KEYS)}.")
    name = values.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(
            f"'name' is {name!r}; a study's name has letters, digits, '.', '_' and '-', parts "
            "divided by '/'."
        )
    space = Space(())
    try:
        space = read_space(values)
    except SpaceError as error:
        faults.append(str(error))
    directions = directions_of(values, faults)
    objective = read_objective(values.get("objective"), directions, space.names, faults)
    algorithm = values.get("algorithm", DEFAULT)
    try:
        check_algorithm(str(algorithm), len(directions))
    except AlgorithmError as error:
        faults.append(str(error))
    seed = values.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**32):
        faults.append(f"'seed' is {seed!r}; write a whole number from 0 to 2^32-1.")
    limits = _limits(values.get("limits"), faults)
    resources = _resources(values.get("resources"), space.names, faults)
    limits["time"] = resources.pop("time_s", limits["time"])
    pruner = values.get("pruner") or {}
    pruner = {"name": pruner} if isinstance(pruner, str) else pruner
    if not isinstance(pruner, dict) or pruner.get("name", "none") not in PRUNERS:
        faults.append(f"'pruner' is {pruner!r}; there are {', '.join(PRUNERS)}.")
    trials, parallel = (_positive(values, key, fault, faults) for key, fault in _COUNTS.items())
    if faults:
        raise StudyError(f"{place}: {' '.join(faults)}")
    return StudyDefinition(
        name=str(name),
        space=space,
        directions=directions,
        objective=objective,
        algorithm=str(algorithm),
        seed=seed,
        trials=trials,
        parallel=parallel,
        time_s=float(limits["time"]),
        memory_mb=int(limits["memory"]),
        cores=int(limits["cores"]),
        resources=resources,
        storage=values.get("storage"),
        pruner=pruner,
        source=dict(values),
        folder=folder,
    )


_COUNTS = {"trials": 20, "parallel": 1}


def _positive(values: Mapping[str, Any], key: str, default: int, faults: list[str]) -> int:
    value = values.get(key, default)
    if type(value) is not int or value < 1:
        faults.append(f"'{key}' is {value!r}; it should be a whole number greater than 0.")
        return default
    return value


def _limits(entry: Any, faults: list[str]) -> dict[str, Any]:
    entry = {} if entry is None else entry
    if not isinstance(entry, dict) or not set(entry) <= set(_LIMITS):
        faults.append("'limits' takes time (seconds), memory (MB) and cores.")
        return dict(_LIMITS)
    for key, value in entry.items():
        whole = key == "time" or type(value) is int
        if type(value) not in (int, float) or not 0 < value < 1e9 or not whole:
            faults.append(f"'limits' has {value!r} as '{key}'; write a number above 0.")
    return _LIMITS | entry


_RANKS = {"nodes": 1, "ranks_per_node": 1, "threads_per_rank": 1, "gpus_per_rank": 0}


def _resources(entry: Any, tunables: Sequence[str], faults: list[str]) -> dict[str, Any]:
    """Of an MPI program: each a whole number, or a tunable's name; empty where it is none."""
    if not entry:
        return {}
    if not isinstance(entry, dict) or not set(entry) <= {*_RANKS, "time_s"}:
        faults.append(f"'resources' takes {', '.join(_RANKS)} and time_s.")
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


def own_form(values: dict[str, Any]) -> dict[str, Any]:
    """The HPO service's search_space, bare or in its request, and the scripts', in our own keys."""
    if isinstance(values.get("search_space"), dict):
        values = values["search_space"]
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


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".json":
            values = json.loads(text)
        else:
            import yaml

            values = yaml.safe_load(text)
    except (ValueError, RecursionError) as error:
        raise StudyError(f"The study file {file} is not JSON: {error}.") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        said = " ".join(str(error).split())
        raise StudyError(f"The study file {file} is not YAML: {said}.") from None
    if not isinstance(values, dict):
        raise StudyError(f"The study file {file} must hold keys and values; write name: first.")
    return values
