"""What a sampler makes of points that fail or are forbidden, for every algorithm.

    .venv/bin/python perf/studies.py --only failing

One of four choices fails, and would be the best one. Beside the optimizer of studies stands the
naive way: the same sampler in a plain study of Optuna, told of a failure by `TrialState.FAIL`, and
of a forbidden point likewise until it proposes another, or after 20 tries a random one.
"""

from __future__ import annotations

import random
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from figures import figure

from benchmark.hpo.samplers.algorithms import ALGORITHMS, AlgorithmError, sampler_of
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.space.search_space import Space
from benchmark.hpo.space.space_file import read_space

TRIALS, LAST, TRIES = 40, 20, 20
# It has no steps to go by here.
LEFT_OUT = ("grid",)
Score = Callable[[dict[str, Any]], float | None]
TUNABLES: list[dict[str, Any]] = [
    {"name": "heap", "value_type": "integer", "lower_bound": 100, "upper_bound": 4000},
    {"name": "threads", "value_type": "integer", "lower_bound": 1, "upper_bound": 64},
    {"name": "ratio", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
    {"name": "gc", "value_type": "categorical", "choices": ["serial", "parallel", "g1", "z"]},
]


def score(point: dict[str, Any]) -> float:
    """Less is better; the best is 0, of the choice z."""
    far = (point["heap"] / 4000 - 0.4) ** 2 + (point["threads"] / 64 - 0.6) ** 2
    offset = {"serial": 1.0, "parallel": 0.5, "g1": 0.1, "z": 0.0}[point["gc"]]
    return 4 * (far + (point["ratio"] - 0.3) ** 2) + offset


FAILING: dict[str, Callable[[dict[str, Any]], bool]] = {
    "one of 4 choices": lambda point: point["gc"] == "z",
    "heap > 2000": lambda point: point["heap"] > 2000,
    "heap * threads > 20000": lambda point: point["heap"] * point["threads"] > 20000,
}
RULES = {"one of 4 choices": "gc == 'z'", **{rule: rule for rule in list(FAILING)[1:]}}


def ours(algorithm: str, space: Space, seed: int, fails: Any) -> tuple[list[float | None], float]:
    """The value of each trial, None of one that failed; CPU seconds in asks."""
    storage = optuna.storages.InMemoryStorage()
    optimizer = Optimizer(space, ["minimize"], algorithm, seed, storage, "s")
    values: list[float | None] = []
    spent = 0.0
    for _ in range(TRIALS):
        started = time.thread_time()
        asked = optimizer.ask()
        spent += time.thread_time() - started
        values.append(None if fails(asked.params) else score(asked.params))
        told = Told("failure") if values[-1] is None else Told("success", (values[-1],))
        optimizer.tell(asked.number, told)
    return values, spent


def naive(algorithm: str, space: Space, seed: int, fails: Any) -> tuple[list[float | None], float]:
    study = optuna.create_study(sampler=sampler_of(algorithm, seed))
    generator = random.Random(seed)
    values: list[float | None] = []
    spent = 0.0
    while len(values) < TRIALS:
        started = time.thread_time()
        for _ in range(TRIES):
            trial = study.ask()
            point = {tunable.name: tunable.suggest(trial) for tunable in space.tunables}
            if space.forbidding(point) is None:
                break
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            point = space.draw(generator)
            study.enqueue_trial(dict(point))
            trial = study.ask()
            for tunable in space.tunables:
                tunable.suggest(trial)
        spent += time.thread_time() - started
        values.append(None if fails(point) else score(point))
        if values[-1] is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, values[-1])
    return values, spent


def row(values: list[list[float | None]]) -> tuple[float, float, float]:
    """Means over seeds: failures, those of the last 20 trials, the best value."""
    failed = statistics.mean(one.count(None) for one in values)
    late = statistics.mean(one[-LAST:].count(None) for one in values)
    best = statistics.mean(min((v for v in one if v is not None), default=4.0) for one in values)
    return failed, late, best


def tables(seeds: int, algorithms: list[str] | None = None) -> None:
    warnings.simplefilter("ignore")
    chosen = algorithms or [name for name in ALGORITHMS if name not in LEFT_OUT]
    for kind, fails in FAILING.items():
        print(f"\nfails: {kind}; {TRIALS} trials, {seeds} seeds")
        print(f"{'':>24}   failed of {TRIALS} / of the last {LAST} / best; naive way beside it")
        space = read_space({"tunables": TUNABLES})
        for algorithm in chosen:
            try:
                found = row([ours(algorithm, space, seed, fails)[0] for seed in range(seeds)])
                beside = row([naive(algorithm, space, seed, fails)[0] for seed in range(seeds)])
            except AlgorithmError as error:
                print(f"{algorithm:>24}   {error}")
                continue
            cells = "   |   ".join(f"{a:5.1f} {b:5.1f} {c:6.3f}" for a, b, c in (found, beside))
            print(f"{algorithm:>24}   {cells}", flush=True)
            what = f"{kind} fails, failures of the last {LAST}, {algorithm}"
            figure(what, found[1], "trials", peer="told as FAIL", peer_value=beside[1])
    for kind, rule in RULES.items():
        print(f"\nforbidden: {kind}; {TRIALS} trials, {seeds} seeds")
        print(f"{'':>24}   best, ms an ask (CPU); naive way beside it; ms an ask without the rule")
        for algorithm in chosen:
            try:
                forbidding(algorithm, kind, rule, seeds)
            except AlgorithmError as error:
                print(f"{algorithm:>24}   {error}")


def forbidding(algorithm: str, kind: str, rule: str, seeds: int) -> None:
    space = read_space({"tunables": TUNABLES, "forbidden": [rule]})
    without = read_space({"tunables": TUNABLES})
    cells, took = [], []
    for way, where in ((ours, space), (naive, space), (ours, without)):
        runs = [way(algorithm, where, seed, lambda _: False) for seed in range(seeds)]
        took.append(1000 * statistics.mean(spent for _, spent in runs) / TRIALS)
        cells.append(f"{row([values for values, _ in runs])[2]:6.3f} {took[-1]:7.1f}")
    print(f"{algorithm:>24}   {cells[0]}   |   {cells[1]}   |   {took[2]:.1f}", flush=True)
    what = f"forbidden {kind}, extra time of an ask, {algorithm}"
    figure(what, took[0] - took[2], "ms", aim=5, peer="naive way", peer_value=took[1] - took[2])
