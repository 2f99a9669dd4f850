"""Splits are the same for everybody, whole, and sound for rare classes."""

import numpy as np
import pyarrow as pa
import pytest

from benchmark.data import Dataset, embedded_names, holdout, load, split
from benchmark.errors import DataError


def labelled(labels: list[str]) -> Dataset:
    table = pa.table({"a": list(range(len(labels))), "y": labels})
    return Dataset.of("t", "classification", "y", table)


@pytest.mark.parametrize("name", [*embedded_names("starter"), "soybean"])
def test_every_row_is_in_one_part_and_the_seed_decides(name: str) -> None:
    dataset = load(name)
    part = holdout(dataset, 7)
    rows = np.concatenate([part.train, part.test])
    assert np.array_equal(np.sort(rows), np.arange(dataset.table.num_rows))
    assert abs(len(part.test) / len(rows) - 0.3) < 0.01
    assert holdout(dataset, 7).hash == part.hash
    assert np.array_equal(holdout(dataset, 7).test, part.test)
    assert holdout(dataset, 8).hash != part.hash


def test_classes_keep_their_shares() -> None:
    dataset = labelled(["a"] * 900 + ["b"] * 100)
    test = holdout(dataset, 1).test
    assert (test >= 900).sum() == 30


def test_a_class_with_one_member_is_in_train() -> None:
    dataset = labelled(["a"] * 50 + ["b"] * 50 + ["alone"])
    for seed in range(10):
        assert 100 in holdout(dataset, seed).train


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b"],
        ["a", "a", "b"],
        ["a", "b", "c", "d"],
        [letter for letter in "abcdefghij" for _ in range(2)],
        ["a"] * 5 + ["b", "c", "d"],
    ],
)
def test_more_classes_than_test_rows_is_no_failure(labels: list[str]) -> None:
    for seed in range(5):
        part = holdout(labelled(labels), seed)
        assert len(part.train) >= 1
        assert len(part.test) >= 1
        assert sorted([*part.train, *part.test]) == list(range(len(labels)))
        if len(set(labels)) < len(labels):
            assert {labels[row] for row in part.train} == set(labels)


@pytest.mark.parametrize("mode", ["cv", "openml", "bootstrap"])
def test_other_splits_are_refused_by_a_sentence(mode: str) -> None:
    with pytest.raises(DataError, match='set "split": "holdout"'):
        split(load("cpu"), mode, 1)
    assert split(load("cpu"), "holdout", 1).hash == holdout(load("cpu"), 1).hash
