"""Frameworks run for real: planned, in the sandbox, their records read; and the hard frame."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmark.config.loading import Config
from benchmark.frameworks import get
from benchmark.records.results import Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import draft, plan
from benchmark.store import open_store

Records = dict[tuple[str, str], Record]


@pytest.fixture
def run_tasks(tmp_path: Path) -> Callable[..., Records]:
    """The records of frameworks on data sets, by the framework's name and the data set's.

    As many tasks at once as the machine has cores.
    """

    def run(frameworks: list[Any], names: list[str], **changes: Any) -> Records:
        values: dict[str, Any] = {
            "studies": ["embedded"],
            "frameworks": frameworks,
            "seeds": [75],
            "cores": 1,
            "memory": 3500,
            "runtime": 10,
            "hard_limit": 300,
            "max_attempts": 1,
        }
        config = Config(**(values | changes))
        planned = plan(open_store(str(tmp_path / "store")), draft(config, datasets=names))
        ended = execute(planned.run, config, planned.tasks).records
        return {
            (task.labels["framework"], task.labels["dataset"]): ended[task.key]
            for task in planned.tasks
        }

    return run


@pytest.fixture
def adapter_over(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Loads an adapter over stand-ins for its framework's modules, each a dict of what it has."""

    def load(name: str, **modules: dict[str, Any]) -> Any:
        for module, parts in modules.items():
            stub = ModuleType(module.replace("__", "."))
            vars(stub).update(parts)
            monkeypatch.setitem(sys.modules, stub.__name__, stub)
            parent, _, last = stub.__name__.rpartition(".")
            if parent:
                monkeypatch.setattr(sys.modules[parent], last, stub, raising=False)
        spec = importlib.util.spec_from_file_location("adapter_under_test", get(name).adapter)
        assert spec is not None
        assert spec.loader is not None
        adapter = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(adapter)
        return adapter

    return load


@pytest.fixture(scope="session")
def hard_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file that declares hard-binary, hard-multiclass, hard-regression and hard-one-class.

    Three in ten targets are missing. The last has one class alone in its train part.
    """
    folder = tmp_path_factory.mktemp("hard")
    declared = []
    for kind in ("binary", "multiclass", "regression"):
        frame = hard_frame(430)
        target = pd.Series(target_of(frame, kind))
        frame["das Ziel"] = target.where(np.random.default_rng(2).random(430) > 0.3)
        frame.to_parquet(folder / f"{kind}.parquet")
        declared.append(
            {
                "name": f"hard-{kind}",
                "file": f"{kind}.parquet",
                "target": "das Ziel",
                "type": "regression" if kind == "regression" else "classification",
            }
        )
    frame = hard_frame(300)
    frame["das Ziel"] = target_of(frame, "binary")
    frame["part"] = np.where(np.arange(300) < 60, "test", "train")
    frame = frame[(frame["part"] == "test") | (frame["das Ziel"] == "yes")]
    frame.to_parquet(folder / "one-class.parquet")
    one = {"name": "hard-one-class", "file": "one-class.parquet", "split_column": "part"}
    declared.append(one | {"target": "das Ziel", "type": "classification"})
    (folder / "hard.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    yield str(folder / "hard.yaml")


def fake_java(folder: Path, version: str) -> Path:
    """A program that says that it is this version, and does nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    words = f'openjdk version "{version}"'
    java.write_text(f"#!/bin/sh\n[ \"$*\" = -version ] && echo '{words}' >&2\n")
    java.chmod(0o755)
    return java


def hard_frame(rows: int) -> pd.DataFrame:
    """Features of every kind; "größe in µm" holds the signal."""
    random = np.random.default_rng(1)
    signal = random.random(rows)
    words = np.array(["the quick", "brown fox", "jumps over", "a lazy dog", "and is gone"])
    level = np.where(random.random(rows) < 0.1, None, random.choice(["x", "y", "z"], rows))
    maybe = np.where(random.random(rows) < 0.2, None, signal > 0.4)
    mixed = np.where(random.random(rows) < 0.3, None, random.choice(["1", "True", "é", "?"], rows))
    return pd.DataFrame(
        {
            "größe in µm": signal,
            "a": random.random(rows),
            "a ": np.where(random.random(rows) < 0.4, np.nan, random.random(rows)),
            "A": random.integers(0, 5, rows),
            'x["1"], {y}: <b>': random.random(rows) * 1e6,
            "flag": signal + random.random(rows) > 1,
            "maybe": pd.Series(maybe, dtype="boolean"),
            "level": pd.Categorical(level),
            "mixed": pd.Series(mixed, dtype=object),
            "same": 1,
            "nothing": np.nan,
            "never": pd.Series([None] * rows, dtype=object),
            "text": [" ".join(random.choice(words, 4)) + f" {n}" for n in range(rows)],
            "day": pd.Timestamp("2020-02-28") + pd.to_timedelta(np.arange(rows), unit="D"),
        }
    )


def target_of(frame: pd.DataFrame, kind: str) -> Any:
    """What follows from the signal; the class "rare" has two rows."""
    signal = frame["größe in µm"].to_numpy()
    if kind == "regression":
        return signal * 3 + frame["flag"].to_numpy()
    if kind == "binary":
        return np.where(signal > 0.5, "yes", "no").astype(object)
    labels = np.select([signal > 0.66, signal > 0.33], ["a", "b"], "c").astype(object)
    labels[:2] = "rare"
    return labels
