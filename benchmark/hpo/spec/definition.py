"""A study as it was declared: what a checked study file contains."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.hpo.objectives.objective import Objective
from benchmark.hpo.samplers.algorithms import warnings_of
from benchmark.hpo.samplers.proposal import Direction, signs_of
from benchmark.hpo.samplers.safe_region import Safe
from benchmark.hpo.space.layering import Layering
from benchmark.hpo.space.search_space import Space
from benchmark.hpo.spec.past_studies import PastStudy
from benchmark.hpo.spec.stop_rules import Stop
from benchmark.hpo.spec.study_spec import Remeasure


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
