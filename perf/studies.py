"""The program's own share of a trial, how an ask, a trial and a report slow down as a study grows,
and what samplers learn of failures.

    .venv/bin/python perf/studies.py --quick
    .venv/bin/python perf/studies.py --only failing --algorithms optuna_tpe random

The share is wall time less ask, tell and the objective, with an objective that does nothing, in the
sandbox; beside it the same objective in plain Optuna. With 8 at once it is the time that passes for
a trial, so that it says what the machine spends. The trials that start zygotes are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import failing  # noqa: E402
import optuna  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.execution.runner import Runner  # noqa: E402
from benchmark.hpo.report.html_report import write_report  # noqa: E402
from benchmark.hpo.samplers.algorithms import ALGORITHMS, AlgorithmError  # noqa: E402
from benchmark.hpo.samplers.optimizer import Optimizer  # noqa: E402
from benchmark.hpo.samplers.proposal import Told  # noqa: E402
from benchmark.hpo.space.space_file import read_space  # noqa: E402
from benchmark.hpo.spec.study_file import define  # noqa: E402
from benchmark.hpo.storages.storage import open_storage  # noqa: E402
from benchmark.hpo.study.study import Study  # noqa: E402
from benchmark.hpo.study.task_order import InOrder  # noqa: E402
from benchmark.records import results  # noqa: E402
from benchmark.records.results import Record  # noqa: E402
from benchmark.records.tasks import Resources, Task  # noqa: E402
from benchmark.store import open_store  # noqa: E402

NAMES = "abcde"
TUNABLES = [
    {"name": name, "value_type": "double", "lower_bound": 0, "upper_bound": 1} for name in NAMES
]
COMMAND = ["echo", "1"]
FUNCTION = "def objective(trial): return 1.0\n"
SLOW_S = 5.0


class Clock:
    """Seconds spent in a part, added up over threads."""

    def __init__(self) -> None:
        self.spent = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.spent += time.perf_counter() - started


def declared(objective: Any, trials: int) -> dict[str, Any]:
    return {
        "name": "s",
        "direction": "minimize",
        "algorithm": "random",
        "trials": trials,
        "tunables": TUNABLES,
        "limits": {"time": 60, "memory": 500},
        "objective": objective,
    }


def ours(objective: Any, trials: int, workers: int, folder: Path) -> dict[str, float]:
    """Seconds a trial: what passes, and of it ask and tell."""
    (folder / "own.py").write_text(FUNCTION)
    warm = 2 * workers
    store = open_store(str(folder / f"store-{workers}"))
    study = Study.begin(store, define(declared(objective, trials + warm), folder))
    cores = itertools.cycle(sorted(os.sched_getaffinity(0)))
    turn, ask, tell = threading.Lock(), Clock(), Clock()
    warmed = threading.Barrier(workers, lambda: clocks.append(time.perf_counter()))
    clocks: list[float] = []

    def run(core: int) -> None:
        with Runner(study.run, [core]) as runner:
            for number in itertools.count():
                if number == 2:
                    warmed.wait()
                with turn, ask.running() if number >= 2 else contextlib.nullcontext():
                    tasks = study.ask(1)
                if not tasks:
                    return
                record = runner.execute(tasks[0])
                if record.status != "success":
                    raise SystemExit(f"{record.task} failed, {record.cause}: {record.message}")
                with turn, tell.running() if number >= 2 else contextlib.nullcontext():
                    study.tell(record)

    together([lambda core=core: run(core) for core in itertools.islice(cores, workers)])
    wall = time.perf_counter() - clocks[0]
    return {"wall": wall / trials, "ask": ask.spent / trials, "tell": tell.spent / trials}


def plain(objective: Callable[[], float], trials: int, workers: int, folder: Path) -> float:
    """The same with `study.optimize` of Optuna on its own journal file. Seconds a trial."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / f"plain-{workers}"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(0))

    def run(trial: optuna.Trial) -> float:
        for name in NAMES:
            trial.suggest_float(name, 0, 1)
        return objective()

    started = time.perf_counter()
    study.optimize(run, n_trials=trials, n_jobs=workers)
    return (time.perf_counter() - started) / trials


