"""Two servers on one PostgreSQL: no trial in two hands while leased, none lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.hpo import Client

pytestmark = pytest.mark.integration
TUNABLES: list[dict[str, Any]] = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(3)
]


@pytest.mark.parametrize(
    "trials", [200, pytest.param(2000, marks=pytest.mark.soak)], ids=["few", "many"]
)
def test_two_servers(serve: Callable[..., Any], postgres: str, trials: int) -> None:
    clients = 16
    servers = [serve("--no-grpc", "--storage", postgres) for _ in range(2)]
    urls = [server.url for server in servers]
    founded = Client(urls[0]).create(
        "e",
        direction="minimize",
        tunables=TUNABLES,
        trials=trials,
        algorithm="random",
        parallel=clients,
        lease_s=600,
    )
    guard = threading.Lock()
    held: set[int] = set()
    twice: list[int] = []
    told: list[int] = []
    faults: list[BaseException] = []

    def work(url: str) -> None:
        try:
            for trial in Client(url).experiment("e"):
                with guard:
                    if trial.number in held:
                        twice.append(trial.number)
                    held.add(trial.number)
                trial.tell(sum(trial.params.values()))
                told.append(trial.number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(urls[n % 2],)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1200)
    assert not faults, faults
    assert not twice
    assert sorted(told) == list(range(trials))
    found = founded.trials(limit=10_000)
    assert [trial["status"] for trial in found] == ["success"] * trials


def test_a_lease_of_a_killed_server_is_kept_and_ends(
    serve: Callable[..., Any], postgres: str
) -> None:
    one, other = (serve("--no-grpc", "--storage", postgres) for _ in range(2))
    declared: dict[str, Any] = {"direction": "minimize", "tunables": TUNABLES, "trials": 2}
    Client(one.url).create("e", **declared)
    (first,) = Client(one.url).experiment("e").ask(lease_s=600)
    (short,) = Client(one.url).experiment("e").ask(lease_s=0.001)
    one.kill()
    survivor = Client(other.url).experiment("e")
    (again,) = survivor.ask(count=2)
    assert (again.number, again.params) == (short.number, short.params)
    survivor.post(f"/trials/{first.number}/heartbeat", {"lease": first.lease})
