"""Counts and best trials as they come: equal to a look at every trial."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from benchmark.hpo.samplers import proposal
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core import counts, views
from benchmark.hpo.service.core.endings import Ending, seconds_of
from benchmark.hpo.service.core.errors import FinishedError
from benchmark.hpo.service.core.service import Service
from benchmark.store import Store

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


@pytest.mark.parametrize("set_s", [-3600, 0, 3600])
def test_a_wall_clock_that_is_set_changes_no_budget(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, set_s: int
) -> None:
    now = [1000.0]
    monkeypatch.setattr(counts, "monotonic", lambda: now[0])
    service = Service(StoreBackend(folder_store))
    declared = {"direction": "minimize", "tunables": TUNABLES, "algorithm": "random", "trials": 99}
    service.create("e", declared, max_time_s=100.0)
    with service.use("e") as experiment:
        experiment.tell(experiment.ask()[0].number, Ending("success", (1.0,)))
        wall = SimpleNamespace(now=lambda *zone: datetime.now(*zone) + timedelta(seconds=set_s))
        monkeypatch.setattr(counts, "datetime", wall)
        now[0] += 99.0
        experiment.tell(experiment.ask()[0].number, Ending("success", (1.0,)))
        now[0] += 2.0
        with pytest.raises(FinishedError):
            experiment.ask()
    service.close()


def test_a_server_that_starts_before_the_first_ask_by_its_clock_keeps_the_budget(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(counts, "monotonic", lambda: now[0])
    first, second = (Service(StoreBackend(folder_store)) for _ in range(2))
    declared = {"direction": "minimize", "tunables": TUNABLES, "algorithm": "random", "trials": 99}
    first.create("e", declared, max_time_s=100.0)
    ahead = SimpleNamespace(now=lambda *zone: datetime.now(*zone) + timedelta(hours=1))
    with monkeypatch.context() as patch, first.use("e") as experiment:
        patch.setattr(proposal, "datetime", ahead)
        (given,) = experiment.ask()
        experiment.tell(given.number, Ending("success", (1.0,)))
        assert views.trial_view(experiment, experiment.trial(given.number))["seconds"] == 0
    first.close()
    with second.use("e") as experiment:
        experiment.tell(experiment.ask()[0].number, Ending("success", (1.0,)))
        now[0] += 101.0
        with pytest.raises(FinishedError):
            experiment.ask()
    second.close()


def test_a_trial_over_the_end_of_summer_time_has_its_own_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = create_trial(state=TrialState.FAIL)
    trial.datetime_start = datetime(2026, 10, 25, 2, 50)
    trial.datetime_complete = datetime(2026, 10, 25, 2, 10, fold=1)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        assert seconds_of(trial) == 20 * 60
    time.tzset()
