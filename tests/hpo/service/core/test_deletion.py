"""One trial deleted: nothing shows, counts or learns from it, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmark.hpo import Client
from benchmark.hpo.client import ClientError
from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core import views
from benchmark.hpo.service.core.backend import Backend, Opened
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import ConflictError, NotFoundError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.store import Store
from tests.hpo.service.conftest import TUNABLES
from tests.support.rdb_studies import experiment_in_rdb

E = "/v1/experiments/e"
DECLARED: dict[str, Any] = {
    "direction": "minimize",
    "tunables": TUNABLES,
    "algorithm": "random",
    "trials": 5,
}
POINT: dict[str, Any] = {"x": 0.25, "n": 3, "gc": "Z"}


class SharedBackend(DatabaseBackend):
    """As on PostgreSQL: no server believes that it is alone."""

    def open(self, study: str) -> Opened:
        return replace(super().open(study), alone=False)


def made(kind: str, store: Store, folder: Path) -> Backend:
    url = f"sqlite:///{folder}/s.db"
    backends: dict[str, Callable[[], Backend]] = {
        "memory": MemoryBackend,
        "store": lambda: StoreBackend(store),
        "sqlite": lambda: DatabaseBackend(url, store),
        "shared": lambda: SharedBackend(url, None),
    }
    return backends[kind]()


def numbers(experiment: Experiment) -> list[int]:
    return [trial["number"] for trial in views.trials(experiment, 0, 100)]


def standing(experiment: Experiment) -> tuple[Any, ...]:
    found = views.summary(experiment)
    keys = ("asked", "told", "successes", "failures", "appended", "queued", "running", "cost")
    return (*(found[key] for key in keys), found["best"] and found["best"]["number"])


@pytest.mark.parametrize("kind", ["memory", "store", "sqlite", "shared", "rdb"])
def test_a_deleted_trial_is_gone_also_after_a_restart(
    kind: str, folder_store: Store, tmp_path: Path
) -> None:
    if kind == "rdb":
        experiment_in_rdb(f"sqlite:///{tmp_path}/s.db", "e", DECLARED)
    backend = made("sqlite" if kind == "rdb" else kind, folder_store, tmp_path)
    service = Service(backend)
    if kind != "rdb":
        service.create("e", DECLARED)
    with service.use("e") as experiment:
        experiment.ask(3)
        experiment.tell(0, Ending("success", (1.0,), cost=2.0))
        experiment.tell(1, Ending("success", (2.0,), cost=3.0))
        assert experiment.append([(POINT, Ending("success", (0.5,)))]) == [3]
        assert experiment.enqueue([POINT, POINT]) == [4, 5]
        assert standing(experiment) == (3, 2, 3, 0, 1, 2, 1, 5.0, 3)
        with pytest.raises(ConflictError, match=r"Trial 2 .* is running; end it"):
            experiment.delete_trial(2)
        for number, best in ((3, 0), (0, 1), (4, 1)):
            experiment.delete_trial(number)
            assert standing(experiment)[-1] == best
        left = (2, 1, 1, 0, 0, 1, 1, 5.0, 1)
        assert standing(experiment) == left
        assert numbers(experiment) == [1, 2, 5]
        for number in (0, 3, 4, 99):
            with pytest.raises(NotFoundError):
                experiment.delete_trial(number)
            with pytest.raises(NotFoundError):
                experiment.tell(number, Ending("success", (1.0,)))
            with pytest.raises(NotFoundError):
                experiment.report(number, 1, 0.5)
        assert views.exported(experiment, "csv").count("\n") == 2
    service.close()
    again = Service(backend)
    with again.use("e") as experiment:
        assert (standing(experiment), numbers(experiment)) == (left, [1, 2, 5])
        assert [given.number for given in experiment.ask(9)] == [5, 6, 7]
        assert standing(experiment)[:2] == (5, 1)
    again.close()


def test_another_server_sees_the_deletion(folder_store: Store, tmp_path: Path) -> None:
    backend = made("shared", folder_store, tmp_path)
    one, other = Service(backend), Service(backend)
    one.create("e", DECLARED)
    with one.use("e") as here, other.use("e") as there:
        here.ask(2)
        here.enqueue([POINT])
        here.tell(0, Ending("success", (1.0,)))
        here.tell(1, Ending("success", (2.0,)))
        assert standing(there)[-1] == 0
        here.delete_trial(0)
        here.delete_trial(2)
        assert (standing(there), numbers(there)) == (standing(here), [1])
        there.optimizer.refresh()
        assert there.optimizer.running() == []
        assert [given.number for given in there.ask(9)] == [3, 4, 5, 6]
    one.close()
    other.close()


def test_a_queued_point_that_a_command_deletes_meanwhile_is_not_given_out(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = made("shared", folder_store, tmp_path)
    one, other = Service(backend), Service(backend)
    one.create("e", DECLARED)
    with one.use("e") as here, other.use("e") as there:
        here.enqueue([POINT])
        there.optimizer.refresh()
        look = here._tally.queued

        def looked() -> list[int]:
            found = look()
            if 0 in found and not there.optimizer.deleted:
                there.optimizer.delete(0)
            return found

        monkeypatch.setattr(here._tally, "queued", looked)
        assert [given.number for given in here.ask()] == [1]
        assert numbers(here) == [1]
    one.close()
    other.close()


def test_the_record_is_deleted_and_not_written_again(service: Service, folder_store: Store) -> None:
    service.create("e", DECLARED)
    with service.use("e") as experiment:
        experiment.ask(2)
        for number in (0, 1):
            experiment.tell(number, Ending("success", (1.0,)))
        experiment.delete_trial(0)
    service.close()
    assert folder_store.list("studies/e/out") == ["studies/e/out/1.json"]
    assert folder_store.list("studies/e/deleted") == ["studies/e/deleted/0.json"]
    # As after a kill between the deletion and that of the record.
    folder_store.put("studies/e/out/0.json", b"{}")
    again = Service(StoreBackend(folder_store))
    with again.use("e"):
        pass
    again.close()
    assert folder_store.list("studies/e/out") == ["studies/e/out/1.json"]


def test_a_deleted_point_may_be_asked_again(http: TestClient) -> None:
    http.post("/v1/experiments", json={"name": "e"} | DECLARED | {"tunables": TUNABLES[2:]})
    for given in http.post(f"{E}/ask", json={"count": 5}).json()["trials"]:
        http.post(f"{E}/trials/{given['number']}/tell", json={"value": 1.0})
    assert http.post(f"{E}/ask", json={}).json() == {"trials": [], "state": "finished"}
    point = http.get(f"{E}/trials/1").json()["params"]
    assert http.delete(f"{E}/trials/1").status_code == 204
    assert http.get(E).json()["state"] == "running"
    (given,) = http.post(f"{E}/ask", json={"count": 5}).json()["trials"]
    assert (given["number"], given["params"]) == (2, point)


def test_a_key_of_a_deleted_trial_is_for_a_new_one(http: TestClient) -> None:
    http.post("/v1/experiments", json={"name": "e"} | DECLARED)
    headers = {"idempotency-key": "k"}
    results = {"results": [{"params": POINT, "value": 1.0}]}
    http.post(f"{E}/ask", json={}, headers=headers)
    http.post(f"{E}/trials/0/tell", json={"value": 1.0})
    assert http.post(f"{E}/trials", json=results, headers=headers).json() == {"numbers": [1]}
    for number in (0, 1):
        assert http.delete(f"{E}/trials/{number}").status_code == 204
    # The results were added before they were deleted.
    assert http.post(f"{E}/trials", json=results, headers=headers).json() == {"numbers": [1]}
    (given,) = http.post(f"{E}/ask", json={}, headers=headers).json()["trials"]
    assert given["number"] == 2


def test_no_route_shows_a_deleted_trial(http: TestClient) -> None:
    http.post("/v1/experiments", json={"name": "e"} | DECLARED)
    for given in http.post(f"{E}/ask", json={"count": 4}).json()["trials"]:
        number = given["number"]
        http.post(f"{E}/trials/{number}/tell", json={"value": 77.75 if number == 2 else number})
    figure = http.get(f"{E}/plot?format=json")
    assert "Optimization History" in figure.json()["layout"]["title"]["text"]
    assert "77.75" in http.get(f"{E}/plot").text
    tag = http.get(E).headers["etag"]
    assert http.delete(f"{E}/trials/2").status_code == 204
    assert http.get(E, headers={"if-none-match": tag}).status_code == 200
    for path in ("", "/trials", "/best", "/front", "/importance", "/plot", "/export?format=json"):
        answer = http.get(f"{E}{path}")
        assert answer.status_code == 200, path
        assert "77.75" not in answer.text, path
    for path in ("", "/tell", "/heartbeat", "/report"):
        bodies = {"/tell": {"value": 1}, "/heartbeat": {"lease": "x"}}
        body = bodies.get(path, {"step": 1, "value": 1.0})
        place = f"{E}/trials/2{path}"
        answer = http.post(place, json=body) if path else http.get(place)
        assert answer.status_code == 404, path
    assert http.patch(f"{E}/trials/2", json={"attributes": {"a": 1}}).status_code == 404
    again = http.delete(f"{E}/trials/2")
    assert (again.status_code, again.json()["message"]) == (404, "There is no trial 2 in 'e'.")


@pytest.mark.integration
def test_over_postgres_by_the_client(serve: Callable[..., Any], postgres: str) -> None:
    servers = [serve("--no-grpc", "--storage", postgres) for _ in range(2)]
    declared = {"direction": "minimize", "tunables": TUNABLES, "trials": 3}
    here = Client(servers[0].url).create("e", **declared)
    there = Client(servers[1].url).experiment("e")
    for value, trial in zip((1.0, 2.0), here, strict=False):
        trial.tell(value)
    (running,) = there.ask()
    with pytest.raises(ClientError, match="is running") as refused:
        here.delete_trial(running.number)
    assert refused.value.status == 409
    here.delete_trial(0)
    with pytest.raises(ClientError) as unknown:
        there.delete_trial(0)
    assert unknown.value.status == 404
    assert (there.best()["number"], there.summary()["told"]) == (1, 1)
    for server in servers:
        server.kill()
        server.start()
    assert [trial["number"] for trial in there.trials()] == [1, 2]
    (given,) = here.ask(5)
    assert given.number == 3
