"""AutoGluon's tabular predictor: tree models, linear ones and neighbours, stacked and weighted."""

import sys
import time
from pathlib import Path

import autogluon.tabular
from autogluon.tabular import TabularPredictor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

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
AUC = {"binary": "roc_auc", "multiclass": "roc_auc_ovr_macro"}
USUAL = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "root_mean_squared_error"}
LABEL = "target"


class Model:
    """The predictor, the columns and labels that it was fitted on, and how long that took."""

    def __init__(self, predictor, columns, labels, fit_s):
        self.predictor, self.columns, self.labels = predictor, columns, labels
        self.fit_s = fit_s


def fit(train, problem, limits):
    """AutoGluon's own fit within the budget; its files go to the work folder."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    data = columns.text(features, keep=columns.declared)
    labels = None
    if problem.type == "regression":
        data[LABEL] = train[problem.target].to_numpy(dtype=float)
    else:
        labels = frames.Labels(train[problem.target])
        data[LABEL] = labels.codes
    metric = AUC.get(problem.type) if problem.metric == "auc" else METRICS.get(problem.metric)
    begin = time.time()
    predictor = TabularPredictor(
        label=LABEL,
        problem_type=problem.type,
        eval_metric=metric or USUAL[problem.type],
        path="autogluon",
        verbosity=2,
    )
    settings = {
        "time_limit": limits.runtime_s,
        "num_cpus": max(1, int(limits.cores)),
        "num_gpus": 0,
        "memory_limit": limits.memory_mb / 1024,
    }
    settings.update(problem.params)
    predictor.fit(data, **settings)
    if not predictor.model_names():
        raise RuntimeError("AutoGluon trained no model within %g s" % limits.runtime_s)
    return Model(predictor, columns, labels, time.time() - begin)


def predict(model, frame, problem):
    """AutoGluon's labels and probabilities, or numbers."""
    data = model.columns.text(frame, keep=model.columns.declared)
    if model.labels is None:
        return frames.numbers_answer(model.predictor.predict(data, as_pandas=False))
    table = model.predictor.predict_proba(data, as_multiclass=True)
    codes = model.predictor.predict(data, as_pandas=False)
    return model.labels.answer(codes, table.to_numpy(), table.columns)


def describe(model):
    """The models of the leaderboard with their validation scores, higher is better."""
    board = model.predictor.leaderboard()
    kept = ["model", "score_val", "eval_metric", "fit_time", "pred_time_val", "stack_level"]
    return {
        "models": len(board),
        "leaderboard": board[kept].to_dict("records"),
        "objective": model.predictor.eval_metric.name,
        "version": autogluon.tabular.__version__,
        "trajectory": _trajectory(board, model.fit_s),
    }


def _trajectory(board, total):
    """The best validation score after each model, by the order and seconds of their fits."""
    seconds, best, points = 0.0, None, []
    for row in board.sort_values("fit_order").itertuples():
        seconds = min(total, seconds + row.fit_time_marginal + row.pred_time_val_marginal)
        if best is None or row.score_val > best:
            best = row.score_val
            points.append([seconds, best])
    return points
