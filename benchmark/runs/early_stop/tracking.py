"""Where a run with a question stands, by its records (`benchmark.runs.early_stop.until`).

tracked(run).standings                # of each task type: claims, open pairs, what is due
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from benchmark.analysis.early_stop.standing import (
    NO_RESULT,
    NONE,
    RESULT,
    TRIED,
    Block,
    Design,
    Outcomes,
    Standing,
    blocks,
    tasks_ran,
)
from benchmark.analysis.results.metrics import SIGNS
from benchmark.errors import StoreError
from benchmark.execution.metrics import chosen
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Cell, Manifest, Run
from benchmark.runs.early_stop.until import by_type, checked_grid, question_of


def designs(manifest: Manifest) -> list[Design]:
    """The grid of each task type with its question; empty for a run without one.

    Raises:
        StoreError: what the manifest holds does not fit its tasks.
    """
    until = manifest.until
    if until is None:
        return []
    asked = question_of(until)
    if asked.question is None:
        return []
    found = []
    for type, cells in by_type(manifest).items():
        splits = {(cell.dataset, cell.seed) for cell in cells}
        try:
            order = blocks((until.get("orders") or {}).get(type, ()), splits)
        except (KeyError, IndexError, TypeError, ValueError):
            order = ()
        if sorted((name, seed) for name, seeds in order for seed in seeds) != sorted(splits):
            raise StoreError(f"The manifest's 'until' has not the data sets of {type}.")
        frameworks = tuple(checked_grid(cells))
        found.append(Design(type, asked.question, asked.alpha, asked.margin, frameworks, order))
    return found


class Tracker:
    """The outcomes of a run's tasks, as its question looks at them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._outcomes = {one.type: Outcomes(one) for one in designs(run.manifest)}
        self._standings: dict[str, Standing] = {}
        self._problems = {name: one["problem"] for name, one in run.manifest.datasets.items()}
        self._cells = {cell.key: cell for cell in run.manifest.cells}
        self._ended: set[str] = set()
        self._costs: defaultdict[str, list[float]] = defaultdict(list)

    def __contains__(self, key: str) -> bool:
        return key in self._cells

    def add(self, record: Record, *, final: bool = True) -> None:
        """Take how a task ended; without `final` only a result."""
        cell = self._cells[record.task]
        state = RESULT if record.is_result else NO_RESULT if final else NONE
        type = self._run.manifest.datasets[cell.dataset]["type"]
        if record.is_result:
            self._ended.add(record.task)
            if record.cost is not None:
                self._costs[cell.framework].append(record.cost)
        gain = self._gain(cell, record) if record.status == "success" else None
        ended = self._outcomes[type].add(cell.framework, cell.dataset, cell.seed, state, gain)
        if ended:
            self._standings.pop(type, None)

    def _gain(self, cell: Cell, record: Record) -> float | None:
        metric = chosen(self._run.manifest.conditions, self._problems[cell.dataset])
        value = record.metrics.get(metric.name)
        return None if value is None else SIGNS[metric.direction] * value

    def block_of(self, key: str) -> tuple[str, Block]:
        """The framework and the block of a task."""
        cell = self._cells[key]
        design = self._outcomes[self.type_of(key)].design
        return cell.framework, design.order[design.rows[cell.dataset, cell.seed][0]]

    def type_of(self, key: str) -> str:
        return str(self._run.manifest.datasets[self._cells[key].dataset]["type"])

    def results_of(self, type: str) -> int:
        """How many tasks of a type have a result."""
        return sum(self.type_of(key) == type for key in self._ended)

    def without_result(self) -> set[str]:
        return self._cells.keys() - self._ended

    def cost_of(self, tasks: Mapping[str, int]) -> float | None:
        """What so many tasks of each framework would cost, at the mean of those that ran."""
        if not self._costs:
            return None
        every = [cost for costs in self._costs.values() for cost in costs]
        return sum(number * mean(self._costs.get(name, every)) for name, number in tasks.items())

    @property
    def standings(self) -> list[Standing]:
        for type, outcomes in self._outcomes.items():
            if type not in self._standings:
                self._standings[type] = Standing.of(outcomes)
        return [self._standings[type] for type in self._outcomes]

    def retired(self, keys: Iterable[str] | None = None) -> dict[str, str]:
        """Why tasks without a result need not be run, by key: of all tasks, or of `keys`."""
        keys = self._cells if keys is None else keys
        needed = {
            (framework, block)
            for one in self.standings
            for _, block, framework in one.next_blocks()
        }
        # What was looked at and has no result was needed, and counts as it can turn out worst.
        needed |= {
            (name, block)
            for one in self.standings
            for name, seen in zip(one.design.frameworks, one.ran, strict=True)
            for block in one.design.order[:seen]
        }
        reasons = {one.design.type: one.retired() for one in self.standings}
        found = {}
        for key in keys:
            if key in self._ended:
                continue
            cell = self._cells[key]
            type = self._run.manifest.datasets[cell.dataset]["type"]
            why = reasons.get(type, {}).get(cell.framework)
            if why is not None and self.block_of(key) not in needed:
                found[key] = why
        return found


