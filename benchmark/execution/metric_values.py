"""Values of metrics, computed from a framework's saved predictions and never by the framework.

They equal scikit-learn's, which the tests compare them with; importing it takes a process that runs
one task longer than all else it does.

evaluate("binary", ["no", "yes"], truth, predictions, probabilities, ["yes", "no"])["auc"]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.errors import BenchmarkError

SUM_TOLERANCE = 1e-3
ROUNDING = 1e-6


class UnusablePredictions(BenchmarkError):  # noqa: N818
    """A framework returned something that no metric can be computed from."""


def evaluate(  # noqa: PLR0917
    problem_type: str,
    classes: Sequence[str] | None,
    truth: ArrayLike,
    predictions: ArrayLike,
    probabilities: ArrayLike | None = None,
    probability_classes: Sequence[Any] | None = None,
) -> dict[str, float | None]:
    """All metrics of a problem type, by name; None where one is undefined.

    Args:
        problem_type: "binary", "multiclass" or "regression".
        classes: all labels of the task, sorted; the second of two is the positive one.
        truth: n labels or numbers.
        predictions: n labels or numbers.
        probabilities: n rows of k, or None if the framework gives none (log_loss and auc are None).
            Metrics take them as they are: a row is not scaled to sum to 1, which would turn equal
            probabilities of two rows into different ones.
        probability_classes: the k labels of its columns; `classes` by default. A class that is
            missing has the probability 0.

    Raises:
        UnusablePredictions: the length, the values, the labels or the sums are wrong.
    """
    if problem_type == "regression":
        return _regression(np.asarray(truth, dtype=np.float64), predictions)
    labels = [str(label) for label in classes or ()]
    actual = _codes(truth, labels, "truth")
    predicted = _codes(predictions, labels, "predictions")
    _check_length(len(predicted), len(actual), "predictions")
    table = None
    if probabilities is not None:
        table = aligned_probabilities(probabilities, probability_classes, labels, len(actual))
    return _classification(actual, predicted, table)


def _classification(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], table: NDArray[np.float64] | None
) -> dict[str, float | None]:
    present = np.unique(actual)
    size = max(actual.max(), predicted.max()) + 1
    right = np.bincount(actual[actual == predicted], minlength=size)
    true, given = np.bincount(actual, minlength=size), np.bincount(predicted, minlength=size)
    occurs = true + given > 0
    f1 = 2 * right[occurs] / (true + given)[occurs]
    return {
        "log_loss": None if table is None else _log_loss(actual, table),
        "auc": None if table is None else _auc(actual, table, present),
        "f1_weighted": float(np.average(f1, weights=true[occurs])),
        # The mean recall over the classes that occur.
        "balanced_accuracy": float((right[present] / true[present]).mean()),
        "accuracy": float((actual == predicted).mean()),
    }


def _log_loss(actual: NDArray[np.int64], table: NDArray[np.float64]) -> float:
    """scikit-learn's `log_loss`, also where a probability exceeds 1 by rounding (it refuses those).

    It clips to [eps, 1 - eps] and does not scale rows that do not sum to 1; it only warns of them.
    """
    eps = np.finfo(np.float64).eps
    own = table[np.arange(len(actual)), actual].clip(eps, 1 - eps)
    return float(-np.log(own).mean())


def _auc(
    actual: NDArray[np.int64], table: NDArray[np.float64], present: NDArray[np.int64]
) -> float | None:
    """The area under the curve by ranks (the Mann-Whitney statistic), of many classes at once.

    Of more than two classes it is scikit-learn's `multi_class="ovr"`, the mean of one class against
    the rest, over the classes that occur. scikit-learn refuses rows whose sum is off by more than
    0.00001; here they count as they are, up to SUM_TOLERANCE.
    """
    if len(present) < 2:
        return None
    of = np.array([1]) if table.shape[1] == 2 else present
    ranks = [_ranks(table[:, k])[actual == k] for k in of]
    inside = np.array([len(own) for own in ranks])
    areas = (np.array([own.sum() for own in ranks]) - inside * (inside + 1) / 2) / (
        inside * (len(actual) - inside)
    )
    return float(areas.mean())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (counts.cumsum() - (counts - 1) / 2)[place]
    return ranks


def _regression(truth: NDArray[np.float64], predictions: ArrayLike) -> dict[str, float | None]:
    try:
        if np.asarray(predictions).dtype == bool:
            raise TypeError
        predicted = np.asarray(predictions, dtype=np.float64)
    except (TypeError, ValueError):
        raise UnusablePredictions(
            f"The predictions are not numeric ({_example(predictions)}); write numbers."
        ) from None
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    _check_length(predicted.shape[0] if predicted.ndim == 1 else -1, len(truth), "predictions")
    _check_finite(predicted, "predictions")
    with np.errstate(over="ignore"):
        errors = truth - predicted
        mse = float((errors**2).mean())
    if not np.isfinite(mse):
        raise UnusablePredictions(
            f"The predictions reach {np.abs(predicted).max():.3g}, too far to square the error."
        )
    r2 = _r2(truth, errors) if len(truth) > 1 else None
    return {"rmse": float(np.sqrt(mse)), "mse": mse, "mae": float(np.abs(errors).mean()), "r2": r2}


def _r2(truth: NDArray[np.float64], errors: NDArray[np.float64]) -> float:
    """As scikit-learn's `r2_score`: for a constant truth, 1 if all predictions equal it, else 0."""
    with np.errstate(over="ignore"):
        left, whole = (errors**2).sum(), ((truth - truth.mean()) ** 2).sum()
    if whole == 0:
        return 1.0 if left == 0 else 0.0
    return float(1 - left / whole)


