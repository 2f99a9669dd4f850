"""What a run will take before it is started: tasks, hours and money, each as a range.

The limits give the range where nothing is known: from nothing beyond the budget to the hard limit
of every task. Where the run, or another of the store, has results of a framework, its tenth and
its ninth decile take their place, if it had the same budget and cores.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmark.compute import discovery
from benchmark.compute.dispatcher import Machines, Rate
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.tasks import Cell, Run
from benchmark.runs.costs.spending import OVERHEAD_S

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
    beside: Range | None = None
    """Boot and idle time of the machines, their addresses and disks."""
    alone: float = 0.0
    """The most if each task is alone on its machine."""

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
    left_out: tuple[str, ...] = ()
    """What no figure includes."""
    unused: dict[str, str] = field(default_factory=dict)
    """Runs whose times say nothing about this one, and why."""

    @property
    def tasks(self) -> int:
        return sum(part.tasks for part in self.parts)

    @property
    def hours(self) -> Range:
        return sum((part.hours for part in self.parts), NOTHING)

    @property
    def cost(self) -> Range | None:
        """As machines are shared if all tasks are sent at once. With a limit that does not allow
        this they may be shared less."""
        found = [part.cost for part in self.parts if part.cost is not None]
        if not found:
            return None
        cost = sum(found, NOTHING)
        if not self.is_throttled or self.max_cost is None:
            return cost
        return replace(cost, high=max(cost.high, min(self.alone, self.max_cost - self.spent)))

    @property
    def alone(self) -> float:
        """The most if each task is alone on its machine, which is what 'max_cost' reserves."""
        return sum(part.alone for part in self.parts)

    @property
    def is_throttled(self) -> bool:
        """Whether 'max_cost' does not allow to send all tasks at once."""
        return self.max_cost is not None and self.spent + self.alone > self.max_cost

    @property
    def with_machines(self) -> Range | None:
        """The cost with what the machines cost beside their tasks; None where nothing is known."""
        beside = [part.beside for part in self.parts if part.beside is not None]
        return self.cost + sum(beside, NOTHING) if beside and self.cost else None


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
    unused = {run.name: why for run in past if (why := _other_budget(run, config))}
    runs = [*([present] if present else []), *past]
    took = _times(run for run in runs if run.name not in unused)
    rates = {
        method: discovery.load_method(method).rate(config)
        for method in dict.fromkeys(chosen[name] for name in left)
    }
    machines = [rate.machines for rate in rates.values() if rate and rate.machines]
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
        left_out=tuple(dict.fromkeys(one.left_out for one in machines)),
        unused=unused,
    )


def _part(  # noqa: PLR0917
    config: Config, name: str, method: str, tasks: int, took: list[float], rate: Rate | None
) -> Part:
    seconds = _seconds(config, took)
    cost = beside = None
    alone = 0.0
    if rate is not None:
        most = Range(seconds.low, seconds.likely, rate.tries * (config.hard_limit + OVERHEAD_S))
        by = tasks / 3600
        cost = most.times(rate.low * by, rate.low * by, rate.high * by)
        alone = most.high * by * (rate.machines.dearest if rate.machines else rate.high)
        if rate.machines:  # The last task of a machine may be alone on it.
            last = _machines(rate.machines.fewest, rate.machines, tasks)
            high = cost.high + last * rate.machines.alone * most.high / 3600
            cost = replace(cost, high=min(high, alone))
        beside = _beside(rate.machines, tasks, most) if rate.machines else None
    return Part(name, method, tasks, seconds, len(took), cost, beside, alone)


def _beside(machines: Machines, tasks: int, seconds: Range) -> Range:
    """What machines cost that `tasks` tasks of so many seconds share."""
    least, likely, most = machines.idle_s
    number = _machines(machines.tasks, machines, tasks)
    idle = (machines.price + machines.beside) / 3600
    busy = seconds.times(*(3 * (machines.beside * tasks / machines.tasks / 3600,)))
    return busy + Range(least * idle, number * likely * idle, number * most * idle)


def _machines(each: int, machines: Machines, tasks: int) -> int:
    """How many machines there are at once that hold so many tasks each."""
    return math.ceil(min(tasks, machines.most) / each)


def _other_budget(run: Run, config: Config) -> str | None:
    """What makes a run's times say nothing about this configuration."""
    conditions = run.manifest.conditions
    for key in ("runtime", "cores"):
        if conditions.get(key) != getattr(config, key):
            return f"its '{key}' is {conditions.get(key)}, not {getattr(config, key)}"
    return None


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
