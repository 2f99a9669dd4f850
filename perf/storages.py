"""Where a study's storage stops to scale: trials a second by storage and by processes at work.

    .venv/bin/python perf/storages.py --quick

Each process asks and tells trials of five tunables, random, through the same study: journal file
(with our lock), SQLite, PostgreSQL (a server of this program's own), and Optuna's gRPC proxy over
each of them. The objective takes no time, so this is the most that a storage gives.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import figure

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

START_S = 60.0
_CODE = "import sys; sys.path.insert(0, sys.argv[1]); import storages; storages.{}(*sys.argv[2:])"
# Optuna calls its proxy experimental, once a process.
_QUIET = ("-W", "ignore")


def opened(where: str) -> Any:
    """The storage of an address: a path, a database's URL, or `grpc:PORT`."""
    import optuna

    from benchmark.hpo.storages.storage import open_storage

    if where.startswith("grpc:"):
        return optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=int(where[5:]))
    return open_storage(where, "s")


def work(where: str, trials: str) -> None:
    """One process: says that it is ready, waits for a word, and says how long its trials took."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(
        study_name="s", storage=opened(where), sampler=optuna.samplers.RandomSampler()
    )
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(trials)):
        trial = study.ask()
        study.tell(trial, sum(trial.suggest_float(name, 0, 1) for name in "abcde"))
    print("done", flush=True)


def serve(where: str, port: str) -> None:
    """The proxy's server."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = opened(where)
    optuna.storages.run_grpc_proxy_server(storage, host="127.0.0.1", port=int(port))


def process(function: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    code = _CODE.format(function)
    command = [sys.executable, *_QUIET, "-c", code, str(Path(__file__).parent)]
    return subprocess.Popen([*command, *arguments], text=True, **more)


def rate(where: str, workers: int, trials: int) -> float:
    """Trials a second of that many processes, which begin together; 0 where one of them fails."""
    each = max(1, trials // workers)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    pipes["stderr"] = subprocess.DEVNULL
    running = [process("work", where, str(each), **pipes) for _ in range(workers)]
    try:
        for one in running:
            if one.stdout.readline() != "ready\n":
                raise SystemExit(f"A worker on {where} did not start.")
        started = time.perf_counter()
        for one in running:
            one.stdin.write("go\n")
            one.stdin.flush()
        if any(one.stdout.readline() != "done\n" for one in running):
            return 0.0
        took = time.perf_counter() - started
        for one in running:
            one.communicate()
    finally:
        for one in running:
            one.kill()
            one.wait()
    return each * workers / took


@contextlib.contextmanager
def proxied(where: str) -> Iterator[str]:
    with free_port() as port:
        pass
    server = process("serve", where, str(port))
    try:
        await_port(port)
        yield f"grpc:{port}"
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


def await_port(port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("The gRPC proxy did not start.")


def can_serve() -> bool:
    """Whether PostgreSQL's programs are here."""
    return bool(shutil.which("unshare") and list(Path("/usr/lib/postgresql").glob("*/bin")))


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server that syncs as a real one does."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    # The server refuses root, who runs it as another user of a namespace.
    user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if not os.geteuid() else []
    with free_port() as port:
        pass
    data = folder / "postgres"
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c max_connections=300 -k ''"

    def run(name: str, *arguments: str) -> None:
        command = [*user, str(programs / name), "-D", str(data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    run("initdb", "-U", "tuner", "-A", "trust")
    run("pg_ctl", "-w", "-o", settings, "-l", str(folder / "postgres.log"), "start")
    try:
        yield f"postgresql://tuner@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")


def begun(where: str) -> str:
    import optuna

    optuna.create_study(study_name="s", storage=opened(where))
    return where


def row(name: str, where: str, counts: list[int], trials: int, cost: float) -> None:
    """Trials a second for each count of processes, and where more of them bring no more."""
    found = [rate(where, count, trials) for count in counts]
    most = max(found)
    enough = next(count for count, each in zip(counts, found, strict=True) if each > 0.8 * most)
    cells = " ".join(f"{each:8.0f}" if each else f"{'failed':>8}" for each in found)
    print(f"{name:>22} {cells} {enough:8d} {1000 * cost / 3600 / most:12.5f}", flush=True)
    if most:
        figure(f"trials a second, {name}", most, "/s", at_least=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4, 16, 32], metavar="N")
    parser.add_argument("--trials", type=int, default=160, help="a cell, all together")
    parser.add_argument("--cost", type=float, default=0.1, help="of the machine, an hour")
    parser.add_argument("--quick", action="store_true", help="64 trials a cell")
    parser.add_argument("--only", choices=("journal", "SQLite", "PostgreSQL"))
    options = parser.parse_args()
    trials = 64 if options.quick else options.trials
    import optuna

    from benchmark.files.removal import clear

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}, Optuna {optuna.__version__}; trials/s by processes"
    )
    heads = " ".join(f"{count:8d}" for count in options.workers)
    print(f"{'':>22} {heads} {'enough':>8} {'$ per 1,000':>12}")
    with contextlib.ExitStack() as held:
        folder = Path(tempfile.mkdtemp(prefix="storages-"))
        held.callback(clear, folder)
        places = [
            ("journal", str(folder / "direct.journal"), str(folder / "proxied.journal")),
            ("SQLite", f"sqlite:///{folder}/direct.db", f"sqlite:///{folder}/proxied.db"),
        ]
        if can_serve():
            server = held.enter_context(postgres(folder))
            places.append(("PostgreSQL", f"{server}/postgres", f"{server}/template1"))
        for name, direct, behind in places:
            if options.only not in (None, name):
                continue
            row(name, begun(direct), options.workers, trials, options.cost)
            with proxied(begun(behind)) as proxy:
                row(f"gRPC over {name}", proxy, options.workers, trials, options.cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
