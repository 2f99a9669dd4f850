"""What an experiment has beyond its study: its name, its leases, its budgets.

Any text names an experiment, and a study's name is a path: `study_of` maps one to the other.

The terms are those of the founding. Clients may change the limits later; `Changes` has both.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files.spelling import meant
from benchmark.hpo.objectives.objective import EXTERNAL
from benchmark.hpo.samplers.algorithms import ALGORITHMS, AUTO, sampler_of
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.service.core.errors import InvalidError
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define

LEASE_S = 600.0
LONGEST_LEASE_S = 30 * 86400.0
LONGEST = 256
MOST_TUNABLES = 1000
MOST_CHOICES = 10_000
MOST_TRIALS = 1_000_000
# A slash within a segment of a path, until the name is read out of it.
SLASH = "\ue000"
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Terms:
    """`facts` is what a client declared for its own use. A trial's cost is in the client's unit.

    `key` and `request` are the idempotency key of the founding and a hash of what it declared.
    `lease_s` is for how long a trial is its client's alone, unless the ask says otherwise; None:
    until it ends. `max_time_s` counts from the first ask, `max_cost` what the tells said.
    """

    experiment: str
    created: str
    lease_s: float | None = LEASE_S
    max_time_s: float | None = None
    max_cost: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    request: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any] | None, study: str) -> Terms:
        """The terms as they were kept; those of a study that `tune` began are the defaults."""
        return Terms(**values) if values else Terms(experiment=study, created="")


@dataclass(frozen=True)
class Limits:
    """What clients may change: budgets, trials at once (None: any number), leases, facts."""

    trials: int
    parallel: int | None
    max_time_s: float | None
    max_cost: float | None
    lease_s: float | None
    facts: dict[str, Any]


def declared(definition: StudyDefinition, terms: Terms) -> Limits:
    """The limits that an experiment was founded with."""
    return Limits(
        trials=definition.trials,
        parallel=definition.parallel if definition.source.get("parallel") else None,
        max_time_s=terms.max_time_s,
        max_cost=terms.max_cost,
        lease_s=terms.lease_s,
        facts=terms.facts,
    )


def study_of(experiment: str) -> str:
    """The name itself where it can be a study's; else what can be of it, and a hash.

    Raises:
        InvalidError: the name is empty, too long, or has signs that no eye sees.
    """
    if not experiment.strip() or len(experiment) > LONGEST:
        raise InvalidError(
            f"The experiment's name has {len(experiment)} characters; write 1 to {LONGEST}."
        )
    if not experiment.isprintable():
        raise InvalidError(
            f"The experiment's name {experiment!r} has characters that cannot be shown; leave "
            "them out."
        )
    if _PLAIN.fullmatch(experiment):
        return experiment
    shown = re.sub(r"[^A-Za-z0-9._-]+", "-", experiment).strip("-._")[:40] or "experiment"
    return f"{shown}-{hashlib.sha256(experiment.encode()).hexdigest()[:16]}"


def is_hashed(study: str) -> bool:
    """Whether the study's name may stand for another name of its experiment."""
    return _HASHED.search(study) is not None


def check_size(values: Mapping[str, Any]) -> None:
    """Refuse an experiment that is larger than a server can hold.

    Raises:
        InvalidError: says of what it has too many.
    """
    tunables, trials = values.get("tunables"), values.get("trials")
    entries = tunables if isinstance(tunables, list) else []
    faults = []
    if len(entries) > MOST_TUNABLES:
        faults.append(f"The space has {len(entries)} tunables; {MOST_TUNABLES} are the most.")
    for entry in entries:
        choices = entry.get("choices") if isinstance(entry, dict) else None
        if isinstance(choices, list) and len(choices) > MOST_CHOICES:
            faults.append(f"A tunable has {len(choices)} choices; {MOST_CHOICES} are the most.")
    if isinstance(trials, int) and trials > MOST_TRIALS:
        faults.append(f"'trials' is {trials}; {MOST_TRIALS} are the most.")
    if faults:
        raise InvalidError(" ".join(faults), faults)


