"""scikit-learn's random forest: 2000 trees, or as many as time and memory allow."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import forest


def fit(train, problem, limits):
    """Grow the forest within 85 % of the budget and half of the memory."""
    deadline = time.monotonic() + forest.FIT_SHARE * limits.runtime_s
    data = forest.Data(train, problem)
    return forest.Model(data, forest.grow(data, problem, limits, deadline, problem.params))


def predict(model, frame, problem):
    """Predictions and, for classes, their probabilities."""
    return forest.predict(model, frame)


def describe(model):
    """One model; how many trees it has."""
    return forest.describe(model)
