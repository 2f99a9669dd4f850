"""Metrics agree with scikit-learn, and what cannot be scored says why."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from benchmark.execution.metrics import DEFAULT_METRIC, METRICS, UnusablePredictions, evaluate

AB = ["a", "b"]
ABC = ["a", "b", "c"]


def test_binary_is_scikit_learns() -> None:
    random = np.random.default_rng(1)
    truth = random.choice(AB, 300)
    positive = random.random(300)
    table = np.c_[1 - positive, positive]
    predictions = np.where(positive > 0.5, "b", "a")
    got = evaluate("binary", AB, truth, predictions, table, AB)
    assert got["auc"] == pytest.approx(sk.roc_auc_score(truth == "b", positive))
    assert got["log_loss"] == pytest.approx(sk.log_loss(truth, table))
    assert got["f1_weighted"] == pytest.approx(sk.f1_score(truth, predictions, average="weighted"))
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(truth, predictions))
    assert got["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, predictions))
    swapped = evaluate("binary", AB, truth, predictions, table[:, ::-1], ["b", "a"])
    assert swapped == pytest.approx(got)


def test_multiclass_auc_is_the_mean_over_the_classes_that_occur() -> None:
    random = np.random.default_rng(2)
    truth = random.choice(ABC, 200)
    table = random.dirichlet([1, 1, 1], 200)
    got = evaluate("multiclass", ABC, truth, np.array(ABC)[table.argmax(1)], table, ABC)
    assert got["auc"] == pytest.approx(sk.roc_auc_score(truth, table, multi_class="ovr"))
    part = truth != "c"
    got = evaluate("multiclass", ABC, truth[part], truth[part], table[part], ABC)
    parts = [sk.roc_auc_score(truth[part] == k, table[part][:, i]) for i, k in enumerate("ab")]
    assert got["auc"] == pytest.approx(np.mean(parts))


def test_no_warning_where_a_predicted_class_does_not_occur() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = evaluate("multiclass", ABC, ["a", "b"], ["c", "b"], [[0, 0, 1], [0, 1, 0]], ABC)
    assert got["balanced_accuracy"] == 0.5
    assert np.isfinite(got["log_loss"])


def test_a_class_unknown_to_the_framework_has_probability_zero() -> None:
    got = evaluate("multiclass", ABC, ["a", "b"], ["a", "b"], [[1, 0], [0, 1.0005]], ["a", "b"])
    assert got["log_loss"] == pytest.approx(0, abs=1e-9)
    assert got["auc"] == 1


def test_undefined_metrics_are_none() -> None:
    one = evaluate("binary", AB, ["a", "a"], ["a", "b"], [[0.5, 0.5]] * 2, AB)
    assert one["auc"] is None
    assert one["log_loss"] == pytest.approx(np.log(2))
    none = evaluate("binary", AB, ["a", "b"], ["a", "b"], None, None)
    assert none["auc"] is None
    assert none["log_loss"] is None
    assert none["accuracy"] == 1
    assert evaluate("regression", None, [1.0], [2.0])["r2"] is None


def test_regression() -> None:
    got = evaluate("regression", None, [1, 2, 3], np.array([[1], [2], [5]]))
    assert got == pytest.approx({"rmse": (4 / 3) ** 0.5, "mse": 4 / 3, "mae": 2 / 3, "r2": -1.0})


@pytest.mark.parametrize(
    ("predictions", "table", "columns", "words"),
    [
        (["a"], None, None, "1 rows; the test part has 2 rows"),
        (["a", "x"], None, None, 'unknown class "x"'),
        (["a", None], None, None, "missing value"),
        (["a", float("nan")], None, None, "missing value"),
        (["a", "b"], [[1, 0]], AB, "1 rows"),
        (["a", "b"], [[1, 0], [0.4, 0.4]], AB, "row 1 sum to 0.8"),
        (["a", "b"], [[1, 0], [1.5, -0.5]], AB, "negative"),
        (["a", "b"], [[1, 0], [np.nan, 1]], AB, "nan in row 1"),
        (["a", "b"], [[1, 0], [0, np.inf]], AB, "inf in row 1"),
        (["a", "b"], [[1, 0], [0, 1]], ["a", "z"], 'unknown class "z"'),
        (["a", "b"], [[1, 0], [0, 1]], ["a", "a"], "twice"),
        (["a", "b"], [1, 0], AB, "shape"),
        (["a", "b"], [["p", "q"], ["p", "q"]], AB, "not numeric"),
    ],
)
def test_unusable_classes(predictions, table, columns, words: str) -> None:
    with pytest.raises(UnusablePredictions, match=words):
        evaluate("binary", AB, ["a", "b"], predictions, table, columns)


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        ([1.0], "1 rows"),
        ([1.0, float("nan")], "nan in row 1"),
        ([1.0, float("inf")], "inf in row 1"),
        (["high", 1.0], "not numeric .*high"),
        ([1.0, 1e300], "too far"),
        ([[1.0, 2.0], [1.0, 2.0]], "not one value a row"),
    ],
)
def test_unusable_numbers(predictions, words: str) -> None:
    with pytest.raises(UnusablePredictions, match=words):
        evaluate("regression", None, [1.0, 2.0], predictions)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_every_metric_of_a_problem_is_given_and_the_default_is_one(problem: str) -> None:
    classes = {"binary": AB, "multiclass": ABC}.get(problem)
    truth = classes or [1.0, 2.0]
    given = evaluate(problem, classes, truth, truth)
    assert set(given) == {name for name, m in METRICS.items() if problem in m.problem_types}
    assert DEFAULT_METRIC[problem] in given
