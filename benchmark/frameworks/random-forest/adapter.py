"""scikit-learn's random forest: 2000 trees, or as many as time and memory allow."""

import importlib.util
import sys
import time
from pathlib import Path


def _neighbour(name):
    """The module beside this file, which other adapters load as well."""
    path = Path(__file__).resolve().with_name(name + ".py")
    spec = importlib.util.spec_from_file_location("benchmark_" + name, str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


forest = _neighbour("forest")


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
