"""Splits are the same for everybody, whole, and sound for rare classes."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.model_selection import train_test_split

from benchmark.data import Dataset, Folds, cv, embedded_names, holdout, load, split
from benchmark.data.packed import pack, unpack
from benchmark.data.splits import own
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


@pytest.mark.parametrize("seed", range(20))
def test_a_holdout_is_what_scikit_learn_draws(seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(2 + seed % 9, 0.7))
    dataset = labelled([f"c{code}" for code in random.choice(len(shares), 60 + seed, p=shares)])
    codes = dataset.table.column("y").combine_chunks().indices.to_numpy()
    counts = np.bincount(codes)
    rows = np.arange(len(codes))
    common = rows[counts[codes] > 1]
    train, test = train_test_split(common, test_size=0.3, random_state=seed, stratify=codes[common])
    part = holdout(dataset, seed)
    assert np.array_equal(part.train, [*train, *rows[counts[codes] == 1]])
    assert np.array_equal(part.test, test)
    numbers = Dataset.of("t", "regression", "y", pa.table({"a": rows, "y": rows * 0.5}))
    train, test = train_test_split(rows, test_size=0.3, random_state=seed)
    part = holdout(numbers, seed)
    assert np.array_equal(part.train, train)
    assert np.array_equal(part.test, test)


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


def test_other_splits_are_refused_by_a_sentence() -> None:
    with pytest.raises(DataError, match="holdout, cv, openml"):
        split(load("cpu"), "bootstrap", 1)
    assert split(load("cpu"), "holdout", 1).hash == holdout(load("cpu"), 1).hash


@pytest.mark.parametrize("name", ["penguins", "cpu", "soybean", "kr-vs-kp"])
def test_ten_folds_test_every_row_once_and_keep_the_classes(name: str) -> None:
    dataset = load(name)
    parts = [cv(dataset, fold) for fold in range(10)]
    tested = np.concatenate([part.test for part in parts])
    assert np.array_equal(np.sort(tested), np.arange(dataset.table.num_rows))
    for part in parts:
        assert not set(part.train) & set(part.test)
        assert len(part.train) + len(part.test) == dataset.table.num_rows
    assert max(len(p.test) for p in parts) - min(len(p.test) for p in parts) <= 1
    assert len({part.hash for part in parts}) == 10
    assert cv(dataset, 3).hash == cv(dataset, 3).hash
    assert cv(dataset, 13).hash != cv(dataset, 3).hash
    if dataset.type == "classification":
        labels = np.array(dataset.table.column(dataset.target).to_pylist())
        for label in dataset.classes:
            counts = [(labels[part.test] == label).sum() for part in parts]
            assert max(counts) - min(counts) <= 1
    else:
        target = dataset.table.column(dataset.target).to_numpy()
        means = [target[part.test].mean() for part in parts]
        assert np.std(means) < target.std() / 3


def test_fewer_rows_than_folds() -> None:
    dataset = labelled(["a", "b", "a", "b"])
    assert [list(cv(dataset, fold).test) for fold in range(4)]
    assert all(len(cv(dataset, fold).test) == 1 for fold in range(4))
    with pytest.raises(DataError, match="4 rows and thus 4 folds, but no fold 5"):
        cv(dataset, 5)


def test_own_folds_are_followed_and_hashed() -> None:
    folds = Folds.of_numbers([0, 1, 2, 0, 1, 2])
    table = pa.table({"a": list(range(6)), "y": [1.0, 2.0, None, 4.0, 5.0, 6.0]})
    dataset = Dataset.of("t", "regression", "y", table, folds=folds)
    plain = Dataset.of("t", "regression", "y", table)
    assert dataset.hash != plain.hash
    assert dataset.folds.count == 3
    assert list(own(dataset, 0).test) == [0, 2]
    assert list(own(dataset, 2).test) == [4]
    assert list(own(dataset, 2).train) == [0, 1, 2, 3]
    other = Dataset.of("t", "regression", "y", table, folds=Folds.of_numbers([0, 1, 2, 1, 0, 2]))
    assert other.hash != dataset.hash
    assert split(plain, "openml", 1).hash == cv(plain, 1).hash
    again = unpack("t", pack(dataset).get)
    assert again.hash == dataset.hash
    assert np.array_equal(again.folds.parts, dataset.folds.parts)
    assert own(again, 1).hash == own(dataset, 1).hash


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        ([((0, 0), [0, 1], [7])], "name a row"),
        ([((0, 0), [0, 1], [1, 2])], "tests rows that it"),
        ([((0, 0), [0, 1, 1], [2])], "Fold 0 of repeat 0 of data set t has a row twice"),
        ([((0, 0), [0], [1]), ((0, 1), [1], [0]), ((1, 0), [0], [1])], "incomplete"),
        ([], "incomplete"),
    ],
)
def test_folds_that_cannot_be(folds: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Folds.of_rows(4, folds, "t")


def test_a_fold_that_tests_nothing() -> None:
    folds = Folds.of_rows(4, [((0, 0), [0, 1], [2])], "t")
    table = pa.table({"a": [1, 2, 3, 4], "y": [1.0, 2.0, None, 4.0]})
    with pytest.raises(DataError, match="Fold 0 of data set t has no row"):
        Dataset.of("t", "regression", "y", table, folds=folds)
