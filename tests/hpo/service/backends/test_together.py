"""What happens between two steps of a request: on another server, or in another thread."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from benchmark.errors import StoreError
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core.assignment import Wanted
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import ConflictError, FoundedAgainError, NotFoundError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.records import Recorder
from benchmark.hpo.service.core.service import Service
from benchmark.store import Store

DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "trials": 20,
    "algorithm": "random",
}


def founded_again(service: Service, **values: Any) -> None:
    service.delete("e")
    service.create("e", DECLARED | values)


def test_requests_on_a_deleted_experiment_are_all_tried_on_the_new_one(
    servers: tuple[Service, Service],
) -> None:
    one, other = servers
    one.create("e", DECLARED)
    with pytest.raises(FoundedAgainError), one.use("e", looks=False) as found:
        founded_again(other)
        # Another request of this server has opened the new one by now.
        with one.use("e") as new:
            assert new is not found
        found.ask()


def test_a_tell_is_judged_by_the_new_definition(servers: tuple[Service, Service]) -> None:
    one, other = servers
    one.create("e", DECLARED)
    one.call("e", lambda experiment: experiment.ask())
    founded_again(other, direction=["minimize", "maximize"])
    other.call("e", lambda experiment: experiment.ask())
    ending = Ending("success", (1.0, 2.0))
    assert one.call("e", lambda experiment: experiment.tell(0, ending))


def test_an_experiment_that_is_being_closed_is_opened_anew(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store), most_open=1)
    for name in ("a", "b"):
        service.create(name, DECLARED)
    flushing, go_on = threading.Event(), threading.Event()
    flush = Recorder.flush

    def slowly(self: Recorder, experiment: Experiment) -> None:
        flushing.set()
        assert go_on.wait(60)
        flush(self, experiment)

    seen: list[Experiment] = []

    def ask(experiment: Experiment) -> list[int]:
        seen.append(experiment)
        return [given.number for given in experiment.ask()]

    assert service.call("a", ask) == [0]
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "flush", slowly)
        closing = threading.Thread(target=service.call, args=("b", ask))
        closing.start()
        assert flushing.wait(60)
        again = threading.Thread(target=service.call, args=("a", ask))
        again.start()
        go_on.set()
        closing.join(60)
        again.join(60)
    assert len({id(experiment) for experiment in seen}) == 3
    with service.use("a") as experiment:
        assert experiment.running() == [0, 1]
    service.close()


@pytest.mark.parametrize("shared", [False, True])
def test_a_batch_gives_a_trial_to_one_client(
    servers: tuple[Service, Service], folder_store: Store, shared: bool
) -> None:
    service = servers[0] if shared else Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        (one,) = experiment.ask()
        (own,) = experiment.ask(key="k")
        for given in (one, own):
            experiment._opened.leases.grant(given.number, given.token, 0.0)
        experiment._suggestions.make()
        asks = [Wanted(1, key, 60.0) for key in (None, "k", None)]
        experiment._assignment.assign(asks)
        assert [[found.number for found in wanted.given] for wanted in asks] == [[0], [1], [2]]
        assert asks[1].given[0].token == own.token
        assert experiment.heartbeat(own.number, own.token) == 600.0
    if not shared:
        service.close()


def test_a_lease_that_has_ended_is_renewed_until_another_has_the_trial(
    folder_store: Store,
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        (first,) = experiment.ask(lease_s=0.0)
        assert experiment._opened.leases.renew(first.number, first.token, 60.0) is False
        assert experiment.heartbeat(first.number, first.token) == 0.0
        (again,) = experiment.ask()
        assert (again.number, again.again) == (first.number, True)
        with pytest.raises(ConflictError, match="another client's now"):
            experiment.heartbeat(first.number, first.token)
        experiment.tell(first.number, Ending("failure"), again.token)
        with pytest.raises(ConflictError, match="has ended already"):
            experiment.heartbeat(first.number, again.token)
    service.close()


def test_repeats_of_a_trial_do_not_hold_up_the_records(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        run = experiment.run
        assert run is not None
        run.store.put(run.out_path("leader-5-0"), b"{}")
        experiment.ask()
        service._recorder.unsure(experiment)
        experiment.tell(0, Ending("success", (1.0,)))
        service._recorder.flush(experiment)
        assert run.store.get(run.out_path("0")) is not None
    service.close()


def test_an_experiment_that_is_not_closed_in_order_holds_up_no_other(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(StoreBackend(folder_store), most_open=1)
    for name in ("a", "b"):
        service.create(name, DECLARED)
    assert service.call("a", lambda experiment: len(experiment.ask())) == 1

    close = Experiment.close

    def lost(self: Experiment) -> None:
        close(self)
        raise StoreError("The lease was lost.")

    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "close", lost)
        assert service.call("b", lambda experiment: len(experiment.ask())) == 1
    assert "'a' was not closed in order: The lease was lost." in caplog.text
    assert service.call("a", lambda experiment: experiment.running()) == [0]
    service.delete("a")
    service.close()


def test_of_two_that_delete_an_experiment_one_does(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e"):
        first = threading.Thread(target=service.delete, args=("e",), daemon=True)
        first.start()
        while not service._held["e"].going:
            time.sleep(0.01)
        with pytest.raises(NotFoundError, match="is being deleted"):
            service.delete("e")
    first.join(60)
    assert not first.is_alive()
    assert service.names() == []
    service.create("e", DECLARED)
    service.close()
