"""LightAutoML's tabular preset: linear models and boosted trees, blended; torch on the CPU."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from lightautoml.automl.presets.tabular_presets import TabularAutoML
from lightautoml.tasks import Task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

METRICS = {
    "binary": {"auc": "auc", "log_loss": "logloss", "accuracy": "accuracy"},
    "multiclass": {
        "auc": "auc",
        "log_loss": "crossentropy",
        "accuracy": "accuracy",
        "f1_weighted": "f1_weighted",
    },
    "regression": {"rmse": "mse", "mse": "mse", "mae": "mae", "r2": "r2"},
}
USUAL = {"binary": "auc", "multiclass": "crossentropy", "regression": "mse"}
TASKS = {"binary": "binary", "multiclass": "multiclass", "regression": "reg"}
TARGET = "target"


def fit(train, problem, limits):
    """LightAutoML's own fit within the budget."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    cores = max(1, int(limits.cores))
    torch.set_num_threads(cores)
    data = columns.text(features)
    data[TARGET] = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    metric = METRICS[problem.type].get(problem.metric, USUAL[problem.type])
    settings = {
        "timeout": int(limits.runtime_s),
        "cpu_limit": cores,
        "memory_limit": max(1, int(limits.memory_mb / 1024)),
        "reader_params": {"random_state": problem.seed % 2**31, "n_jobs": cores},
    }
    settings.update(problem.params)
    automl = TabularAutoML(task=Task(TASKS[problem.type], metric=metric), **settings)
    roles = {"target": TARGET}
    if columns.categories:
        roles["category"] = columns.categories
    automl.fit_predict(data, roles=roles, verbose=1)
    return frames.Model(automl, columns, labels, metric)


def predict(model, frame, problem):
    """The blend's probabilities and their most likely class, or numbers."""
    table = model.automl.predict(model.columns.text(frame)).data
    if model.labels is None:
        return frames.numbers_answer(table[:, 0])
    if problem.type == "binary" and table.shape[1] == 1:
        table = np.column_stack([1 - table[:, 0], table[:, 0]])
    mapping = model.automl.reader.class_mapping
    order = None if not mapping else sorted(mapping, key=mapping.get)
    places = table.argmax(axis=1)
    codes = places if order is None else np.array(order)[places]
    return model.labels.answer(codes, table, order)


def describe(model):
    """The models of each level; LightAutoML keeps their scores in its log alone."""
    board = [
        {"model": algorithm.name, "level": level}
        for level, pipes in enumerate(model.automl.levels, start=1)
        for pipe in pipes
        for algorithm in pipe.ml_algos
    ]
    return {
        "models": len(board),
        "leaderboard": board,
        "objective": model.objective,
        "version": version("lightautoml"),
    }
