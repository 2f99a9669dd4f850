"""auto_ml 2.9.10 of 2018: one gradient boosting, or a grid search where params ask for it.

It has no option for a budget: the hard limit is its budget.
"""

import sys
from pathlib import Path

import numpy as np
import pkg_resources
from auto_ml import Predictor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
import frames

TARGET = "target"


class Model:
    """The fitted predictor, and the columns and labels that it was fitted on."""

    def __init__(self, predictor, columns, labels):
        self.predictor, self.columns, self.labels = predictor, columns, labels


def fit(train, problem, limits):
    """auto_ml's own training: how long it takes is up to the data."""
    features = train.drop(columns=[problem.target])
    columns = frames.Columns(features, problem.categorical)
    regression = problem.type == "regression"
    labels = None if regression else frames.Labels(train[problem.target])
    data = columns.text(features)
    data[TARGET] = train[problem.target].to_numpy(dtype=float) if regression else labels.codes
    roles = dict.fromkeys(columns.categories, "categorical")
    roles[TARGET] = "output"
    predictor = Predictor("regressor" if regression else "classifier", roles, verbose=False)
    settings = {
        "verbose": False,
        "ml_for_analytics": False,
        "write_gs_param_results_to_file": False,
    }
    settings.update(problem.params)
    predictor.train(data, **settings)
    return Model(predictor, columns, labels)


def predict(model, frame, problem):
    """auto_ml's probabilities and their most likely class, or numbers."""
    data = model.columns.text(frame)
    if model.labels is None:
        return frames.numbers_answer(model.predictor.predict(data))
    # For a single row it returns that row alone.
    table = np.atleast_2d(np.asarray(model.predictor.predict_proba(data), dtype=float))
    return model.labels.answer(table.argmax(axis=1), table)


def describe(model):
    """One model, unless params asked for more; auto_ml tells of no leaderboard."""
    return {
        "models": 1,
        "leaderboard": None,
        "version": pkg_resources.get_distribution("auto_ml").version,
    }
