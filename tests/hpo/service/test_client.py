"""The Python clients over the application itself, without a socket."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import math
import socket
import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import urllib3
from starlette.testclient import TestClient

from benchmark.errors import BenchmarkError
from benchmark.hpo import AsyncClient, Client, ClientError
from benchmark.hpo.client import Experiment, NoTrialsError
from benchmark.hpo.client.client import Trial
from tests.hpo.service.conftest import TUNABLES

POINT = {"x": 0.5, "n": 3, "gc": "Z"}


class Pool:
    """Requests go to the application; of the first `faults` each gets no answer or this status."""

    def __init__(self, http: TestClient, faults: list[int | None]) -> None:
        self._http, self._faults = http, faults

    def request(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Any:
        if self._faults:
            status = self._faults.pop(0)
            if status is None:
                raise urllib3.exceptions.ProtocolError("gone")
            return SimpleNamespace(status=status, data=b"busy", headers={})
        answer = self._http.request(method, url, content=body, headers=headers)
        return SimpleNamespace(
            status=answer.status_code, data=answer.content, headers=answer.headers
        )

    def clear(self) -> None:
        self._http = None  # type: ignore[assignment]


def connected(http: TestClient, faults: list[int | None] | None = None) -> Client:
    client = Client("http://testserver")
    client._pool = Pool(http, faults or [])  # type: ignore[assignment]
    return client


def create(client: Client, **changes: Any) -> Experiment:
    declared = {"direction": "minimize", "tunables": TUNABLES, "algorithm": "random", "trials": 3}
    return client.create("e", **declared | changes)


def test_a_client_queues_changes_notes_and_exports(http: TestClient) -> None:
    client = connected(http)
    experiment = create(client, trials=1)
    assert experiment.enqueue([POINT]) == [0]
    for trial in experiment:
        assert trial.params == POINT
        trial.tell(1.5, metrics={"p99": 2.0})
        trial.annotate(host="h1")
    assert experiment.trials(status="success")[0]["attributes"] == {"host": "h1"}
    assert experiment.trials(status="failure") == []
    (row,) = csv.DictReader(io.StringIO(experiment.export()))
    assert (row["n"], row["p99"]) == ("3", "2.0")
    assert experiment.export("env") == "x=0.5\nn=3\ngc=Z\n"
    assert experiment.export("json")["trials"] == experiment.trials()
    assert experiment.change(trials=2)["state"] == "running"
    assert (list(client.experiments("E")), list(client.experiments("other"))) == (["e"], [])
    assert list(client.experiments(state="stopped")) == []


def test_a_block_ends_its_trial_whatever_happens(http: TestClient) -> None:
    experiment = create(connected(http))
    with experiment.trial() as trial:
        trial.tell(1.0)
    with pytest.raises(ZeroDivisionError), experiment.trial() as trial:
        _ = 1 / 0
    with experiment.trial(lease_s=60) as trial:
        pass
    ended = [(one["status"], one["message"]) for one in experiment.trials()]
    assert ended == [
        ("success", ""),
        ("failure", "ZeroDivisionError: division by zero"),
        ("failure", "The block ended without a result."),
    ]
    with pytest.raises(NoTrialsError, match="'e' is finished"):
        experiment.trial()


def test_a_block_does_not_end_the_trial_of_another_client(http: TestClient) -> None:
    experiment = create(connected(http))
    with pytest.raises(ClientError, match="another client's"), experiment.trial() as trial:
        trial.lease = "other"
    assert experiment.trials()[0]["status"] == "running"


def test_retries_are_reported(
    http: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("benchmark.hpo.client.client._PAUSE_S", 0.0)
    with caplog.at_level(logging.WARNING, "benchmark.hpo.client"):
        with monkeypatch.context() as patch:
            patch.setattr("benchmark.hpo.client.client._REPORTED_S", 600.0)
            create(connected(http, [None, 503]))
        assert caplog.messages == []
        monkeypatch.setattr("benchmark.hpo.client.client._REPORTED_S", 0.0)
        connected(http, [None, 503]).experiment("e")
    (message,) = caplog.messages
    assert message == (
        "The HPO service at http://testserver does not answer: ProtocolError. "
        "Trying again for up to 60 s."
    )


def test_an_answer_cut_after_any_byte_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.hpo.client.client._PAUSE_S", 0.0)
    body = json.dumps({"study": "e"}).encode()
    head = f"HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: {len(body)}\r\n"
    whole = f"{head}content-type: application/json\r\nconnection: close\r\n\r\n".encode() + body
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for size in range(len(whole)):
                for answer in (whole[:size], whole):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.getsockname()[1]}") as client:
            found = [client.experiment("e").study for _ in range(len(whole))]
    assert found == ["e"] * len(whole)


def test_a_client_closes_its_connections(http: TestClient) -> None:
    with connected(http) as client:
        create(client)
    assert client._pool._http is None  # type: ignore[attr-defined]


def test_an_event_loop_works_on_an_experiment(http: TestClient) -> None:
    async def work() -> list[str]:
        async with AsyncClient("http://testserver") as client:
            client.client._pool = Pool(http, [])  # type: ignore[assignment]
            experiment = await client.create(
                "e", direction="minimize", tunables=TUNABLES, algorithm="random", trials=4
            )
            await experiment.enqueue([POINT])
            async with await experiment.trial() as trial:
                assert trial.params == POINT
                assert not await trial.report(0, 1.0)
                await trial.tell(2.0)
            with pytest.raises(KeyError):
                async with await experiment.trial() as trial:
                    raise KeyError("x")
            async for trial in experiment:
                await trial.prune()
            assert (await experiment.best())["number"] == 0
            assert (await experiment.summary())["state"] == "finished"
            assert await client.experiments() == ["e"]
            return [one["status"] for one in await experiment.trials()]

    assert asyncio.run(work()) == ["success", "failure", "prune", "prune"]


def test_who_waits_for_a_trial_does_not_hold_up_who_ends_one(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.hpo.client.asynchronous.WAIT_S", 0.01)

    async def work() -> int:
        async with AsyncClient("http://testserver", at_once=1) as client:
            client.client._pool = Pool(http, [])  # type: ignore[assignment]
            experiment = await client.create(
                "e",
                direction="minimize",
                tunables=TUNABLES,
                algorithm="random",
                trials=4,
                parallel=1,
            )

            async def ended() -> int:
                numbers = []
                async for trial in experiment:
                    await asyncio.sleep(0)
                    await trial.tell(1.0)
                    numbers.append(trial.number)
                return len(numbers)

            return sum(await asyncio.gather(ended(), ended(), ended()))

    assert asyncio.run(asyncio.wait_for(work(), 60)) == 4


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_cancelled_ask_fails_the_trials_that_it_is_given(
    http: TestClient, is_answered: bool
) -> None:
    """Whether it is cancelled while the server answers, or between the answer and the task."""
    sent, answer = threading.Event(), threading.Event()

    class Slow(Pool):
        def request(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Any:
            found = super().request(method, url, body, headers)
            if url.endswith("/ask"):
                sent.set()
                assert answer.wait(60)
            return found

        def clear(self) -> None:
            """Requests open connections again, as urllib3's pool does."""

    async def work() -> None:
        async with AsyncClient("http://testserver") as client:
            client.client._pool = Slow(http, [])  # type: ignore[assignment]
            experiment = await client.experiment("e")
            started: list[Future[Any]] = []
            experiment._start = lambda *call: started.append(client.start(*call)) or started[0]  # type: ignore[func-returns-value, assignment]
            task = asyncio.create_task(experiment.trial())
            while not sent.is_set():
                await asyncio.sleep(0.001)
            if is_answered:
                answer.set()
                started[0].result()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        answer.set()

    experiment = create(connected(http), trials=1)
    asyncio.run(work())
    for thread in threading.enumerate():
        if thread.name == "hpo-client-cancelled":
            thread.join(60)
    (ended,) = experiment.trials()
    assert (ended["status"], ended["message"]) == (
        "failure",
        "The client cancelled its ask before it had the trial.",
    )


