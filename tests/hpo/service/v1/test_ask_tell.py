"""The way of asks and tells past FastAPI: the answers of the routes, and nothing waits in it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core.errors import ConflictError, InvalidError, NotFoundError
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.v1.ask_tell import AskTell, ShortCut
from benchmark.hpo.service.v1.models import Ask, Tell, Told
from benchmark.hpo.service.web.threads import Threads
from benchmark.hpo.storages import trial_write
from benchmark.store import FolderStore
from tests.support.v1_requests import TUNABLES, create

TRIALS = "/v1/experiments/e/trials"
ASK = "/v1/experiments/e/ask"
GOOD: list[tuple[str, str, dict[str, str]]] = [
    (ASK, "{}", {}),
    (ASK, '{"lease_s": 5000}', {"idempotency-key": "k"}),
    (ASK, '{"lease_s": 5000}', {"idempotency-key": "k"}),
    (ASK, '{"count": 3}', {}),
    (f"{TRIALS}/0/tell", '{"value": 1, "metrics": {"p99": 2}, "intermediate": {"3": 0.5}}', {}),
    (f"{TRIALS}/0/tell", '{"value": 1, "metrics": {"p99": 2}, "intermediate": {"3": 0.5}}', {}),
    (f"{TRIALS}/1/tell", '{"status": "failure", "message": "é"}', {"idempotency-key": "t"}),
    (f"{TRIALS}/0/tell", '{"value": 2}', {}),
    (f"{TRIALS}/2/tell", '{"value": 2, "lease": "another"}', {}),
    (f"{TRIALS}/99/tell", '{"value": 2}', {}),
    ("/v1/experiments/none/ask", "{}", {}),
    ("/v1/experiments/te%2Fam/ask", "{}", {}),
]
OTHER: list[tuple[str, str, dict[str, str]]] = [
    (ASK, "", {}),
    (ASK, "{", {}),
    (ASK, '{"count": 0}', {}),
    (ASK, '{"count": 1, "count": 1}', {}),
    (ASK, "{}", {"idempotency-key": "a b"}),
    (ASK, "{}", {"idempotency-key": "k" * 201}),
    (f"{ASK}?x=1", "{}", {}),
    (f"{TRIALS}/0/tell", '{"valeu": 1}', {}),
    (f"{TRIALS}/0/tell", '{"value": NaN}', {}),
    (f"{TRIALS}/01/tell", '{"value": 1}', {}),
    (f"{TRIALS}/{2**31}/tell", '{"value": 1}', {}),
]


@pytest.fixture
def pair() -> Iterator[tuple[TestClient, TestClient]]:
    with (
        TestClient(make_app(Service(MemoryBackend()))) as one,
        TestClient(make_app(Service(MemoryBackend()))) as other,
    ):
        yield one, other


def test_answers_are_those_of_the_routes(pair: tuple[TestClient, TestClient]) -> None:
    answers: list[list[Any]] = []
    # The routes know the second spelling of the content type, too; the short cut does not.
    for http, kind in zip(pair, ("application/json", "application/json; q=1"), strict=True):
        create(http)
        answers.append([])
        for path, body, headers in GOOD + OTHER:
            answer = http.post(path, content=body, headers=headers | {"content-type": kind})
            found = answer.json()
            for trial in found.get("trials", ()):
                assert len(trial.pop("lease")) == 16
                assert 0 <= trial.pop("params")["x"] <= 1
            names = sorted(set(answer.headers) - {"content-length"})
            answers[-1].append((answer.status_code, names, found))
    assert answers[0] == answers[1]
    statuses = [200] * 7 + [409] * 2 + [404] * 3 + [200] + [422] * 10
    assert [status for status, _, _ in answers[0]] == statuses


def test_only_requests_that_are_plain_are_answered_in_it(
    pair: tuple[TestClient, TestClient],
) -> None:
    passed: list[bytes] = []

    async def routes(scope: Any, receive: Any, send: Any) -> None:
        passed.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def refuse(request: Any, error: Exception) -> Any:
        raise AssertionError(error)

    service, threads = Service(MemoryBackend()), Threads()
    service.create("e", {"direction": "minimize", "tunables": TUNABLES, "algorithm": "random"})
    http = TestClient(ShortCut(routes, AskTell(service, threads), refuse))
    kind = {"content-type": "application/json"}
    for path, body, headers in GOOD[:7]:
        assert http.post(path, content=body, headers=headers | kind).status_code == 200
    assert not passed
    for path, body, headers in OTHER:
        assert http.post(path, content=body, headers=headers | kind).status_code == 418
    assert passed == [body.encode() for _, body, _ in OTHER]
    threads.close()
    service.close()


def test_a_slow_sampler_holds_only_its_own_asks(
    pair: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    http, _ = pair
    create(http)
    create(http, name="slow", algorithm="optuna_tpe")
    entered, go_on, propose = threading.Event(), threading.Event(), Optimizer.propose

    def slowly(optimizer: Optimizer, *arguments: Any) -> Any:
        if optimizer.study.study_name == "slow":
            entered.set()
            assert go_on.wait(300)
        return propose(optimizer, *arguments)

    monkeypatch.setattr(Optimizer, "propose", slowly)
    found: list[Any] = []
    one = threading.Thread(
        target=lambda: found.append(http.post("/v1/experiments/slow/ask", json={}).json())
    )
    one.start()
    assert entered.wait(300)
    (trial,) = http.post(ASK, json={}).json()["trials"]
    told = http.post(f"{TRIALS}/{trial['number']}/tell", content=json.dumps({"value": 1}))
    assert told.status_code == 422  # without a content type
    assert not found
    go_on.set()
    one.join(300)
    assert [trial["number"] for trial in found[0]["trials"]] == [0]


def test_a_name_that_cannot_exist_is_not_found(http: TestClient) -> None:
    for path in ("ask", "trials/0/tell"):
        answer = http.post(f"/v1/experiments/%04/{path}", json={})
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_waiting_clients_are_answered_by_one_write(
    kind: str, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets its own trial, its own answer, or its own refusal."""
    url = f"sqlite:///{folder_store.root}/s.db"
    backend = StoreBackend(folder_store) if kind == "journal" else DatabaseBackend(url, None)
    service, threads = Service(backend), Threads()
    calls, sizes = AskTell(service, threads), []
    values = {"direction": "minimize", "tunables": TUNABLES, "algorithm": "random"}
    service.create("e", values | {"trials": 12})
    with service.use("e"):
        pass  # it is open
    write = trial_write.write_trials

    def counted(storage: Any, writes: Any) -> Any:
        sizes.append(len(writes))
        return write(storage, writes)

    def told(value: float, **more: Any) -> Tell:
        return Tell(status="success", value=value, **more)

    async def work() -> None:
        asks = [calls.ask("e", Ask(), f"key-{n // 2}") for n in range(20)]
        found = await asyncio.gather(*asks)
        trials = [asked.trials[0] for asked in found]
        assert sorted({trial.number for trial in trials}) == list(range(10))
        assert [one.number for one in trials[::2]] == [one.number for one in trials[1::2]]
        monkeypatch.setattr(trial_write, "write_trials", counted)
        tells = [
            calls.tell("e", 0, told(0.0)),  # by itself, while the others come
            *(calls.tell("e", n, told(float(n))) for n in range(1, 8)),
            calls.tell("e", 8, told(8.0, lease="another")),
            calls.tell("e", 9, Tell(status="success", values=[1.0, 2.0])),
            calls.tell("e", 99, told(1.0)),
            calls.tell("e", 7, told(7.0)),
            calls.tell("e", 6, told(0.5)),
            calls.tell("none", 0, told(1.0)),
        ]
        answers = await asyncio.gather(*tells, return_exceptions=True)
        faults = [type(one) for one in answers[8:]]
        numbers = [(one.number, one.repeated) for one in answers if isinstance(one, Told)]
        assert numbers == [*((n, False) for n in range(8)), (7, True)]
        wrong = [ConflictError, InvalidError, NotFoundError, Told, ConflictError, NotFoundError]
        assert faults == wrong

    asyncio.run(work())
    assert sizes[:2] == [1, 10]  # all but the one with two values and that of no trial
    with service.use("e") as experiment:
        trials = experiment.optimizer.trials()
        assert [trial.values for trial in trials[:8]] == [[float(n)] for n in range(8)]
        assert experiment.running() == [8, 9]
    threads.close()
    service.close()
