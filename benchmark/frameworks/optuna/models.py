"""The search space: what a trial may choose, and how each choice is fitted until a deadline.

Every fitted model maps an array of codes (see shared/frames.py) to a table with a column for each
class, or to numbers.
"""

import time
import warnings

import lightgbm
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

KINDS = ("lightgbm", "random-forest", "extra-trees", "linear", "neighbours")
# These stop at a deadline with what they have; the others run to their end.
STOPPABLE = ("lightgbm", "random-forest", "extra-trees")
ROUNDS, PATIENCE, TREES, NODE_BYTES = 1000, 30, 200, 64


class Frame:
    """What a model must know of the data: which columns are categories, how many classes."""

    def __init__(self, *, categorical, classes, metric, cores, seed, room_bytes):
        self.categorical, self.classes, self.metric = categorical, classes, metric
        self.cores, self.seed, self.room_bytes = cores, seed, room_bytes


def suggest(trial, kinds):
    """A configuration of one kind of model, proposed by the trial."""
    kind = trial.suggest_categorical("model", list(kinds))
    chosen = {"model": kind}
    for name, low, high, log in _RANGES[kind]:
        ask = trial.suggest_int if isinstance(low, int) else trial.suggest_float
        chosen[name] = ask(kind + "." + name, low, high, log=log)
    for name, values in _CHOICES.get(kind, {}).items():
        chosen[name] = trial.suggest_categorical(kind + "." + name, list(values))
    return chosen


_FOREST = [("min_samples_leaf", 1, 20, True), ("max_features", 0.1, 1.0, False)]
_RANGES = {
    "lightgbm": [
        ("learning_rate", 0.02, 0.3, True),
        ("num_leaves", 4, 128, True),
        ("min_child_samples", 2, 60, True),
        ("feature_fraction", 0.4, 1.0, False),
        ("bagging_fraction", 0.5, 1.0, False),
        ("lambda_l2", 1e-3, 30.0, True),
    ],
    "random-forest": _FOREST,
    "extra-trees": _FOREST,
    "linear": [("strength", 1e-3, 1e3, True)],
    "neighbours": [("n_neighbors", 1, 50, True)],
}
_CHOICES = {
    "random-forest": {"encoding": ("codes", "one-hot")},
    "extra-trees": {"encoding": ("codes", "one-hot")},
    "linear": {"scaling": ("standard", "quantile")},
    "neighbours": {"scaling": ("standard", "quantile"), "weights": ("uniform", "distance")},
}


def fit(chosen, frame, train, valid, deadline):
    """A model of the configuration; `train` and `valid` are pairs of codes and target.

    Returns:
        A function from codes to a table of probabilities or to numbers.
    """
    if chosen["model"] == "lightgbm":
        return _boosted(chosen, frame, train, valid, deadline)
    if chosen["model"] in STOPPABLE:
        return _forest(chosen, frame, train, deadline)
    return _pipeline(chosen, frame, train)


def _boosted(chosen, frame, train, valid, deadline):
    classes = frame.classes
    params = {name: value for name, value in chosen.items() if name != "model"}
    params.update(
        seed=frame.seed,
        num_threads=frame.cores,
        bagging_freq=1,
        deterministic=True,
        force_row_wise=True,
        verbosity=-1,
        first_metric_only=True,
    )
    if classes == 0:
        absolute = frame.metric == "mae"
        params.update(objective="regression_l1" if absolute else "regression")
        params.update(metric="l1" if absolute else "l2")
    elif classes == 2:
        params.update(objective="binary")
        params.update(metric="auc" if frame.metric == "auc" else "binary_logloss")
    else:
        params.update(objective="multiclass", num_class=classes, metric="multi_logloss")
    data = lightgbm.Dataset(train[0], train[1], categorical_feature=frame.categorical or "auto")
    grown = lightgbm.train(
        params,
        data,
        num_boost_round=ROUNDS,
        valid_sets=[data.create_valid(valid[0], valid[1])],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False), _stop_at(deadline)],
    )

    def predict(codes):
        # LightGBM wants no empty frame and no thread more than it was given.
        out = grown.predict(codes, num_threads=frame.cores)
        return np.column_stack([1 - out, out]) if classes == 2 else out

    return predict


