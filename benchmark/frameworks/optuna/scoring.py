"""The task's metric as a score of validation predictions: higher is better.

A metric that is not known here, such as a user's own, is replaced by the type's usual one.
"""

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

LESS_IS_BETTER = ("log_loss", "rmse", "mse", "mae")
OF_NUMBERS = ("rmse", "mse", "mae", "r2")
OF_CLASSES = ("auc", "log_loss", "f1_weighted", "balanced_accuracy", "accuracy")
TINY = 1e-15


def known_metric(problem):
    """The metric that is aimed at."""
    if problem.type == "regression":
        return problem.metric if problem.metric in OF_NUMBERS else "rmse"
    usual = "auc" if problem.type == "binary" else "log_loss"
    return problem.metric if problem.metric in OF_CLASSES else usual


def defined(metric, truth):
    """The metric, or one that has a value where this has none: all trials are scored alike."""
    if len(np.unique(truth)) > 1:
        return metric
    return {"auc": "log_loss", "r2": "rmse"}.get(metric, metric)


def score(metric, truth, predicted):
    """Of codes and a table of probabilities, or of numbers. NaN where it is undefined."""
    if metric in OF_NUMBERS:
        return _of_numbers(metric, truth, predicted)
    table = np.clip(predicted, TINY, None)
    table = table / table.sum(axis=1, keepdims=True)
    if metric == "auc":
        return _auc(truth, table)
    if metric == "log_loss":
        return -float(log_loss(truth, table, labels=np.arange(table.shape[1])))
    labels = table.argmax(axis=1)
    if metric == "accuracy":
        return float(accuracy_score(truth, labels))
    if metric == "balanced_accuracy":
        return float(balanced_accuracy_score(truth, labels))
    return float(f1_score(truth, labels, average="weighted", zero_division=0.0))


def in_its_own_unit(metric, value):
    """The metric's value as one reads it: a loss is positive."""
    return -value if metric in LESS_IS_BETTER else value


def _of_numbers(metric, truth, predicted):
    error = truth - predicted
    if metric == "mae":
        return -float(np.abs(error).mean())
    mse = float(np.square(error).mean())
    if metric == "r2":
        spread = float(np.square(truth - truth.mean()).mean())
        return 1.0 - mse / spread if spread > 0 else float("nan")
    return -mse if metric == "mse" else -float(np.sqrt(mse))


def _auc(truth, table):
    present = np.unique(truth)
    if len(present) < 2:
        return float("nan")
    if table.shape[1] == 2:
        return float(roc_auc_score(truth, table[:, 1]))
    return float(np.mean([roc_auc_score(truth == code, table[:, code]) for code in present]))
