"""What a run will take before it is started: tasks, hours and money, each as a range.

The limits give the range where nothing is known: from nothing beyond the budget to the hard limit
of every task. Where the run, or another of the store, has results of a framework, its tenth and
its ninth decile take their place.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark import results
from benchmark.compute import discovery
from benchmark.runs.spending import OVERHEAD_S
from benchmark.tasks import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmark.compute.dispatcher import Rate
    from benchmark.config import Config
    from benchmark.tasks import Cell

_FEWEST = 3


@dataclass(frozen=True)
class Range:
    """From the least that is likely to the most that the limits allow."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, low: float, likely: float, high: float) -> Range:
        return Range(self.low * low, self.likely * likely, self.high * high)


NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Part:
    """One framework's share. `seconds` are of one task; `cost` is None where it costs nothing."""

    framework: str
    method: str
    tasks: int
    seconds: Range
    known_from: int
    cost: Range | None

    @property
    def hours(self) -> Range:
        return self.seconds.times(*(3 * (self.tasks / 3600,)))


@dataclass(frozen=True)
class Estimate:
    """`have_results` tasks are done already; `parts` are of the others."""

    run: str
    store: str
    have_results: int
    parts: tuple[Part, ...]
    rates: dict[str, str]
    spent: float
    max_cost: float | None

    @property
    def tasks(self) -> int:
        return sum(part.tasks for part in self.parts)

    @property
    def hours(self) -> Range:
        return sum((part.hours for part in self.parts), NOTHING)

    @property
    def cost(self) -> Range | None:
        found = [part.cost for part in self.parts if part.cost is not None]
        return sum(found, NOTHING) if found else None


def estimate(  # noqa: PLR0917
    config: Config,
    cells: Sequence[Cell],
    chosen: Mapping[str, str],
    present: Run | None,
    past: Sequence[Run] = (),
    spent: float = 0.0,
) -> Estimate:
    """The cells that have no result in `present`, each by its framework's method (`chosen`).

    Raises:
        ConfigError: a method refuses, or its prices cannot be had.
    """
    done = {record.task for record in results.records(present)} if present else set()
    left: defaultdict[str, int] = defaultdict(int)
    for cell in cells:
        left[cell.framework] += cell.key not in done
    took = _times([*([present] if present else []), *past])
    rates = {
        method: discovery.load_method(method).rate(config)
        for method in dict.fromkeys(chosen[name] for name in left)
    }
    return Estimate(
        run=config.run,
        store=config.store_url,
        have_results=len(cells) - sum(left.values()),
        parts=tuple(
            _part(config, name, chosen[name], number, took.get(name, []), rates[chosen[name]])
            for name, number in sorted(left.items())
            if number
        ),
        rates={method: rate.words for method, rate in rates.items() if rate is not None},
        spent=spent,
        max_cost=config.max_cost,
    )


def _part(  # noqa: PLR0917
    config: Config, name: str, method: str, tasks: int, took: list[float], rate: Rate | None
) -> Part:
    seconds = _seconds(config, took)
    cost = None
    if rate is not None:
        most = Range(seconds.low, seconds.likely, config.hard_limit + OVERHEAD_S)
        by = tasks / 3600
        cost = most.times(rate.low * by, rate.low * by, rate.high * by)
    return Part(name, method, tasks, seconds, len(took), cost)


def _seconds(config: Config, took: list[float]) -> Range:
    if len(took) < _FEWEST:
        return Range(config.runtime, config.runtime, config.hard_limit)
    ordered = sorted(took)
    last = len(ordered) - 1
    mean = sum(ordered) / len(ordered)
    return Range(ordered[round(0.1 * last)], mean, ordered[round(0.9 * last)])


def _times(runs: Iterable[Run]) -> dict[str, list[float]]:
    """How long tasks have taken that had the same budget, by framework."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    for run in runs:
        for record in results.records(run):
            if record.total_s is not None:
                took[str(record.labels.get("framework", ""))].append(record.total_s)
    return took
