"""The baselines' adapters, called as the worker calls them."""

import importlib.util
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.data import holdout, load
from benchmark.execution.metric_values import evaluate
from benchmark.frameworks import get

ALL = ["constant", "random-forest", "tuned-random-forest"]
FORESTS = ALL[1:]
LIMITS = SimpleNamespace(runtime_s=60.0, cores=1, memory_mb=1500)


def adapter(name: str) -> ModuleType:
    path = get(name).adapter
    spec = importlib.util.spec_from_file_location("adapter_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(framework: str, name: str, trees: int = 60) -> tuple[dict[str, Any], dict[str, Any]]:
    dataset = load(name)
    part = holdout(dataset, 1)
    train, test = (dataset.table.take(rows).to_pandas() for rows in (part.train, part.test))
    problem = SimpleNamespace(
        type=dataset.problem_type,
        target=dataset.target,
        classes=dataset.classes,
        metric="auc",
        seed=1,
        categorical=dataset.categorical,
        params={} if framework == "constant" else {"n_estimators": trees},
    )
    module = adapter(framework)
    model = module.fit(train, problem, LIMITS)
    got = module.predict(model, test.drop(columns=[dataset.target]), problem)
    return evaluate(
        dataset.problem_type,
        dataset.classes,
        test[dataset.target],
        got["predictions"],
        got["probabilities"],
        got["classes"],
    ), module.describe(model)


@pytest.mark.parametrize("framework", [ALL[1], pytest.param(ALL[2], marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["titanic", "penguins", "auto-mpg"])
def test_a_forest_beats_the_constant(framework: str, name: str) -> None:
    got, told = scores(framework, name)
    least, _ = scores("constant", name)
    if "rmse" in got:
        assert got["rmse"] < 0.7 * least["rmse"]
    else:
        # Not log_loss: a full-grown forest is at times certain and wrong, and pays for it.
        assert got["auc"] > 0.75 > least["auc"]
        assert got["balanced_accuracy"] > 1.2 * least["balanced_accuracy"]
    assert told["version"]
    assert told["trees"] == 60
    board = told["leaderboard"]
    assert told["models"] == (1 if board is None else len(board))
    if framework == "tuned-random-forest":
        assert len(board) > 1
        assert board[0]["score"] == max(entry["score"] for entry in board)


def nasty(rows: int, test: bool) -> pd.DataFrame:
    random = np.random.default_rng(rows)
    signal = random.random(rows)
    levels = ["β", "1", None] + (["only in test"] if test else [])
    category = pd.Series(random.choice(np.array(levels, dtype=object), rows)).astype("category")
    return pd.DataFrame(
        {
            "größe in µm": signal,
            "mixed": np.where(signal > 0.3, "x", None),
            "flag": random.random(rows) > 0.5,
            "maybe": pd.array([True, False, None] * (rows // 3), dtype="boolean"),
            "level": category,
            "same": 1,
            "nothing": np.nan,
            "never": pd.Series([None] * rows, dtype=object),
            "huge": np.where(signal > 0.5, np.inf, 1e300),
            "whole": pd.array([1, None, 3] * (rows // 3), dtype="Int64"),
        }
    )


@pytest.mark.parametrize("framework", ALL)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "one class"])
def test_nasty_frames(framework: str, kind: str) -> None:
    train, test = nasty(90, test=False), nasty(30, test=True)
    signal = train["größe in µm"]
    classes: list[str] | None = ["a", "b", "c"] if kind == "multiclass" else ["a", "b"]
    if kind == "regression":
        classes, train["ziel"] = None, signal * 3
    else:
        labels = np.where(signal > 0.5, "b", "a")
        if kind == "one class":
            labels[:] = "a"
        train["ziel"] = pd.Categorical(labels, categories=classes)
    problem = SimpleNamespace(
        type="binary" if kind == "one class" else kind,
        target="ziel",
        classes=classes,
        metric="log_loss",
        seed=3,
        categorical=["mixed", "level"],
        params={} if framework == "constant" else {"n_estimators": 20},
    )
    module = adapter(framework)
    model = module.fit(train, problem, LIMITS)
    got = module.predict(model, test, problem)
    truth = test["größe in µm"] * 3 if classes is None else ["a"] * 30
    result = evaluate(
        problem.type, classes, truth, got["predictions"], got["probabilities"], got["classes"]
    )
    assert all(value is None or np.isfinite(value) for value in result.values())
    one = module.predict(model, test.head(1), problem)
    assert len(one["predictions"]) == 1


def regression_problem(**params: Any) -> SimpleNamespace:
    return SimpleNamespace(
        type="regression",
        target="y",
        classes=None,
        metric="rmse",
        seed=5,
        categorical=[],
        params=params,
    )


def noise(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.random((rows, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] + random.random(rows)
    return frame


@pytest.mark.parametrize("framework", FORESTS)
def test_a_short_budget_ends_early_with_a_forest(framework: str) -> None:
    limits = SimpleNamespace(runtime_s=1.0, cores=1, memory_mb=1500)
    module = adapter(framework)
    model = module.fit(noise(4000), regression_problem(), limits)
    assert 1 <= module.describe(model)["trees"] < 2000


def test_little_memory_ends_early_with_a_forest() -> None:
    limits = SimpleNamespace(runtime_s=60.0, cores=1, memory_mb=16)
    module = adapter("random-forest")
    model = module.fit(noise(2000), regression_problem(), limits)
    assert 1 <= module.describe(model)["trees"] < 200


def test_batches_do_not_change_the_forest() -> None:
    from sklearn.ensemble import RandomForestRegressor

    frame, module = noise(200), adapter("random-forest")
    problem = regression_problem(n_estimators=37)
    model = module.fit(frame, problem, LIMITS)
    x = frame.drop(columns=["y"])
    whole = RandomForestRegressor(37, random_state=5).fit(x.to_numpy("float32"), frame["y"])
    predictions = module.predict(model, x, problem)["predictions"]
    assert np.allclose(predictions, whole.predict(x.to_numpy("float32")))


class Clock:
    """A time that passes as forests grow: a second for each tree and each feature that it tries."""

    def __init__(self, patch: pytest.MonkeyPatch, module: ModuleType) -> None:
        self.now = 0.0
        clock, forest = self, module.forest

        class Slow:
            def fit(self, x: Any, y: Any) -> Any:
                before = len(getattr(self, "estimators_", ()))
                grown = super().fit(x, y)  # type: ignore[misc]  # of the forest beside this one
                clock.now += (len(self.estimators_) - before) * self.max_features  # type: ignore[attr-defined]
                return grown

        for name in ("RandomForestRegressor", "RandomForestClassifier"):
            kind = getattr(forest, name)
            patch.setattr(forest, name, type(name, (Slow, kind), {}))
        told = SimpleNamespace(monotonic=lambda: clock.now)
        patch.setattr(module, "time", told)
        patch.setattr(forest, "time", told)


def additive(kind: str) -> pd.DataFrame:
    """40 features, of which two say everything, so that trees must try many at each split."""
    random = np.random.default_rng(3)
    x = random.normal(size=(400, 40))
    signal = 3 * x[:, 0] + 2 * np.maximum(x[:, 1], 0) + random.normal(size=400) / 2
    frame = pd.DataFrame(x, columns=[f"f{n}" for n in range(40)])
    frame["y"] = signal + 20 if kind == "regression" else np.where(signal > 1, "b", "a")
    return frame


# The default is slow with numbers (all features), and fast with classes (their root).
TUNED = [("regression", 3600.0, 14), ("binary", 1200.0, 5), ("multiclass", 1200.0, 5)]


@pytest.mark.parametrize(("kind", "runtime_s", "least"), TUNED)
def test_a_forest_is_tuned_on_rows_and_trees_that_all_values_share(
    monkeypatch: pytest.MonkeyPatch, kind: str, runtime_s: float, least: int
) -> None:
    """Few trees leave rows in every bag, for which scikit-learn says 0: slow values had more."""
    module = adapter("tuned-random-forest")
    Clock(monkeypatch, module)
    frame = additive(kind)
    train, test = frame[:300], frame[300:]
    problem = regression_problem(n_estimators=100)
    problem.type, problem.metric = kind, "rmse" if kind == "regression" else "log_loss"
    limits = SimpleNamespace(runtime_s=runtime_s, cores=1, memory_mb=1500)
    model = module.fit(train, problem, limits)
    board = module.describe(model)["leaderboard"]
    assert len({row["trees"] for row in board}) == 1
    assert len(board) >= 4
    assert board[0]["max_features"] >= least, board
    answer = module.predict(model, test.drop(columns=["y"]), problem)
    if kind == "regression":
        # With 1 feature at a split it is 2.75, with 5 it is 1.9.
        assert np.sqrt(np.mean((answer["predictions"] - test["y"]) ** 2)) < 1.2


@pytest.mark.parametrize("target", ["y", "zeros", "constant"])
def test_rows_in_every_bag_are_left_out(target: str) -> None:
    """Also where the forest predicts 0 of rows that it has not seen."""
    from sklearn.ensemble import RandomForestRegressor

    module, frame = adapter("tuned-random-forest"), noise(200)
    values = {
        "y": frame["y"],
        "zeros": np.where(frame["a"] > 0.5, frame["y"], 0.0),
        "constant": 0.0,
    }
    frame["y"] = values[target]
    forest = RandomForestRegressor(3, oob_score=True, random_state=1)
    with pytest.warns(UserWarning, match="do not have OOB"):
        forest.fit(frame[list("abcd")], frame["y"])
    seen = np.zeros(200, dtype=int)
    for bag in forest.estimators_samples_:
        seen[np.unique(bag)] += 1
    known = module._out_of_bag(forest)
    assert (known == (seen < 3)).all()
    assert 30 < (~known).sum() < 90
    assert len(forest.estimators_) == 3


def test_what_is_tuned_is_not_taken_from_params() -> None:
    module = adapter("tuned-random-forest")
    with pytest.raises(ValueError, match="max_features is what is tuned"):
        module.fit(noise(50), regression_problem(max_features=2), LIMITS)


def test_a_score_that_is_undefined_is_no_score() -> None:
    module = adapter("tuned-random-forest")
    grown = SimpleNamespace(oob_decision_function_=np.full((9, 2), 0.5))
    data = SimpleNamespace(y=np.zeros(9, dtype=int))
    problem = SimpleNamespace(type="binary", metric="auc")
    with pytest.warns(Warning, match="Only one class"):
        assert module._score(data, problem, grown) is None
    grown.oob_decision_function_ = np.zeros((9, 2))
    assert module._score(data, problem, grown) is None
    grown.oob_decision_function_ = np.full((9, 2), np.nan)
    assert module._score(data, problem, grown) is None
