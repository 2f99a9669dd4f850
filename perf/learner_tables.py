"""Errors of real learners at random points, measured once: the tables of `transfer.py`.

    .venv/bin/python perf/learner_tables.py --folder /tmp/tables    # 20 minutes of a core

Four learners with four to six tunables, each on eight embedded data sets: the errors at 400 random
points, the same of all tables of a learner, by threefold cross-validation. A data set has three
tables: the present one on at most 300 rows and at most half of them, an earlier one on as many
other rows ("last month's data"), and one on a third of the present rows (a cheap sample). In all
96 files, 6 MB. Between the points a random forest predicts the error. As in YAHPO Gym (Pfisterer
et al., AutoML 2022) the function is so the same for everyone, but no value is better than the best
measured one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import os
import random
import statistics
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# One thread each, so that as many as there are cores can run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CLASSES = ("breast-cancer", "credit-g", "titanic", "penguins")
NUMBERS = ("auto-mpg", "concrete", "cpu", "diabetes-progression")
DATASETS = (*CLASSES, *NUMBERS)
EARLIER, SAMPLE = "earlier", "sample"
VERSIONS = ("", EARLIER, SAMPLE)
POINTS, ROWS, FOLDS, TREES = 400, 300, 3, 30
Point = dict[str, Any]


def _number(name: str, low: float, high: float, kind: str = "double", log: bool = False) -> Point:
    found = {"name": name, "value_type": kind, "lower_bound": low, "upper_bound": high}
    return found | ({"log": True} if log else {})


def _choice(name: str, *choices: str) -> Point:
    return {"name": name, "value_type": "categorical", "choices": list(choices)}


SPACES: dict[str, list[Point]] = {
    "neighbours": [
        _number("n_neighbors", 1, 80, "integer", log=True),
        _number("p", 1, 2, "integer"),
        _choice("weights", "uniform", "distance"),
        _choice("scaled", "yes", "no"),
    ],
    "vectors": [
        _number("C", 1e-3, 1e3, log=True),
        _number("gamma", 1e-5, 10, log=True),
        _choice("kernel", "rbf", "poly", "sigmoid"),
        _number("coef0", 0, 2),
        _choice("scaled", "yes", "no"),
    ],
    "forest": [
        _number("n_estimators", 4, 40, "integer", log=True),
        _number("max_depth", 1, 16, "integer"),
        _number("min_samples_leaf", 1, 40, "integer", log=True),
        _number("max_features", 0.05, 1),
        _choice("bootstrap", "yes", "no"),
    ],
    "boosting": [
        _number("learning_rate", 0.003, 1, log=True),
        _number("max_iter", 4, 40, "integer", log=True),
        _number("max_leaf_nodes", 2, 64, "integer", log=True),
        _number("min_samples_leaf", 1, 60, "integer"),
        _number("l2_regularization", 1e-4, 100, log=True),
        _number("max_features", 0.1, 1),
    ],
}


def drawn(space: list[Point], generator: random.Random) -> Point:
    point: Point = {}
    for one in space:
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


def model_of(learner: str, point: Point, is_class: bool) -> Any:
    from sklearn import ensemble, neighbors, svm
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = "Classifier" if is_class else "Regressor"
    options = dict(point)
    is_scaled = options.pop("scaled", "no") == "yes"
    if learner == "boosting":
        made = getattr(ensemble, f"HistGradientBoosting{kind}")
        model = made(early_stopping=False, random_state=0, **options)
    elif learner == "vectors":
        model = (svm.SVC if is_class else svm.SVR)(max_iter=20000, **options)
    elif learner == "forest":
        options["bootstrap"] = options["bootstrap"] == "yes"
        model = getattr(ensemble, f"RandomForest{kind}")(random_state=0, **options)
    else:
        model = getattr(neighbors, f"KNeighbors{kind}")(**options)
    model = make_pipeline(StandardScaler(), model) if is_scaled else model
    if learner == "vectors" and not is_class:
        return TransformedTargetRegressor(model, transformer=StandardScaler())
    return model


def points_of(learner: str) -> list[Point]:
    generator = random.Random(learner)
    return [drawn(SPACES[learner], generator) for _ in range(POINTS)]


def measured(learner: str, dataset: str, version: str) -> list[float]:
    """The errors of a learner at its points on a version of a data set.

    The error is 1 - balanced accuracy, or the RMSE; infinite if the learner fails.
    """
    import numpy as np
    import pandas as pd
    from sklearn import config_context
    from sklearn.model_selection import KFold, StratifiedKFold

    from benchmark.data import load

    data = load(dataset)
    rows = data.table.to_pandas()
    target = rows.pop(data.target)
    inputs = pd.get_dummies(rows, dtype=float).astype(float)
    inputs = inputs.fillna(inputs.median()).to_numpy()
    is_class = dataset in CLASSES
    target = pd.factorize(target)[0] if is_class else target.to_numpy(dtype=float)
    order = np.random.default_rng(0).permutation(len(target))
    half = min(ROWS, len(order) // 2)
    taken = {"": order[:half], EARLIER: order[half : 2 * half], SAMPLE: order[: half // 3]}[version]
    inputs, target = inputs[taken], target[taken]

    def error(model: Any, train: Any, test: Any) -> float:
        predicted, true = (
            model.fit(inputs[train], target[train]).predict(inputs[test]),
            target[test],
        )
        if is_class:
            return 1 - statistics.mean((predicted == true)[true == one].mean() for one in {*true})
        return float(np.sqrt(((predicted - true) ** 2).mean()))

    errors = []
    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")
        folds = list((StratifiedKFold if is_class else KFold)(FOLDS).split(inputs, target))
        for point in points_of(learner):
            model = model_of(learner, point, is_class)
            try:
                errors.append(float(statistics.mean(error(model, *fold) for fold in folds)))
            except ValueError:  # more neighbours than rows
                errors.append(math.inf)
    return errors


def path_of(folder: Path, learner: str, dataset: str, version: str) -> Path:
    return folder / f"{'-'.join(filter(None, (learner, dataset, version)))}.json"


def make(job: tuple[Path, str, str, str]) -> tuple[str, float]:
    """Write a table if there is none; its name and the processor seconds that it took."""
    path, start = path_of(*job), time.process_time()
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(measured(*job[1:])))
        part.rename(path)
    return path.stem, time.process_time() - start


def make_all(folder: Path, only: tuple[str, ...] = ("",)) -> None:
    """Measure what the folder does not have; `only` is how names "learner data-set" begin."""
    folder.mkdir(parents=True, exist_ok=True)
    beginnings = tuple(one.split(" ", maxsplit=1)[0] for one in only)
    learners = [one for one in SPACES if one.startswith(beginnings)]
    jobs = [(folder, *one) for one in itertools.product(learners, DATASETS, VERSIONS)]
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        for name, taken in pool.imap_unordered(make, jobs):
            if taken > 1:
                print(f"{name}: {taken:.0f} s", file=sys.stderr, flush=True)


class Table:
    """The error of a learner on a version of a data set at any point of its space."""

    def __init__(self, folder: Path, learner: str, dataset: str, version: str) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self.space = SPACES[learner]
        path = path_of(folder, learner, dataset, version)
        self.errors: list[float] = json.loads(path.read_text())
        # The forests of related tables must not draw the same points.
        forest = RandomForestRegressor(TREES, random_state=zlib.crc32(path.stem.encode()), n_jobs=1)
        # The error of a machine that diverges may be 1e20, and would be all that a tree sees.
        most = 2 * statistics.median(self.errors)
        errors = [min(error, most) for error in self.errors]
        forest.fit([self._row(point) for point in points_of(learner)], errors)
        self._trees = [one.tree_ for one in forest.estimators_]

    def _row(self, point: Point) -> list[float]:
        row = []
        for one in self.space:
            value = point[one["name"]]
            choices = one.get("choices")
            row += [float(value == choice) for choice in choices] if choices else [value]
            if one.get("log"):
                row[-1] = math.log(value)
        return row

    def __call__(self, point: Point) -> float:
        import numpy as np

        row = np.array([self._row(point)], dtype=np.float32)
        return float(np.mean([tree.predict(row)[0, 0] for tree in self._trees]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the tables are kept")
    options = parser.parse_args()
    make_all(options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
