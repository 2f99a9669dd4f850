"""`warm_start`: what earlier studies of similar spaces measured, for the start of a new one.

    keep(run, definition)                      # once, when the study begins
    warm = WarmStart.of(run, definition)
    warm.first                                 # points to be measured first
    warm.add(record)
    asked, labels = warm.next(optimizer)       # after these

The spaces may differ: names may be mapped, a tunable that is not in the past has its default, a
value beyond a range is moved to its bound, and a point with a choice that no longer exists, or that
is forbidden, is left out. Values are compared within their study only, so that machines may differ.
How points are chosen, and what prevents a misleading past from costing much: samplers/transfer.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.hpo.report import export, trial_line
from benchmark.hpo.samplers.algorithms import BAYESIAN
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Asked
from benchmark.hpo.space.search_space import Params, identity
from benchmark.hpo.space.tunables import Tunable, Value
from benchmark.hpo.space.units import from_base, in_base
from benchmark.hpo.spec.past_studies import PastStudy
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define
from benchmark.hpo.study.store import no_study, run_name
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from benchmark.store import Store

if TYPE_CHECKING:
    from benchmark.hpo.samplers.transfer import Transfer

# A label of trials: the study and the trial that the point comes from, or that it was predicted.
WARM = "warm_start"
PREDICTED = "predicted"
_PAST, _FIRST = 200, 5


def keep(run: Run, definition: StudyDefinition) -> None:
    """Put the past into the store, so that it may change or be deleted.

    Raises:
        StudyError: a past study cannot be used.
    """
    if definition.warm_start:
        found = [_past(run.store, definition, one) for one in definition.warm_start]
        first = _transfer(definition, found).first(_FIRST)
        run.store.put(_path(run), json.dumps({"studies": found, "first": first}).encode())
        for past, points in zip(definition.warm_start, found, strict=True):
            if not points:
                trial_line.show(
                    f"warning: 'warm_start' uses no point of '{past.study}': no trial there is a "
                    "success, satisfies that study's own constraints and fits this space.",
                    logging.WARNING,
                )
        trial_line.show(WarmStart.of(run, definition).note)


def _path(run: Run) -> str:
    return f"{run.name}/warm_start.json"


def _past(store: Store, definition: StudyDefinition, past: PastStudy) -> list[dict[str, Any]]:
    """The points of a past study in the new space, the best first.

    Raises:
        StudyError: there is no such study, or it has several directions.
    """
    name = run_name(past.study)
    if store.get(f"{name}/manifest.json") is None:
        raise StudyError(no_study(past.study, store))
    run = Run.open(store, name)
    source = run.manifest.conditions["study"]
    earlier = define(source, Path(), f"Study '{past.study}'", stored=True)
    if len(earlier.directions) > 1:
        raise StudyError(
            f"'warm_start' has the study '{past.study}', which has several directions and so no "
            "best points; name one with one direction."
        )
    found = list(_points(run, earlier, definition, past.names))
    return found[: _PAST // 2] + found[_PAST // 2 :][-_PAST // 2 :]


def _points(
    run: Run, earlier: StudyDefinition, definition: StudyDefinition, names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The feasible points of a past study in the new space, the best first."""
    sign = earlier.signs[0]
    good = filter(export.is_good, export.trial_records(run))
    for record in sorted(good, key=lambda one: sign * float(one.labels["values"][0])):
        params = _moved(definition, earlier, record.labels.get("params") or {}, names)
        if params is not None:
            value = sign * float(record.labels["values"][0])
            source = f"{earlier.name}/{record.task}"
            yield {"source": source, "params": params, "value": value}


def _moved(
    definition: StudyDefinition,
    earlier: StudyDefinition,
    past: Mapping[str, Any],
    names: Mapping[str, str],
) -> Params | None:
    """A point of the past in the new space and its units; None if it has no place there."""
    space, units = definition.space, earlier.space.units

    def value_of(tunable: Tunable) -> Value:
        name = names.get(tunable.name, tunable.name)
        if name not in past:
            if not tunable.has_default:
                raise LookupError
            return tunable.default
        value = past[name]
        if tunable.kind == "categorical":
            if not tunable.admits(value):
                raise LookupError
            return tunable.typed(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise LookupError
        old, new = units.get(name), tunable.unit
        if old is not None and new is not None:
            if old.base != new.base:
                raise LookupError
            value = value if old.size == new.size else from_base(in_base(value, old), new)
        low, high = tunable.low or 0, tunable.high or 0
        return tunable.typed(min(max(value, low), high))

    try:
        params = space.build(value_of)
    except LookupError:
        return None
    return params if space.fault(params) is None else None


def _transfer(definition: StudyDefinition, studies: list[list[dict[str, Any]]]) -> Transfer:
    from benchmark.hpo.samplers.transfer import Transfer

    typed = definition.space.typed
    scored = [[(typed(one["params"]), one["value"]) for one in points] for points in studies]
    return Transfer(definition.space, scored, definition.seed)


@dataclass
class WarmStart:
    """The past of a study, its first points with their sources, and the rest of its start."""

    sign: float = 1.0
    past: list[dict[str, Any]] = field(default_factory=list)
    _first: dict[Any, tuple[Params, str]] = field(default_factory=dict)
    _transfer: Transfer | None = None
    _proposes: bool = False

    @classmethod
    def of(cls, run: Run, definition: StudyDefinition) -> WarmStart:
        sign = definition.signs[0]
        data = run.store.get(_path(run))
        if not data:
            return cls(sign)
        kept = json.loads(data)
        past = [point for points in kept["studies"] for point in points]
        typed = definition.space.typed
        sources = {identity(typed(point["params"])): point["source"] for point in reversed(past)}
        # Studies of earlier versions have no list; they have measured other points first.
        first = {identity(point): point for point in map(typed, kept.get("first", ()))}
        return cls(
            sign,
            past,
            {key: (point, sources[key]) for key, point in first.items()},
            _transfer(definition, kept["studies"]),
            # Others do not search where points promise most.
            definition.algorithm in BAYESIAN,
        )

    @property
    def first(self) -> list[Params]:
        """The points to measure first."""
        return [point for point, _ in self._first.values()]

    @property
    def note(self) -> str:
        """What is used of the past."""
        studies = dict.fromkeys(point["source"].rpartition("/")[0] for point in self.past)
        said = f"{len(self.past)} points of {', '.join(studies) or 'the past'}"
        return f"{said} are used as far as they prove related; {len(self._first)} are run first."

    def label(self, params: Params) -> dict[str, str]:
        """The study and the trial that a first point comes from; empty for another point."""
        _, source = self._first.get(identity(params), (None, None))
        return {} if source is None else {WARM: source}

    def add(self, record: Record) -> None:
        """A trial has ended."""
        if self._transfer and record.is_result:
            good = export.is_good(record)
            value = self.sign * float(record.labels["values"][0]) if good else None
            self._transfer.add(record.labels["params"], value)

    def next(self, optimizer: Optimizer) -> tuple[Asked, dict[str, Any]]:
        """The next trial, with the labels of its task: the algorithm's if the past has none."""
        point = None
        if self._transfer and self._proposes:
            point = self._transfer.propose([one.params for one in optimizer.running()])
        return optimizer.ask(point), {} if point is None else {WARM: PREDICTED}
