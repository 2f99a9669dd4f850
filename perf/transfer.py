"""What `warm_start` saves on related pasts, and costs on shuffled ones.

    .venv/bin/python perf/transfer.py
    .venv/bin/python perf/transfer.py --seeds 3
    .venv/bin/python perf/transfer.py --tables    # of two learners on eight data sets, minutes

Two past studies of 40 trials have a function whose optimum is elsewhere by up to a tenth of the
range, a wider range of one tunable, and lack another one. Shuffled: the same points with their
values in random order. A run ends when it is as good as plain runs are after 40 trials (the median
over seeds); counted are the trials until then, 80 at most. Its regret is the mean distance of its
best after 10, 20 and 40 trials from the best of all runs, in parts of that of plain runs after 5.
Values are told without the sandbox.

With --tables the values are those of real learners, as in YAHPO: 120 random points of gradient
boosting and of a support vector machine are measured by cross-validation on each embedded data set,
and a random forest over these is the function. The past is the same learner on two other data sets.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import os
import random
import statistics
import sys
import tempfile
import unittest.mock
from collections.abc import Callable, Iterator
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

PAST, FEW, USUAL, MOST = 40, 5, 40, 80
LOOKS = (10, 20, 40)
KINDS = ("plain", "related", "shuffled")
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


BOOSTING: list[dict[str, Any]] = [
    {"name": "learning_rate", "value_type": "double", "lower_bound": 0.003, "upper_bound": 1}
    | {"log": True},
    {"name": "max_iter", "value_type": "integer", "lower_bound": 5, "upper_bound": 100}
    | {"log": True},
    {"name": "max_leaf_nodes", "value_type": "integer", "lower_bound": 2, "upper_bound": 64}
    | {"log": True},
    {"name": "min_samples_leaf", "value_type": "integer", "lower_bound": 1, "upper_bound": 60},
    {"name": "l2", "value_type": "double", "lower_bound": 1e-4, "upper_bound": 100} | {"log": True},
]
VECTORS: list[dict[str, Any]] = [
    {"name": "C", "value_type": "double", "lower_bound": 1e-3, "upper_bound": 1e3, "log": True},
    {"name": "gamma", "value_type": "double", "lower_bound": 1e-5, "upper_bound": 10}
    | {"log": True},
    {"name": "scaled", "value_type": "categorical", "choices": ["yes", "no"]},
]
CLASSES = ("breast-cancer", "credit-g", "titanic", "penguins")
NUMBERS = ("auto-mpg", "concrete", "cpu", "diabetes-progression")
POINTS, ROWS = 120, 400


class Table:
    """The error of a learner on a data set, by a random forest over measured points."""

    def __init__(self, learner: str, dataset: str) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self.space = BOOSTING if learner == "boosting" else VECTORS
        self.__name__ = f"{learner} {dataset}"
        generator = random.Random(self.__name__)
        points = [self._drawn(generator) for _ in range(POINTS)]
        errors = _errors(learner, dataset, points)
        self._forest = RandomForestRegressor(100, random_state=0, n_jobs=1)
        self._forest.fit([self._row(point) for point in points], errors)

    def _drawn(self, generator: random.Random) -> dict[str, Any]:
        point: dict[str, Any] = {}
        for one in self.space:
            if "choices" in one:
                point[one["name"]] = generator.choice(one["choices"])
                continue
            low, high = float(one["lower_bound"]), float(one["upper_bound"])
            is_log = one.get("log", False)
            ends = (math.log(low), math.log(high)) if is_log else (low, high)
            value = generator.uniform(*ends)
            value = math.exp(value) if is_log else value
            point[one["name"]] = round(value) if one["value_type"] == "integer" else value
        return point

    def _row(self, point: dict[str, Any]) -> list[float]:
        values = (point[one["name"]] for one in self.space)
        return [float(value == "yes") if isinstance(value, str) else value for value in values]

    def __call__(self, point: dict[str, Any]) -> float:
        return float(self._forest.predict([self._row(point)])[0])


def _errors(learner: str, dataset: str, points: list[dict[str, Any]]) -> list[float]:
    """1 - balanced accuracy, or the RMSE, by threefold cross-validation on at most 400 rows."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    from benchmark.data import embedded_names, load

    assert dataset in embedded_names()
    data = load(dataset)
    order = np.random.default_rng(0).permutation(data.table.num_rows)[:ROWS]
    rows = data.table.to_pandas().iloc[order]
    target = rows.pop(data.target)
    inputs = pd.get_dummies(rows, dtype=float).astype(float)
    inputs = inputs.fillna(inputs.median())
    is_class = dataset in CLASSES
    target = target.astype(str) if is_class else target.astype(float)
    scoring = "balanced_accuracy" if is_class else "neg_root_mean_squared_error"
    found = []
    for point in points:
        if learner == "boosting":
            kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
            options = {key: value for key, value in point.items() if key != "l2"}
            model = kind(**options, l2_regularization=point["l2"], early_stopping=False)
        else:
            machine = (SVC if is_class else SVR)(C=point["C"], gamma=point["gamma"])
            is_scaled = point["scaled"] == "yes"
            model = make_pipeline(StandardScaler(), machine) if is_scaled else machine
        score = cross_val_score(model, inputs, target, cv=3, scoring=scoring).mean()
        found.append(float(1 - score if is_class else -score))
    return found


