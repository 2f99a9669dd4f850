"""What more servers on one PostgreSQL cost: 32 clients of `random`, in processor time per round.

    python perf/servers.py [--rounds 20] [--turns 3]

One to three servers in turn: of one experiment, which all of them write to, and of an experiment
each. Clients, servers and database share the cores of this machine, so that the rate cannot grow
with the servers once these are busy; processor time per round shows what another server costs.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import storages
from figures import figure
from service import Connection, at_once, create, processor_s, started

from benchmark.execution.worker.trees import descendants

# Servers, and experiments that the clients are spread over.
KINDS = ((1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (1, 3), (3, 3))
AIM = 1.1


def settle(pids: list[int]) -> None:
    """Wait until no server has anything left to do: records are written behind the answers."""
    before = -1.0
    while (now := sum(map(processor_s, pids))) - before > 0.02:
        before = now
        time.sleep(1)


class Costs:
    """Processor time of servers, database and clients, since it was made."""

    def __init__(self, servers: list[int], database: int) -> None:
        self._servers, self._database = servers, database
        self._before = self._now()

    def _now(self) -> list[float]:
        database = [self._database, *descendants(self._database)]
        clients = resource.getrusage(resource.RUSAGE_CHILDREN)
        parts = sum(map(processor_s, self._servers)), sum(map(processor_s, database))
        return [*parts, clients.ru_utime + clients.ru_stime]

    def per_round(self, count: int) -> list[float]:
        """In milliseconds."""
        pairs = zip(self._now(), self._before, strict=True)
        return [1e3 * (now - before) / count for now, before in pairs]


def measure(url: str, database: int, rounds: int, turns: int) -> None:
    rates: dict[tuple[int, int], list[float]] = {kind: [] for kind in KINDS}
    costs: dict[tuple[int, int], list[list[float]]] = {kind: [] for kind in KINDS}
    with contextlib.ExitStack() as held:
        servers = []
        for _ in range(max(count for count, _ in KINDS)):
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="perf-")))
            server, port = started(url, folder)
            held.callback(server.wait, 120)
            held.callback(server.send_signal, signal.SIGTERM)
            servers.append((server.pid, port))
        pids = [pid for pid, _ in servers]
        for turn in range(turns):
            for kind in KINDS:
                names = [f"e-{turn}-{kind[0]}-{kind[1]}-{n}" for n in range(kind[1])]
                ports = [port for _, port in servers[: kind[0]]]
                for name in names:
                    create(Connection(ports[0]), name, "random", 32 * rounds, 32)
                    for port in ports:  # opened
                        Connection(port).call("GET", f"/v1/experiments/{name}")
                most = max(kind)
                places = [(ports[n % kind[0]], names[n % kind[1]]) for n in range(most)]
                settle(pids)
                cost = Costs(pids, database)
                rates[kind].append(at_once(places, rounds))
                costs[kind].append(cost.per_round(32 * rounds))
    used_by = {
        kind: [statistics.median(part) for part in zip(*each, strict=True)]
        for kind, each in costs.items()
    }
    for kind, each in rates.items():
        rate, used, base = statistics.median(each), used_by[kind], used_by[1, kind[1]]
        ratio = rate / statistics.median(rates[1, kind[1]])
        of = "one experiment" if kind[1] == 1 else f"{kind[1]} experiments"
        name = f"32 clients of {of}, {kind[0]} server{'s' if kind[0] > 1 else ''} on PostgreSQL"
        print(
            f"{name}: {rate:.0f} rounds/s, {ratio:.2f} x one server; processor time per round: "
            f"servers {used[0]:.2f}, database {used[1]:.2f}, clients {used[2]:.2f} ms",
            flush=True,
        )
        figure(f"{name}: rounds/s", ratio, "x one server")
        figure(f"{name}: processor time of the servers per round", used[0], "ms")
        figure(f"{name}: of the database", used[1], "ms")
        if kind[0] == kind[1] > 1:
            # Servers that share no experiment cost no more than one.
            figure(f"{name}: of both, to one server", sum(used[:2]) / sum(base[:2]), "x", aim=AIM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each of the 32 clients")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    # An ending by it stops the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not storages.can_serve():
        raise SystemExit("PostgreSQL is not installed")
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="perf-")))
        url = held.enter_context(storages.postgres(folder))
        pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        measure(f"{url}/postgres", pid, options.rounds, options.turns)


if __name__ == "__main__":
    main()
