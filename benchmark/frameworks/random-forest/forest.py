"""What both random forests share: encoding, growing within limits, predicting.

Features become float32: numbers with the median where missing, categories as the position of
their level in train, -1 where train had no such level and -2 where missing.
"""

import time

import numpy as np
import pandas as pd
import sklearn
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

TREES = 2000
FIRST_BATCH = 10
FIT_SHARE = 0.85
MEMORY_SHARE = 0.5
NODE_BYTES = 64
UNSEEN, MISSING = -1, -2
LARGEST = float(np.finfo(np.float32).max)


class Encoder:
    """How each column of train becomes a number."""

    def __init__(self, frame, categorical):
        self.levels = {}
        self.medians = {}
        for name in frame.columns:
            column = frame[name]
            if name in categorical or not is_numeric_dtype(column) or is_bool_dtype(column):
                values = column.astype("category").cat.categories
                self.levels[name] = {str(value): code for code, value in enumerate(values)}
            else:
                self.medians[name] = self._median(_numbers(column))

    @staticmethod
    def _median(values):
        present = values[~np.isnan(values)]
        return float(np.median(present)) if len(present) else 0.0

    def encode(self, frame):
        """The frame's rows as float32, a column for each of train's."""
        out = np.empty((len(frame), len(self.levels) + len(self.medians)), dtype=np.float32)
        for place, name in enumerate([c for c in frame.columns if c in self]):
            column = frame[name]
            if name in self.medians:
                values = _numbers(column)
                out[:, place] = np.where(np.isnan(values), self.medians[name], values)
            else:
                category = column.astype("category").cat
                levels = self.levels[name]
                codes = [levels.get(str(value), UNSEEN) for value in category.categories]
                # A missing value has the code -1, which is the last of the array.
                out[:, place] = np.array([*codes, MISSING])[category.codes.to_numpy()]
        return out

    def __contains__(self, name):
        return name in self.levels or name in self.medians


def _numbers(column):
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    values = np.where(np.isfinite(values), values, np.nan)
    return np.clip(values, -LARGEST, LARGEST)


class Data:
    """The training data as arrays."""

    def __init__(self, train, problem):
        features = train.drop(columns=[problem.target])
        self.encoder = Encoder(features, set(problem.categorical))
        self.x = self.encoder.encode(features)
        target = train[problem.target]
        if problem.type == "regression":
            self.classes = None
            self.y = target.to_numpy(dtype=float)
        else:
            labels, self.y = np.unique(target.astype(str).to_numpy(dtype=str), return_inverse=True)
            self.classes = labels.tolist()


class Model:
    """A forest with what its predictions need; without the training data."""

    def __init__(self, data, grown, models=1, leaderboard=None):
        self.encoder, self.classes, self.forest = data.encoder, data.classes, grown
        self.models, self.leaderboard = models, leaderboard


def grow(data, problem, limits, deadline, params, *, look=None):
    """A forest of 2000 trees (or the parameter n_estimators), fewer where a limit is near.

    It grows in batches, each at most twice what there is, for as long as the next one is
    foreseen to end before `deadline` (time.monotonic()) and within MEMORY_SHARE of the memory.
    With `look`, a function of the forest, batches are whole ones and it is called after each.
    """
    params = dict(params)
    trees = int(params.pop("n_estimators", TREES))
    kind = RandomForestRegressor if problem.type == "regression" else RandomForestClassifier
    forest = kind(
        n_estimators=0,
        warm_start=True,
        n_jobs=max(1, int(limits.cores)),
        random_state=problem.seed % 2**32,
        **params,
    )
    outputs = 1 if data.classes is None else len(data.classes)
    room = MEMORY_SHARE * limits.memory_mb * 1e6 - 2 * data.x.nbytes
    grown, batch = 0, min(FIRST_BATCH, max(1, int(limits.cores)))
    begin = time.monotonic()
    while grown < trees:
        forest.n_estimators = grown + batch
        forest.fit(data.x, data.y)
        grown += batch
        if look:
            look(forest)
        now = time.monotonic()
        per_tree = (now - begin) / grown
        nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
        bytes_per_tree = nodes * (NODE_BYTES + 8 * outputs) / grown
        by_time = int((deadline - now) / per_tree / 1.2)
        by_memory = int(room / bytes_per_tree) - grown
        whole = min(max(grown, FIRST_BATCH), trees - grown)
        batch = min(whole, by_time, by_memory)
        if batch < 1 or (look and batch < whole):
            break
    return forest


def predict(model, frame):
    """Predictions, and probabilities with the classes that train had."""
    x = model.encoder.encode(frame)
    if model.classes is None:
        values = model.forest.predict(x)
        return {"predictions": values, "probabilities": None, "classes": None}
    probabilities = model.forest.predict_proba(x)
    labels = np.array(model.classes, dtype=object)
    return {
        "predictions": labels[probabilities.argmax(axis=1)],
        "probabilities": probabilities,
        "classes": model.classes,
    }


def describe(model):
    """How many models were evaluated and how, the number of trees, scikit-learn's version."""
    return {
        "models": model.models,
        "leaderboard": model.leaderboard,
        "version": sklearn.__version__,
        "trees": len(model.forest.estimators_),
    }