def study_of(store: Store, name: str, seed: int, trials: int, **more: Any) -> Study:
    values = {
        "name": name,
        "direction": "minimize",
        "trials": trials,
        "seed": seed,
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


def shuffled_of(store: Store, kept: str, name: str, seed: int, space: list[Any]) -> None:
    """A study with another one's points, and its values in random order."""
    study = study_of(store, name, seed, PAST, tunables=space)
    trials = Study.open(store, kept).optimizer.trials()
    values = [float(trial.values[0]) for trial in trials]
    random.Random(f"{seed} {name}").shuffle(values)
    for trial, value in zip(trials, values, strict=True):
        task = study.adopt(dict(trial.params), "0")
        labels = {**task.labels, "values": [value], "constraints": []}
        record = Record(task.key, "success", metrics={"value": value}, labels=labels)
        study.tell(results.settle(study.run, results.begin(study.run, task), record))


Value = Callable[[dict[str, Any]], float]
# Two earlier systems and their tunables.
Past = list[tuple[Value, list[dict[str, Any]]]]


def needed(best: list[float], target: float) -> int:
    return next((n for n, value in enumerate(best, 1) if value <= target), len(best))


def regret(curves: list[list[float]], low: float, scale: float) -> float:
    return statistics.mean((best[n - 1] - low) / scale for best in curves for n in LOOKS)


def row(
    name: str, seeds: int, space: list[Any], system: Callable[[int], tuple[Value, Past]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Of plain, related and shuffled runs: the trials that they need, and their regret; means.

    `system` has by seed what is tuned, and the earlier systems.
    """
    curves: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        value_of, earlier = system(seed)
        store = open_store(f"{name}-{seed}".replace(" ", "-"))
        with unittest.mock.patch("os.fsync", lambda _: None):
            for number, (past_value_of, theirs) in enumerate(earlier):
                one = study_of(store, f"past-{number}", seed + number, PAST, tunables=theirs)
                run(one, past_value_of, PAST)
                shuffled_of(store, f"past-{number}", f"shuffled-{number}", seed + number, theirs)
            warm = {"plain": None, "related": "past", "shuffled": "shuffled"}
            for kind, prefix in warm.items():
                names = [f"{prefix}-{number}" for number in range(len(earlier))]
                more = {"warm_start": names} if prefix else {}
                study = study_of(store, kind, seed, MOST, tunables=space, **more)
                curves[kind].append(run(study, value_of, MOST))
    target = statistics.median(best[USUAL - 1] for best in curves["plain"])
    low = min(best[-1] for found in curves.values() for best in found)
    scale = statistics.median(best[FEW - 1] for best in curves["plain"]) - low
    trials = {
        kind: statistics.mean(needed(best, target) for best in found)
        for kind, found in curves.items()
    }
    return trials, {kind: regret(found, low, scale) for kind, found in curves.items()}


def shifted(function: Function) -> Callable[[int], tuple[Value, Past]]:
    """The function with its optimum at a place by seed, and two near ones in other spaces."""

    def system(seed: int) -> tuple[Value, Past]:
        at = optimum(random.Random(f"{function.__name__} {seed}"))
        earlier: Past = []
        for number in range(2):
            there = optimum(random.Random(f"{seed}/{number}"), at)
            space = tunables(wider=number == 0, without="d" if number else "")
            earlier.append((functools.partial(_at, function, there), space))
        return functools.partial(_at, function, at), earlier

    return system


def _at(function: Function, at: list[float], point: dict[str, Any]) -> float:
    return function(point, at)


def _same(system: tuple[Value, Past], _: int) -> tuple[Value, Past]:
    return system


def tables() -> Iterator[tuple[str, list[Any], Callable[[int], tuple[Value, Past]]]]:
    """Each learner on each data set; the past is the same on the next two of its type."""
    for learner in ("boosting", "vectors"):
        for datasets in (CLASSES, NUMBERS):
            made = [Table(learner, name) for name in datasets]
            for number, table in enumerate(made):
                others = [made[(number + step) % len(made)] for step in (1, 2)]
                past: Past = [(other, other.space) for other in others]
                yield table.__name__, table.space, functools.partial(_same, (table, past))


def _shares(by_kind: dict[str, float]) -> str:
    return "".join(f"{by_kind[kind]:9.2f}" for kind in KINDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="of each function (default: 5)")
    parser.add_argument("--tables", action="store_true", help="of real learners")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Optuna {optuna.__version__}")
    heads = [f"{kind:>9}" for kind in KINDS]
    print(f"{'':>32} trials:{''.join(heads)}  regret:{''.join(heads)}")
    counts, regrets = [], []
    with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
        os.chdir(folder)
        functions = ((one.__name__, tunables(), shifted(one)) for one in FUNCTIONS)
        for name, space, system in tables() if options.tables else functions:
            trials, left = row(name, options.seeds, space, system)
            cells = "".join(f"{trials[kind]:9.1f}" for kind in KINDS)
            print(f"{name:>32}        {cells}         {_shares(left)}", flush=True)
            counts.append(trials)
            regrets.append(left)
        os.chdir(ROOT)
    sums = {kind: sum(one[kind] for one in counts) for kind in KINDS}
    means = {kind: statistics.mean(one[kind] for one in regrets) for kind in KINDS}
    saved = 1 - sums["related"] / sums["plain"]
    cost = sums["shuffled"] / sums["plain"] - 1
    print(f"related pasts save {saved:.0%} of the trials; shuffled ones cost {cost:.0%}")
    print(f"mean regret:{_shares(means)}")
    of = " of real learners" if options.tables else ""
    figure(f"trials saved by related pasts{of}", 100 * saved, "%", aim=30, at_least=True)
    figure(f"trials that shuffled pasts{of} cost", 100 * cost, "%", aim=5)
    for kind in KINDS[1:]:
        ratio = means[kind] / means["plain"]
        figure(f"regret of {kind} pasts{of}", ratio, "x plain", aim=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
