"""FLAML's AutoML with the task's metric, budget, cores and seed."""

import json
import sys
from pathlib import Path

import flaml
import numpy as np
from flaml import AutoML
from sklearn.metrics import balanced_accuracy_score, f1_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

LOG = "flaml.log"


def _custom(loss):
    """A metric of FLAML's kind (less is better) from a loss of true and predicted labels."""

    def metric(x_val, y_val, estimator, *args, **kwargs):
        value = loss(y_val, estimator.predict(x_val))
        return value, {"val_loss": value}

    return metric


METRICS = {
    "auc": {"binary": "roc_auc", "multiclass": "roc_auc_ovr"},
    "log_loss": "log_loss",
    "accuracy": "accuracy",
    "f1_weighted": _custom(lambda y, p: 1 - f1_score(y, p, average="weighted", zero_division=0.0)),
    "balanced_accuracy": _custom(lambda y, p: 1 - balanced_accuracy_score(y, p)),
    "rmse": "rmse",
    "mse": "mse",
    "mae": "mae",
    "r2": "r2",
}
USUAL = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


class Model:
    """The fitted AutoML, the columns and labels that it was fitted on, and where its log is."""

    def __init__(self, automl, columns, labels, log, objective):
        self.automl, self.columns, self.labels, self.log = automl, columns, labels, log
        self.objective = objective


def fit(train, problem, limits):
    """FLAML's own search within the budget; what it tries goes to a log in the work folder."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    metric = METRICS.get(problem.metric, USUAL[problem.type])
    settings = {
        "task": "regression" if regression else "classification",
        "metric": metric[problem.type] if isinstance(metric, dict) else metric,
        "time_budget": limits.runtime_s,
        "n_jobs": max(1, int(limits.cores)),
        "seed": problem.seed % 2**31,
        "retrain_full": "budget",
        "log_file_name": LOG,
        "log_type": "all",
        "verbose": 1,
    }
    settings.update(problem.params)
    automl = AutoML()
    target = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    automl.fit(X_train=columns.plain(features), y_train=target, **settings)
    if automl.model is None:
        raise RuntimeError("FLAML found no model within %g s" % limits.runtime_s)
    objective = problem.metric if callable(settings["metric"]) else settings["metric"]
    return Model(automl, columns, labels, settings["log_file_name"], objective)


def predict(model, frame, problem):
    """FLAML's labels and probabilities, or numbers."""
    plain = model.columns.plain(frame)
    if model.labels is None:
        return frames.numbers_answer(model.automl.predict(plain))
    probabilities = np.asarray(model.automl.predict_proba(plain))
    return model.labels.answer(
        model.automl.predict(plain), probabilities, np.asarray(model.automl.classes_)
    )


def describe(model):
    """The configurations in the log, best first, and how the least loss fell."""
    log = _read(model.log)
    board = [
        {
            "model": entry["learner"],
            "loss": entry["validation_loss"],
            "seconds": round(entry["trial_time"], 3),
            "rows": entry["sample_size"],
            "params": entry["config"],
        }
        for entry in log
    ]
    trajectory = []
    for entry in log:
        if not trajectory or entry["validation_loss"] < trajectory[-1][1]:
            trajectory.append([entry["wall_clock_time"], entry["validation_loss"]])
    return {
        "models": len(board),
        "leaderboard": sorted(board, key=lambda row: row["loss"]),
        "objective": model.objective,
        "version": flaml.__version__,
        "trajectory": trajectory,
    }


def _read(path):
    """FLAML's log: a JSON object a line; the last line names the best and has no learner."""
    entries = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [entry for entry in entries if "learner" in entry]