def _stop_at(deadline):
    def callback(env):
        if time.monotonic() > deadline:
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    callback.order = 40
    return callback


def _forest(chosen, frame, train, deadline):
    kinds = {
        ("random-forest", False): RandomForestClassifier,
        ("random-forest", True): RandomForestRegressor,
        ("extra-trees", False): ExtraTreesClassifier,
        ("extra-trees", True): ExtraTreesRegressor,
    }
    forest = kinds[chosen["model"], frame.classes == 0](
        n_estimators=0,
        warm_start=True,
        min_samples_leaf=chosen["min_samples_leaf"],
        max_features=chosen["max_features"],
        n_jobs=frame.cores,
        random_state=frame.seed,
    )
    before = _encoder(frame, chosen["encoding"] == "one-hot", None, train[0].shape[1])
    x = before.fit_transform(train[0])
    begin, batch = time.monotonic(), max(5, frame.cores)
    while len(getattr(forest, "estimators_", ())) < TREES:
        forest.n_estimators = min(TREES, forest.n_estimators + batch)
        forest.fit(x, train[1])
        grown = len(forest.estimators_)
        nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
        used = nodes * (NODE_BYTES + 8 * max(1, frame.classes))
        now = time.monotonic()
        per_tree, batch = (now - begin) / grown, grown
        if used * 2 > frame.room_bytes or now + batch * per_tree > deadline:
            break
    return _predictor(forest, before, frame)


def _pipeline(chosen, frame, train):
    columns, numbers = train[0].shape[1], frame.classes == 0
    before = _encoder(frame, True, chosen["scaling"], columns, len(train[0]))
    if chosen["model"] == "linear" and numbers:
        model = Ridge(alpha=1 / chosen["strength"])
    elif chosen["model"] == "linear":
        model = LogisticRegression(C=chosen["strength"], max_iter=200, random_state=frame.seed)
    else:
        kind = KNeighborsRegressor if numbers else KNeighborsClassifier
        neighbours = min(chosen["n_neighbors"], len(train[0]))
        model = kind(neighbours, weights=chosen["weights"], n_jobs=frame.cores)
    x = before.fit_transform(train[0])
    with warnings.catch_warnings():
        # Not converged is a property of the configuration, which its score shows.
        warnings.simplefilter("ignore")
        model.fit(x, train[1])
    return _predictor(model, before, frame)


def _encoder(frame, one_hot, scaling, columns, rows=1000):
    """Numbers imputed and scaled; categories as codes with -1 for missing, or one-hot."""
    numbers = [place for place in range(columns) if place not in set(frame.categorical)]
    steps = [SimpleImputer(strategy="median", keep_empty_features=True)]
    if scaling == "standard":
        steps.append(StandardScaler())
    elif scaling == "quantile":
        steps.append(
            QuantileTransformer(
                n_quantiles=min(100, rows), output_distribution="normal", random_state=frame.seed
            )
        )
    missing = SimpleImputer(strategy="constant", fill_value=-1.0, keep_empty_features=True)
    coded = [missing]
    if one_hot:
        coded.append(
            OneHotEncoder(
                max_categories=40, handle_unknown="infrequent_if_exist", sparse_output=False
            )
        )
    return make_column_transformer(
        (make_pipeline(*steps), numbers), (make_pipeline(*coded), list(frame.categorical))
    )


def _predictor(model, before, frame):
    def predict(codes):
        x = before.transform(codes)
        if frame.classes == 0:
            return model.predict(x)
        # A fold may lack a rare class.
        table = np.zeros((len(x), frame.classes))
        table[:, model.classes_.astype(int)] = model.predict_proba(x)
        return table

    return predict
