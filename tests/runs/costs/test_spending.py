"""Money: what is spent, what is forecast, and a limit that is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from benchmark.compute import discovery
from benchmark.compute.dispatcher import Dispatcher, Machines, Rate
from benchmark.config.loading import Config
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.costs import spending
from benchmark.runs.costs.estimate import estimate
from benchmark.runs.costs.spending import Purse, Queue, Share, spent
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.store import Store

DATASETS = ("penguins", "cpu", "concrete", "auto-mpg")


class PaidDispatcher(Dispatcher):
    """Each task takes an hour of a machine that costs `price`; tells what it was given."""

    price: float | None = 1.0
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
    assert "2 tasks have no result (2 of them were not started)" in fault
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
    left = record_reader.without_result(plan.run)
    summary = execute(plan.run, make_config(max_cost=2.5), left)
    assert not summary.records
    assert len(record_reader.without_result(plan.run)) == 2


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
    assert status(plan.run).spent == 10.5


@pytest.mark.parametrize(
    ("machines", "attempts", "all_together"),
    [
        ({"i-1": 10.0}, {"i-1": 4.0, "i-batch": 5.0}, 15.0),
        ({"i-1": 4.0, "i-2": 6.0}, {"i-1": 6.0, "i-batch": 5.0}, 15.0),
        ({"i-1": 1.0}, {"i-1": 3.0, "": 2.0}, 5.0),
        ({}, {"i-1": 3.0, "i-2": 2.0}, 5.0),
        ({"i-1": 3.0}, {}, 3.0),
    ],
)
def test_machines_and_the_attempts_of_other_methods_add_up(
    plan: Plan, machines: dict[str, float], attempts: dict[str, float], all_together: float
) -> None:
    """Twice each attempt's half: one that ended without a result, and the last."""
    for name, cost in machines.items():
        path = f"{plan.run.name}/machines/{name}.json"
        plan.run.store.put(path, json.dumps({"cost": cost}).encode())
    for task, (name, cost) in zip(plan.tasks, attempts.items(), strict=False):
        facts: dict[str, Any] = {"host": {"instance": name} if name else {}, "cost": cost / 2}
        lost = results.failure(task, Cause.INTERRUPTED, "gone", **facts)
        results.settle(plan.run, results.begin(plan.run, task), lost)
        results.settle(
            plan.run, results.begin(plan.run, task), Record(task.key, "success", **facts)
        )
    assert spent(plan.run) == all_together
    assert status(plan.run).spent == all_together