def checked(study: str, experiment: str, values: Mapping[str, Any]) -> StudyDefinition:
    """The definition of an experiment from its values.

    Raises:
        InvalidError: says every fault in the values.
    """
    check_size(values)
    known, algorithm = (*ALGORITHMS, AUTO), values.get("algorithm")
    faults = []
    if algorithm is not None and algorithm not in known:
        # An import path of a study file would run code of the client's choice here.
        near = meant(algorithm, known)
        faults.append(f"There is no algorithm '{algorithm}'; {near}")
        values = {key: value for key, value in values.items() if key != "algorithm"}
    own = {"name": study, "objective": dict(EXTERNAL)}
    try:
        place = f"Experiment '{experiment}'"
        definition = define({**values, **own}, Path(), place, faults=faults)
        sampler_of(definition.algorithm, None)
    except StudyError as error:
        raise InvalidError(str(error), error.faults) from None
    except BenchmarkError as error:
        raise InvalidError(str(error)) from None
    return definition


def other_faults(values: Mapping[str, Any], wrong: Collection[str]) -> list[str]:
    """The faults of an experiment's name and values, without the keys that are known to be wrong.

    Nearly everything depends on the space: where that is wrong only the name is checked.
    """
    known = {key: value for key, value in values.items() if key not in wrong}
    faults = _faults_of(study_of, known.pop("name", "experiment"))
    if {"direction", "directions"} & {*wrong}:
        known["direction"] = "minimize"
    if not {"tunables", "layers"} & {*wrong}:
        faults += _faults_of(checked, "experiment", "experiment", known)
    return faults


def _faults_of(check: Callable[..., object], *arguments: Any) -> list[str]:
    try:
        check(*arguments)
    except InvalidError as error:
        return list(error.faults)
    return []


_LIMITS, _ATTRIBUTES = "service_limits", "service_attributes:"


class Changes:
    """What clients change of one experiment: limits, facts, and the attributes of its trials.

    It is kept with the study, beside what was declared, so that every server on a database sees it.
    Those who change are in `leases.exclusive`.
    """

    def __init__(self, optimizer: Optimizer, declared: Limits, *, alone: bool) -> None:
        self._optimizer = optimizer
        self._alone = alone
        self._declared = declared
        self._limits: Limits | None = None

    def limits(self) -> Limits:
        """The limits as they are now."""
        if self._limits is None or not self._alone:
            self._limits = replace(self._declared, **self.kept().get(_LIMITS, {}))
        return self._limits

    def change(self, new: Mapping[str, Any]) -> None:
        """Change some of the limits; of the facts those that are named, None removes one."""
        kept = self.kept().get(_LIMITS, {}) | dict(new)
        if "facts" in new:
            kept["facts"] = _merged(self.limits().facts, new["facts"])
        self.keep(_LIMITS, kept)
        self._limits = None

    def attributes(self) -> Callable[[int], dict[str, Any]]:
        """What clients noted about each trial, by its number; read once for all of them."""
        kept = self.kept()
        return lambda number: dict(kept.get(f"{_ATTRIBUTES}{number}", {}))

    def annotate(self, number: int, new: Mapping[str, Any]) -> None:
        """Set attributes of a trial; None removes one."""
        self.keep(f"{_ATTRIBUTES}{number}", _merged(self.attributes()(number), new))

    def kept(self) -> dict[str, Any]:
        """All that is kept with the study."""
        return self._optimizer.storage.get_study_user_attrs(self._optimizer.study_id)

    def keep(self, name: str, value: Any) -> None:
        self._optimizer.storage.set_study_user_attr(self._optimizer.study_id, name, value)


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (dict(old) | dict(new)).items() if value is not None}
