"""Metrics agree with scikit-learn, and what cannot be scored says why."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmark.execution.metric_values import UnusablePredictions, evaluate
from benchmark.execution.metrics import DEFAULT_METRIC, METRICS

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


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_prediction_is_not_a_class_of_its_name(value) -> None:
    with pytest.raises(UnusablePredictions, match="missing value in row 1"):
        evaluate("binary", ["None", "nan"], ["nan", "None"], ["nan", value])


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
        ([True, False], "not numeric .*True"),
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


# Exact ties, values that another rounding would tie or untie, and the extremes.
PROBABILITIES = st.sampled_from(
    [0.0, 1.0, 1e-300, 5e-324, 0.1, 0.2, 0.3, 0.1 + 0.2, 1 / 3, 0.5, 0.7, 1 - 2**-53, 2**-52]
)


@st.composite
def answers(draw):
    """(labels, truth codes, predicted codes, table) with every row's sum near 1, or exactly."""
    count = draw(st.integers(2, 5))
    rows = draw(st.integers(1, 12))
    codes = st.lists(st.integers(0, count - 1), min_size=rows, max_size=rows)
    table = np.array(
        [draw(st.lists(PROBABILITIES, min_size=count - 1, max_size=count - 1)) for _ in range(rows)]
    ).reshape(rows, count - 1)
    # The last column fills a row up to a sum that may be off; where the others exceed 1 they are
    # scaled first.
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    off = np.array([draw(st.sampled_from([0.0, 0.0, 1e-16, -3e-9, 9e-6])) for _ in range(rows)])
    last = (1 - table.sum(axis=1) - off).clip(0.0, 1.0)
    place = draw(st.integers(0, count - 1))
    return list("abcde"[:count]), draw(codes), draw(codes), np.insert(table, place, last, axis=1)


def scikit_learns(labels, truth, predicted, table):
    """The same metrics by scikit-learn's own functions."""
    present = sorted(set(truth))
    auc = np.nan
    if len(labels) == 2 and len(present) == 2:
        auc = sk.roc_auc_score(truth, table[:, 1])
    elif len(labels) > 2 and len(present) == len(labels):
        auc = sk.roc_auc_score(truth, table, multi_class="ovr", labels=range(len(labels)))
    elif len(present) > 1:
        auc = np.mean([sk.roc_auc_score(np.equal(truth, k), table[:, k]) for k in present])
    return {
        "auc": auc,
        "log_loss": sk.log_loss(truth, table, labels=range(len(labels))),
        "f1_weighted": sk.f1_score(truth, predicted, average="weighted"),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "accuracy": sk.accuracy_score(truth, predicted),
    }


@settings(max_examples=35)
@given(answers())
def test_classification_equals_scikit_learn(answer) -> None:
    labels, truth, predicted, table = answer
    names = np.array(labels)
    problem = "binary" if len(labels) == 2 else "multiclass"
    got = evaluate(problem, labels, names[truth], names[predicted], table, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scikit_learns(labels, truth, predicted, table)
    got["auc"] = np.nan if got["auc"] is None else got["auc"]
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


@settings(max_examples=40)
@given(st.data())
def test_regression_equals_scikit_learn(data) -> None:
    rows = data.draw(st.integers(2, 12))
    numbers = st.one_of(
        st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e100, -1e100])
    )
    truth, predicted = (
        data.draw(st.lists(numbers, min_size=rows, max_size=rows)) for _ in range(2)
    )
    got = evaluate("regression", None, truth, predicted)
    expected = {
        "rmse": sk.root_mean_squared_error(truth, predicted),
        "mse": sk.mean_squared_error(truth, predicted),
        "mae": sk.mean_absolute_error(truth, predicted),
        "r2": sk.r2_score(truth, predicted),
    }
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("table", "truth"),
    [
        # 0.1 + 0.2 + 0.7 and its like are not 1 in floating point: scaling would untie columns.
        ([[0.1, 0.2, 0.7], [0.1, 0.7, 0.2], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], "acba"),
        ([[0.3, 0.6, 0.1], [0.3, 0.1, 0.6], [0.6, 0.1, 0.3], [0.3, 0.3, 0.4]], "abca"),
        ([[0.3, 0.6, 0.1], [0.2, 0.6, 0.2], [0.6, 0.3, 0.1]], "abc"),
    ],
)
def test_equal_probabilities_of_two_rows_stay_equal(table, truth: str) -> None:
    scaled = np.array(table) / np.sum(table, axis=1, keepdims=True)
    got = evaluate("multiclass", ABC, list(truth), list(truth), table, ABC)
    expected = sk.roc_auc_score(list(truth), table, multi_class="ovr")
    assert got["auc"] == pytest.approx(expected, abs=1e-12)
    assert abs(got["auc"] - sk.roc_auc_score(list(truth), scaled, multi_class="ovr")) > 0.01


@pytest.mark.parametrize("total", [0.9991, 1 - 2e-5, 1 + 2e-5, 1.0009])
def test_rows_whose_sum_scikit_learn_refuses_count_as_they_are(total: float) -> None:
    table = np.array([[0.5, 0.3, 0.2], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6]]) * [[total], [1], [1]]
    truth = np.array(list("abc"))
    got = evaluate("multiclass", ABC, truth, truth, table, ABC)
    areas = [sk.roc_auc_score(truth == name, table[:, i]) for i, name in enumerate(ABC)]
    assert got["auc"] == pytest.approx(np.mean(areas), abs=1e-12)
    own = table[[0, 1, 2], [0, 1, 2]]
    assert got["log_loss"] == pytest.approx(-np.log(own).mean(), abs=1e-12)


def test_values_beyond_0_and_1_by_rounding_count_as_they_are() -> None:
    table = np.array([[1 + 1e-9, -1e-9], [1 + 2e-9, -2e-9], [0.0, 1.0]])
    got = evaluate("binary", AB, ["b", "a", "b"], ["a", "a", "b"], table, AB)
    assert got["auc"] == 1
    eps = np.finfo(float).eps
    losses = [-np.log(eps), -np.log(1 - eps), -np.log(1 - eps)]
    assert got["log_loss"] == pytest.approx(np.mean(losses), abs=1e-12)


def test_a_process_that_splits_and_measures_imports_no_scikit_learn() -> None:
    """Every task of an array or a container is such a process, and the import takes it seconds."""
    text = (
        "import sys\n"
        "from benchmark.data import holdout\n"
        "from benchmark.data.embedded_suite import read\n"
        "from benchmark.execution.metric_values import evaluate\n"
        "holdout(read('penguins'), 1), holdout(read('cpu'), 1)\n"
        "evaluate('regression', None, [1, 2], [1, 3])\n"
        "evaluate('binary', ['a', 'b'], ['a', 'b'], ['a', 'a'], [[1, 0], [0.5, 0.5]])\n"
        "print({'scipy', 'sklearn', 'pydantic', 'urllib.request'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    assert ended.stdout == "set()\n"
