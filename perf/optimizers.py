"""How good the points are that each optimizer finds: the functions of COCO, ranks by our analysis.

    .venv/bin/python perf/optimizers.py --quick

A "data set" is a function of bbob or bbob-mixint (Hansen et al., 2021) and a "framework" is an
optimizer; the score is the best value after 50 and after 200 trials, less is better. Beside the
optimizers of studies stands plain Optuna, `create_study()` with its default sampler. COCO is the
extra perf: `.venv/bin/python -m pip install -e '.[perf]'`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import optuna  # noqa: E402
import pandas as pd  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.extras import install  # noqa: E402

try:
    import cocoex
except ImportError:
    sys.exit(f"The functions of COCO are the extra perf: {install('perf')}")

from benchmark.analysis.hypotheses import critical_difference, friedman, groups  # noqa: E402
from benchmark.analysis.ranking import ranks, seed_means, wins  # noqa: E402
from benchmark.hpo.algorithms import ALGORITHMS, AlgorithmError  # noqa: E402
from benchmark.hpo.optimizer import ExhaustedError, Optimizer, Told  # noqa: E402
from benchmark.hpo.space_file import read_space  # noqa: E402

SUITES = ("bbob", "bbob-mixint")
CHECKPOINTS = (50, 200)
PLAIN = "plain Optuna"
# Grid has no steps to go by here; the other two take minutes a run.
OTHERS = ("grid",)
SLOW = ("gp", "optuna_skopt")

Best = dict[int, float]


def problems(suite: str, functions: str, dimension: int) -> Iterator[Any]:
    chosen = f"dimensions:{dimension} instance_indices:1 function_indices:{functions}"
    yield from cocoex.Suite(suite, "", chosen)


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


def best_of(values: Iterator[float], checkpoints: list[int]) -> Best:
    found = list(values)
    return {count: min(found[:count]) for count in checkpoints if found}


def measured(
    optimizer: str, suite: str, options: argparse.Namespace, checkpoints: list[int]
) -> Iterator[tuple[int, str, int, float]]:
    """Checkpoint, problem, seed and the best value so far."""
    for problem in problems(suite, options.functions, options.dimension):
        for seed in range(options.seeds):
            body: Callable[..., Iterator[float]] = plain
            arguments: tuple[Any, ...] = (problem, checkpoints[-1], seed)
            if optimizer != PLAIN:
                body, arguments = ours, (optimizer, *arguments)
            for count, value in best_of(body(*arguments), checkpoints).items():
                yield count, problem.id, seed, value


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
    parser.add_argument("--functions", default="1-24", help="as COCO writes them (default: 1-24)")
    parser.add_argument("--dimension", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, nargs="+", default=list(CHECKPOINTS), metavar="N")
    parser.add_argument("--algorithms", nargs="*", default=None, metavar="NAME")
    options = parser.parse_args()
    if min(options.trials) < 1:
        parser.error(f"--trials {min(options.trials)}: give numbers from 1 on")
    if options.quick:
        options.functions, options.seeds = "1,6,8,15,20,23", 1
    return options


def main() -> int:
    options = options_of()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    checkpoints = sorted(options.trials)
    without = (*OTHERS, *(() if options.slow else SLOW))
    chosen = options.algorithms or [name for name in ALGORITHMS if name not in without]
    print(
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Optuna {optuna.__version__}; "
        f"functions {options.functions}, dimension {options.dimension}, {options.seeds} seeds"
    )
    for suite in SUITES:
        scores: dict[int, dict[str, dict[tuple[str, int], float]]] = defaultdict(dict)
        for name in (*chosen, PLAIN):
            started = time.perf_counter()
            try:
                for count, problem, seed, value in measured(name, suite, options, checkpoints):
                    scores[count].setdefault(name, {})[problem, seed] = -value
            except AlgorithmError as error:
                print(f"{name} is left out: {error}")
                continue
            print(f"{suite:>12} {name:>24} {time.perf_counter() - started:8.1f} s", flush=True)
        for count in checkpoints:
            print(f"\n{suite}, {count} trials: mean rank, wins")
            for name, rank in ranks(seed_means(pd.DataFrame(scores[count]))).mean().items():
                figure(f"{suite}, {count} trials, {name}", rank, "mean rank")
            print("\n".join(table(pd.DataFrame(scores[count]))), flush=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
