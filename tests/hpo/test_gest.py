"""Our optimizers as a generator of the gest-api standard; its package is replaced where absent."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

Make = Callable[..., Any]


def named(kind: str, **fields: Any) -> Any:
    return type(kind, (), {"dtype": None, **fields})()


X = named("ContinuousVariable", domain=[0.0, 1.0])
N = named("DiscreteVariable", values={4, 1, 2})
LESS, MORE = named("MinimizeObjective"), named("MaximizeObjective")


def vocs(**changes: Any) -> Any:
    none: dict[str, Any] = {"constraints": {}, "constants": {}, "observables": {}}
    declared = {"variables": {"x": X, "n": N}, "objectives": {"f": LESS}}
    return SimpleNamespace(**none | declared | changes)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    if importlib.util.find_spec("gest_api") is None:

        class Generator:
            def __init__(self, vocs: Any) -> None:
                self._validate_vocs(vocs)

        module = ModuleType("gest_api")
        module.Generator = Generator  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gest_api", module)
    monkeypatch.delitem(sys.modules, "benchmark.hpo.formats.gest", raising=False)
    made: Make = importlib.import_module("benchmark.hpo.formats.gest").TunerGenerator
    return made


def test_points_are_suggested_and_results_learnt(make: Make) -> None:
    generator = make(vocs(constants={"c": SimpleNamespace(value=7)}), "random", seed=1)
    points = generator.suggest(3)
    assert [point["_id"] for point in points] == [0, 1, 2]
    assert all(0 <= p["x"] <= 1 and p["n"] in (1, 2, 4) and p["c"] == 7 for p in points)
    assert len(generator.suggest()) == 1
    generator.ingest([p | {"f": np.float64(p["x"])} for p in points[:2]])
    generator.ingest([points[2] | {"f": float("nan")}])
    generator.ingest([{"x": np.float64(0.5), "n": np.int64(4), "c": 7, "f": 0.25}])
    trials = generator._optimizer.trials()
    states = [trial.state.name for trial in trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING", "COMPLETE"]
    assert trials[0].values == [points[0]["x"]]
    assert (trials[4].params, trials[4].values) == ({"x": 0.5, "n": 4}, [0.25])


def test_constraints_objectives_and_observables_are_kept(make: Make) -> None:
    constraints = {
        "a": named("LessThanConstraint", value=2.0),
        "b": named("GreaterThanConstraint", value=2.0),
        "c": named("BoundsConstraint", range=[0.0, 1.0]),
    }
    observed = {"seen": named("Observable")}
    two = {"f": LESS, "g": MORE}
    generator = make(vocs(objectives=two, constraints=constraints, observables=observed))
    (point,) = generator.suggest(1)
    generator.ingest([point | {"f": 1.0, "g": 2.0, "a": 3.0, "b": 3.0, "c": -0.5, "seen": 9}])
    (trial,) = generator._optimizer.trials()
    assert trial.values == [1.0, 2.0]
    assert [way.name for way in generator._optimizer.study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert trial.system_attrs["constraints"] == [1.0, -1.0, 0.5]
    assert trial.user_attrs["metrics"] == {"seen": 9}


def test_a_later_generator_goes_on(make: Make, tmp_path: Path) -> None:
    place = str(tmp_path / "study.journal")
    first = make(vocs(), "random", storage=place)
    (point,) = first.suggest(1)
    later = make(vocs(), "random", storage=place)
    assert later.suggest(1)[0]["_id"] == 1
    later.ingest([point | {"f": 1.0}])
    assert later._optimizer.trials()[0].values == [1.0]


def test_what_does_not_fit_is_refused(make: Make) -> None:
    refused = {
        "needs bounds or values": {"variables": {"x": named("ContextualVariable")}},
        "is an array": {"variables": {"x": named("ContinuousVariable", dtype=(float, (2,)))}},
        "neither minimized nor maximized": {"objectives": {"f": named("ExploreObjective")}},
        "has no objective": {"objectives": {}},
    }
    for words, changes in refused.items():
        with pytest.raises(ValueError, match=words):
            make(vocs(**changes))
    generator = make(vocs(variables={"n": N}), "random")
    with pytest.raises(ValueError, match="no suggestion with the _id 5"):
        generator.ingest([{"n": 1, "f": 1.0, "_id": 5}])
    with pytest.raises(ValueError, match="no 'f'"):
        generator.ingest([{"n": 1}])
    with pytest.raises(ValueError, match="3"):
        generator.ingest([{"n": 3, "f": 1.0}])
    with pytest.raises(ValueError, match="All 3 points"):
        generator.suggest(4)
    assert len(generator.suggest(3)) == 3


def test_without_the_package_a_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gest_api", None)
    monkeypatch.delitem(sys.modules, "benchmark.hpo.formats.gest", raising=False)
    with pytest.raises(Exception, match="pip install gest-api"):
        importlib.import_module("benchmark.hpo.formats.gest")
