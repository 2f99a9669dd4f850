"""Splits of a data set's rows into train and test, the same for every framework.

part = holdout(load("penguins"), seed=1)
part.train, part.test                     # row numbers

A split is a function of the data set (whose hash covers its own folds), the mode and the seed:

- `holdout`: 30 % of the rows are tested, drawn by the seed;
- `cv`: ten folds; seed s is fold s mod 10 of the partition that s div 10 draws;
- `openml`: seed s is fold s of the data set's own folds, which are numbered one repeat after the
  other (fold f of repeat r of a ten-fold task is 10 r + f); without own folds the same as `cv`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data import exact
from benchmark.data.datasets import Dataset
from benchmark.errors import DataError

TEST_SHARE = 0.3
CV_FOLDS = 10
MODES = ("holdout", "cv", "openml")


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers (int64) of both parts, in the frameworks' order, and their hash."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    hash: str

    @classmethod
    def of(cls, train: NDArray[np.int64], test: NDArray[np.int64]) -> Split:
        digest = hashlib.sha256()
        for part in (train, test):
            digest.update(str(len(part)).encode() + b"\n" + part.astype("<i8").tobytes())
        return cls(train, test, digest.hexdigest()[:16])


def split(dataset: Dataset, mode: str, seed: int) -> Split:
    """Split by the configuration's `split`: "holdout", "cv" or "openml".

    Raises:
        DataError: the mode is unknown, or the data set has no such fold.
    """
    if mode == "holdout":
        return holdout(dataset, seed)
    if mode == "cv":
        return cv(dataset, seed)
    if mode == "openml":
        return own(dataset, seed)
    raise DataError(f'There is no split "{mode}"; set "split" to one of {", ".join(MODES)}.')


def holdout(dataset: Dataset, seed: int) -> Split:
    """70 % of the rows to train, 30 % to test, drawn by the seed; stratified for classes.

    A class with one member has it in train. If the test part has fewer rows than there are
    classes, rows are drawn without strata, and train keeps a row of every class if it can.
    """
    rows = np.arange(dataset.table.num_rows, dtype=np.int64)
    if dataset.type == "regression":
        order = np.random.RandomState(seed).permutation(rows)
        test_rows = int(np.ceil(TEST_SHARE * len(rows)))
        return Split.of(order[test_rows:], order[:test_rows])
    labels = _labels(dataset)
    counts = np.bincount(labels)
    alone = rows[counts[labels] == 1]
    common = rows[counts[labels] > 1]
    strata = int((counts > 1).sum())
    test_rows = int(np.ceil(TEST_SHARE * len(common)))
    if strata >= 1 and test_rows >= strata and len(common) - test_rows >= strata:
        train, test = _stratified(common, labels[common], test_rows, seed)
        return Split.of(np.concatenate([train, alone]), test)
    return _without_strata(rows, labels, seed)


def cv(dataset: Dataset, seed: int) -> Split:
    """A fold of a ten-fold cross-validation; fewer folds if there are fewer than ten rows.

    For classes each fold has its share of every class, as far as whole rows allow; for a
    regression of every tenth of the ranked target.
    """
    rows = dataset.table.num_rows
    folds = min(CV_FOLDS, rows)
    repeat, fold = divmod(seed, CV_FOLDS)
    if fold >= folds:
        raise DataError(
            f"Data set {dataset.name} has {rows} rows and thus {folds} folds, but no fold {fold}."
        )
    order = np.random.RandomState(repeat).permutation(rows)
    key = _labels(dataset) if dataset.type == "classification" else _target(dataset)
    # Dealt in turn, rows of one class (or of similar targets) go to all folds.
    dealt = order[np.argsort(key[order], kind="stable")]
    if dataset.type == "regression":
        dealt = _shuffled_in_groups(dealt, folds, repeat)
    of_row = np.empty(rows, dtype=np.int64)
    of_row[dealt] = np.arange(rows) % folds
    return Split.of(np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold))


def own(dataset: Dataset, seed: int) -> Split:
    """One of the data set's own folds.

    Raises:
        DataError: it has fewer folds.
    """
    if dataset.folds is None:
        return cv(dataset, seed)
    if seed >= dataset.folds.count:
        raise DataError(
            f"Data set {dataset.name} has the folds 0 to {dataset.folds.count - 1} and no fold "
            f'{seed}; with "split": "openml" seeds are fold numbers.'
        )
    return Split.of(*dataset.folds.rows_of(seed))


def has_fold(mode: str, seed: int, rows: int, folds: int | None) -> bool:
    """Whether a data set with this many rows and `folds` own folds has a seed's fold."""
    if mode == "holdout":
        return True
    if mode == "openml" and folds is not None:
        return seed < folds
    return seed % CV_FOLDS < min(CV_FOLDS, rows)


def _labels(dataset: Dataset) -> NDArray[np.int32]:
    return exact.to_numpy(exact.combined(dataset.table.column(dataset.target)).indices)


def _target(dataset: Dataset) -> NDArray[np.float64]:
    return exact.to_numpy(exact.combined(dataset.table.column(dataset.target)))


def _shuffled_in_groups(dealt: NDArray[np.int64], folds: int, repeat: int) -> NDArray[np.int64]:
    """Neighbouring rows in groups of one row per fold, each group in random order."""
    generator = np.random.RandomState(repeat)
    whole = len(dealt) // folds * folds
    groups = dealt[:whole].reshape(-1, folds)
    order = generator.random_sample(groups.shape).argsort(axis=1, kind="stable")
    rest = generator.permutation(dealt[whole:])
    return np.concatenate([np.take_along_axis(groups, order, axis=1).ravel(), rest])


def _stratified(
    rows: NDArray[np.int64], labels: NDArray[np.int32], test_rows: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the rows as scikit-learn's `train_test_split(…, stratify=labels, random_state=seed)`."""
    generator = np.random.RandomState(seed)
    _, counts = np.unique(labels, return_counts=True)
    of_class = np.split(rows[np.argsort(labels, kind="stable")], np.cumsum(counts)[:-1])
    in_train = _shares(counts, len(rows) - test_rows, generator)
    in_test = _shares(counts - in_train, test_rows, generator)
    train, test = [], []
    for members, first, more in zip(of_class, in_train, in_test, strict=True):
        drawn = members[generator.permutation(len(members))]
        train.append(drawn[:first])
        test.append(drawn[first : first + more])
    return generator.permutation(np.concatenate(train)), generator.permutation(np.concatenate(test))


def _shares(
    counts: NDArray[np.int64], draws: int, generator: np.random.RandomState
) -> NDArray[np.int64]:
    """The number of `draws` for each class; the rest goes to the largest remainders."""
    exact = counts / counts.sum() * draws
    shares: NDArray[np.float64] = np.floor(exact)
    remainders, left = exact - shares, int(draws - shares.sum())
    for remainder in np.unique(remainders)[::-1]:
        if left == 0:
            break
        (equal,) = np.where(remainders == remainder)
        chosen = generator.choice(equal, size=min(len(equal), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(np.int64)


def _without_strata(rows: NDArray[np.int64], labels: NDArray[np.int32], seed: int) -> Split:
    order = np.random.RandomState(seed).permutation(rows)
    _, first = np.unique(labels[order], return_index=True)
    spare = np.delete(order, first)
    if len(spare) == 0:
        spare = order[1:]
    test = spare[: max(1, int(np.ceil(TEST_SHARE * len(rows))))]
    return Split.of(order[~np.isin(order, test)], test)
