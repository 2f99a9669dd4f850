"""What adapters tell of a search, and H2O's spoken to as in 2023, without the frameworks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.execution.evaluation import _described

Adapter = Callable[..., Any]


class OldFrame:
    """An H2OFrame of h2o 3.44, as far as the adapter asks it."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def as_data_frame(self, use_pandas: bool = True, header: bool = True) -> pd.DataFrame:
        return self.table


class OldServer:
    @staticmethod
    def start(**settings: Any) -> str:
        return "server"


def connect(server: Any = None, verbose: bool = True, strict_version_check: bool = False) -> None:
    assert server == "server"
    assert os.environ["DO_NOT_TRACK"] == "1"


def board(automl: Any, columns: str) -> OldFrame:
    return OldFrame(pd.DataFrame({"model_id": ["a", "b"], "rmse": [1.0, 2.0]}))


def test_an_h2o_of_2023_is_spoken_to(
    adapter_over: Adapter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "")
    monkeypatch.chdir(tmp_path)
    adapter = adapter_over(
        "h2o",
        h2o={
            "__version__": "3.44.0.3",
            "connect": connect,
            "no_progress": lambda: None,
            "import_file": lambda *_, **__: None,
            "remove": lambda frame: None,
        },
        h2o__automl={"H2OAutoML": None, "get_leaderboard": board},
        h2o__backend={"H2OLocalServer": OldServer},
    )
    monkeypatch.setattr(adapter.java, "choose", lambda: None)
    problem = SimpleNamespace(type="regression", categorical=[])
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    leader = SimpleNamespace(predict=lambda sent: OldFrame(pd.DataFrame({"predict": [3.0, 4.0]})))
    adapter.setup(problem, SimpleNamespace(cores=1, memory_mb=1500))
    columns = adapter.frames.Columns(frame, [])
    model = adapter.frames.Model(SimpleNamespace(leader=leader), columns, None, "RMSE")
    assert list(adapter.predict(model, frame, problem)["predictions"]) == [3.0, 4.0]
    told = adapter.describe(model)
    assert (told["models"], told["version"], told["objective"]) == (2, "3.44.0.3", "RMSE")


def test_gama_counts_no_pipeline_that_failed(adapter_over: Adapter) -> None:
    adapter = adapter_over(
        "gama", gama={"__version__": "23", "GamaClassifier": None, "GamaRegressor": None}
    )
    individual = SimpleNamespace(short_name=lambda: "a")
    evaluations = [
        SimpleNamespace(individual=individual, score=(score,), duration=1.0, error=error)
        for score, error in ((0.5, None), (-np.inf, "it crashed"), (0.7, None))
    ]
    library = SimpleNamespace(evaluations=evaluations)
    automl = SimpleNamespace(_evaluation_library=library)
    told = adapter.describe(adapter.frames.Model(automl, None, None, "roc_auc"))
    assert (told["models"], len(told["leaderboard"]), told["objective"]) == (2, 3, "roc_auc")


def test_autosklearn_counts_no_run_that_failed(adapter_over: Adapter) -> None:
    adapter = adapter_over(
        "autosklearn",
        autosklearn={"__version__": "0.15.0"},
        autosklearn__metrics={},
        autosklearn__classification={"AutoSklearnClassifier": None},
        autosklearn__regression={"AutoSklearnRegressor": None},
    )
    further = "Success (but do not advance to higher budget)"
    results = {
        "params": [{"classifier:__choice__": "mlp"}] * 4,
        "mean_test_score": [0.0, 0.5, 0.0, 0.6],
        "mean_fit_time": [1.0] * 4,
        "status": ["Crash", "Success", "Timeout", further],
    }
    history = pd.DataFrame({"Timestamp": [], "single_best_optimization_score": []})
    automl = SimpleNamespace(cv_results_=results, performance_over_time_=history)
    told = adapter.describe(adapter.frames.Model(automl, None, None, "log_loss"))
    assert (told["models"], told["objective"]) == (2, "log_loss")
    assert [row["status"] for row in told["leaderboard"]][:2] == [further, "Success"]