def _codes(values: ArrayLike, labels: Sequence[str], what: str) -> NDArray[np.int64]:
    """Each label's position among the task's classes."""
    column = np.asarray(values, dtype=object)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise UnusablePredictions(f"The {what} have the shape {column.shape}; one label a row.")
    position = {label: code for code, label in enumerate(labels)}
    codes = np.empty(len(column), dtype=np.int64)
    for row, value in enumerate(column):
        missing = value is None or value != value  # noqa: PLR0124 - NaN
        code = None if missing else position.get(value if type(value) is str else str(value))
        if code is None:
            fault = "a missing value" if missing else f'the unknown class "{value}"'
            raise UnusablePredictions(
                f"The {what} hold {fault} in row {row}; the classes are {_some(labels)}."
            )
        codes[row] = code
    return codes


def aligned_probabilities(
    probabilities: ArrayLike,
    columns: Sequence[Any] | None,
    labels: Sequence[str],
    rows: int,
) -> NDArray[np.float64]:
    """The probabilities (n x k) as given, with a column for every class in the classes' order.

    Sums may be off by SUM_TOLERANCE and values may be negative by ROUNDING.

    Raises:
        UnusablePredictions: the shape, the values, the labels or the sums are wrong.
    """
    try:
        given = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError):
        raise UnusablePredictions(
            f"The probabilities are not numeric ({_example(probabilities)})."
        ) from None
    names = list(labels) if columns is None else [str(column) for column in columns]
    if given.ndim != 2 or given.shape[1] != len(names):
        raise UnusablePredictions(
            f"The probabilities have the shape {given.shape} for {len(names)} classes; "
            "they need a row per prediction and a column per class."
        )
    _check_length(given.shape[0], rows, "probabilities")
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise UnusablePredictions(
            f'The probabilities are for the unknown class "{unknown[0]}"; '
            f"the classes are {_some(labels)}."
        )
    if len(set(names)) < len(names):
        raise UnusablePredictions(f"The probabilities name a class twice: {_some(names)}.")
    _check_finite(given, "probabilities")
    if rows and given.min() < -ROUNDING:
        raise UnusablePredictions(f"The probabilities hold the negative value {given.min():.6g}.")
    sums = given.sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        row = int(np.argmax(off))
        raise UnusablePredictions(
            f"The probabilities of row {row} sum to {sums[row]:.6g}; they must sum to 1."
        )
    table = np.zeros((rows, len(labels)))
    table[:, [labels.index(name) for name in names]] = given
    return table


def _check_length(length: int, rows: int, what: str) -> None:
    if length != rows:
        found = "not one value a row" if length < 0 else f"{length} rows"
        raise UnusablePredictions(f"The {what} have {found}; the test part has {rows} rows.")


def _check_finite(values: NDArray[np.float64], what: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), values.shape)
        raise UnusablePredictions(f"The {what} hold {values[place]} in row {place[0]}.")


def _example(values: ArrayLike) -> str:
    flat = np.asarray(values, dtype=object).ravel()
    numeric = (int, float)
    wrong = next((v for v in flat if not isinstance(v, numeric) or isinstance(v, bool)), None)
    return f"such as {wrong!r}"[:60]


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (" …" if len(labels) > 5 else "")
