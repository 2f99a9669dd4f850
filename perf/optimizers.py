"""How good the points are that each optimizer finds: the functions of COCO, ranks by our analysis.

    .venv/bin/python perf/optimizers.py --quick

A "data set" is a function of bbob or bbob-mixint (Hansen et al., 2021) and a "framework" is an
optimizer; the score is the best value after 50 and after 200 trials, less is better. Beside the
optimizers of studies stands plain Optuna, `create_study()` with its default sampler. COCO is the
extra perf: `.venv/bin/python -m pip install -e '.[perf]'`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# One thread each, so that as many as there are cores can run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna  # noqa: E402
import pandas as pd  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.config.extras import install  # noqa: E402

try:
    import cocoex
except ImportError:
    sys.exit(f"The functions of COCO are the extra perf: {install('perf')}")

from benchmark.analysis.statistics.hypotheses import critical_difference, friedman, groups  # noqa: E402
from benchmark.analysis.statistics.ranking import ranks, seed_means, wins  # noqa: E402
from benchmark.hpo.samplers.algorithms import ALGORITHMS, AlgorithmError  # noqa: E402
from benchmark.hpo.samplers.optimizer import Optimizer  # noqa: E402
from benchmark.hpo.samplers.proposal import ExhaustedError, Told  # noqa: E402
from benchmark.hpo.space.space_file import read_space  # noqa: E402

SUITES = ("bbob", "bbob-mixint")
CHECKPOINTS = (50, 200)
PLAIN = "plain Optuna"
# Grid has no steps to go by here; the other two take minutes a run.
OTHERS = ("grid",)
SLOW = ("gp", "optuna_skopt")
TELL_S = 20.0

Best = dict[int, float]


def suite_of(name: str, functions: str, dimension: int) -> Any:
    """The problems of a suite, to iterate over."""
    chosen = f"dimensions:{dimension} instance_indices:1 function_indices:{functions}"
    return cocoex.Suite(name, "", chosen)


def space_of(problem: Any) -> list[dict[str, Any]]:
    integers = problem.number_of_integer_variables
    return [
        {
            "name": f"x{place}",
            "value_type": "integer" if place < integers else "double",
            "lower_bound": int(low) if place < integers else float(low),
            "upper_bound": int(high) if place < integers else float(high),
        }
        for place, (low, high) in enumerate(
            zip(problem.lower_bounds, problem.upper_bounds, strict=True)
        )
    ]


def ours(algorithm: str, problem: Any, trials: int, seed: int) -> Iterator[float]:
    """The value of each trial."""
    space = read_space({"tunables": space_of(problem)})
    storage = optuna.storages.InMemoryStorage()
    optimizer = Optimizer(space, ["minimize"], algorithm, seed, storage, "s")
    for _ in range(trials):
        try:
            asked = optimizer.ask()
        except ExhaustedError:
            return
        value = float(problem([asked.params[name] for name in space.names]))
        optimizer.tell(asked.number, Told("success", (value,)))
        yield value


def plain(problem: Any, trials: int, seed: int) -> Iterator[float]:
    sampler_of = type(optuna.create_study().sampler)
    study = optuna.create_study(sampler=sampler_of(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        value = float(
            problem(
                [
                    trial.suggest_int(one["name"], one["lower_bound"], one["upper_bound"])
                    if one["value_type"] == "integer"
                    else trial.suggest_float(one["name"], one["lower_bound"], one["upper_bound"])
                    for one in space_of(problem)
                ]
            )
        )
        study.tell(trial, value)
        yield value


@dataclass(frozen=True)
class Job:
    """One optimizer on one function with one seed; `checkpoints` in trials, the last is the end."""

    optimizer: str
    suite: str
    function: int
    dimension: int
    seed: int
    checkpoints: tuple[int, ...]


def played(job: Job) -> tuple[Job, Best, float]:
    """The best value so far at each checkpoint, and the seconds that it took."""
    started = time.perf_counter()
    # A problem lives as long as its suite, and until the next one of it is taken.
    suite = suite_of(job.suite, str(job.function), job.dimension)
    problem = suite.get_problem(0)
    if job.optimizer == PLAIN:
        values = list(plain(problem, job.checkpoints[-1], job.seed))
    else:
        values = list(ours(job.optimizer, problem, job.checkpoints[-1], job.seed))
    best = {count: min(values[:count]) for count in job.checkpoints if values}
    return job, best, time.perf_counter() - started


def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")


def begin_worker() -> None:
    """Ctrl-C is for the one that hands out; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet()


def available(names: Sequence[str]) -> list[str]:
    """Those whose libraries are here; what the others need is printed."""
    found = []
    suite = suite_of("bbob", "1", 2)
    for name in names:
        try:
            next(ours(name, suite.get_problem(0), 1, 0))
        except AlgorithmError as error:
            print(f"{name} is left out: {error}")
        else:
            found.append(name)
    return found