def test_tpot_names_pipelines_by_their_steps(adapter_over: Adapter) -> None:
    adapter = adapter_over(
        "tpot",
        tpot={"__version__": "1.1", "TPOTClassifier": None, "TPOTRegressor": None},
        dask={},
        dask__distributed={"Client": None, "LocalCluster": None, "default_client": None},
    )
    chosen = SelectFromModel(ExtraTreesClassifier())
    union = FeatureUnion([("pca", PCA()), ("all", StandardScaler())])
    long = Pipeline([("chosen", chosen), ("union", union), ("model", LogisticRegression())])
    graph = SimpleNamespace(graph=SimpleNamespace(nodes=["PCA_1", "LogisticRegression_1"]))
    table = pd.DataFrame(
        {
            "score": [0.5, np.nan, 0.7],
            "Instance": [graph, PCA(), Pipeline([("inner", long)])],
            "Completed Timestamp": [3.0, None, 2.0],
        }
    )
    automl = SimpleNamespace(evaluated_individuals=table, objective_names=["score"])
    told = adapter.describe(adapter.Model(automl, None, None, None, 1.0))
    assert (told["models"], told["trajectory"]) == (2, [[1.0, 0.7]])
    assert [(row["score"], row["model"]) for row in told["leaderboard"]] == [
        (
            0.7,
            "SelectFromModel(ExtraTreesClassifier) > (PCA + StandardScaler) > LogisticRegression",
        ),
        (0.5, "graph(LogisticRegression_1, PCA_1)"),
        (None, "PCA"),
    ]


def test_the_objective_reaches_the_record() -> None:
    said = {"status": "success", "description": {"models": 3, "objective": "neg_log_loss"}}
    assert _described(said, "")[0]["objective"] == "neg_log_loss"
    assert _described(said | {"description": {"models": 3}}, "")[0]["objective"] is None


def problem_of(kind: str, **params: Any) -> SimpleNamespace:
    metric = "rmse" if kind == "regression" else "log_loss"
    return SimpleNamespace(
        type=kind, target="y", metric=metric, seed=1, categorical=[], params=params
    )


@pytest.mark.parametrize(("kind", "trials"), [("regression", 1), ("binary", 3)])
def test_optuna_with_trials_that_were_never_begun(
    adapter_over: Adapter, kind: str, trials: int
) -> None:
    """The points to try first are among the trials from the start, and may never get a turn."""
    adapter = adapter_over("optuna", lightgbm={})
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"x": random.random(60), "z": random.random(60)})
    frame["y"] = frame["x"] if kind == "regression" else np.where(frame["x"] > 0.5, "b", "a")
    params = {"models": ["linear", "neighbours", "extra-trees"], "n_trials": trials, "folds": 2}
    limits = SimpleNamespace(runtime_s=600.0, cores=1, memory_mb=1000)
    model = adapter.fit(frame, problem_of(kind, **params), limits)
    told = adapter.describe(model)
    assert told["models"] == len(told["leaderboard"]) == trials
    assert all(row["seconds"] >= 0 for row in told["leaderboard"])
    assert len(adapter.predict(model, frame[["x", "z"]], problem_of(kind))["predictions"]) == 60
    # A model that is there is not lost to what cannot be reported.
    model.study = None
    assert len(adapter.predict(model, frame[["x", "z"]], problem_of(kind))["predictions"]) == 60


@pytest.mark.parametrize(
    ("kind", "metric", "own"), [("regression", "r2", "rmse"), ("binary", "auc", "log_loss")]
)
def test_optuna_scores_all_trials_by_one_metric(
    adapter_over: Adapter, kind: str, metric: str, own: str
) -> None:
    """Of one value, or of one class in the validation rows, R2 and AUC have none."""
    adapter = adapter_over("optuna", lightgbm={})
    frame = pd.DataFrame({"x": np.arange(40.0), "y": [1.0] * 40})
    if kind == "binary":
        frame["y"] = ["a"] * 39 + ["b"]
    problem = problem_of(kind, models=["neighbours"], n_trials=1, folds=1)
    problem.seed = 2
    problem.metric = metric
    model = adapter.fit(frame, problem, SimpleNamespace(runtime_s=600.0, cores=1, memory_mb=1000))
    told = adapter.describe(model)
    assert (told["objective"], told["leaderboard"][0]["metric"]) == (own, own)
    assert told["leaderboard"][0]["score"] >= 0


