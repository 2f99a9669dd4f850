"""Data sets, where they come from, and how they are split.

from benchmark import data

dataset = data.load("penguins")
train, test = data.holdout(dataset, seed=1).train, data.holdout(dataset, seed=1).test
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.data.datasets import Dataset
from benchmark.data.folds import Folds
from benchmark.data.splits import Split, cv, holdout, split

if TYPE_CHECKING:
    from benchmark.data.sources import Catalogue, embedded_names, find, load, of_studies

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


def __getattr__(name: str) -> Any:
    """Import the sources on first use: a process that only runs tasks needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from benchmark.data import sources

    return getattr(sources, name)


def __dir__() -> list[str]:
    return list(__all__)
