"""The keys of a study and the types of their values, and the checked study that they declare.

Study files, `search_space` JSON, config.json directories and bodies of the service are read into
one model, `StudySpec`. What depends on several keys is checked in study_file.py, tunables in
hpo/space, objectives in hpo/objectives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from benchmark.files.declared import Declared
from benchmark.files.spelling import check_keys
from benchmark.hpo.objectives.objective import Objective
from benchmark.hpo.samplers.algorithms import DEFAULT, warnings_of
from benchmark.hpo.samplers.proposal import Direction, signs_of
from benchmark.hpo.samplers.safe_region import Safe
from benchmark.hpo.space.search_space import Layering, Space
from benchmark.hpo.space.tunables import Tunable
from benchmark.hpo.space.units import IN_SECONDS, declared_in
from benchmark.hpo.spec.past_studies import PastStudy
from benchmark.hpo.spec.stop_rules import Stop

_MOST_AGAIN = 100
REMEASURE = (
    "false, or {top: 4, runs: 3}: how many of the best trials are run how often again (at most "
    f"{_MOST_AGAIN})"
)


def _memory(value: Any) -> Any:
    """The program's MB, here as everywhere, are 2^20 bytes."""
    found = declared_in(value, "MiB")
    return int(found) if isinstance(value, str) else found


class Limits(Declared):
    """Limits of one run: seconds, MB, cores (0: all of the machine, shared by its trials)."""

    time: Annotated[float, IN_SECONDS] = Field(default=600.0, gt=0, lt=1e9)
    memory: Annotated[int, BeforeValidator(_memory)] = Field(
        default=1500, gt=0, lt=10**9, description="a whole number above 0"
    )
    cores: Annotated[int, BeforeValidator(lambda value: declared_in(value, "cores"))] = Field(
        default=1,
        ge=0,
        lt=10**9,
        description="a whole number, or 0 for trials that share all cores",
    )


_RANKS = {"nodes": 1, "ranks_per_node": 1, "threads_per_rank": 1, "gpus_per_rank": 0}


def read_resources(
    entry: Any, tunables: Sequence[str], faults: list[str], space: Space
) -> dict[str, Any]:
    """Of an MPI program: each a whole number, or a tunable's name; empty where it is none.

    `space` has those of the tunables whose values are checked.
    """
    if entry is None or entry == {}:
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
        elif isinstance(value, str):
            faults += _wrong_ranks(key, value, space)
    return dict(entry) if set(entry) == {"time_s"} else _RANKS | entry


def _wrong_ranks(key: str, name: str, space: Space) -> list[str]:
    """What is wrong with a tunable that gives a number of ranks: other values than such numbers."""
    least = min(1, _RANKS[key])
    return [
        f"'resources' has the tunable '{name}' as '{key}', whose values are {tunable.words}; give "
        f"it whole numbers from {least} on."
        for tunable in space.tunables
        if tunable.name == name and not _are_whole(tunable, least)
    ]


def _are_whole(tunable: Tunable, least: int) -> bool:
    if tunable.kind == "categorical":
        return all(type(choice) is int and choice >= least for choice in tunable.choices)
    low, step = tunable.low or 0, tunable.step or 0
    is_stepped = step > 0 and float(low).is_integer() and float(step).is_integer()
    return low >= least and (tunable.kind == "integer" or is_stepped)


class Remeasure(Declared):
    """The best `top` trials are run `runs` times more before one of them is chosen.

    If it is declared in any case, else only where they differ by less than the noise that is seen.
    """

    top: Annotated[int, Field(gt=1, le=_MOST_AGAIN)] = 4
    runs: Annotated[int, Field(gt=0, le=_MOST_AGAIN)] = 3

    @property
    def asked(self) -> bool:
        return bool(self.model_fields_set)


_PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PASSWORD = re.compile(r"(^|&)\w*(password|passwd|pwd|secret|token)=", re.IGNORECASE)
# What `study.optimize` and `create_study` call otherwise, with the key to use.
OF_OPTUNA = {
    "n_trials": "trials",
    "n_jobs": "parallel",
    "timeout": "stop: {time: 1h}",
    "sampler": "algorithm",
    "study_name": "name",
}