def test_optuna_reports_trials_that_did_not_end(adapter_over: Adapter) -> None:
    adapter = adapter_over("optuna", lightgbm={})
    study = adapter.optuna.create_study(direction="maximize")
    study.enqueue_trial({"model": "linear"})
    study.ask()
    study.enqueue_trial({"model": "neighbours"})
    study.add_trial(adapter.optuna.trial.create_trial(value=0.5))
    state = SimpleNamespace(study=study, shares={1: 1.0}, trajectory=[(1.0, -2.0)])
    told = adapter.describe(SimpleNamespace(**vars(state), objective="rmse"))
    assert (told["models"], told["trajectory"]) == (1, [[1.0, 2.0]])
    assert [(row["state"], row["seconds"] is None) for row in told["leaderboard"]] == [
        ("complete", False),
        ("running", True),
    ]


def test_autogluon_keeps_its_model_without_a_leaderboard(adapter_over: Adapter) -> None:
    class Predictor:
        """Fitted, and unable to make a leaderboard."""

        def __init__(self, **settings: Any) -> None:
            self.eval_metric = SimpleNamespace(name="rmse")

        def fit(self, data: Any, **settings: Any) -> None:
            """Has a model then."""

        def model_names(self) -> list[str]:
            return ["a"]

        def leaderboard(self) -> Any:
            raise KeyError("score_val")

    tabular = {"TabularPredictor": Predictor, "__version__": "1.6"}
    adapter = adapter_over("autogluon", autogluon={}, autogluon__tabular=tabular)
    limits = SimpleNamespace(runtime_s=10, cores=1, memory_mb=1000)
    model = adapter.fit(pd.DataFrame({"x": [1.0], "y": [1.0]}), problem_of("regression"), limits)
    with pytest.raises(KeyError):
        adapter.describe(model)
    columns = ["model", "score_val", "eval_metric", "fit_time", "pred_time_val", "stack_level"]
    board = pd.DataFrame(
        [["a", 0.5, "r", 1.0, 0.1, 1], ["b", 0.7, "r", 1.0, 0.1, 2]], columns=columns
    )
    board = board.assign(fit_order=[1, 2], fit_time_marginal=1.0, pred_time_val_marginal=0.5)
    model.fit_s, model.predictor.leaderboard = 2.0, lambda: board
    assert adapter.describe(model)["trajectory"] == [[1.5, 0.5], [2.0, 0.7]]


def test_flaml_keeps_its_model_without_a_log(
    adapter_over: Adapter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class AutoML:
        """Fitted, without the log that it was asked for."""

        model = object()

        def fit(self, **settings: Any) -> None:
            """Has a model then."""

    monkeypatch.chdir(tmp_path)
    adapter = adapter_over("flaml", flaml={"AutoML": AutoML, "__version__": "2.7"})
    limits = SimpleNamespace(runtime_s=10, cores=1, memory_mb=1000)
    frame = pd.DataFrame({"x": [1.0], "y": [1.0]})
    model = adapter.fit(frame, problem_of("regression"), limits)
    with pytest.raises(FileNotFoundError):
        adapter.describe(model)
    entry = {"learner": "rf", "validation_loss": 0.5, "trial_time": 1.0, "sample_size": 1}
    line = json.dumps(entry | {"config": {}, "wall_clock_time": 2.0})
    (tmp_path / "flaml.log").write_text(f'{line}\n{{"curr_best_record_id": 0}}\n')
    assert adapter.describe(model)["trajectory"] == [[2.0, 0.5]]
