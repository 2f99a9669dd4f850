"""auto-sklearn 0.15: SMAC over scikit-learn pipelines, started from metalearning, and an ensemble.

It reports success where every inner run has crashed and scores a dummy; here that is a failure.
"""

import sys
from pathlib import Path

import autosklearn
import autosklearn.metrics
import numpy as np
from autosklearn.classification import AutoSklearnClassifier
from autosklearn.regression import AutoSklearnRegressor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

outcome = frames.beside(__file__, "outcome")

METRICS = {
    "log_loss": "log_loss",
    "f1_weighted": "f1_weighted",
    "balanced_accuracy": "balanced_accuracy",
    "accuracy": "accuracy",
    "rmse": "root_mean_squared_error",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "r2": "r2",
}
# Its AUC is of two classes only.
USUAL = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "root_mean_squared_error"}
OWN_MB, SHORTEST_RUN_S = 500, 10


def fit(train, problem, limits):
    """auto-sklearn's own search within the budget, a memory limit for each of its runs."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    cores = max(1, int(limits.cores))
    own = METRICS.get(problem.metric, USUAL[problem.type])
    settings = {
        "time_left_for_this_task": int(limits.runtime_s),
        # A tenth is its own default, too little for one pipeline on a short budget.
        "per_run_time_limit": int(max(limits.runtime_s / 10, min(SHORTEST_RUN_S, _third(limits)))),
        "n_jobs": cores,
        "memory_limit": int((limits.memory_mb - OWN_MB) / cores),
        "seed": problem.seed % 2**31,
        "metric": getattr(autosklearn.metrics, own),
    }
    settings.update(problem.params)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    target = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    automl = (AutoSklearnRegressor if regression else AutoSklearnClassifier)(**settings)
    automl.fit(_category_frame(columns, features), target)
    fault = outcome.complaint_of(automl)
    if fault:
        raise RuntimeError(fault)
    return frames.Model(automl, columns, labels, own)


def predict(model, frame, problem):
    """auto-sklearn's numbers, or the probabilities of its ensemble and their most likely class."""
    data = _category_frame(model.columns, frame)
    if model.labels is None:
        return frames.numbers_answer(model.automl.predict(data))
    table = model.automl.predict_proba(data)
    return model.labels.answer(table.argmax(axis=1), table)


def describe(model):
    """The runs that were tried, those that succeeded first, which alone are counted."""
    results = model.automl.cv_results_
    board = [
        {
            "model": _kind(params),
            "score": float(results["mean_test_score"][place]),
            "status": results["status"][place],
            "seconds": float(results["mean_fit_time"][place]),
        }
        for place, params in enumerate(results["params"])
    ]
    board.sort(key=lambda row: (not outcome.succeeded(row["status"]), -row["score"]))
    return {
        "models": sum(outcome.succeeded(row["status"]) for row in board),
        "leaderboard": board,
        "objective": model.objective,
        "version": autosklearn.__version__,
        "trajectory": _trajectory(model.automl),
    }


def _third(limits):
    return limits.runtime_s / 3


def _category_frame(columns, frame):
    """Category types tell auto-sklearn which features are categories; feat_type is for arrays."""
    return columns.plain(frame)


def _kind(params):
    named = [value for key, value in params.items() if key.endswith(":__choice__")]
    chosen = params.get("classifier:__choice__") or params.get("regressor:__choice__")
    return chosen or (named[0] if named else None)


def _trajectory(automl):
    """The single best validation score over time."""
    table = automl.performance_over_time_
    column = "single_best_optimization_score"
    points = []
    for row in table.to_dict("records"):
        score = row[column]
        if np.isfinite(score) and (not points or score > points[-1][1]):
            seconds = (row["Timestamp"] - table["Timestamp"].iloc[0]).total_seconds()
            points.append([seconds, float(score)])
    return points
