"""A study's trials for figures: values, feasibility, a position on an axis per tunable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from benchmark.hpo.objectives.objective import told_apart
from benchmark.hpo.report.export import best_of, is_feasible, tunable_names
from benchmark.hpo.space.search_space import identity
from benchmark.hpo.space.templates import plain
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.results import Record

LONGEST_TICK = 12
MOST_SHAPES = 1000


@dataclass(frozen=True)
class Axis:
    """A tunable on an axis: numbers at their value, choices at 0, 1, 2, …

    `choices` are their labels; those that differ by type only (1 and "1") are labelled as JSON.
    """

    name: str
    values: tuple[Any, ...] = ()
    log: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(told_apart(value, self.values, plain) for value in self.values)

    @cached_property
    def _places(self) -> dict[Any, float]:
        return {identity({self.name: one}): float(n) for n, one in enumerate(self.values)}

    def place(self, value: Any) -> float:
        """The position of a value; NaN for a missing one."""
        if value is None and not self.values:
            return math.nan
        if not self.values:
            return float(value)
        return self._places[identity({self.name: value})]

    def label(self, axes: Axes, side: Literal["x", "y"]) -> None:
        """Scale and ticks of one side of a panel."""
        if self.choices:
            names = [name[:LONGEST_TICK] for name in self.choices]
            ticks = axes.xaxis if side == "x" else axes.yaxis
            ticks.set_ticks(range(len(names)), names)
        elif self.log:
            (axes.set_xscale if side == "x" else axes.set_yscale)("log")


@dataclass(frozen=True)
class Trials:
    """The records of a study's trials with its definition."""

    records: list[Record]
    definition: StudyDefinition

    @property
    def directions(self) -> dict[str, str]:
        return dict(self.definition.directions)

    @cached_property
    def good(self) -> list[Record]:
        """Those with values."""
        return [record for record in self.records if record.status == "success"]

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Which of the good ones satisfy every constraint."""
        return np.array([is_feasible(record) for record in self.good], dtype=bool)

    def values(self, place: int = 0) -> NDArray[np.float64]:
        """One direction's value of each good trial."""
        return np.array([record.labels["values"][place] for record in self.good], dtype=float)

    def numbers(self) -> NDArray[np.int64]:
        return np.array([int(record.task) for record in self.good], dtype=int)

    def param(self, axis: Axis) -> NDArray[np.float64]:
        """The position of each good trial on a tunable's axis."""
        found = [
            axis.place(params[axis.name]) if axis.name in params else math.nan
            for params in (record.labels["params"] for record in self.good)
        ]
        return np.array(found, dtype=float)

    @cached_property
    def axes(self) -> list[Axis]:
        """An axis for each tunable that differs between trials."""
        declared = {tunable.name: tunable for tunable in self.definition.space.tunables}
        axes = []
        for name in tunable_names(self.good, self.definition):
            values = [r.labels["params"][name] for r in self.good if name in r.labels["params"]]
            if len({(type(value), value) for value in values}) < 2:
                continue
            tunable = declared.get(name)
            if tunable and tunable.kind == "categorical":
                axes.append(Axis(name, tunable.choices))
            elif all(type(value) in (int, float) for value in values):
                log = tunable.log if tunable else False
                axes.append(Axis(name, log=log and all(value > 0 for value in values)))
            else:
                found = {identity({name: value}): value for value in values}
                axes.append(Axis(name, tuple(found.values())))
        return axes

    def best(self) -> int | None:
        """The index of the best trial among the good ones; of several directions by the first."""
        if len(self.directions) == 1:
            found = {record.task for record in best_of(self.good, self.definition)}
            return next((n for n, record in enumerate(self.good) if record.task in found), None)
        values = np.where(self.feasible, self.values(), np.nan)
        if not np.isfinite(values).any():
            return None
        return int(np.nanargmin(self.definition.signs[0] * values))


def many(trials: Trials) -> bool:
    """Whether marks are drawn as pixels in a PDF: shapes of their own would be slow and large."""
    return len(trials.records) > MOST_SHAPES
