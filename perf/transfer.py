"""What `warm_start` saves on related pasts, and costs on shuffled ones.

    .venv/bin/python perf/transfer.py
    .venv/bin/python perf/transfer.py --seeds 3

Two past studies of 40 trials have a function whose optimum is elsewhere by up to a tenth of the
range, a wider range of one tunable, and lack another one. Shuffled: the same points with their
values in random order. A run ends when it is as good as plain runs are after 40 trials (the median
over seeds); counted are the trials until then, 80 at most. Values are told without the sandbox.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import statistics
import sys
import tempfile
import unittest.mock
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import optuna  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.hpo.spec.study_file import define  # noqa: E402
from benchmark.hpo.study.study import Study  # noqa: E402
from benchmark.records import results  # noqa: E402
from benchmark.records.results import Record  # noqa: E402
from benchmark.store import Store, open_store  # noqa: E402

PAST, USUAL, MOST = 40, 40, 80
Function = Callable[[dict[str, Any], list[float]], float]


def tunables(wider: bool = False, without: str = "") -> list[dict[str, Any]]:
    number = {"value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.9}
    found: list[dict[str, Any]] = [{"name": name, **number} for name in "abcd"]
    found.append(
        {"name": "c1", "value_type": "categorical", "choices": list("pqr"), "default": "r"}
    )
    found[0] |= {"upper_bound": 1.3} if wider else {}
    return [one for one in found if one["name"] != without]


def _shifted(point: dict[str, Any], at: list[float]) -> list[float]:
    return [point.get(name, 0.9) - place for name, place in zip("abcd", at, strict=True)]


def sphere(point: dict[str, Any], at: list[float]) -> float:
    return sum(x**2 for x in _shifted(point, at)) + "pqr".index(point["c1"]) / 10


def valley(point: dict[str, Any], at: list[float]) -> float:
    x = _shifted(point, at)
    bends = (20 * (b - a**2) ** 2 + a**2 for a, b in itertools.pairwise(x))
    return sum(bends) + "pqr".index(point["c1"]) / 10


def waves(point: dict[str, Any], at: list[float]) -> float:
    x = _shifted(point, at)
    waves = sum(v**2 + 0.05 * (1 - math.cos(9 * math.pi * v)) for v in x)
    return waves + "pqr".index(point["c1"]) / 10


def steep(point: dict[str, Any], at: list[float]) -> float:
    x = _shifted(point, at)
    return sum(10**n * v**2 for n, v in enumerate(x)) + "pqr".index(point["c1"]) / 10


FUNCTIONS: list[Function] = [sphere, valley, waves, steep]


def study_of(store: Store, name: str, seed: int, trials: int, **more: Any) -> Study:
    values = {
        "name": name,
        "direction": "minimize",
        "trials": trials,
        "seed": seed,
        "tunables": tunables(),
        "objective": {"command": ["true"]},
    }
    return Study.begin(store, define(values | more, Path()))


def run(study: Study, value_of: Callable[[dict[str, Any]], float], most: int) -> list[float]:
    """The best value after each trial."""
    best: list[float] = []
    for _ in range(most):
        (task,) = study.ask(1)
        value = value_of(task.payload["params"])
        labels = {**task.labels, "values": [value], "constraints": []}
        record = Record(task.key, "success", metrics={"value": value}, labels=labels)
        study.tell(results.settle(study.run, results.begin(study.run, task), record))
        best.append(min(value, best[-1]) if best else value)
    return best


def optimum(generator: random.Random, near: list[float] | None = None) -> list[float]:
    if near is None:
        return [generator.uniform(0.15, 0.7) for _ in range(4)]
    return [place + generator.uniform(-0.1, 0.1) for place in near]


def past(store: Store, function: Function, at: list[float], seed: int, shuffled: bool) -> list[str]:
    names = []
    for number in range(2):
        generator = random.Random(f"{seed}/{number}")
        there = optimum(generator, at)
        name = f"past-{'shuffled-' if shuffled else ''}{number}"
        space = tunables(wider=number == 0, without="d" if number else "")
        study = study_of(store, name, seed + number, PAST, tunables=space)
        points: list[dict[str, Any]] = []
        if shuffled:
            kept = Study.open(store, f"past-{number}")
            trials = kept.optimizer.trials()
            values = [float(trial.values[0]) for trial in trials]
            generator.shuffle(values)
            points = [dict(trial.params) for trial in trials]
            for params, value in zip(points, values, strict=True):
                task = study.adopt(params, str(len(names)))
                labels = {**task.labels, "values": [value], "constraints": []}
                record = Record(task.key, "success", metrics={"value": value}, labels=labels)
                study.tell(results.settle(study.run, results.begin(study.run, task), record))
        else:
            run(study, lambda point, there=there: function(point, there), PAST)  # type: ignore[misc]
        names.append(name)
    return names


def needed(best: list[float], target: float) -> int:
    return next((n for n, value in enumerate(best, 1) if value <= target), len(best))


def row(function: Function, seeds: int) -> dict[str, list[int]]:
    """The trials that plain, related and shuffled runs need, by seed."""
    curves: dict[str, list[list[float]]] = {"plain": [], "related": [], "shuffled": []}
    for seed in range(seeds):
        at = optimum(random.Random(f"{function.__name__} {seed}"))
        store = open_store(f"{function.__name__}-{seed}")
        with unittest.mock.patch("os.fsync", lambda _: None):
            for kind, found in curves.items():
                names = (
                    [] if kind == "plain" else past(store, function, at, seed, kind != "related")
                )
                more = {"warm_start": names} if names else {}
                study = study_of(store, kind, seed, MOST, **more)
                found.append(run(study, lambda point, at=at: function(point, at), MOST))  # type: ignore[misc]
    target = statistics.median(best[USUAL - 1] for best in curves["plain"])
    return {kind: [needed(best, target) for best in found] for kind, found in curves.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="of each function (default: 5)")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Optuna {optuna.__version__}")
    print(f"{'trials to the target':>20} {'plain':>8} {'related':>8} {'shuffled':>9}")
    sums = dict.fromkeys(("plain", "related", "shuffled"), 0.0)
    with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
        os.chdir(folder)
        for function in FUNCTIONS:
            found = row(function, options.seeds)
            means = {kind: statistics.mean(counts) for kind, counts in found.items()}
            cells = f"{means['plain']:8.1f} {means['related']:8.1f} {means['shuffled']:9.1f}"
            print(f"{function.__name__:>20} {cells}", flush=True)
            sums = {kind: sums[kind] + means[kind] for kind in sums}
        os.chdir(ROOT)
    saved = 1 - sums["related"] / sums["plain"]
    cost = sums["shuffled"] / sums["plain"] - 1
    print(f"related pasts save {saved:.0%} of the trials; shuffled ones cost {cost:.0%}")
    figure("trials saved by related pasts", 100 * saved, "%", aim=30, at_least=True)
    figure("trials that shuffled pasts cost", 100 * cost, "%", aim=5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
