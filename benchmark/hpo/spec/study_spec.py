"""The keys of a study and the types of their values: one model of all forms of a study.

Study files, `search_space` JSON, config.json directories and bodies of the service are read into
it. What depends on several keys is checked in study_file.py, tunables in hpo/space, objectives in
hpo/objectives.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from benchmark.files.declared import Declared
from benchmark.hpo.samplers.algorithms import DEFAULT
from benchmark.hpo.spec.limits import REMEASURE, Limits, Remeasure
from benchmark.hpo.spec.stop_rules import Stop

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
