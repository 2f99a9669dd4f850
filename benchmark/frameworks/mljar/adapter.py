"""mljar-supervised in its mode for the best models, "Compete"."""

import sys
from pathlib import Path

import supervised
from supervised.automl import AutoML

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

METRICS = {
    "binary": {"auc": "auc", "log_loss": "logloss", "accuracy": "accuracy"},
    "multiclass": {"log_loss": "logloss", "accuracy": "accuracy"},
    "regression": {"rmse": "rmse", "mse": "mse", "mae": "mae", "r2": "r2"},
}
USUAL = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}
TASKS = {
    "binary": "binary_classification",
    "multiclass": "multiclass_classification",
    "regression": "regression",
}


def fit(train, problem, limits):
    """mljar's own search within the budget; its files go to the work folder."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    settings = {
        "mode": "Compete",
        "results_path": str(Path.cwd() / "mljar"),
        "total_time_limit": int(limits.runtime_s),
        "ml_task": TASKS[problem.type],
        "eval_metric": METRICS[problem.type].get(problem.metric, USUAL[problem.type]),
        "n_jobs": max(1, int(limits.cores)),
        "random_state": problem.seed % 2**31,
        "explain_level": 0,
    }
    settings.update(problem.params)
    automl = AutoML(**settings)
    target = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    automl.fit(columns.text(features), target)
    return frames.Model(automl, columns, labels, settings["eval_metric"])


def predict(model, frame, problem):
    """mljar's labels and probabilities, or numbers."""
    table = model.automl.predict_all(model.columns.text(frame))
    if model.labels is None:
        return frames.numbers_answer(table["prediction"])
    names = [name for name in table.columns if name.startswith("prediction_")]
    order = [int(name.partition("_")[2]) for name in names]
    return model.labels.answer(table["label"].astype(int), table[names].to_numpy(), order)


def describe(model):
    """mljar's leaderboard with its own metric."""
    board = model.automl.get_leaderboard(original_metric_values=True)
    return {
        "models": len(board),
        "leaderboard": board.to_dict("records"),
        "objective": model.objective,
        "version": supervised.__version__,
    }
