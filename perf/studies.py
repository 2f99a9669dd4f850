"""The program's own share of a trial, how an ask slows down as a study grows, what samplers learn
of failures, and how often a verdict is wrong.

    .venv/bin/python perf/studies.py --quick
    .venv/bin/python perf/studies.py --only verdicts
    .venv/bin/python perf/studies.py --only failing --algorithms optuna_tpe random

The share is wall time less ask, tell and the objective, with an objective that does nothing, in the
sandbox; beside it the same objective in plain Optuna. With 8 at once it is the time that passes for
a trial, so that it says what the machine spends. The trials that start zygotes are left out.

A verdict is wrong where it says "keep" of a best that is the default itself; beside it the t-test
on the pairs' differences, which it was before, and what share of true improvements it finds.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import failing  # noqa: E402
import numpy as np  # noqa: E402
import optuna  # noqa: E402
from figures import figure  # noqa: E402
from scipy import stats  # noqa: E402

from benchmark.execution.runner import Runner  # noqa: E402
from benchmark.hpo.algorithms import ALGORITHMS, AlgorithmError  # noqa: E402
from benchmark.hpo.optimizer import Optimizer, Told  # noqa: E402
from benchmark.hpo.order import InOrder  # noqa: E402
from benchmark.hpo.space_file import read_space  # noqa: E402
from benchmark.hpo.storage import open_storage  # noqa: E402
from benchmark.hpo.study import Study  # noqa: E402
from benchmark.hpo.study_file import define  # noqa: E402
from benchmark.hpo.verdict import ALPHA, compare  # noqa: E402
from benchmark.store import open_store  # noqa: E402
from benchmark.tasks import Resources, Task  # noqa: E402

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
    optimizer = Optimizer(space, ["minimize"], "random", 1, open_storage(str(path)), "s")
    storage, study_id = optimizer.study._storage, optimizer.study._study_id
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
        read_space({"tunables": TUNABLES}), ["minimize"], algorithm, 1, open_storage(str(path)), "s"
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


PAIRS = range(2, 11)
DRAWS: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    "normal": lambda dice, size: dice.normal(size=size),
    "whole units (sd 1)": lambda dice, size: np.round(dice.normal(size=size)),
    "whole units (sd 0.4)": lambda dice, size: np.round(dice.normal(scale=0.4, size=size)),
    "heavy tails (Cauchy)": lambda dice, size: dice.standard_cauchy(size=size),
    "skewed, whole units": lambda dice, size: np.round(dice.lognormal(1, 1, size=size)),
    "20 % fail": lambda dice, size: np.where(
        dice.random(size) < 0.2, np.nan, dice.normal(size=size)
    ),
}


def t_keeps(best: Any, default: Any) -> Any:
    """What the t-test said, equal differences being no noise at all, and failures left out."""
    known = ~np.isnan(best - default)
    differences, count = np.where(known, best - default, 0.0), known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = differences.sum(axis=1) / count
        squares = np.where(known, differences - mean[:, None], 0.0) ** 2
        error = np.sqrt(squares.sum(axis=1) / (count - 1) / count)
        return (count > 1) & (mean < -stats.t.ppf(1 - ALPHA / 2, count - 1) * error)


def keeps(best: Any, default: Any) -> Any:
    """What `compare` says; it is asked once for each pattern of ranks and signs."""
    one, other = (np.where(np.isnan(values), np.inf, values) for values in (best, default))
    differences = np.where(one == other, 0.0, one - np.where(one == other, 0.0, other))
    order = np.argsort(np.abs(differences), axis=1)
    differences = np.take_along_axis(differences, order, axis=1)
    ranks = stats.rankdata(np.abs(differences), axis=1)
    patterns, places = np.unique(np.sign(differences) * ranks, axis=0, return_inverse=True)
    says = [compare([(v, 0.0) for v in row], smaller=True).says == "keep" for row in patterns]
    return np.array(says)[places.ravel()] & ~np.isnan(best).any(axis=1)


def verdicts(repeats: int) -> None:
    """Shares of "keep" among so many verdicts a cell, best and default alike or two apart."""
    worst = 0.0
    for gain, name in ((0.0, "false keep (%)"), (2.0, "true keep, 2 better (%)")):
        print(f"\n{name:>24} " + " ".join(f"{pairs:>14d}" for pairs in PAIRS) + "  pairs")
        for noise, draw in DRAWS.items():
            for test, judged in (("", keeps), ("t-test before", t_keeps)):
                cells = []
                for pairs in PAIRS:
                    dice = np.random.default_rng((pairs, len(noise)))
                    best, default = draw(dice, (2, repeats, pairs))
                    count = int(judged(best - gain, default).sum())
                    found = stats.binomtest(count, repeats).proportion_ci()
                    ends = f"{100 * found.low:.1f}-{100 * found.high:.1f}"
                    cells.append(f"{100 * count / repeats:5.2f} {ends}".ljust(14))
                    if not gain and judged is keeps:
                        worst = max(worst, count / repeats)
                print(f"{test or noise:>24} " + " ".join(cells), flush=True)
    name = "false verdicts, worst of all noises and 2 to 10 pairs"
    figure(name, 100 * worst, "%", aim=50 * ALPHA)


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
    parser.add_argument("--only", choices=("shares", "asks", "failing", "verdicts", "resumed"))
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
        if options.only in (None, "verdicts"):
            verdicts(2000 if options.quick else 40_000)
        if options.only in (None, "failing"):
            failing.tables(options.seeds or (1 if options.quick else 5), options.algorithms)
        if options.only in (None, "shares"):
            shares(40 if options.quick else options.trials, Path(folder))
        if options.only in (None, "asks"):
            sizes = [100, 1000] if options.quick else [100, 1000, 5000]
            asks(sizes, 3 if options.quick else 7, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
