"""TPOT: genetic programming over scikit-learn pipelines, on Dask workers started in setup()."""

import sys
import time
from pathlib import Path

import numpy as np
import tpot
from dask.distributed import Client, LocalCluster, default_client
from tpot import TPOTClassifier, TPOTRegressor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

METRICS = {
    "log_loss": "neg_log_loss",
    "f1_weighted": "f1_weighted",
    "balanced_accuracy": "balanced_accuracy",
    "accuracy": "accuracy",
    "rmse": "neg_root_mean_squared_error",
    "mse": "neg_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "r2": "r2",
}
AUC = {"binary": "roc_auc", "multiclass": "roc_auc_ovr"}
USUAL = {
    "binary": "roc_auc",
    "multiclass": "neg_log_loss",
    "regression": "neg_root_mean_squared_error",
}
OWN_MB = 500
# More are not recorded.
ROWS = 200


class Model:
    """The fitted TPOT, the columns and labels that it was fitted on, and when it began."""

    def __init__(self, automl, columns, labels, empty, begin):
        self.automl, self.columns, self.labels = automl, columns, labels
        self.empty, self.begin = empty, begin


def setup(problem, limits):
    """A Dask worker for each core, with an even share of the memory; no dashboard or fixed port."""
    cores = max(1, int(limits.cores))
    cluster = LocalCluster(
        n_workers=cores,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=40,
        memory_limit=int((limits.memory_mb - OWN_MB) * 1e6 / cores),
    )
    Client(cluster)


def fit(train, problem, limits):
    """TPOT's own search within the budget."""
    begin = time.time()
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    target = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    metric = AUC.get(problem.type) if problem.metric == "auc" else METRICS.get(problem.metric)
    settings = {
        "scorers": [metric or USUAL[problem.type]],
        "scorers_weights": [1],
        "cv": 5,
        "preprocessing": True,
        "max_time_mins": limits.runtime_s / 60,
        "max_eval_time_mins": limits.runtime_s / 60 / 4,
        "n_jobs": max(1, int(limits.cores)),
        "client": default_client(),
        "random_state": problem.seed % 2**31,
        "verbose": 1,
    }
    settings.update(problem.params)
    automl = (TPOTRegressor if regression else TPOTClassifier)(**settings)
    data = columns.text(features)
    # Its imputer drops a column that has no value at all, and then misses it.
    empty = [name for name in data.columns if data[name].isna().all()]
    automl.fit(data.drop(columns=empty), target)
    if getattr(automl, "fitted_pipeline_", None) is None:
        raise RuntimeError("TPOT found no pipeline within %g s" % limits.runtime_s)
    return Model(automl, columns, labels, empty, begin)


def predict(model, frame, problem):
    """The best pipeline's labels and, where it has them, probabilities; or numbers."""
    data = model.columns.text(frame).drop(columns=model.empty)
    answer = model.automl.predict(data)
    if model.labels is None:
        return frames.numbers_answer(answer)
    try:
        table = model.automl.predict_proba(data)
    except AttributeError:
        # A pipeline may end in a classifier that has none.
        labels = model.labels.answer(answer, np.zeros((len(data), 0)))
        return {"predictions": labels["predictions"], "probabilities": None, "classes": None}
    return model.labels.answer(answer, table, model.automl.classes_)


def describe(model):
    """The pipelines that were evaluated, best first, and how the best score rose."""
    table, name = model.automl.evaluated_individuals, model.automl.objective_names[0]
    board, points = [], []
    for row in table.to_dict("records"):
        score, ended = row.get(name), row.get("Completed Timestamp")
        finished = isinstance(score, (int, float)) and np.isfinite(score)
        board.append((float(score) if finished else None, row))
        if finished and ended is not None:
            points.append([float(ended) - model.begin, float(score)])
    board.sort(key=lambda entry: -np.inf if entry[0] is None else entry[0], reverse=True)
    return {
        "models": sum(score is not None for score, _ in board),
        "leaderboard": [
            {
                "model": _words(row.get("Instance"))[:300],
                "score": score,
                "metric": name,
                "generation": row.get("Generation"),
                "error": row.get("Eval Error"),
            }
            for score, row in board[:ROWS]
        ],
        "objective": name,
        "version": tpot.__version__,
        "trajectory": _rising(sorted(points)),
    }


def _words(step):
    """The names of a pipeline's steps; scikit-learn's own words take half a second a pipeline."""
    graph = getattr(step, "graph", None)
    if hasattr(graph, "nodes"):
        return "graph(%s)" % ", ".join(sorted(str(node) for node in graph.nodes))
    steps = getattr(step, "steps", None)
    if steps:
        return " > ".join(_words(part) for _, part in steps)
    branches = getattr(step, "transformer_list", None)
    if branches:
        return "(%s)" % " + ".join(_words(part) for _, part in branches)
    # Of a forest `estimator` is its own tree, which is no parameter of it.
    inner = step.get_params(deep=False).get("estimator") if hasattr(step, "get_params") else None
    name = type(step).__name__
    return "%s(%s)" % (name, _words(inner)) if inner is not None else name


def _rising(points):
    best = []
    for seconds, score in points:
        if not best or score > best[-1][1]:
            best.append([seconds, score])
    return best
