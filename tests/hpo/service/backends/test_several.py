"""Several servers on one database, in this process; and clients that repeat what they sent."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient
from urllib3.exceptions import ProtocolError

from benchmark.errors import StoreError
from benchmark.hpo.client import Client, ClientError
from benchmark.hpo.client import Experiment as RemoteExperiment
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.classic import contract
from benchmark.hpo.service.core.counts import Tally
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import BusyError, ConflictError, NotFoundError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.storages.journal_database import DatabaseJournal
from benchmark.store import Store

DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "trials": 20,
    "algorithm": "random",
}


def test_one_server_has_a_file_of_sqlite(tmp_path: Path, folder_store: Store) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    service = Service(DatabaseBackend(url, folder_store))
    with pytest.raises(StoreError, match=r"Another server has .*s\.db"):
        DatabaseBackend(url, None)
    service.create("e", DECLARED)
    with folder_store.lock("driver-studies/e"), pytest.raises(ConflictError), service.use("e"):
        pass
    with service.use("e"):
        assert folder_store.is_locked("driver-studies/e")
    service.delete("e")
    service.close()


def test_the_list_goes_on_over_experiments_that_cannot_be_opened(folder_store: Store) -> None:
    service = Service(StoreBackend(folder_store))
    for name in ("a", "team/one", "z"):
        service.create(name, DECLARED)
    folder_store.put("studies/broken/manifest.json", b'{"x":')
    odd = folder_store.get("studies/z/manifest.json")
    assert odd is not None
    folder_store.put("studies/odd/manifest.json", odd.replace(b'"direction"', b'"direktion"'))
    (hashed,) = (study for study in service.names() if study.startswith("team-one-"))
    with folder_store.lock(f"driver-studies/{hashed}"), TestClient(make_app(service)) as http:
        found = http.get("/v1/experiments?details=true").json()["experiments"]
        assert {row["name"]: row["state"] for row in found} == {
            "a": "running",
            "broken": "unavailable",
            "odd": "unavailable",
            "team/one": "driven elsewhere",
            "z": "running",
        }
        (elsewhere,) = (row for row in found if row["name"] == "team/one")
        assert elsewhere["study"] == hashed
        assert "Another process drives" in elsewhere["message"]
        assert http.get("/v1/experiments/team%2Fone").status_code == 409
        assert http.get("/listexperiments").status_code == 200


def test_others_ask_while_results_are_appended(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.hpo.service.core.additions._CHUNK", 2)
    service.create("e", DECLARED)
    entries = [({"x": n / 10}, Ending("success", (float(n),))) for n in range(5)]
    with service.use("e") as experiment:
        asked: list[int] = []
        monkeypatch.setattr(
            experiment, "_on_told", lambda one, _: asked.append(one.ask()[0].number)
        )
        numbers = experiment.append(entries, "key")
        assert (numbers, asked) == ([0, 1, 4, 5, 8], [2, 3, 6, 7, 9])
        monkeypatch.setattr(experiment, "_on_told", lambda *_: None)
        assert experiment.append(entries, "key") == numbers
        found = [experiment.trial(number) for number in numbers]
        assert [trial.values for trial in found] == [[float(n)] for n in range(5)]
        with pytest.raises(ConflictError, match="other results"):
            experiment.append(entries[:3], "key")


def test_results_that_a_fault_cut_short_are_appended_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.hpo.service.core.additions._CHUNK", 2)
    service.create("e", DECLARED)
    entries = [({"x": n / 10}, Ending("success", (float(n),))) for n in range(5)]
    with service.use("e") as experiment:
        room = iter([True])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: next(room, False) or full(0))
            with pytest.raises(StoreError, match="No space left"):
                experiment.append(entries, "key")
        assert len(experiment.optimizer.trials()) == 2
        assert experiment.append(entries, "key") == [0, 1, 2, 3, 4]


def test_what_was_written_although_the_database_failed_has_its_record(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(DatabaseBackend(f"sqlite:///{tmp_path}/one.db", folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        given = experiment.ask(3)
        append = DatabaseJournal.append_at

        def unanswered(self: DatabaseJournal, first: int, logs: Any) -> bool:
            append(self, first, logs)
            raise StoreError("The connection was cut.")

        run = experiment.run
        assert run is not None

        def recorded() -> list[str]:
            service._recorder._thread.submit(int).result()
            return sorted(folder_store.list(f"{run.name}/out"))

        result = [({"x": 0.5}, Ending("success", (3.0,)))]
        with monkeypatch.context() as patch:
            patch.setattr(DatabaseJournal, "append_at", unanswered)
            with pytest.raises(StoreError, match="cut"):
                experiment.tell(given[1].number, Ending("success", (2.0,)))
        # The client tries again.
        assert not experiment.tell(given[1].number, Ending("success", (2.0,)))
        assert recorded() == [run.out_path("1")]
        with monkeypatch.context() as patch:
            patch.setattr(DatabaseJournal, "append_at", unanswered)
            with pytest.raises(StoreError, match="cut"), service.use("e") as again:
                again.tell(given[0].number, Ending("success", (1.0,)))
            with pytest.raises(StoreError, match="cut"), service.use("e") as again:
                again.append(result, "key")
        assert recorded() == [run.out_path("1")]
        # Another client's result.
        experiment.tell(given[2].number, Ending("success", (4.0,)))
        assert recorded() == [run.out_path(str(n)) for n in range(4)]
    service.close()


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_503_until_there_is_room(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    told = {"value": 1.0, "message": "whole"}
    results = {"results": [{"params": {"x": 0.5}, "value": 1.0}]}
    with TestClient(make_app(service), raise_server_exceptions=False) as http:
        http.post("/v1/experiments/e/ask", json={"count": 2})
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            for path, body in (
                ("/v1/experiments/e/trials/0/tell", told),
                ("/v1/experiments/e/trials/1/report", {"step": 1, "value": 1.0}),
                ("/v1/experiments/e/ask", {}),
                ("/v1/experiments/e/trials", results),
                ("/v1/experiments/e/pause", {}),
                ("/v1/experiments", DECLARED | {"name": "f"}),
            ):
                answer = http.post(path, json=body)
                assert (answer.status_code, answer.json()["error"]) == (503, "unavailable"), path
                assert "No space left on device" in answer.json()["message"]
                assert answer.headers["retry-after"] == "1"
            assert http.get("/ready").status_code == 503
            assert http.get("/health").status_code == 503
        monkeypatch.setattr("benchmark.hpo.service.core.service._CHECKED_S", 0.0)
        assert http.get("/ready").text == http.get("/health").text == "OK"
        answer = http.post("/v1/experiments/e/trials/0/tell", json=told)
        assert answer.json() == {"number": 0, "repeated": False}
        service.ending.set()
        assert (http.get("/ready").status_code, http.get("/health").status_code) == (503, 200)


def test_a_trial_that_another_program_runs_is_not_given_out(
    servers: tuple[Service, Service],
) -> None:
    servers[0].create("e", DECLARED)
    with servers[0].use("e") as experiment:
        theirs = experiment.optimizer.ask().number
        assert [given.number for given in experiment.ask()] == [theirs + 1]


def test_an_ask_looks_once_at_a_storage_that_others_use(
    servers: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    servers[0].create("e", DECLARED)
    with servers[0].use("e") as one, servers[1].use("e") as other:
        other.ask()
        one._suggestions.make()
        look, looks = one.optimizer.by_number, []

        def counted() -> Any:
            found = look()
            if threading.current_thread() is threading.main_thread():
                looks.append(len(found))
                if len(looks) == 1:
                    other.optimizer.ask()  # after the look: of a program that is no server
            return found

        monkeypatch.setattr(one.optimizer, "by_number", counted)
        assert [given.number for given in one.ask()] == [2]
        assert looks == [1, 2]  # once more only as another's trial came between
        assert one.running() == [0, 1, 2]
        one._suggestions.make()
        looks[:] = [0]
        assert [given.number for given in one.ask()] == [3]
        assert looks == [0, 3]
        assert one.running() == [0, 1, 2, 3]


def test_another_server_founds_an_experiment_anew(servers: tuple[Service, Service]) -> None:
    one, other = servers
    one.create("e", DECLARED)
    with one.use("e") as experiment:
        experiment.ask()
        experiment.tell(0, Ending("success", (1.0,)))
    other.delete("e")
    with pytest.raises(NotFoundError), one.use("e"):
        pass
    other.create("between", DECLARED)  # SQLite gives a free number again
    other.create("e", DECLARED | {"trials": 3})
    with one.use("e") as experiment:
        assert (experiment.definition.trials, experiment.counts().told) == (3, 0)
        assert [given.number for given in experiment.ask()] == [0]
        other.delete("e")
        other.create("late", DECLARED)
        other.create("e", DECLARED)
    with pytest.raises(BusyError, match="try again"), one.use("e") as experiment:
        other.delete("e")
        other.create("later", DECLARED)
        other.create("e", DECLARED)
        raise KeyError
    with one.use("e") as experiment:
        assert experiment.counts().asked == 0


def test_a_key_is_one_for_each_operation(service: Service) -> None:
    service.create("e", DECLARED)
    entries = [({"x": 0.1}, Ending("success", (1.0,))), ({"x": 0.2}, Ending("success", (2.0,)))]
    with service.use("e") as experiment:
        assert [given.number for given in experiment.ask(key="k")] == [0]
        assert experiment.append(entries, "k") == [1, 2]
        assert experiment.append(entries, "k") == [1, 2]
        assert experiment.append(entries, "other") == [3, 4]
        assert [given.number for given in experiment.ask(key="other")] == [5]
        assert [given.number for given in experiment.ask(key="k")] == [0]
    service.close()


def lent_twice(first: Experiment, second: Experiment) -> None:
    """A client's lease ends, another is given the trial, and both repeat what they asked."""
    (lost,) = first.ask(key="a", lease_s=0.0)
    (given,) = second.ask(key="b")
    assert (given.number, given.again) == (lost.number, True)
    (other,) = first.ask(key="a")
    assert other.number != lost.number
    assert other.token != given.token
    (repeated,) = first.ask(key="b")
    assert (repeated.number, repeated.token) == (given.number, given.token)
    (lost,) = first.ask(key="c", lease_s=0.0)
    second.ask()  # no key: nobody has it by one
    assert first.ask(key="c")[0].number != lost.number


