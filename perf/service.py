"""The HPO service's own share: rounds of ask and tell over HTTP, and what experiments take.

    python perf/service.py [--storage journal memory sqlite postgresql URL] [--trials 500]

A real server in a process of its own; clients beside it on the same machine, so that on two cores
they share its processor. The ratio is to Optuna's own suggestion in this process, in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import storages
from figures import figure

ROOT = Path(__file__).absolute().parents[1]
TUNABLES = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(5)
]
AIMS_PER_S = {"memory": 500, "journal": 200}
APPENDED = 3000


class Connection:
    """One client's kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body)
        self._http.request(method, path, data, {"content-type": "application/json"})
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


def started(storage: str, folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A server, and its port."""
    named = {"journal": [], "sqlite": ["--storage", f"sqlite:///{folder}/studies.db"]}
    chosen = named.get(storage, ["--storage", storage])
    command = [sys.executable, str(ROOT / "main.py"), "serve", "--port", "0", "--no-grpc"]
    server = subprocess.Popen(
        [*command, *chosen, "--rate", "1e9", "--set", f"s3_bucket_root={folder}/runs"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert server.stderr is not None
    for line in server.stderr:
        if line.startswith("HTTP: "):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, int(line.rsplit(":", 1)[1].rstrip("/\n"))
    raise SystemExit("the server did not start")


def create(connection: Connection, name: str, algorithm: str, trials: int, parallel: int) -> None:
    body = {"name": name, "direction": "minimize", "tunables": TUNABLES, "trials": trials}
    more = {"algorithm": algorithm, "parallel": parallel}
    connection.call("POST", "/v1/experiments", body | more)


def rounds(port: int, name: str, trials: int, pause_s: float = 0.0) -> list[tuple[float, float]]:
    """Seconds of each ask and each tell of one client."""
    connection = Connection(port)
    took = []
    for _ in range(trials):
        begun = time.perf_counter()
        found = connection.call("POST", f"/v1/experiments/{name}/ask", {})
        if not found["trials"]:
            break
        asked = time.perf_counter()
        time.sleep(pause_s)
        (trial,) = found["trials"]
        value = sum(trial["params"].values())
        telling = time.perf_counter()
        path = f"/v1/experiments/{name}/trials/{trial['number']}/tell"
        connection.call("POST", path, {"value": value})
        took.append((asked - begun, time.perf_counter() - telling))
    return took


def _many(port: int, name: str, trials: int, done: Any) -> None:
    def one() -> None:
        try:
            done.put(len(rounds(port, name, trials)))
        except Exception as error:
            done.put(error)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def at_once(port: int, name: str, trials: int) -> float:
    """Rounds a second of 32 clients in two processes."""
    done: Any = multiprocessing.Queue()
    begun = time.perf_counter()
    processes = [
        multiprocessing.Process(target=_many, args=(port, name, trials, done)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    answers = [done.get() for _ in range(32)]
    took = time.perf_counter() - begun
    for process in processes:
        process.join()
    faults = [answer for answer in answers if isinstance(answer, Exception)]
    if faults:
        raise SystemExit(f"{len(faults)} of 32 clients failed, the first by: {faults[0]}")
    return sum(answers) / took


def alone(trials: int) -> float:
    """The median of optuna_tpe's own suggestion, ms: Optuna in this process, without a server."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(multivariate=False, constant_liar=True)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    took = []
    for _ in range(trials):
        begun = time.perf_counter()
        trial = study.ask()
        value = sum(trial.suggest_float(str(one["name"]), 0, 1) for one in TUNABLES)
        took.append(1e3 * (time.perf_counter() - begun))
        study.tell(trial, value)
    return statistics.median(took)


def memory_mb(pid: int) -> float:
    """Resident and unshared."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if "Private" in line) / 1024


def appending(connection: Connection, port: int, name: str) -> tuple[float, float]:
    """Seconds of an append of many results, and of another client's longest round meanwhile."""
    point = {str(one["name"]): 0.5 for one in TUNABLES}
    results = [{"params": point, "value": float(number)} for number in range(APPENDED)]
    longest, ended = 0.0, threading.Event()

    def work() -> None:
        nonlocal longest
        while not ended.is_set():
            longest = max(longest, *(ask + tell for ask, tell in rounds(port, name, 1)))

    other = threading.Thread(target=work, daemon=True)
    other.start()
    begun = time.perf_counter()
    connection.call("POST", f"/v1/experiments/{name}/trials", {"results": results})
    took = time.perf_counter() - begun
    ended.set()
    other.join(120)
    return took, longest


def show(title: str, took: list[tuple[float, float]], sampler_ms: float | None = None) -> None:
    whole = sorted(1e3 * (ask + tell) for ask, tell in took)
    median, p99 = statistics.median(whole), whole[int(0.99 * len(whole)) - 1]
    ask = statistics.median(1e3 * ask for ask, _ in took)
    ratio = "" if sampler_ms is None else f"  {median / sampler_ms:5.1f} x Optuna's suggestion"
    print(
        f"{title:44} median {median:6.1f} ms  p99 {p99:6.1f} ms  (ask {ask:5.1f} ms){ratio}",
        flush=True,
    )
    peer = {} if sampler_ms is None else {"peer": "Optuna in process", "peer_value": sampler_ms}
    figure(f"a round, {title}", median, "ms", aim=10, **peer)
    figure(f"a round, {title}, p99", p99, "ms", aim=50)


def measure(storage: str, url: str, trials: int, held: int, sampler_ms: float) -> None:
    """The figures of a server on `url`, told as those of `storage`."""
    with tempfile.TemporaryDirectory() as folder:
        server, port = started(url, Path(folder))
        try:
            connection = Connection(port)
            for algorithm in ("optuna_tpe", "random"):
                create(connection, algorithm, algorithm, trials, 1)
                peer = sampler_ms if algorithm == "optuna_tpe" else None
                show(f"{storage}: {algorithm}, tight loop", rounds(port, algorithm, trials), peer)
            create(connection, "work", "optuna_tpe", trials, 1)
            few = rounds(port, "work", min(trials, 200), pause_s=0.05)
            show(f"{storage}: optuna_tpe, trials of 50 ms", few)
            create(connection, "many", "random", 100 * trials, 32)
            rate = at_once(port, "many", max(20, trials // 16))
            print(f"{storage}: 32 clients on random: {rate:.0f} rounds/s", flush=True)
            aim = AIMS_PER_S.get(storage)
            figure(f"{storage}: 32 clients", rate, "/s", aim=aim, at_least=True)
            create(connection, "appended", "random", 1_000_000, 1)
            took, longest = appending(connection, port, "appended")
            print(
                f"{storage}: an append of {APPENDED} results: {took:.1f} s, the longest round of "
                f"another client meanwhile {1e3 * longest:.0f} ms",
                flush=True,
            )
            figure(f"{storage}: {APPENDED:,} results appended", took, "s")
            figure(f"{storage}: a round while they are", 1e3 * longest, "ms", aim=1000)
            if held:
                _hold(storage, connection, server.pid, held)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        if held and storage == "journal":
            begun = time.perf_counter()
            server, port = started(url, Path(folder))
            total = Connection(port).call("GET", "/v1/experiments")["total"]
            took = time.perf_counter() - begun
            print(f"{storage}: restart with {total} experiments: {took:.2f} s")
            figure(f"{storage}: restart with {total:,} experiments", took, "s", aim=2)
            os.kill(server.pid, signal.SIGTERM)
            server.wait(60)


def _hold(storage: str, connection: Connection, pid: int, held: int) -> None:
    before = memory_mb(pid)
    begun = time.perf_counter()
    for number in range(held):
        create(connection, f"held-{number}", "optuna_tpe", 100, 1)
        for _ in range(2):
            found = connection.call("POST", f"/v1/experiments/held-{number}/ask", {})
            path = f"/v1/experiments/held-{number}/trials/{found['trials'][0]['number']}/tell"
            connection.call("POST", path, {"value": 1.0})
    took = time.perf_counter() - begun
    print(
        f"{storage}: {held} experiments of 2 trials: {memory_mb(pid):.0f} MB ({before:.0f} MB "
        f"before), {1e3 * took / held:.1f} ms each",
        flush=True,
    )
    figure(f"{storage}: {held:,} experiments held", memory_mb(pid), "MB", aim=500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ["memory", "journal", "sqlite", "postgresql"]
    parser.add_argument("--storage", nargs="+", default=kinds, help="or a URL")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--held", type=int, default=1000, help="experiments held at once")
    options = parser.parse_args()
    sampler = alone(options.trials)
    print(f"{'Optuna alone, the sampler of optuna_tpe':44} median {sampler:6.1f} ms", flush=True)
    figure("a suggestion of optuna_tpe, Optuna alone", sampler, "ms")
    for storage in options.storage:
        slow = storage not in ("memory", "journal")
        with contextlib.ExitStack() as held:
            url = storage
            if storage == "postgresql":
                if not storages.can_serve():
                    print("postgresql: left out, its programs are not installed")
                    continue
                folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="perf-")))
                url = f"{held.enter_context(storages.postgres(folder))}/postgres"
            measure(storage, url, options.trials, 0 if slow else options.held, sampler)


if __name__ == "__main__":
    main()