def test_values_are_sent_as_numbers_or_refused(http: TestClient) -> None:
    experiment = create(connected(http))
    (trial,) = experiment.ask()
    with pytest.raises(ClientError, match="A number to send is NaN or infinite"):
        trial.tell(math.nan)
    with pytest.raises(ClientError, match=r"\('attributes\.a\.1' is nan\)"):
        trial.annotate(a=[1.0, np.float32(math.nan)])
    circular: dict[str, Any] = {"b": [1]}
    circular["b"].append(circular)
    with pytest.raises(ClientError, match=r"^'attributes\.a\.b\.1' contains itself, which JSON"):
        trial.annotate(a=circular)
    shared = [1.0]
    trial.annotate(a={"one": shared, "two": shared})
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ClientError, match="has too many levels"):
        trial.annotate(a=deep)
    with pytest.raises(ClientError, match="cannot be sent: JSON has no ndarray"):
        trial.tell(np.array([1.0]))  # type: ignore[arg-type]
    assert trial.tell(np.float32(0.5), metrics={"n": np.int64(3)})  # type: ignore[arg-type]
    told = experiment.trials()[0]
    assert (told["values"], told["metrics"]["n"]) == ([0.5], 3)


@pytest.mark.parametrize("kind", ["text/html", "application/json", ""])
def test_a_server_of_another_program_is_named(kind: str) -> None:
    client = Client("http://other")
    page = SimpleNamespace(status=200, data=b"<html>", headers={"content-type": kind})
    client._pool = SimpleNamespace(request=lambda *_, **__: page)  # type: ignore[assignment]
    with pytest.raises(BenchmarkError, match="http://other is not an HPO service: it answers"):
        client.experiment("e")


