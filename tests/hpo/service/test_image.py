"""The service's image, built and run by a real Docker engine: killed, it loses no result."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ContainerError
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout

from benchmark.compute.images.builds import secret_options
from benchmark.hpo import Client
from tests.support import deployments, postgres_server
from tests.support.docker_engine import BASE, Docker
from tests.support.services import free_ports

pytestmark = pytest.mark.integration
TOKEN = "w" * 24
PASSWORD = "of the database's own"
TOKENS = "/run/secrets/tokens"
TUNABLES: list[dict[str, Any]] = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
]
STARTS = 3000


class Served:
    """A container with the service, on free ports of this machine."""

    def __init__(self, container: Any, port: int, grpc_port: int) -> None:
        self.container, self.port, self.grpc_port = container, port, grpc_port
        self.url = f"http://127.0.0.1:{port}"

    def client(self) -> Client:
        return Client(self.url, token=TOKEN)

    def run(self, *words: str, **variables: str) -> str:
        """What a command in the container prints."""
        code, printed = self.container.exec_run(list(words), environment=variables)
        assert code == 0, printed.decode()
        return str(printed.decode())

    def kill(self) -> None:
        self.container.kill(signal.SIGKILL)
        assert self.container.wait()["StatusCode"] == 137
        self.container.remove()


Start = Callable[..., Served]


@pytest.fixture(scope="module")
def image(docker: Docker) -> str:
    """Built as the Dockerfile says, on a base that needs no registry."""
    name = "automl-benchmark-service"
    secrets, variables = secret_options(os.environ)
    fixed = ["--network", "host", "--build-arg", f"BASE={BASE}", "--tag", name]
    built = subprocess.run(
        [docker.engine.program, "build", *fixed, *secrets, "-f", deployments.DOCKERFILE, "."],
        cwd=deployments.ROOT,
        env=os.environ | docker.engine.variables | docker.variables | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    print(f"{name}: {docker.client.images.get(name).attrs['Size'] / 1e6:.0f} MB")
    return name


@pytest.fixture
def start(docker: Docker, image: str, tmp_path: Path) -> Iterator[Start]:
    """Start the service with more arguments and options, and wait until it answers."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"write {TOKEN}\n")
    tokens.chmod(0o444)
    begun: list[Any] = []

    def make(*arguments: str, volume: str, **options: Any) -> Served:
        port, grpc_port = free_ports(2)
        mounts = {
            volume: {"bind": "/data", "mode": "rw"},
            str(tokens): {"bind": TOKENS, "mode": "ro"},
        }
        ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
        container = docker.client.containers.run(
            image, [*arguments, *ports], volumes=mounts, network_mode="host", detach=True, **options
        )
        begun.append(container)
        served = Served(container, port, grpc_port)
        await_answer(container, f"{served.url}/health")
        return served

    yield make
    for container in docker.client.containers.list(all=True):
        if container in begun:
            container.remove(force=True)


@pytest.fixture
def volume(docker: Docker) -> str:
    return str(docker.client.volumes.create(f"records-{uuid.uuid4().hex}").name)


def await_answer(container: Any, url: str) -> None:
    for _ in range(STARTS):
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except OSError:
            pass
        try:
            container.wait(timeout=0.2)
        except (ReadTimeout, RequestsConnectionError):
            continue  # It has not ended.
        break
    raise AssertionError(container.logs().decode())


