"""Money: what is spent, what is forecast, and a limit that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from benchmark import bulk, results
from benchmark.compute import discovery
from benchmark.compute.dispatcher import Dispatcher, Rate
from benchmark.config import Config
from benchmark.results import Cause, Record
from benchmark.runs.estimate import estimate
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.runs.spending import spent
from benchmark.runs.status import status
from benchmark.store import Store
from benchmark.tasks import Run

DATASETS = ("penguins", "cpu", "concrete", "auto-mpg")


class PaidDispatcher(Dispatcher):
    """Each task takes an hour of a machine that costs `price`; tells what it was given."""

    price = 1.0
    machines = 0.0
    given: ClassVar[list[int]] = []

    @classmethod
    def rate(cls, config: Config) -> Rate | None:
        return Rate(1.0, 1.0, "a machine")

    def paid(self) -> float:
        return self.machines

    def submit(self, tasks: Any) -> None:
        self.given.append(len(tasks))
        self.waiting = [*getattr(self, "waiting", []), *tasks]

    def completed(self, timeout_s: float) -> list[Record]:
        if not self.waiting:
            return []
        task = self.waiting.pop(0)
        attempt = results.begin(self.run, task)
        record = Record(task.key, "success", labels=task.labels, total_s=3600.0, cost=self.price)
        return [results.settle(self.run, attempt, record)]


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> type[PaidDispatcher]:
    class Fresh(PaidDispatcher):
        given: ClassVar[list[int]] = []

    monkeypatch.setattr(discovery, "load_method", lambda name: Fresh)
    return Fresh


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store, DATASETS, studies=["embedded"], hard_limit=3300)


def test_no_task_starts_that_could_cost_more(
    plan: Plan, make_config: Callable[..., Config], paid: type[PaidDispatcher]
) -> None:
    # A task costs at most 1.0 USD: its hard limit, and the time about it.
    summary = execute(plan.run, make_config(max_cost=2.5), plan.tasks)
    assert len(summary.records) == 2
    assert paid.given == [2]
    (fault,) = summary.faults
    assert fault.startswith("'max_cost' is 2.5 USD, 2.00 are spent")
    assert "2 tasks have no result (2 of them were not begun)" in fault
    assert spent(plan.run) == 2.0


def test_what_tasks_did_not_use_pays_for_others(
    plan: Plan, make_config: Callable[..., Config], paid: type[PaidDispatcher]
) -> None:
    paid.price = 0.25
    summary = execute(plan.run, make_config(max_cost=2.0), plan.tasks)
    assert (len(summary.records), summary.faults) == (4, [])
    assert paid.given[0] == 2


def test_money_of_an_earlier_execution_counts(
    plan: Plan, make_config: Callable[..., Config], paid: type[PaidDispatcher]
) -> None:
    execute(plan.run, make_config(max_cost=2.5), plan.tasks)
    left = bulk.without_result(plan.run)
    summary = execute(plan.run, make_config(max_cost=2.5), left)
    assert not summary.records
    assert len(bulk.without_result(plan.run)) == 2


def test_machines_that_cost_more_than_their_tasks_end_it(
    plan: Plan, make_config: Callable[..., Config], paid: type[PaidDispatcher]
) -> None:
    paid.machines, paid.price = 9.0, 0.1
    summary = execute(plan.run, make_config(max_cost=8.0), plan.tasks)
    assert "9.00 are spent" in summary.faults[0]
    assert len(summary.records) == 4
    assert summary.causes[str(Cause.INFRASTRUCTURE)] == 3


def test_the_status_says_what_is_spent_and_what_all_will_cost(plan: Plan) -> None:
    first, second = plan.tasks[:2]
    lost = results.begin(plan.run, first)
    ended = results.failure(first, Cause.INTERRUPTED, "gone", cost=0.5)
    results.settle(plan.run, lost, ended)
    for task in (first, second):
        attempt = results.begin(plan.run, task)
        results.settle(plan.run, attempt, Record(task.key, "success", cost=2.0))
    found = status(plan.run)
    assert (found.spent, found.forecast) == (4.5, 8.5)
    plan.run.store.put(f"{plan.run.name}/machines/i-1.json", b'{"cost": 6.0}')
    assert status(plan.run).spent == 6.0


def test_a_run_without_prices_has_no_cost(plan: Plan) -> None:
    assert (status(plan.run).spent, status(plan.run).forecast) == (None, None)


def test_an_estimate_is_by_limits_and_then_by_results(
    plan: Plan, make_config: Callable[..., Config], paid: type[PaidDispatcher]
) -> None:
    config = make_config(hard_limit=3300, runtime=1800)
    cells = plan.run.manifest.cells

    def ask(present: Run | None, past: list[Run]) -> Any:
        return estimate(config, cells, {"constant": "paid"}, present, past)

    found = ask(None, [])
    assert (found.tasks, found.hours.likely, found.hours.high) == (4, 2.0, 4 * 3300 / 3600)
    assert found.cost.likely == 2.0
    assert found.cost.high == pytest.approx(4.0)
    for number, task in enumerate(plan.tasks[:3]):
        attempt = results.begin(plan.run, task)
        record = Record(task.key, "success", labels=task.labels, total_s=360.0 * (number + 1))
        results.settle(plan.run, attempt, record)
    found = ask(plan.run, [])
    assert (found.tasks, found.have_results) == (1, 3)
    assert (found.hours.low, found.hours.likely, found.hours.high) == (0.1, 0.2, 0.3)
    assert replace(found.parts[0], cost=None).known_from == 3
