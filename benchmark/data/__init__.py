"""Data sets, their sources, and their splits.

from benchmark import data

dataset = data.load("penguins")
train, test = data.holdout(dataset, seed=1).train, data.holdout(dataset, seed=1).test
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark import lazy
from benchmark.data.datasets import Dataset
from benchmark.data.folds import Folds
from benchmark.data.splits import Split, cv, holdout, split

if TYPE_CHECKING:
    from benchmark.data.sources import Catalogue, embedded_names, find, load

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
    "split",
]


# Imported on first use: a process that only runs tasks does not need the sources.
_MODULES = dict.fromkeys(("Catalogue", "embedded_names", "find", "load"), "benchmark.data.sources")


def __getattr__(name: str) -> Any:
    return lazy.attribute(__name__, name, _MODULES)


def __dir__() -> list[str]:
    return list(__all__)