def test_a_trial_is_of_the_key_that_had_it_last(
    service: Service, servers: tuple[Service, Service]
) -> None:
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        lent_twice(experiment, experiment)
    servers[0].create("e", DECLARED)
    with servers[0].use("e") as first, servers[1].use("e") as second:
        lent_twice(first, second)


def test_an_error_that_a_kill_cuts_short_is_there_whole_or_not_at_all(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(StoreBackend(folder_store))
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        experiment.ask()

    def killed(*_: Any) -> bool:
        raise SystemExit

    for place, name, state in ((Optimizer, "tell_all", "running"), (Tally, "ended", "stopped")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, killed)
            with pytest.raises(SystemExit):
                contract.tell(service, "e", 0, "error", 0.0)
        service.close()
        service = Service(StoreBackend(folder_store))
        with service.use("e") as experiment:
            assert experiment.state == state
            assert experiment.is_finished == (state == "stopped")
    service.close()


def test_a_deletion_whose_answer_was_lost_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("http://127.0.0.1:9")
    gone = SimpleNamespace(
        status=404, headers={}, data=b'{"error": "not_found", "message": "gone"}'
    )
    answers: list[Any] = [ProtocolError("cut"), gone, gone]

    def request(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(client._pool, "request", request)
    RemoteExperiment(client, "e").delete()
    with pytest.raises(ClientError, match="gone"):
        RemoteExperiment(client, "e").delete()
