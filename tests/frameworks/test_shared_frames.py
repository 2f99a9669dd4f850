"""What adapters share: columns and labels in plain form."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.frameworks import framework


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"under_test_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def frames() -> ModuleType:
    return load(framework.SHARED / "frames.py")


FRAME = pd.DataFrame(
    {
        "größe": [1.5, np.inf, np.nan, -1e300],
        "a b": pd.array([1, None, 3, 4], dtype="Int64"),
        "n": np.array([1, 2, 3, 4], dtype="int16"),
        "yes?": [True, False, True, True],
        "level": pd.Categorical(["x", None, "y", "x"], categories=["z", "y", "x"]),
        "mixed": pd.Series(["1", None, True, 2.5], dtype=object),
        "numbers": pd.Series([1, None, 2.5, 3], dtype=object),
        "never": pd.Series([None] * 4, dtype=object),
        "day": pd.to_datetime(["1970-01-01", None, "1970-01-02", "1970-01-01"]),
    }
)


def test_names_and_kinds(frames: ModuleType) -> None:
    columns = frames.Columns(FRAME, ["level"])
    assert list(columns.names) == list(FRAME.columns)
    assert list(columns.names.values()) == [f"c{n}" for n in range(9)]
    assert columns.categories == ["c3", "c4", "c5"]
    assert columns.declared == {"c4"}
    assert columns.levels["c4"] == ["x", "y"]
    assert columns.levels["c5"] == ["1", "2.5", "True"]


def test_plain_numbers_and_levels(frames: ModuleType) -> None:
    columns = frames.Columns(FRAME, ["level"])
    plain = columns.plain(FRAME)
    assert np.isnan(plain["c0"][[1, 2]]).all()
    assert plain["c0"][3] == -frames.LARGEST
    assert plain["c1"].tolist()[0] == 1.0
    assert plain["c2"].dtype == np.dtype("int16")
    assert plain["c6"].tolist()[2:] == [2.5, 3.0]
    assert np.isnan(plain["c7"]).all()
    assert plain["c8"].tolist()[2] == 86400.0
    assert plain["c3"].tolist() == ["True", "False", "True", "True"]
    assert plain["c4"].isna().tolist() == [False, True, False, False]


def test_what_train_had_not(frames: ModuleType) -> None:
    columns = frames.Columns(FRAME, ["level"])
    other = FRAME.assign(level=pd.Categorical(["new", "x", None, "y"]))
    other = other[other.columns[::-1]]
    assert columns.plain(other)["c4"].tolist()[1] == "x"
    assert columns.plain(other)["c4"].isna().tolist() == [True, False, True, False]
    assert columns.text(other)["c4"].tolist() == ["new", "x", None, "y"]
    assert str(columns.text(other, keep={"c4"})["c4"].dtype) == "category"
    codes = columns.codes(other)
    assert codes.dtype == np.float64
    assert np.isnan(codes[0, 4])
    assert codes[1, 4] == 0.0


def test_an_empty_and_a_single_row(frames: ModuleType) -> None:
    columns = frames.Columns(FRAME, ["level"])
    assert columns.codes(FRAME.head(0)).shape == (0, 9)
    assert columns.codes(FRAME.head(1)).shape == (1, 9)


def test_labels(frames: ModuleType) -> None:
    labels = frames.Labels(pd.Series(pd.Categorical(["b", "a", "b"], categories=["c", "b", "a"])))
    assert labels.classes == ["a", "b"]
    assert labels.codes.tolist() == [1, 0, 1]
    answer: dict[str, Any] = labels.answer([1, 0], [[0.2, 0.8], [0.9, 0.1]])
    assert answer["predictions"].tolist() == ["b", "a"]
    assert answer["classes"] == ["a", "b"]
    assert labels.answer([0], [[0.2, 0.8]], order=[1, 0])["classes"] == ["b", "a"]
    assert frames.Labels(pd.Series([True, False])).classes == ["False", "True"]


def test_numbers_answer(frames: ModuleType) -> None:
    answer = frames.numbers_answer(np.array([[1.0], [2.0]], dtype="float32"))
    assert answer["predictions"].shape == (2,)
    assert answer["probabilities"] is None


def test_a_dummy_alone_is_no_result_of_auto_sklearn() -> None:
    outcome = load(framework.FOLDER / "autosklearn" / "outcome.py")
    assert outcome.complaint(["Crash", "Success"]) is None
    assert "(2 crash, 1 timeout)" in outcome.complaint(["Crash", "Crash", "Timeout"])
    assert "none ended" in outcome.complaint([])


class Searched:
    """A fitted auto-sklearn whose table of runs cannot be made."""

    def __init__(self, *models: str) -> None:
        self.models = [(0.5, type(name, (), {})()) for name in models]

    @property
    def cv_results_(self) -> dict[str, list[str]]:
        raise NotImplementedError("StatusType.STOP")

    def get_models_with_weights(self) -> list[tuple[float, object]]:
        return self.models


def test_auto_sklearn_without_its_table_is_judged_by_its_ensemble() -> None:
    outcome = load(framework.FOLDER / "autosklearn" / "outcome.py")
    known = SimpleNamespace(cv_results_={"status": ["Crash"]})
    assert "(1 crash)" in outcome.complaint_of(known)
    pipeline = Searched("MyDummyClassifier", "SimpleClassificationPipeline")
    assert outcome.complaint_of(pipeline) is None
    assert "none ended" in outcome.complaint_of(Searched("MyDummyClassifier"))
    assert "none ended" in outcome.complaint_of(Searched())


def test_ensemble_selection_beats_the_best_single() -> None:
    blending = load(framework.FOLDER / "optuna" / "blending.py")
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    off = np.array([0.5, 0.5, -0.5, -0.5])
    tables = [truth + off, truth - 1.2 * off, truth + 9]

    def score(table: Any) -> float:
        return -float(np.square(truth - table).mean())

    weights = blending.select(tables, score, deadline=float("inf"))
    assert sum(weights) == pytest.approx(1.0)
    assert weights[2] == 0.0
    mean = sum(weight * table for weight, table in zip(weights, tables, strict=True))
    assert score(mean) > score(tables[0])
    assert blending.select(tables, score, deadline=0.0) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("metric", "good", "bad"),
    [
        ("auc", [[0.9, 0.1], [0.2, 0.8]], [[0.1, 0.9], [0.8, 0.2]]),
        ("log_loss", [[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]),
        ("accuracy", [[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.8, 0.2]]),
        ("balanced_accuracy", [[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.8, 0.2]]),
        ("f1_weighted", [[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.8, 0.2]]),
        ("rmse", [0.1, 1.1], [0.5, 3.0]),
        ("mse", [0.1, 1.1], [0.5, 3.0]),
        ("mae", [0.1, 1.1], [0.5, 3.0]),
        ("r2", [0.1, 1.1], [0.5, 3.0]),
    ],
)
def test_a_better_prediction_scores_higher(metric: str, good: Any, bad: Any) -> None:
    scoring = load(framework.FOLDER / "optuna" / "scoring.py")
    truth = np.array([0, 1]) if np.ndim(good) == 2 else np.array([0.0, 1.0])
    better = scoring.score(metric, truth, np.array(good))
    worse = scoring.score(metric, truth, np.array(bad))
    assert better > worse
    own = scoring.in_its_own_unit(metric, better)
    assert own >= 0
