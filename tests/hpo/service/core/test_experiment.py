"""Leases by a clock of the test's, suggestions ahead, what lies in the store, many experiments."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmark.errors import StoreError
from benchmark.hpo.driver.study_list import opened
from benchmark.hpo.report import export
from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core.backend import Backend, MemoryLeases
from benchmark.hpo.service.core.endings import Ending, Status
from benchmark.hpo.service.core.errors import (
    ConflictError,
    FinishedError,
    InvalidError,
    NotFoundError,
)
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.core.views import summary
from benchmark.hpo.study.study import Study
from benchmark.store import FolderStore, Store

TUNABLES: list[dict[str, Any]] = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
]
DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": TUNABLES,
    "trials": 20,
    "algorithm": "random",
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def value(params: dict[str, Any]) -> float:
    return float(params["x"]) + (params["gc"] == "Z")


@pytest.fixture(params=["store", "database", "memory"])
def backend(request: pytest.FixtureRequest, folder_store: Store) -> Backend:
    if request.param == "store":
        return StoreBackend(folder_store)
    if request.param == "memory":
        return MemoryBackend()
    assert isinstance(folder_store, FolderStore)
    return DatabaseBackend(f"sqlite:///{folder_store.root}/s.db", folder_store)


def test_an_ended_lease_is_given_out_again(service: Service) -> None:
    service.create("e", DECLARED, lease_s=10.0)
    clock = Clock()
    with service.use("e") as experiment:
        leases = MemoryLeases(clock)
        experiment._opened.leases = leases
        (first,) = experiment.ask()
        assert [one.number for one in experiment.ask()] == [1]
        clock.now = 9.0
        experiment.heartbeat(0, first.token)
        clock.now = 18.0
        (again,) = experiment.ask()
        assert (again.number, again.again) == (1, True)
        clock.now = 19.5
        (back,) = experiment.ask()
        assert (back.number, back.params, back.again) == (0, first.params, True)
        with pytest.raises(ConflictError, match="another client's now"):
            experiment.heartbeat(0, first.token)
        assert experiment.tell(0, Ending("success", (1.0,)))


def test_failures_teach_and_a_streak_of_them_is_logged(
    folder_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(StoreBackend(folder_store))
    gc = {"name": "gc", "value_type": "categorical", "choices": ["serial", "G1", "Z"]}
    more = {"tunables": [TUNABLES[0], gc], "algorithm": "optuna_tpe", "seed": 1, "trials": 60}
    service.create("e", DECLARED | more)
    chosen = []
    with service.use("e") as experiment:
        for _ in range(30):
            (given,) = experiment.ask()
            chosen.append(given.params["gc"])
            success = Ending("success", (value(given.params),))
            experiment.tell(given.number, Ending("failure") if chosen[-1] == "Z" else success)
        assert chosen[-15:].count("Z") <= 2
        assert "failed" not in caplog.text
        for _ in range(10):
            (given,) = experiment.ask()
            experiment.tell(given.number, Ending("failure"))
    assert "The last 10 trials of 'e' failed." in caplog.text


def test_a_lease_ends_while_the_experiment_is_closed(folder_store: Store) -> None:
    clock, backend = Clock(), StoreBackend(folder_store)
    backend._leases["e"] = MemoryLeases(clock)
    service = Service(backend, most_open=1)
    service.create("e", DECLARED, lease_s=10.0)
    service.create("f", DECLARED)
    with service.use("e") as experiment:
        (first,) = experiment.ask()
    for now in (9.0, 18.0):
        clock.now = now
        with service.use("f"):
            pass
    with service.use("e") as experiment:
        (again,) = experiment.ask()
    assert (again.number, again.again) == (first.number, True)
    service.close()


def test_a_space_that_is_used_up_is_finished(backend: Backend) -> None:
    service = Service(backend)
    service.create("e", DECLARED | {"tunables": TUNABLES[1:]})
    with service.use("e") as experiment:
        given = [*experiment.ask(), *experiment.ask()]
        assert experiment.ask() == []
        assert summary(experiment)["state"] == "running"
        for one in given:
            experiment.tell(one.number, Ending("success", (1.0,)))
        assert summary(experiment)["state"] == "finished"
    service.close()
    service = Service(backend)
    with service.use("e") as experiment:
        assert experiment.is_finished
        with pytest.raises(FinishedError):
            experiment.ask()
    service.close()


@pytest.mark.parametrize("status", ["success", "infeasible"])
def test_values_are_as_many_as_directions(service: Service, status: Status) -> None:
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        experiment.ask()
        with pytest.raises(InvalidError, match="2 values"):
            experiment.tell(0, Ending(status, (1.0, 2.0)))
        assert experiment.tell(0, Ending(status, (1.0,)))


def test_a_restart_goes_on_where_it_stood(backend: Backend) -> None:
    service = Service(backend)
    service.create("a b", DECLARED | {"pruner": "median"}, lease_s=1000.0)
    with service.use("a b") as experiment:
        given = experiment.ask(3, key="k")
        experiment.tell(0, Ending("success", (0.5,), cost=2.0))
        experiment.report(1, 0, 3.0)
        experiment.set_state("paused")
    service.close()
    service = Service(backend)
    with service.use("a b") as experiment:
        counts = experiment.counts()
        assert (counts.asked, counts.told, counts.cost) == (3, 1, 2.0)
        assert (experiment.state, experiment.running()) == ("paused", [1, 2])
        experiment.set_state("running")
        assert [one.params for one in experiment.ask(3, key="k")] == [g.params for g in given]
        experiment.heartbeat(1, given[1].token)
        assert [one.number for one in experiment.ask()] == [3]
    assert [service.titles(), len(service.names())] == [["a b"], 1]
    service.delete("a b")
    assert service.names() == []
    with pytest.raises(NotFoundError), service.use("a b"):
        pass
    service.close()


def test_an_experiment_is_a_study(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        for _ in range(4):
            (given,) = experiment.ask()
            experiment.tell(given.number, Ending("success", (value(given.params),)))
        (left,) = experiment.ask()
    service.close()
    run, definition = opened(folder_store, "e")
    records = export.trial_records(run)
    assert [record.status for record in records] == ["success"] * 4
    assert export.best(run, definition)[0].labels["values"] == [
        min(record.labels["values"][0] for record in records)
    ]
    study = Study.open(folder_store, "e", {"objective": {"command": "true"}})
    assert [task.key for task in study.unfinished()] == [str(left.number)]
    assert [task.key for task in study.ask()] == ["5"]


def test_a_record_that_a_kill_prevented_is_written_at_the_next_opening(
    folder_store: Store,
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        experiment.ask()
        experiment.tell(0, Ending("success", (1.0,)))
    service.close()
    folder_store.delete(["studies/e/out/0.json"])
    service = Service(StoreBackend(folder_store))
    with service.use("e"):
        pass
    service.close()
    assert folder_store.get("studies/e/out/0.json") is not None


@pytest.mark.parametrize("ends", [False, True])
def test_a_record_that_a_store_refused_is_written_later(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    refused = threading.Event()

    def full(*_: Any) -> bool:
        refused.set()
        raise StoreError("No space left.")

    with service.use("e") as experiment:
        experiment.ask(2)
        assert experiment.run is not None
        with monkeypatch.context() as patch:
            patch.setattr(type(experiment.run.store), "create", full)
            experiment.tell(0, Ending("success", (1.0,)))
            assert refused.wait(60)
            service._recorder._thread.submit(int).result()
        if not ends:
            experiment.tell(1, Ending("success", (2.0,)))
            service._recorder._thread.submit(int).result()
            assert len(folder_store.list("studies/e/out")) == 2
    service.close()
    assert folder_store.get("studies/e/out/0.json") is not None


def test_one_process_has_an_experiment(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with folder_store.lock("driver-studies/e"), pytest.raises(ConflictError), service.use("e"):
        pass
    with service.use("e") as experiment:
        experiment.ask()
    service.close()


def test_more_experiments_than_may_be_open(backend: Backend) -> None:
    service = Service(backend, most_open=3)
    names = [f"e{n}" for n in range(8)]
    for name in names:
        service.create(name, DECLARED)

    def turn(name: str) -> None:
        with service.use(name) as experiment:
            (given,) = experiment.ask()
            experiment.tell(given.number, Ending("success", (value(given.params),)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(turn, names * 5))
    assert len(service._held) <= 3
    for name in names:
        with service.use(name) as experiment:
            assert experiment.counts().told == 5
    service.close()


def test_as_many_clients_as_are_common_are_not_turned_away(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED | {"trials": 96, "parallel": 48})

    def turns(experiment: Experiment) -> int:
        for _ in range(2):
            (given,) = experiment.ask()
            experiment.tell(given.number, Ending("success", (value(given.params),)))
        return 2

    with service.use("e") as experiment, ThreadPoolExecutor(48) as pool:
        assert sum(pool.map(turns, [experiment] * 48)) == experiment.counts().told == 96
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random", "optuna_tpe", "grid"])
def test_many_threads_on_one_experiment(backend: Backend, algorithm: str) -> None:
    service = Service(backend)
    steps = [{**TUNABLES[0], "step": 0.05}, TUNABLES[1]]
    declared = {"tunables": steps, "algorithm": algorithm, "trials": 40, "parallel": 8}
    service.create("e", DECLARED | declared)
    given: list[int] = []

    def work(experiment: Experiment) -> None:
        with contextlib.suppress(FinishedError):
            while experiment.counts().asked < 40:
                for one in experiment.ask():
                    given.append(one.number)
                    experiment.tell(one.number, Ending("success", (value(one.params),)))

    with service.use("e") as experiment:
        threads = [threading.Thread(target=work, args=(experiment,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trials = experiment.optimizer.trials()
        points = {repr(experiment.optimizer.params_of(trial)) for trial in trials}
    assert sorted(given) == list(range(40))
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 40
    assert len(points) == 40
    service.close()


def test_a_seed_repeats(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    points = []
    for name in ("a", "b"):
        service.create(name, DECLARED | {"seed": 5, "algorithm": "optuna_tpe"})
        with service.use(name) as experiment:
            for _ in range(14):
                (given,) = experiment.ask()
                experiment.tell(given.number, Ending("success", (value(given.params),)))
            trials = experiment.optimizer.trials()
            points.append([experiment.optimizer.params_of(trial) for trial in trials])
    service.close()
    assert points[0] == points[1]
