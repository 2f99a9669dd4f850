"""GAMA: asynchronous evolution of scikit-learn pipelines."""

import sys
from pathlib import Path

import gama
import numpy as np
from gama import GamaClassifier, GamaRegressor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

METRICS = {
    "binary": {
        "auc": "roc_auc",
        "log_loss": "neg_log_loss",
        "accuracy": "accuracy",
        "f1_weighted": "f1_weighted",
    },
    "multiclass": {
        "log_loss": "neg_log_loss",
        "accuracy": "accuracy",
        "f1_weighted": "f1_weighted",
    },
    "regression": {
        "rmse": "neg_mean_squared_error",
        "mse": "neg_mean_squared_error",
        "mae": "neg_mean_absolute_error",
        "r2": "r2",
    },
}
USUAL = {"binary": "roc_auc", "multiclass": "neg_log_loss", "regression": "neg_mean_squared_error"}


def fit(train, problem, limits):
    """GAMA's own search within the budget; its files go to the work folder."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    settings = {
        "scoring": METRICS[problem.type].get(problem.metric, USUAL[problem.type]),
        "max_total_time": int(limits.runtime_s),
        "n_jobs": max(1, int(limits.cores)),
        "max_memory_mb": int(limits.memory_mb),
        "random_state": problem.seed % 2**31,
        "output_directory": str(Path.cwd() / "gama"),
        "store": "nothing",
    }
    settings.update(problem.params)
    automl = (GamaRegressor if regression else GamaClassifier)(**settings)
    target = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    automl.fit(columns.plain(features), target)
    if getattr(automl, "model", None) is None:
        raise RuntimeError("GAMA found no pipeline within %g s" % limits.runtime_s)
    return frames.Model(automl, columns, labels, settings["scoring"])


def predict(model, frame, problem):
    """GAMA's labels and probabilities, or numbers."""
    data = model.columns.plain(frame)
    if model.labels is None:
        return frames.numbers_answer(model.automl.predict(data))
    table = np.asarray(model.automl.predict_proba(data))
    codes = np.asarray(model.automl.predict(data)).astype(int)
    return model.labels.answer(codes, table)


def describe(model):
    """The pipelines that were tried, from a private library; those that failed are not counted."""
    library = model.automl._evaluation_library
    board = [
        {
            "model": item.individual.short_name(),
            "score": float(item.score[0]) if item.score else None,
            "seconds": float(item.duration),
            "error": None if item.error is None else str(item.error)[:200],
        }
        for item in library.evaluations
    ]
    board.sort(
        key=lambda row: -np.inf if row["score"] is None else row["score"],
        reverse=True,
    )
    return {
        "models": sum(row["error"] is None for row in board),
        "leaderboard": board,
        "objective": model.objective,
        "version": gama.__version__,
    }