def test_what_was_told_outlives_a_kill(start: Start, volume: str) -> None:
    served = start("--token-file", TOKENS, volume=volume)
    experiment = served.client().create(
        "e", direction="minimize", tunables=TUNABLES, trials=8, seed=1
    )
    for trial in experiment.ask(2) + experiment.ask(3):
        assert trial.tell(trial.params["x"])
    (held,) = experiment.ask()
    told = experiment.trials()
    assert [trial["status"] for trial in told[:5]] == ["success"] * 5
    served.kill()

    again = start("--token-file", TOKENS, volume=volume)
    experiment = again.client().experiment("e")
    assert experiment.trials() == told
    experiment.post(f"/trials/{held.number}/heartbeat", {"lease": held.lease})
    experiment.post(f"/trials/{held.number}/tell", {"value": held.params["x"]})
    for trial in experiment:
        trial.tell(trial.params["x"])
    assert experiment.summary()["state"] == "finished"
    found = experiment.trials()
    assert [trial["number"] for trial in found] == list(range(8))
    assert [trial["values"] for trial in found] == [[trial["params"]["x"]] for trial in found]
    again.container.stop(timeout=60)
    assert again.container.wait()["StatusCode"] == 0, again.container.logs().decode()


def test_all_that_it_serves_is_in_it(start: Start, volume: str) -> None:
    served = start("--token-file", TOKENS, volume=volume)
    assert served.run("id", "-u").strip() == "1000"
    served.run(*(word.replace("8085", str(served.port)) for word in deployments.health_check()))
    with urllib.request.urlopen(served.url, timeout=60) as page:
        assert b"<html" in page.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{served.url}/v1/experiments", timeout=60)
    assert refused.value.code == 401
    for algorithm in ("optuna_tpe", "optuna_skopt", "hyperopt", "cmaes"):
        experiment = served.client().create(
            algorithm, direction="maximize", tunables=TUNABLES, trials=3, algorithm=algorithm
        )
        for trial in experiment:
            trial.tell(trial.params["x"])
        assert len(experiment.trials()) == 3
    plot = urllib.request.Request(
        f"{served.url}/plot?experiment_name=hyperopt&type=slice",
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(plot, timeout=60) as answer:
        assert b"plotly" in answer.read()
    counted = served.run(
        *("automl-benchmark", "serve", "client", "list"),
        HPO_PORT=str(served.grpc_port),
        HPO_TOKEN=TOKEN,
    )
    assert "hyperopt" in counted


def test_without_tokens_it_refuses(docker: Docker, image: str) -> None:
    with pytest.raises(ContainerError) as refused:
        docker.client.containers.run(image, network_mode="none", remove=True)
    assert refused.value.exit_status == 2
    assert "--token-file" in refused.value.stderr.decode()


def test_the_compose_file_s_services_on_postgres(
    docker: Docker, image: str, start: Start, volume: str
) -> None:
    """Their command lines as they stand; only ports and where `postgres` is are this machine's."""
    declared = deployments.compose()["services"]
    with postgres_server.serving(PASSWORD) as database:
        with database.connect() as connection:
            connection.execute("create database hpo")
        reached = {
            "environment": {"PGPASSWORD": PASSWORD, "PGPORT": str(database.port)},
            "extra_hosts": {"postgres": "127.0.0.1"},
        }
        assert declared["service"]["environment"].keys() == {"PGPASSWORD"}
        served = start(*declared["service"]["command"], volume=volume, **reached)
        experiment = served.client().create(
            "on-postgres", direction="minimize", tunables=TUNABLES, trials=4
        )
        for trial in experiment.ask(2):
            trial.tell(trial.params["x"])
        told = experiment.trials()
        served.kill()
        again = start(*declared["service"]["command"], volume=volume, **reached)
        assert again.client().experiment("on-postgres").trials() == told

        (port,) = free_ports(1)
        shown = docker.client.containers.run(
            image,
            [*declared["dashboard"]["command"], "--port", str(port)],
            entrypoint=declared["dashboard"]["entrypoint"],
            network_mode="host",
            detach=True,
            **reached,
        )
        try:
            await_answer(shown, f"http://127.0.0.1:{port}/dashboard")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
                assert b"on-postgres" in answer.read()
            check = declared["dashboard"]["healthcheck"]["test"][1:]
            code, said = shown.exec_run([word.replace("8081", str(port)) for word in check])
            assert code == 0, said.decode()
        finally:
            shown.remove(force=True)
