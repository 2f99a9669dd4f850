"""The class frequencies, or the mean, of the training data."""

import numpy as np


def fit(train, problem, limits):
    """The frequencies of the classes in train, or the mean of the target."""
    target = train[problem.target]
    if problem.type == "regression":
        return {"mean": float(target.mean())}
    counts = target.astype(str).value_counts().sort_index()
    return {"classes": list(counts.index), "prior": (counts / counts.sum()).to_numpy()}


def predict(model, frame, problem):
    """The same for every row."""
    rows = len(frame)
    if problem.type == "regression":
        return {"predictions": np.full(rows, model["mean"]), "probabilities": None, "classes": None}
    most = model["classes"][int(np.argmax(model["prior"]))]
    return {
        "predictions": np.full(rows, most, dtype=object),
        "probabilities": np.tile(model["prior"], (rows, 1)),
        "classes": model["classes"],
    }


def describe(model):
    """One model, without a leaderboard."""
    return {"models": 1, "leaderboard": None, "version": np.__version__}
