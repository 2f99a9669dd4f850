"""`warm_start`: what earlier studies of similar spaces measured, for the start of a new one.

    keep(run, definition)                      # once, when the study begins
    warm = WarmStart.of(run, definition)
    warm.add(record)
    optimizer.teach(warm.lessons())            # empty unless the past has proved related

The spaces may differ: names may be mapped, a tunable that is not in the past has its default, a
value beyond a range is moved to its bound, and a point with a choice that no longer exists, or that
is forbidden, is left out. Values are compared within their study only, so that machines may differ.

A misleading past costs little. First some of its points are measured, good and bad ones, in place
of the random ones with which algorithms start. Only if the values that the past predicts (the mean
of the three nearest points) and those that were measured have a significant rank correlation does
the sampler see the past trials, on the scale of the new ones; this is tested again with each trial,
and fewer of them are shown the more trials the study has.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.hpo.report import export, trial_line
from benchmark.hpo.space.coordinates import coordinates
from benchmark.hpo.space.search_space import identity
from benchmark.hpo.space.units import from_base, in_base
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.store import no_study, run_name
from benchmark.records.tasks import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmark.hpo.space.search_space import Params, Space
    from benchmark.hpo.space.tunables import Tunable, Value
    from benchmark.hpo.spec.past_studies import PastStudy
    from benchmark.hpo.spec.study_file import StudyDefinition
    from benchmark.records.results import Record
    from benchmark.store import Store

# A label of trials: the study and the trial that the point comes from.
WARM = "warm_start"
# The places of the first points among a past study's, from best to worst.
_DESIGN = (0.0, 0.03, 0.08, 0.25, 0.75)
_PAST, _LEAST, _ENOUGH, _NEAREST, _LEVEL = 200, 5, 45, 3, 0.05


def keep(run: Run, definition: StudyDefinition) -> None:
    """Put the past into the store, so that it may change or be deleted.

    Raises:
        StudyError: a past study cannot be used.
    """
    if definition.warm_start:
        found = [_past(run.store, definition, one) for one in definition.warm_start]
        run.store.put(_path(run), json.dumps({"studies": found}).encode())
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
    sign = 1.0 if next(iter(earlier.directions.values())) == "minimize" else -1.0
    good = [
        record
        for record in export.trial_records(run)
        if record.status == "success" and export.is_feasible(record)
    ]
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


@dataclass
class WarmStart:
    """The past of a study, each point with a score (less is better), and its own trials."""

    space: Space
    sign: float = 1.0
    design: dict[Any, dict[str, Any]] = field(default_factory=dict)
    past: list[dict[str, Any]] = field(default_factory=list)
    _own: dict[str, tuple[list[float], float]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, definition: StudyDefinition) -> WarmStart:
        data = run.store.get(_path(run))
        sign = 1.0 if next(iter(definition.directions.values())) == "minimize" else -1.0
        warm = cls(definition.space, sign)
        studies = json.loads(data)["studies"] if data else []
        for points in studies:
            _score(points)
            for point in points:
                point["params"] = definition.space.typed(point["params"])
            warm.past += points
        for least, share in enumerate(_DESIGN):
            for points in filter(None, studies):
                last = len(points) - 1
                point = points[min(max(least, int(share * last)), last)]
                if len(warm.design) < max(_LEAST, definition.trials // 10):
                    warm.design.setdefault(identity(point["params"]), point)
        return warm

    @property
    def first(self) -> list[Params]:
        """The points to measure first."""
        return [point["params"] for point in self.design.values()]

    @property
    def note(self) -> str:
        """What is used of the past."""
        studies = dict.fromkeys(point["source"].rpartition("/")[0] for point in self.past)
        said = f"{len(self.past)} points of {', '.join(studies) or 'the past'}"
        return f"{said} are used as far as they prove related; {len(self.design)} are run first."

    def label(self, params: Params) -> dict[str, str]:
        """The study and the trial that a first point comes from; empty for another point."""
        point = self.design.get(identity(params))
        return {} if point is None else {WARM: point["source"]}

    def add(self, record: Record) -> None:
        """A trial has ended."""
        if self.past and record.status == "success" and export.is_feasible(record):
            at = coordinates(self.space.tunables, record.labels["params"])
            self._own[record.task] = (at, self.sign * float(record.labels["values"][0]))

    def lessons(self) -> list[tuple[Params, float]]:
        """The past on the scale of this study, if it is related; less of it with each own trial."""
        if not self.past or not _LEAST <= len(self._own) < _ENOUGH:
            return []
        import numpy as np
        from scipy.stats import spearmanr

        past = np.array([coordinates(self.space.tunables, one["params"]) for one in self.past])
        scores = np.array([point["score"] for point in self.past])
        own = np.array([at for at, _ in self._own.values()])
        values = np.array([value for _, value in self._own.values()])
        distances = ((own[:, None, :] - past[None, :, :]) ** 2).sum(axis=2)
        predicted = scores[np.argsort(distances, axis=1)[:, :_NEAREST]].mean(axis=1)
        if np.ptp(predicted) == 0 or np.ptp(values) == 0:
            return []
        if spearmanr(predicted, values, alternative="greater").pvalue > _LEVEL:
            return []
        slope, offset = np.polyfit(predicted, values, 1)
        if slope <= 0:
            return []
        scaled = self.sign * (offset + slope * scores)
        # Own trials know better where the best point has moved to: of the past every second, third,
        # ... point by value is left.
        share = (_ENOUGH - len(values)) / (_ENOUGH - _LEAST)
        kept = np.argsort(scores)[
            np.linspace(0, len(scores) - 1, round(share * len(scores)), dtype=int)
        ]
        return [(self.past[place]["params"], float(scaled[place])) for place in kept]


def _score(points: list[dict[str, Any]]) -> None:
    """Give each point of a study its value in parts of the study's middle range."""
    values = sorted(point["value"] for point in points)
    if not values:
        return
    middle = values[len(values) // 2]
    width = values[3 * len(values) // 4] - values[len(values) // 4] or 1.0
    for point in points:
        point["score"] = (point["value"] - middle) / width
