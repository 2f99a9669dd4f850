"""The bill of machines: shared, alone, with gaps, and unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from benchmark.records.record import Record
from benchmark.runs.costs.bill import Bill


def on(
    machine: str | None, start: float, end: float, cost: float | None, price: float = 1.0
) -> Any:
    host = {"instance": machine, "price_per_hour": price} if machine else {}
    ended = datetime.fromtimestamp(3600 * end, UTC).isoformat()
    return Record(
        "a/b/1", "success", host=host, total_s=3600 * (end - start), ended=ended, cost=cost
    )


@pytest.mark.parametrize(
    ("records", "total"),
    [
        ([], 0.0),
        ([on("i-1", 0, 1, 0.5)], 1.0),
        ([on("i-1", 0, 1, 0.5), on("i-1", 0, 1, 0.5)], 1.0),
        ([on("i-1", 0, 1, 0.5), on("i-1", 0.5, 2, 0.75)], 2.0),
        ([on("i-1", 0, 1, 0.5), on("i-1", 3, 4, 0.5)], 2.0),
        ([on("i-1", 0, 1, 0.5), on("i-1", 3, 4, 0.5), on("i-1", 0.5, 3.5, 1.5)], 4.0),
        ([on("i-1", 0, 1, 0.5), on("i-2", 0, 1, 0.5)], 2.0),
        ([on("i-1", 0, 1, 3.0)], 3.0),
        ([on(None, 0, 1, 0.5), on(None, 0, 1, 0.25)], 0.75),
        ([on("i-1", 0, 1, None)], 0.0),
    ],
)
def test_a_machine_is_paid_for_whole_while_a_task_is_on_it(
    records: list[Record], total: float
) -> None:
    bill, first, second = Bill(), Bill(), Bill()
    for number, record in enumerate(records):
        bill.add(record)
        (first if number % 2 else second).add(record)
    first.update(second)
    assert bill.total == pytest.approx(total)
    assert first.total == pytest.approx(total)
    assert bool(bill) == any(record.cost is not None for record in records)


def test_what_is_unknown_is_added() -> None:
    bill = Bill()
    bill.add(on("i-1", 0, 1, 0.5))
    bill.add_unknown(2.0)
    assert (bill.total, bill.of("i-1"), bill.without(["i-1"])) == (3.0, 1.0, 2.0)
