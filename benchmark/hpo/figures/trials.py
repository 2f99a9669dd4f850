"""A study's trials as figures need them: values, feasibility, a place on an axis per tunable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmark.hpo.export import is_feasible, tunable_names
from benchmark.hpo.objective import plain, told_apart
from benchmark.hpo.space import identity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record

LONGEST_TICK = 12


@dataclass(frozen=True)
class Axis:
    """A tunable on an axis: numbers stand where they are, choices side by side from 0.

    `choices` are their labels; those that differ by type only (1 and "1") are labelled as JSON.
    """

    name: str
    values: tuple[Any, ...] = ()
    log: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(told_apart(value, self.values, plain) for value in self.values)

    def place(self, value: Any) -> float:
        """Where a value stands; NaN for one that a trial does not have."""
        if value is None and not self.values:
            return math.nan
        if not self.values:
            return float(value)
        key = identity({self.name: value})
        return float([identity({self.name: one}) for one in self.values].index(key))

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
        """Which of the good ones keep every constraint."""
        return np.array([is_feasible(record) for record in self.good], dtype=bool)

    def values(self, place: int = 0) -> NDArray[np.float64]:
        """One direction's value of each good trial."""
        return np.array([record.labels["values"][place] for record in self.good], dtype=float)

    def numbers(self) -> NDArray[np.int64]:
        return np.array([int(record.task) for record in self.good], dtype=int)

    def param(self, axis: Axis) -> NDArray[np.float64]:
        """Where each good trial stands on a tunable's axis."""
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
            told = [r.labels["params"][name] for r in self.good if name in r.labels["params"]]
            if len({(type(value), value) for value in told}) < 2:
                continue
            tunable = declared.get(name)
            if tunable and tunable.kind == "categorical":
                axes.append(Axis(name, tunable.choices))
            elif all(type(value) in (int, float) for value in told):
                log = tunable.log if tunable else False
                axes.append(Axis(name, log=log and all(value > 0 for value in told)))
            else:
                found = {identity({name: value}): value for value in told}
                axes.append(Axis(name, tuple(found.values())))
        return axes

    def better(self, one: float, other: float, place: int = 0) -> bool:
        """Whether one value of a direction is better than another."""
        direction = list(self.directions.values())[place]
        return one < other if direction == "minimize" else one > other

    def best(self, place: int = 0) -> int | None:
        """The place among the good ones of the best that is feasible."""
        values = np.where(self.feasible, self.values(place), np.nan)
        if not np.isfinite(values).any():
            return None
        smallest = list(self.directions.values())[place] == "minimize"
        return int(np.nanargmin(values) if smallest else np.nanargmax(values))