def jobs_of(options: argparse.Namespace, optimizers: Sequence[str]) -> list[Job]:
    """In an order in which what is done at any moment can be ranked: function after function."""
    numbers = [one.id_function for one in suite_of("bbob", options.functions, options.dimension)]
    checkpoints = tuple(sorted(options.trials))
    return [
        Job(optimizer, suite, number, options.dimension, seed, checkpoints)
        for number in numbers
        for suite in SUITES
        for seed in range(options.seeds)
        for optimizer in optimizers
    ]


def results(jobs: list[Job], processes: int) -> list[tuple[Job, Best, float]]:
    """Of all jobs; of those that were done where Ctrl-C comes first."""
    done = []
    with multiprocessing.get_context("spawn").Pool(processes, begin_worker) as pool:
        try:
            for result in pool.imap(played, jobs):
                done.append(result)
                job, _, took_s = result
                if job.seed == 0 and took_s > TELL_S:
                    what = f"{job.suite} f{job.function}, {job.optimizer}"
                    print(f"{len(done)}/{len(jobs)} {what}: {took_s:.0f} s", flush=True)
        except KeyboardInterrupt:
            print(f"interrupted: {len(done)} of {len(jobs)} are done, and ranked")
    return done


def table(gains: pd.DataFrame) -> list[str]:
    """Mean ranks, best first, wins, and who does not differ (Nemenyi)."""
    means = seed_means(gains)
    ranked = ranks(means)
    mean_ranks = ranked.mean().sort_values()
    won = wins(means)
    lines = [f"{name:>24} {rank:6.2f} {won[name]:5d}" for name, rank in mean_ranks.items()]
    test = friedman(ranked)
    if test is None:
        return lines
    apart = critical_difference(len(mean_ranks), len(means))
    same = "; ".join(", ".join(group) for group in groups(mean_ranks, apart)) or "none"
    return [*lines, f"Friedman p = {test.p:.2g}; critical difference {apart:.2f}; alike: {same}"]


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="6 functions, 1 seed")
    parser.add_argument("--slow", action="store_true", help=f"{' and '.join(SLOW)} too: hours")
    parser.add_argument("--functions", help="as COCO writes them (default: 1-24, quick: 6 of them)")
    parser.add_argument("--dimension", type=int, default=5)
    parser.add_argument("--seeds", type=int, help="default: 3, quick: 1")
    parser.add_argument("--trials", type=int, nargs="+", default=list(CHECKPOINTS), metavar="N")
    parser.add_argument("--algorithms", nargs="*", default=None, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at once (default: cores)")
    options = parser.parse_args()
    for name in ("jobs", "seeds"):
        if (getattr(options, name) or 1) < 1:
            parser.error(f"--{name} {getattr(options, name)}: give a number from 1 on")
    if min(options.trials) < 1:
        parser.error(f"--trials {min(options.trials)}: give numbers from 1 on")
    functions, seeds = ("1,6,8,15,20,23", 1) if options.quick else ("1-24", 3)
    options.functions = options.functions or functions
    options.seeds = seeds if options.seeds is None else options.seeds
    return options


def main() -> int:
    options = options_of()
    quiet()
    checkpoints = sorted(options.trials)
    without = (*OTHERS, *(() if options.slow else SLOW))
    chosen = options.algorithms or [name for name in ALGORITHMS if name not in without]
    print(
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Optuna {optuna.__version__}; "
        f"functions {options.functions}, dimension {options.dimension}, {options.seeds} seeds, "
        f"{options.jobs} at once"
    )
    optimizers = [*available(chosen), PLAIN]
    done = results(jobs_of(options, optimizers), options.jobs)
    for suite in SUITES:
        for name in optimizers:
            took = [
                took_s for job, _, took_s in done if (job.suite, job.optimizer) == (suite, name)
            ]
            if took:
                print(f"{suite:>12} {name:>24} {sum(took) / len(took):8.1f} s a run")
        for count in checkpoints:
            gains = gains_of(done, suite, count, optimizers)
            if gains.empty:
                continue
            functions = gains.index.get_level_values(0).nunique()
            print(f"\n{suite}, {count} trials, {functions} functions: mean rank, wins")
            for name, rank in ranks(seed_means(gains)).mean().items():
                figure(f"{suite}, {count} trials, {name}", rank, "mean rank")
            print("\n".join(table(gains)), flush=True)
        print()
    return 0


def gains_of(
    done: list[tuple[Job, Best, float]], suite: str, count: int, optimizers: Sequence[str]
) -> pd.DataFrame:
    """Functions and seeds x optimizers, more is better; only what every optimizer has played."""
    scores: dict[str, dict[tuple[int, int], float]] = {name: {} for name in optimizers}
    for job, best, _ in done:
        if job.suite == suite and count in best:
            scores[job.optimizer][job.function, job.seed] = -best[count]
    return pd.DataFrame(scores, columns=list(optimizers)).dropna()


if __name__ == "__main__":
    sys.exit(main())
