"""Data sets, where they come from, and how they are split.

from benchmark import data

dataset = data.load("penguins")
train, test = data.holdout(dataset, seed=1).train, data.holdout(dataset, seed=1).test
"""

from benchmark.data.datasets import Dataset
from benchmark.data.folds import Folds
from benchmark.data.sources import Catalogue, embedded_names, find, load, of_studies
from benchmark.data.splits import Split, cv, holdout, split

__all__ = [
    "Catalogue",
    "Dataset",
    "Folds",
    "Split",
    "cv",
    "embedded_names",
    "find",
    "holdout",
    "load",
    "of_studies",
    "split",
]