@pytest.mark.parametrize(
    ("fault", "renewals"),
    [
        (BenchmarkError("gone"), 3),
        (ClientError("x", 503, "busy"), 3),
        (ClientError("x", 429, "rate"), 3),
        (ClientError("x", 409, ""), 1),
    ],
)
def test_a_lease_is_renewed_after_an_outage(fault: BenchmarkError, renewals: int) -> None:
    posted: list[str] = []
    trial = Trial(SimpleNamespace(), 0, {}, "lease", 3.0)  # type: ignore[arg-type]

    def post(path: str, _: Any = None) -> None:
        posted.append(path)
        trial.is_ended = len(posted) == 3
        raise fault

    trial.experiment.post = post  # type: ignore[method-assign, assignment]
    trial._left = threading.Event()
    trial._renew(0.0)
    assert posted == ["/trials/0/heartbeat"] * renewals


def test_a_result_whose_answer_was_lost_counts_as_the_callers_own(http: TestClient) -> None:
    client = connected(http)
    create(client)
    trial, other = client.experiment("e").ask(2)
    pool, lost = client._pool.request, [True]

    def landed_without_answer(*request: Any, **more: Any) -> Any:
        answer = pool(*request, **more)
        if lost and lost.pop():
            raise urllib3.exceptions.ProtocolError("cut")
        return answer

    client._pool.request = landed_without_answer  # type: ignore[method-assign]
    assert trial.tell(1.0) is True
    assert trial.tell(1.0) is False
    lost.append(True)
    with pytest.raises(ClientError, match="with another content") as refused:
        trial.tell(2.0)
    assert refused.value.status == 409
    other.tell(3.0)
    lost.clear()
    # A try that was refused or never sent cannot have landed.
    client._pool = Pool(http, [429])  # type: ignore[assignment]
    assert other.tell(3.0) is False
