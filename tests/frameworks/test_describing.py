"""What adapters tell of a search, and H2O's spoken to as in 2023, without the frameworks."""

from __future__ import annotations

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
    model = adapter.Model(SimpleNamespace(leader=leader), columns, None, "RMSE")
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
    told = adapter.describe(adapter.Model(automl, None, None, "roc_auc"))
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
    told = adapter.describe(adapter.Model(automl, None, None, "log_loss"))
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
    said = {"description": {"models": 3, "objective": "neg_log_loss"}}
    assert _described(said)["objective"] == "neg_log_loss"
    assert _described({"description": {"models": 3}})["objective"] is None