def _without_password(place: str) -> str:
    """The definition is kept in the store, which others may read."""
    if "://" in place:
        parts = urlsplit(place)
        host = parts.netloc.rpartition("@")[2]
        if ":" in parts.netloc.rpartition("@")[0] or _PASSWORD.search(parts.query):
            raise ValueError(
                f"at {host} has a password, which would be kept with the study; leave it out and "
                "give it by PGPASSWORD or ~/.pgpass"
            )
    return place


def _variables(entry: Any) -> tuple[str, ...]:
    names = [entry] if isinstance(entry, str) else entry
    if not isinstance(names, list) or not all(
        isinstance(name, str) and _VARIABLE.fullmatch(name) for name in names
    ):
        # Someone may have written the secret itself, so it is not shown.
        raise ValueError("takes the names of environment variables, such as [PGPASSWORD]")
    return tuple(names)


Count = Annotated[int, Field(ge=1, le=10**12, description="a whole number from 1 to 10^12")]
Seed = Annotated[int, Field(ge=0, lt=2**32, description="a whole number from 0 to 2^32-1")]


class StudySpec(Declared):
    """A study as it is declared; keys of type Any are read by the module of their concept."""

    name: str = Field(
        "",
        pattern=f"^{_PART}(/{_PART})*$",
        description="a name of letters, digits, '.', '_' and '-', in parts divided by '/' that "
        "start with a letter or digit and have at most 64 characters",
    )
    direction: Any = None
    directions: Any = None
    algorithm: Any = DEFAULT
    seed: Seed | None = None
    trials: Count = 20
    parallel: Count = 1
    storage: Annotated[str, AfterValidator(_without_password)] | None = Field(
        None, description="a text: a URL such as postgresql://user@host/db, or a file"
    )
    tunables: list[Any] = Field([], description="a list of tunables")
    layers: dict[Any, list[Any]] = Field({}, description="lists of tunables by the layer's name")
    forbidden: list[Any] = Field([], description="a list of expressions over tunables")
    initial: list[dict[Any, Any]] = Field(
        [], description="a list of points, each with a value for every tunable"
    )
    objective: Any = None
    limits: Limits = Limits()
    pruner: Any = None
    tune_layers: Literal["together", "one_by_one", "in_turn"] = "together"
    layer_trials: Count | None = None
    stop: Stop = Stop()
    default_every: Count | None = None
    environment: Any = None
    trials_per_task: Count | None = None
    max_parallelism: Count | None = None
    resources: Any = None
    secrets: Annotated[tuple[str, ...], BeforeValidator(_variables)] = ()
    remeasure: Remeasure | Literal[False] = Field(Remeasure(), description=REMEASURE)
    warm_start: Any = None
    safe: Any = None


@dataclass(frozen=True)
class StudyDefinition:
    """A study as it was declared. `time_s` and `memory_mb` bind one run of the objective.

    `source` is the file as it was read, with its parts; `folder` is where its objective's files
    are, and `also` where its parts' are. `default_every` is after how many trials the default runs
    again; `environment` what a Python objective runs in. `max_parallelism` workers share the
    study, each with `trials_per_task` trials before it ends. `resources` has the ranks of an MPI
    program: numbers, or the names of tunables that give them. `secrets` names the variables of the
    program's environment that the objective and its hooks get although they hold a secret.
    `algorithm_why` is why `auto` chose the algorithm; `file` is what it was read from.
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
    algorithm_why: str = ""
    algorithm_options: dict[str, Any] = field(default_factory=dict)
    remeasure: Remeasure | None = None
    warm_start: tuple[PastStudy, ...] = ()
    safe: Safe | None = None
    file: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether the Python objective itself declares its tunables, by asking for them."""
        return not self.space.tunables

    @property
    def signs(self) -> tuple[float, ...]:
        """For each direction 1 to minimize, -1 to maximize: of `sign * value` less is better."""
        return signs_of(self.directions.values())

    @property
    def at_once(self) -> int:
        """How many trials run side by side: a target host takes one."""
        hosts = self.objective.hosts
        return min(self.parallel, len(hosts)) if hosts else self.parallel

    @property
    def total_s(self) -> float:
        """What one trial may take: every run of the objective, with its hooks."""
        return self.time_s * self.objective.turns + self.objective.hooks_s

    @property
    def warnings(self) -> list[str]:
        """What may be meant, and seldom goes well."""
        constrained = bool(self.objective.constraints)
        return warnings_of(self.algorithm, len(self.space.tunables), constrained)