def tracked(run: Run, *, final: bool = True) -> Tracker:
    """The tracker of a run as its records are; `final` counts what ended without a result, too."""
    tracker = Tracker(run)
    for _, record in results.outcomes(run, {cell.key for cell in run.manifest.cells}):
        if record is not None and (record.is_result or (final and record.cause in TRIED)):
            tracker.add(record)
    return tracker


def looked(tracker: Tracker) -> dict[str, Any]:
    """What the run has looked at and claims, by task type, for the manifest."""
    return {one.design.type: one.facts() for one in tracker.standings}


@dataclass(frozen=True)
class Answer:
    """Where a run stands with its question on one task type.

    `ran` counts tasks with a result, `retired` those that need not be run, `expected` what will
    have been run in the end. `saved` is what the tasks that are not run would have cost in USD,
    None where no task has a price. `units` are what was drawn, "data sets" or "splits";
    `frameworks` have how many of them were looked at and what is claimed. `pairs` are open: two
    frameworks, and the interval of the share of all units that the first wins.
    """

    type: str
    units: str
    tasks: int
    ran: int
    retired: int
    expected: int
    saved: float | None
    answered: bool
    frameworks: dict[str, tuple[int, str]]
    pairs: list[tuple[str, str, float, float]]


def answers(tracker: Tracker) -> list[Answer]:
    """Of each task type."""
    retired = Counter((tracker.type_of(key), tracker.block_of(key)[0]) for key in tracker.retired())
    found = []
    for one in tracker.standings:
        design = one.design
        tasks = len(design.rows) * len(design.frameworks)
        ran = tracker.results_of(design.type)
        out = {name: retired[design.type, name] for name in design.frameworks}
        later = max(0, tasks_ran(design, one.forecast()) - tasks_ran(design, one.ran))
        expected = min(tasks - sum(out.values()), ran + later)
        pairs = []
        for first, second in one.open_pairs:
            low, high = one.interval(first, second)
            names = design.frameworks[first], design.frameworks[second]
            # Ends are multiples of 1 / POINTS: without the rounding error of 1 - x.
            pairs.append((*names, round(float(low[-1]), 4), round(float(high[-1]), 4)))
        found.append(
            Answer(
                type=design.type,
                units=design.units,
                tasks=tasks,
                ran=ran,
                retired=sum(out.values()),
                expected=ran if one.answered else expected,
                saved=tracker.cost_of(out),
                answered=one.answered,
                frameworks={
                    name: (int(one.ran[k]), sentence)
                    for k, (name, sentence) in enumerate(
                        zip(design.frameworks, one.sentences(), strict=True)
                    )
                },
                pairs=pairs,
            )
        )
    return found
