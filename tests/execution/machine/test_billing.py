"""What a record says of its machine and its price, by a fake metadata service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from benchmark.execution.machine import billing
from benchmark.execution.machine.instance import ENDPOINT_VARIABLE, Instance
from benchmark.execution.runner import execute
from benchmark.records.tasks import Resources
from benchmark.runs.plan import Plan
from benchmark.store import Store


class Service(BaseHTTPRequestHandler):
    said: ClassVar[dict[str, str]] = {
        "instance-id": "i-1",
        "instance-type": "c5.xlarge",
        "instance-life-cycle": "spot",
        "placement/availability-zone": "eu-central-1a",
    }
    token = "first"

    def do_PUT(self) -> None:
        self._say(200, self.server.token)  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != self.server.token:  # type: ignore[attr-defined]
            return self._say(401, "")
        found = self.server.said.get(self.path.removeprefix("/latest/meta-data/"))  # type: ignore[attr-defined]
        return self._say(200 if found else 404, found or "")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.token, server.said = "first", dict(Service.said)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def here(server: ThreadingHTTPServer) -> dict[str, str]:
    return {ENDPOINT_VARIABLE: f"http://127.0.0.1:{server.server_port}"}


def test_facts_a_token_that_expires_and_the_notice(service: ThreadingHTTPServer) -> None:
    instance = Instance.here(here(service))
    assert instance is not None
    assert instance.facts()["instance_type"] == "c5.xlarge"
    assert instance.interruption() is None
    service.token = "second"  # type: ignore[attr-defined]
    notice = '{"action": "terminate", "time": "2026-01-01T00:02:00Z"}'
    service.said["spot/instance-action"] = notice  # type: ignore[attr-defined]
    assert instance.interruption() == "terminate at 2026-01-01T00:02:00Z"


def test_a_machine_that_is_none_of_ec2s_is_not_asked() -> None:
    assert Instance.here({"AWS_EC2_METADATA_DISABLED": "true", ENDPOINT_VARIABLE: "x"}) is None


def test_the_record_carries_type_price_and_its_share(
    service: ThreadingHTTPServer,
    make_plan: Callable[..., Plan],
    folder_store: Store,
    aws: pytest.MonkeyPatch,
    warm: None,
) -> None:
    plan = make_plan(folder_store, ("cpu",))
    offer = b'{"c5.xlarge": {"spot": 0.36, "on-demand": 9, "vcpus": 4, "memory_mb": 8192}}'
    folder_store.put(billing.prices_path(plan.run), offer)
    aws.delenv("AWS_EC2_METADATA_DISABLED")
    for name, value in here(service).items():
        aws.setenv(name, value)
    record = execute(plan.run, plan.tasks[0])
    assert record.host["instance_type"] == "c5.xlarge"
    assert record.host["price_per_hour"] == 0.36
    assert record.total_s
    assert record.cost == pytest.approx(0.36 / 4 * record.total_s / 3600)


def test_the_larger_part_of_a_machine_counts() -> None:
    machine = {"vcpus": 4, "memory_mb": 8000}
    assert billing.share(machine, Resources(1, 4000, 1, 1)) == 0.5
    assert billing.share(machine, Resources(8, 4000, 1, 1)) == 1.0
    assert billing.share(machine, Resources(3, 1, 1, 1)) == 1.0
    assert billing.share(machine | {"reserve_mb": 1024}, Resources(1, 4000, 1, 1)) == 1.0
    assert billing.share(machine | {"most_tasks": 1}, Resources(1, 4000, 1, 1)) == 1.0
    assert billing.cost({"instance_type": "x"}, Resources(1, 1, 1, 1), 5) is None
