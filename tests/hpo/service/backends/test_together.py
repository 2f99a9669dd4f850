"""What happens between two steps of a request: on another server, or in another thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmark.errors import StoreError
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core.assignment import Wanted
from benchmark.hpo.service.core.backend import MemoryLeases
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import ConflictError, FoundedAgainError, NotFoundError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.records import Recorder
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.v1.ask_tell import AskTell
from benchmark.hpo.service.v1.models import Tell, Told
from benchmark.hpo.service.web.threads import Threads
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
    closing_one, go_on = threading.Event(), threading.Event()
    close = Experiment.close

    def slowly(self: Experiment) -> None:
        closing_one.set()
        assert go_on.wait(60)
        close(self)

    seen: list[Experiment] = []

    def ask(experiment: Experiment) -> list[int]:
        seen.append(experiment)
        return [given.number for given in experiment.ask()]

    assert service.call("a", ask) == [0]
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "close", slowly)
        closing = threading.Thread(target=service.call, args=("b", ask))
        closing.start()
        assert closing_one.wait(60)
        again = threading.Thread(target=service.call, args=("a", ask))
        again.start()
        go_on.set()
        closing.join(60)
        again.join(60)
    assert len({id(experiment) for experiment in seen}) == 3
    with service.use("a") as experiment:
        assert experiment.running() == [0, 1]
    service.close()


def test_an_experiment_is_used_while_its_records_are_written_before_it_is_closed(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store), most_open=1)
    for name in ("a", "b"):
        service.create(name, DECLARED)
    flushing, go_on = threading.Event(), threading.Event()
    flush = Recorder.flush

    def slowly(self: Recorder, experiment: Experiment) -> None:
        if experiment.terms.experiment == "a":
            flushing.set()
            assert go_on.wait(120)
        flush(self, experiment)

    assert service.call("a", lambda experiment: len(experiment.ask(2))) == 2
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "flush", slowly)
        other = threading.Thread(target=service.call, args=("b", lambda found: found.ask()))
        other.start()
        assert flushing.wait(60)
        told = threading.Thread(
            target=service.call,
            args=("a", lambda experiment: experiment.tell(0, Ending("success", (1.0,)))),
            daemon=True,
        )
        told.start()
        told.join(60)
        in_time = not told.is_alive()
        go_on.set()
        other.join(60)
    assert in_time
    with service.use("a") as experiment:
        assert experiment.running() == [1]
    service.close()


def test_clients_of_an_experiment_that_opens_slowly_delay_no_others(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, threads = Service(StoreBackend(folder_store)), Threads()
    for name in ("slow", "quick"):
        service.create(name, DECLARED | {"trials": 40})
        assert service.call(name, lambda experiment: len(experiment.ask(40))) == 40
    service.close()
    service = Service(StoreBackend(folder_store))
    go_on, open_one = threading.Event(), service._open

    def slowly(study: str) -> Experiment:
        assert study == "quick" or go_on.wait(60)
        return open_one(study)

    monkeypatch.setattr(service, "_open", slowly)
    calls, told = AskTell(service, threads), Tell(status="success", value=1.0)

    async def work() -> list[Told]:
        waiting = [asyncio.create_task(calls.tell("slow", n, told)) for n in range(40)]
        await asyncio.sleep(0)
        found = [await asyncio.wait_for(calls.tell("quick", n, told), 50) for n in range(2)]
        assert not any(one.done() for one in waiting)
        go_on.set()
        return [*found, *await asyncio.gather(*waiting)]

    assert not any(one.repeated for one in asyncio.run(work()))
    threads.close()
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


def test_a_lease_is_not_renewed_while_another_client_gets_the_trial() -> None:
    now = [0.0]
    got: list[bool] = []

    def clock() -> float:
        if threading.current_thread() is not asking and now[0] == 9.0:
            # The heartbeat has read the time; the lease ends before it is renewed.
            now[0] = 11.0
            asking.start()
            asking.join(0.5)  # unless the ask has to wait for the heartbeat
            return 9.0
        return now[0]

    leases = MemoryLeases(clock)

    def ask() -> None:
        with leases.exclusive():
            got.append(leases.free([0]) == [0])
            if got[0]:
                leases.grant(0, "second", 10.0)

    asking = threading.Thread(target=ask)
    leases.grant(0, "first", 10.0)
    now[0] = 9.0
    renewed = leases.renew(0, "first", 10.0)
    asking.join()
    assert got == [not renewed]
    assert leases.renew(0, "second", 10.0) is got[0]
    assert leases.renew(0, "first", 10.0) is renewed


def test_what_was_read_with_the_lock_is_not_read_again_under_it(
    servers: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers[0].create("e", DECLARED)
    with servers[0].use("e") as experiment:
        leases, refresh = experiment._opened.leases, experiment.optimizer.refresh
        exclusive, inside = leases.exclusive, [False]

        @contextlib.contextmanager
        def reading() -> Iterator[bool]:
            with exclusive():
                refresh()
                inside[0] = True
                yield True
                inside[0] = False

        def outside() -> None:
            assert not inside[0], "read a second time"
            refresh()

        monkeypatch.setattr(leases, "exclusive", reading)
        monkeypatch.setattr(experiment.optimizer, "refresh", outside)
        (given,) = experiment.ask(lease_s=0.0)
        assert experiment.heartbeat(given.number, given.token) == 0.0
        assert experiment.append([({"x": 0.5}, Ending("success", (1.0,)))], "key") == [1]
        assert experiment.enqueue([{"x": 0.25}], "other") == [2]
        experiment.change({"trials": 30})
        experiment.annotate(1, {"host": "h1"})
        experiment.delete_trial(1)
        assert (experiment.limits.trials, experiment.queued()) == (30, [2])
        assert experiment.optimizer.deleted == {1}


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