def together(bodies: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def a_process() -> float:
    return float(subprocess.run(COMMAND, stdout=subprocess.PIPE, check=True).stdout)


def shares(trials: int, folder: Path) -> None:
    kinds: list[tuple[str, Any, Callable[[], float]]] = [
        ("command", {"command": COMMAND}, a_process),
        ("python", {"python": "own.py:objective"}, lambda: 1.0),
    ]
    head = ("objective", "at once", "wall", "ask", "tell", "objective", "share", "plain Optuna")
    print(("{:>10} {:>8}" + " {:>10}" * 6).format(*head) + "   (ms a trial)")
    for name, objective, itself in kinds:
        took = []
        for _ in range(20):
            started = time.perf_counter()
            itself()
            took.append(time.perf_counter() - started)
        alone = statistics.median(took)
        for workers in (1, 8):
            place = folder / f"{name}-{workers}"
            place.mkdir()
            found = ours(objective, trials, workers, place)
            share = found["wall"] - found["ask"] - found["tell"] - alone
            beside = plain(itself, trials, workers, place)
            row = (found["wall"], found["ask"], found["tell"], alone, share, beside)
            cells = " ".join(f"{1000 * value:10.1f}" for value in row)
            print(f"{name:>10} {workers:8d} {cells}", flush=True)
            what = f"share of a trial, {name}, {workers} at once"
            figure(what, 1000 * share, "ms", aim=30)


def filled(trials: int, path: Path) -> None:
    """A study of that many told trials in a journal."""
    space = read_space({"tunables": TUNABLES})
    optimizer = Optimizer(space, ["minimize"], "random", 1, open_storage(str(path), "s"), "s")
    storage, study_id = optimizer.storage, optimizer.study_id
    template = optimizer.propose().frozen
    for number in range(trials):
        point = {
            name: ((number + 1) * prime % 997) / 997
            for name, prime in zip(NAMES, PRIMES, strict=True)
        }
        trial = optuna.trial.create_trial(
            value=sum((value - 0.3) ** 2 for value in point.values()),
            params=point,
            distributions=template.distributions,
        )
        storage.create_new_trial(study_id, template_trial=trial)


PRIMES = (2, 3, 5, 7, 11)


def ask_s(algorithm: str, path: Path, asks: int) -> float:
    """The median of some asks, each followed by its tell, after one that builds what is kept."""
    optimizer = Optimizer(
        read_space({"tunables": TUNABLES}),
        ["minimize"],
        algorithm,
        1,
        open_storage(str(path), "s"),
        "s",
    )
    took = []
    for _ in range(asks + 1):
        started = time.perf_counter()
        asked = optimizer.ask()
        took.append(time.perf_counter() - started)
        value = sum((found - 0.3) ** 2 for found in asked.params.values())
        optimizer.tell(asked.number, Told("success", (value,)))
        if took[-1] > SLOW_S:
            break
    return statistics.median(took[1:] or took)


def asks(sizes: list[int], repeats: int, folder: Path) -> None:
    print(f"\n{'ask (ms)':>24} " + " ".join(f"{size:>8d}" for size in sizes) + "  trials before")
    for size in sizes:
        filled(size, folder / f"filled-{size}")
    for algorithm in sorted(set(ALGORITHMS) - {"grid"}):
        cells, slow, last = [], False, None
        for size in sizes:
            if slow:
                cells.append(f"{'-':>8}")
                continue
            path = folder / f"{algorithm}-{size}"
            shutil.copyfile(folder / f"filled-{size}", path)
            try:
                took = ask_s(algorithm, path, repeats)
            except AlgorithmError as error:
                cells.append(f" {error}")
                break
            slow = took > SLOW_S
            cells.append(f"{1000 * took:8.1f}")
            last = f"ask of {algorithm} after {size:,} trials", 1000 * took
        print(f"{algorithm:>24} " + " ".join(cells), flush=True)
        if last:
            figure(*last, "ms")


def long(size: int, folder: Path) -> None:
    """What a trial costs after few and after many, beside its objective, and a report's seconds."""
    folder.mkdir()
    space = [tunable | {"default": 0.5} for tunable in TUNABLES]
    values = declared({"command": COMMAND}, 2 * size) | {"tunables": space}
    study = Study.begin(open_store(str(folder / "store")), define(values, folder))
    print(f"\n{'trials before':>14} {'ms a trial':>11} {'ms of CPU':>10}   (nothing is run)")
    costs = []
    for before in sorted({100, min(1000, size), size}):
        with unittest.mock.patch("os.fsync", lambda _: None):
            while len(study.optimizer.trials()) < before:
                settled(study)
        settled(study)
        walls, cpus = [], []
        for _ in range(50):
            wall, cpu = time.perf_counter(), time.process_time()
            settled(study)
            walls.append(1000 * (time.perf_counter() - wall))
            cpus.append(1000 * (time.process_time() - cpu))
        costs.append(statistics.median(cpus))
        print(f"{before:>14,} {statistics.median(walls):11.1f} {costs[-1]:10.1f}", flush=True)
    what = f"CPU of a trial after {size:,} trials"
    figure(what, costs[-1], "ms", peer="after 100", peer_value=costs[0])
    files = sum(path.is_file() for path in (folder / "store").rglob("*"))
    figure("files of a trial", files / len(study.optimizer.trials()), "")
    began = time.perf_counter()
    write_report(study.run, study.definition, folder / "report")
    took = time.perf_counter() - began
    print(f"a report of {size:,} trials: {took:.1f} s; {files:,} files")
    figure(f"report of {size:,} trials", took, "s", aim=20)


def settled(study: Study) -> None:
    """A trial that is asked, recorded and told, and was never run."""
    (task,) = study.ask(1)
    value = sum((found - 0.3) ** 2 for found in task.payload["params"].values())
    attempt = results.begin(study.run, task)
    log = study.run.log_path(task, passed=True, attempt=attempt.number)
    study.run.store.put(log, b"1\n")
    labels = {**task.labels, "values": [value], "constraints": []}
    metrics = {"minimize": value}
    record = Record(task.key, "success", metrics=metrics, labels=labels, total_s=0.1, log=log)
    study.tell(results.settle(study.run, attempt, record))


class _Taker:
    """A dispatcher that takes tasks and does nothing with them."""

    def submit(self, tasks: list[Task]) -> None:
        pass


def resumed(trials: int) -> None:
    """How long the submission of a study's interrupted trials takes before any of them runs."""
    one = Resources(cores=1, memory_mb=300, runtime_s=20, hard_limit_s=20)
    tasks = [Task(str(n), "package:Evaluation", "", {"trial": n}, one) for n in range(trials)]
    begun = time.perf_counter()
    InOrder(_Taker()).submit(tasks)  # type: ignore[arg-type]
    took = time.perf_counter() - begun
    print(f"{trials} interrupted trials are submitted in {took:.3f} s")
    figure(f"{trials} interrupted trials submitted", took, "s", aim=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=200, help="a row (default: 200)")
    parser.add_argument("--quick", action="store_true", help="40 trials; asks at 100 and 1,000")
    parser.add_argument("--only", choices=("shares", "asks", "failing", "resumed", "long"))
    parser.add_argument("--algorithms", nargs="*", metavar="NAME", help="of --only failing")
    parser.add_argument("--seeds", type=int, help="of --only failing (default: 5, quick: 1)")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}, Optuna {optuna.__version__}"
    )
    with tempfile.TemporaryDirectory(prefix="studies-") as folder:
        if options.only in (None, "resumed"):
            resumed(20_000)
        if options.only in (None, "failing"):
            failing.tables(options.seeds or (1 if options.quick else 5), options.algorithms)
        if options.only in (None, "shares"):
            shares(40 if options.quick else options.trials, Path(folder))
        if options.only in (None, "long"):
            long(500 if options.quick else 5000, Path(folder) / "long")
        if options.only in (None, "asks"):
            sizes = [100, 1000] if options.quick else [100, 1000, 5000]
            asks(sizes, 3 if options.quick else 7, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
