"""A random forest whose max_features is tuned, after the AutoML benchmark (AMLB).

scikit-learn's default comes first, then up to ten values spread evenly over the number of
features. Each is judged out of bag on a smaller forest while the tuning's share of the budget
lasts; the best grows to 2000 trees.
"""

import importlib.util
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    roc_auc_score,
)


def _load_forest():
    path = Path(__file__).resolve().parent.parent / "random-forest" / "forest.py"
    spec = importlib.util.spec_from_file_location("benchmark_forest", str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


forest = _load_forest()

TUNING_SHARE = 0.5
TUNING_TREES = 200
VALUES = 10


def fit(train, problem, limits):
    """Try values of max_features for half of the budget, then grow the best."""
    begin = time.monotonic()
    data = forest.Data(train, problem)
    params = dict(problem.params)
    tuning_end = begin + TUNING_SHARE * limits.runtime_s
    board, seconds = [], 0.0
    for value in _candidates(data.x.shape[1], problem):
        now = time.monotonic()
        # The first is the default, which is always judged; the next must fit as the longest did.
        if board and now + seconds > tuning_end:
            break
        board.append({"max_features": value, "score": _score(data, problem, limits, params, value)})
        seconds = max(seconds, time.monotonic() - now)
    board.sort(key=lambda entry: (entry["score"] is None, -(entry["score"] or 0.0)))
    params["max_features"] = board[0]["max_features"]
    deadline = begin + forest.FIT_SHARE * limits.runtime_s
    grown = forest.grow(data, problem, limits, deadline, params)
    return forest.Model(data, grown, models=len(board), leaderboard=board)


def predict(model, frame, problem):
    """Predictions and, for classes, their probabilities."""
    return forest.predict(model, frame)


def describe(model):
    """The number of values tried, and their out-of-bag scores, best first."""
    return forest.describe(model)


def _candidates(features, problem):
    default = features if problem.type == "regression" else max(1, int(np.sqrt(features)))
    spread = np.linspace(1, features, min(VALUES, features)).round().astype(int).tolist()
    return list(dict.fromkeys([default, *spread]))


def _score(data, problem, limits, params, value):
    """The out-of-bag score, higher is better; None where it cannot be had."""
    share = TUNING_SHARE * limits.runtime_s / 3
    small = dict(params, max_features=value, bootstrap=True, oob_score=True)
    small["n_estimators"] = min(TUNING_TREES, int(params.get("n_estimators", TUNING_TREES)))
    with warnings.catch_warnings():
        # With few trees some rows are in every bag; they are left out below.
        warnings.simplefilter("ignore")
        grown = forest.grow(data, problem, limits, time.monotonic() + share, small)
    if problem.type == "regression":
        return _regression_score(problem.metric, data.y, grown.oob_prediction_)
    table = grown.oob_decision_function_
    known = np.isfinite(table).all(axis=1)
    if not known.any():
        return None
    try:
        return _classes_score(problem.metric, data.y[known], table[known])
    except ValueError:
        return None


def _regression_score(metric, truth, predicted):
    if metric == "mae":
        return -float(mean_absolute_error(truth, predicted))
    return -float(mean_squared_error(truth, predicted))


def _classes_score(metric, truth, table):
    labels = table.argmax(axis=1)
    if metric == "accuracy":
        return float(accuracy_score(truth, labels))
    if metric == "balanced_accuracy":
        return float(balanced_accuracy_score(truth, labels))
    if metric == "f1_weighted":
        return float(f1_score(truth, labels, average="weighted"))
    if metric == "auc" and table.shape[1] == 2:
        return float(roc_auc_score(truth, table[:, 1]))
    return -float(log_loss(truth, table, labels=np.arange(table.shape[1])))