def test_a_new_round_keeps_what_the_machines_of_the_one_before_have_cost(
    plan: Plan, make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Losing(PaidDispatcher):
        """Its fleet costs 3 USD; it loses each task in the first round."""

        rounds: ClassVar[list[int]] = []
        machines, price = 3.0, 0.1

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.rounds.append(1)

        def completed(self, timeout_s: float) -> list[Record]:
            if len(self.rounds) > 1:
                return super().completed(timeout_s)
            task = self.waiting.pop(0)
            lost = results.failure(task, Cause.INFRASTRUCTURE, "lost", cost=0.1)
            return [results.settle(self.run, results.begin(self.run, task), lost)]

    monkeypatch.setattr(discovery, "load_method", lambda name: Losing)
    purses: list[spending.Purse] = []
    make = spending.Purse
    monkeypatch.setattr(
        "benchmark.runs.execute.Purse", lambda *given: purses.append(make(*given)) or purses[-1]
    )
    summary = execute(plan.run, make_config(max_cost=50, max_attempts=3), plan.tasks)
    assert (len(Losing.rounds), summary.causes["success"]) == (2, 4)
    assert purses[0].total == 6.0


@pytest.mark.parametrize("price", [None, 0.0, 0.75])
def test_an_unknown_price_is_the_worst_and_a_known_one_itself(
    plan: Plan,
    make_config: Callable[..., Config],
    paid: type[PaidDispatcher],
    price: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A task costs at most 1.0 USD, and two are begun at once.
    paid.price = price
    summary = execute(plan.run, make_config(max_cost=2.2), plan.tasks)
    assert len(summary.records) == {None: 2, 0.0: 4, 0.75: 2}[price]
    said = [
        line for line in caplog.messages if "is not known; it counts as the worst, 1.00" in line
    ]
    assert len(said) == (2 if price is None else 0)


@pytest.mark.parametrize("page", [b"", b"{", b"[]", b'{"cost": "x"}', b'{"cost": NaN}', b"7"])
def test_a_page_that_is_cut_costs_nothing_and_stops_nothing(plan: Plan, page: bytes) -> None:
    plan.run.store.put(f"{plan.run.name}/machines/i-1.json", page)
    plan.run.store.put(f"{plan.run.name}/machines/i-2.json", b'{"cost": 2.0}')
    assert status(plan.run).spent == 2.0


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


@pytest.mark.parametrize(
    ("change", "why"), [({"runtime": 60}, "its 'runtime' is 60"), ({"cores": 2}, "its 'cores' is")]
)
def test_times_under_another_budget_say_nothing(
    plan: Plan,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    paid: type[PaidDispatcher],
    change: dict[str, Any],
    why: str,
) -> None:
    other = make_plan(plan.run.store, DATASETS, studies=["embedded"], run="other", **change)
    for task in other.tasks:
        attempt = results.begin(other.run, task)
        record = Record(task.key, "success", labels=task.labels, total_s=9.0)
        results.settle(other.run, attempt, record)
    cells = plan.run.manifest.cells
    chosen = {"constant": "paid"}
    for config, known in ((make_config(), 0), (make_config(**change), 4)):
        found = estimate(config, cells, chosen, None, [other.run])
        assert found.parts[0].known_from == known
        assert [why in words for words in found.unused.values()] == [True] * (known == 0)


def test_tries_of_the_engine_are_reserved_and_those_it_made_count(
    plan: Plan,
    make_config: Callable[..., Config],
    paid: type[PaidDispatcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 6 USD one task may need 3; it used 1, and its machine was lost once before."""
    paid.price = 1.0
    monkeypatch.setattr(
        paid, "rate", classmethod(lambda cls, config: Rate(1.0, 1.0, "a machine", tries=3))
    )
    finish = PaidDispatcher.completed

    def completed(self: PaidDispatcher, timeout_s: float) -> list[Record]:
        if self.waiting:
            results.begin(self.run, self.waiting[0])
        return finish(self, timeout_s)

    monkeypatch.setattr(paid, "completed", completed)
    summary = execute(plan.run, make_config(max_cost=6.0), plan.tasks)
    assert paid.given == [2]
    assert len(summary.records) == 2
    assert "4.00 are spent" in summary.faults[0]


def test_an_estimate_has_a_range_with_what_machines_cost_beside_tasks(
    plan: Plan,
    make_config: Callable[..., Config],
    paid: type[PaidDispatcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machines = Machines(
        price=2.0,
        beside=0.01,
        tasks=2,
        dearest=3.0,
        alone=1.5,
        fewest=2,
        most=100,
        idle_s=(60.0, 300.0, 900.0),
        left_out="images",
    )
    rate = Rate(1.0, 1.0, "a machine", machines=machines)
    monkeypatch.setattr(paid, "rate", classmethod(lambda cls, config: rate))
    config = make_config(hard_limit=3300, runtime=1800)
    found = estimate(config, plan.run.manifest.cells, {"constant": "paid"}, None)
    assert found.left_out == ("images",)
    cost = found.with_machines
    assert cost is not None
    assert cost.low == pytest.approx(2 + 0.01 + 2.01 * 60 / 3600)
    assert cost.likely == pytest.approx(2 + 0.01 + 2 * 2.01 * 300 / 3600)
    assert cost.high == pytest.approx(4 + 2 * 1.5 + 0.02 + 2 * 2.01 * 900 / 3600)


@pytest.mark.parametrize("is_due", [True, False])
def test_a_portion_is_waited_for_unless_a_task_is_due(
    make_plan: Callable[..., Plan], folder_store: Store, is_due: bool
) -> None:
    class Question(Queue):
        """Ten tasks first; then one more, which is due or not."""

        most = 10

        def next_of(self, waiting: Sequence[Task], under_way: int) -> Sequence[Task]:
            return waiting[: self.most - under_way]

        def is_due(self, tasks: Sequence[Task]) -> bool:
            return is_due and bool(tasks)

    tasks = make_plan(folder_store, DATASETS, seeds=[1, 2, 3]).tasks
    queue = Question()
    share = Share(Purse(None, 0.0), "elsewhere", None, tasks, queue)
    assert len(share.first()) == 10
    queue.most = 11
    assert share.more() == tasks[10 : 10 + is_due]
    queue.most = 12
    assert share.more() == tasks[10 + is_due :]
