"""A real server: killed and started again, many clients, none of whose results is lost."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo import Client
from benchmark.hpo.client import ClientError
from benchmark.store import open_store
from prove.rows import Stage, until
from prove.service_kills import database_kills, killed_service, restarting, service_kills
from tests.support.documents import ROOT, blocks

TUNABLES: list[dict[str, Any]] = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(3)
]
Serve = Callable[..., Any]


@pytest.mark.slow
def test_a_server_from_start_to_end(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    client = Client(server.url)
    experiment = client.create("e", direction="minimize", tunables=TUNABLES, trials=6)
    for trial in experiment:
        trial.tell(sum(trial.params.values()))
    assert experiment.summary()["state"] == "finished"
    best = experiment.best()
    assert server.kill(signal.SIGTERM) == 0
    records = open_store(str(tmp_path / "runs")).list("studies/e/out")
    assert len(records) == 6
    server.start()
    assert Client(server.url).experiment("e").best() == best
    assert list(client.experiments()) == ["e"]


@pytest.mark.integration
def test_the_java_program_of_the_documents(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    (program,) = (b.text for b in blocks(ROOT / "docs/service.md") if b.language == "java")
    (tmp_path / "Tune.java").write_text(program)
    command = ["java", str(tmp_path / "Tune.java"), server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    experiment = Client(server.url).experiment("java")
    assert json.loads(ended.stdout) == experiment.best()
    assert (experiment.summary()["state"], experiment.summary()["told"]) == ("finished", 20)


@pytest.mark.slow
def test_a_server_without_a_database_does_not_import_its_driver() -> None:
    modules = "sys, benchmark.hpo.service.server, benchmark.hpo.service.app"
    code = f"import {modules}; sys.exit('sqlalchemy' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert ended.returncode == 0


@pytest.mark.slow
def test_streams_end_with_the_server(serve: Serve) -> None:
    server = serve("--no-grpc")
    Client(server.url).create("e", direction="minimize", tunables=TUNABLES)
    with urllib.request.urlopen(f"{server.url}/v1/experiments/e/events", timeout=60) as stream:
        assert stream.readline() == b"event: summary\n"
        assert server.kill(signal.SIGTERM) == 0
        # A stream that is cut off has no last chunk, which raises.
        assert stream.read().startswith(b"data: ")
    assert server.said == ""


@pytest.mark.slow
def test_sigterm_ends_a_server_that_has_just_begun(serve: Serve) -> None:
    assert serve("--no-grpc").kill(signal.SIGTERM) == 0


@pytest.mark.slow
def test_sighup_reads_the_tokens_again(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"write {'a' * 24}\n")
    server = serve("--no-grpc", "--token-file", str(file))
    file.write_text(f"write {'b' * 24}\n")
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "Read 1 tokens" in server.said, "the tokens", 60)
    assert list(Client(server.url, token="b" * 24).experiments()) == []
    with pytest.raises(ClientError, match="token is needed"):
        list(Client(server.url, token="a" * 24).experiments())


@pytest.mark.slow
@pytest.mark.parametrize("trusted", [False, True])
def test_a_forwarded_address_is_believed_of_trusted_proxies(serve: Serve, trusted: bool) -> None:
    server = serve("--no-grpc", "--rate", "1", *(["--trusted-proxy", "127.0.0.0/8"] * trusted))
    codes = []

    def asked(number: int) -> int:
        headers = {"x-forwarded-for": f"10.0.0.{number}"}
        request = urllib.request.Request(f"{server.url}/v1/experiments", headers=headers)
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    if trusted:
        assert {asked(number) for number in range(8)} == {200}
        return
    # On a slow machine a second may pass between two requests.
    numbers = itertools.count()
    until(lambda: codes.append(asked(next(numbers))) or 429 in codes, "a refusal", 60)
    assert set(codes) == {200, 429}


@pytest.mark.slow
def test_a_kill(serve: Serve) -> None:
    server = serve()
    killed_service([server], [(10, restarting(server))], trials=30, clients=4)


@pytest.mark.integration
@pytest.mark.soak
@pytest.mark.parametrize("row", [service_kills, database_kills])
def test_fifty_kills(row: Callable[[Stage], str], tmp_path: Path) -> None:
    """The short form is a row of `make prove`."""
    print(row(Stage(tmp_path, int(os.environ.get("SEED", "3")), 200)))


def classic(url: str, name: str, trials: int) -> None:
    """A client as they were written for the first implementation: one trial after the other."""

    def post(body: dict[str, Any]) -> str:
        request = urllib.request.Request(
            f"{url}/experiment_trials",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    space = {
        "experiment_name": name,
        "experiment_id": name,
        "total_trials": trials,
        "objective_function": "t",
        "tunables": TUNABLES,
        "direction": "minimize",
        "hpo_algo_impl": "random",
    }
    number = post({"operation": "EXP_TRIAL_GENERATE_NEW", "search_space": space})
    for place in range(trials):
        query = f"experiment_name={name}&trial_number={number}"
        with urllib.request.urlopen(f"{url}/experiment_trials?{query}", timeout=60) as answer:
            config = json.load(answer)
        result = {
            "experiment_name": name,
            "trial_number": int(number),
            "trial_result": "success",
            "result_value_type": "double",
            "result_value": sum(one["tunable_value"] for one in config),
        }
        assert post({"operation": "EXP_TRIAL_RESULT", **result}) == "Result posted successfully!"
        if place < trials - 1:
            body = {"operation": "EXP_TRIAL_GENERATE_SUBSEQUENT", "experiment_name": name}
            number = post(body)


@pytest.mark.slow
@pytest.mark.parametrize(
    "trials",
    [10, pytest.param(100, marks=[pytest.mark.integration, pytest.mark.soak])],
    ids=["few", "many"],
)
def test_five_classic_clients_at_once(serve: Serve, trials: int) -> None:
    server = serve("--no-grpc")
    faults: list[BaseException] = []

    def work(name: str) -> None:
        try:
            classic(server.url, name, trials)
        except BaseException as error:
            faults.append(error)

    names = [f"e{n}" for n in range(5)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not faults, faults
    client = Client(server.url)
    for name in names:
        found = client.experiment(name).trials()
        assert [trial["status"] for trial in found] == ["success"] * trials
        for trial in found:
            assert trial["values"] == [sum(trial["params"].values())]


@pytest.mark.slow
def test_wrong_use(serve: Serve, program: Callable[..., Any], command: Callable[..., Any]) -> None:
    server = serve("--no-grpc")
    ended = program("serve", "--port", str(server.port), "--no-grpc")
    assert ended.returncode == 2
    assert "choose another with --port" in ended.stderr
    ended = command("serve", "--host", "0.0.0.0", "--no-grpc")
    assert ended.returncode == 2
    assert "--token-file" in ended.stderr
    for option, value in (
        ("--rate", "0.5"),
        ("--rate", "nan"),
        ("--trusted-proxy", "proxy"),
        ("--connections", "3"),
    ):
        ended = command("serve", option, value)
        assert (ended.returncode, f"'{value}' is not a" in ended.stderr) == (2, True)
