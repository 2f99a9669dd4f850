"""Splits of a data set's rows into train and test, the same for every framework.

part = holdout(load("penguins"), seed=1)
part.train, part.test                     # row numbers
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.data.datasets import Dataset

TEST_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers (int64) of both parts, in the order that frameworks see, and their hash."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    hash: str


def split(dataset: Dataset, mode: str, seed: int) -> Split:
    """Split by the configuration's `split`: "holdout", "cv" or "openml".

    Raises:
        DataError: the mode is unknown or not supported.
    """
    if mode == "holdout":
        return holdout(dataset, seed)
    if mode == "cv":
        return cv(dataset, seed)
    if mode == "openml":
        raise DataError(
            'The split "openml" is not supported yet in this version; set "split": "holdout".'
        )
    raise DataError(f'There is no split "{mode}"; set "split": "holdout".')


def holdout(dataset: Dataset, seed: int) -> Split:
    """70 % of the rows to train, 30 % to test, drawn by the seed; stratified for classes.

    A class with one member has it in train. Where the test part has fewer rows than there are
    classes, rows are drawn without strata, and train keeps a row of every class if it can.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(dataset.table.num_rows, dtype=np.int64)
    if dataset.type == "regression":
        train, test = train_test_split(rows, test_size=TEST_SHARE, random_state=seed)
        return _split(train, test)
    target = dataset.table.column(dataset.target).combine_chunks()
    labels = target.indices.to_numpy(zero_copy_only=False)
    counts = np.bincount(labels)
    alone = rows[counts[labels] == 1]
    common = rows[counts[labels] > 1]
    strata = int((counts > 1).sum())
    test_rows = int(np.ceil(TEST_SHARE * len(common)))
    if strata >= 1 and test_rows >= strata and len(common) - test_rows >= strata:
        train, test = train_test_split(
            common, test_size=TEST_SHARE, random_state=seed, stratify=labels[common]
        )
        return _split(np.concatenate([train, alone]), test)
    return _without_strata(rows, labels, seed)


def cv(dataset: Dataset, seed: int) -> Split:
    """A fold of a cross-validation.

    Raises:
        DataError: always; it is not supported yet.
    """
    raise DataError(
        f'The split "cv" (data set {dataset.name}, seed {seed}) is not supported yet in this '
        'version; set "split": "holdout".'
    )


def _without_strata(rows: NDArray[np.int64], labels: NDArray[np.int32], seed: int) -> Split:
    order = np.random.RandomState(seed).permutation(rows)
    _, first = np.unique(labels[order], return_index=True)
    spare = np.delete(order, first)
    if len(spare) == 0:
        spare = order[1:]
    test = spare[: max(1, int(np.ceil(TEST_SHARE * len(rows))))]
    return _split(order[~np.isin(order, test)], test)


def _split(train: NDArray[np.int64], test: NDArray[np.int64]) -> Split:
    digest = hashlib.sha256()
    for part in (train, test):
        digest.update(str(len(part)).encode() + b"\n" + part.astype("<i8").tobytes())
    return Split(train, test, digest.hexdigest()[:16])
