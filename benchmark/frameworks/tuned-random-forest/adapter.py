"""A random forest whose max_features is tuned, after the AutoML benchmark (AMLB).

scikit-learn's default comes first, then up to ten values spread evenly over the number of
features. Each is judged out of bag on a smaller forest while the tuning's share of the budget
lasts; the best grows to 2000 trees. All are compared at one number of trees, the largest that each
has reached, and so on the same rows: the same trees draw the same bags, whatever max_features is.
"""

import copy
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "random-forest"))
import forest

TUNING_SHARE = 0.5
TUNING_TREES = 200
VALUES = 10


def fit(train, problem, limits):
    """Try values of max_features for half of the budget, then grow the best."""
    begin = time.monotonic()
    data = forest.Data(train, problem)
    params = dict(problem.params)
    if "max_features" in params:
        raise ValueError("max_features is what is tuned here; random-forest takes it from params")
    tuning_end = begin + TUNING_SHARE * limits.runtime_s
    scores, seconds, trees = {}, 0.0, TUNING_TREES
    for value in _candidates(data.x.shape[1], problem):
        now = time.monotonic()
        # The first is the default, which is always judged; the next must fit as the longest did.
        if scores and now + seconds > tuning_end:
            break
        scores[value] = _scores(data, problem, limits, params, value, trees=trees)
        # No later one is compared at more trees than this.
        trees = max(scores[value])
        seconds = max(seconds, time.monotonic() - now)
    board = [
        {"max_features": value, "score": by_trees[trees], "trees": trees}
        for value, by_trees in scores.items()
    ]
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


def _scores(data, problem, limits, params, value, *, trees):
    """The out-of-bag scores, higher is better, by the number of trees as the forest grows.

    None where it cannot be had.
    """
    share = TUNING_SHARE * limits.runtime_s / 3
    small = dict(params, max_features=value, bootstrap=True, oob_score=True)
    small["n_estimators"] = min(trees, int(params.get("n_estimators", trees)))
    found = {}

    def look(grown):
        found[len(grown.estimators_)] = _score(data, problem, grown)

    with warnings.catch_warnings():
        # With few trees some rows are in every bag; they are left out below.
        warnings.simplefilter("ignore")
        forest.grow(data, problem, limits, time.monotonic() + share, small, look=look)
    return found


def _score(data, problem, grown):
    """The score on the rows that some tree has not seen; of others scikit-learn says 0 or NaN."""
    if problem.type == "regression":
        known = _out_of_bag(grown)
        if not known.any():
            return None
        return _regression_score(problem.metric, data.y[known], grown.oob_prediction_[known])
    table = grown.oob_decision_function_
    known = table.sum(axis=1) > 0
    if not known.any():
        return None
    try:
        score = _classes_score(problem.metric, data.y[known], table[known])
    except ValueError:
        return None
    return score if np.isfinite(score) else None


def _out_of_bag(grown):
    """Which rows some tree has not seen. Others are 0, which may be a prediction as well."""
    predicted = grown.oob_prediction_
    known = np.isfinite(predicted) & (predicted != 0)
    one = copy.copy(grown)
    for tree in grown.estimators_:
        # Of one tree at a time: the bags of all need as much memory as rows times trees.
        one.estimators_ = [tree]
        if known.all() or not hasattr(one, "estimators_samples_"):  # before scikit-learn 1.4
            break
        known |= np.bincount(one.estimators_samples_[0], minlength=len(known)) == 0
    return known


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
