"""H2O's adapter, called as the worker calls it, with the interface of h2o 3.44 in h2o's place."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from benchmark.frameworks import get


class OldFrame:
    """An H2OFrame, as far as the adapter asks it."""

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


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    stubs: dict[str, dict[str, Any]] = {
        "h2o": {
            "__version__": "3.44.0.3",
            "connect": connect,
            "no_progress": lambda: None,
            "import_file": lambda *_, **__: None,
            "remove": lambda frame: None,
        },
        "h2o.automl": {"H2OAutoML": None, "get_leaderboard": board},
        "h2o.backend": {"H2OLocalServer": OldServer},
    }
    for name, parts in stubs.items():
        module = ModuleType(name)
        vars(module).update(parts)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("DO_NOT_TRACK", "")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("h2o_under_test", get("h2o").adapter)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(vars(module)["java"], "choose", lambda: None)
    return module


def test_a_version_of_2023_is_spoken_to(adapter: ModuleType) -> None:
    problem = SimpleNamespace(type="regression", categorical=[])
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    leader = SimpleNamespace(predict=lambda sent: OldFrame(pd.DataFrame({"predict": [3.0, 4.0]})))
    automl = SimpleNamespace(leader=leader)
    adapter.setup(problem, SimpleNamespace(cores=1, memory_mb=1500))
    model = adapter.Model(automl, adapter.frames.Columns(frame, []), None)
    assert list(adapter.predict(model, frame, problem)["predictions"]) == [3.0, 4.0]
    told = adapter.describe(model)
    assert (told["models"], told["version"]) == (2, "3.44.0.3")
