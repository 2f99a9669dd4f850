"""Counts and best trials as they come: equal to a look at every trial."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmark.hpo.service.core import views
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.service import Service

TUNABLES = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]


def dominates(one: list[float], other: list[float]) -> bool:
    """`one` is better: the first value smaller, the others larger."""
    others = all(a >= b for a, b in zip(one[1:], other[1:], strict=True))
    return one != other and one[0] <= other[0] and others


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]], ids=len)
def test_a_look_at_what_is_new_is_a_look_at_all(service: Service, directions: list[Any]) -> None:
    draw = random.Random(3)
    service.create(
        "e", {"directions": directions, "tunables": TUNABLES, "algorithm": "random", "trials": 99}
    )
    with service.use("e") as experiment:
        for turn in range(12):
            asked = [one.number for one in experiment.ask(count=5)]
            draw.shuffle(asked)
            for number in asked[1:]:
                values = tuple(float(draw.randrange(6)) for _ in directions)
                status = draw.choice(["success", "success", "failure", "prune"])
                broken = (draw.choice([-1.0, 1.0]),)
                if status == "success":
                    experiment.tell(number, Ending("success", values, constraints=broken))
                else:
                    experiment.tell(number, Ending(status))
            if turn == 6:
                experiment.append([({"x": 0.5}, Ending("success", (3.0,) * len(directions)))])
            rows = views.trials(experiment, 0, 1000)
            good = [
                row
                for row in rows
                if row["status"] == "success" and all(c <= 0 for c in row["constraints"])
            ]
            front = [
                row
                for row in good
                if not any(dominates(other["values"], row["values"]) for other in good)
            ]
            front.sort(key=lambda row: (row["values"][0], row["number"]))
            if len(directions) == 1:
                front = front[:1]
            assert {row["number"] for row in views.best(experiment)} == {
                row["number"] for row in front
            }
            summary = views.summary(experiment)
            states = [row["status"] for row in rows]
            names = {"successes": "success", "failures": "failure", "pruned": "prune"}
            for name, status in (names | {"running": "running"}).items():
                assert summary[name] == states.count(status)
            assert summary["appended"] == (turn >= 6)
