"""The stop rule `regret`: a bound on what more trials can gain."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.samplers.regret import RegretBound
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.space.tunables import coordinates
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.store import Store

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
LOG = {"name": "l", "value_type": "integer", "lower_bound": 1, "upper_bound": 100, "log": True}
CHOICE = {"name": "c", "value_type": "categorical", "choices": [0, False], "when": "l > 1"}


def test_coordinates() -> None:
    tunables = read_space({"tunables": [X, LOG, CHOICE]}).tunables
    assert coordinates(tunables, {"x": 0.25, "l": 10, "c": False}) == [0.25, 0.5, 0, 1]
    assert coordinates(tunables, {"x": 1, "l": 1}) == [1, 0, 0, 0]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_bound_of_a_smooth_function(direction: Any) -> None:
    """Of a smooth function with little noise: above the regret, and much less than its range."""
    space = read_space({"tunables": [X, {**X, "name": "y"}]})
    sign = 1 if direction == "minimize" else -1
    bound = RegretBound(space, direction, 1)
    generator = random.Random(1)
    for number in range(40):
        width = 1.0 if number < 20 else 0.3
        point = {name: 0.3 + width * generator.uniform(-0.29, 0.5) for name in "xy"}
        value = sum((part - 0.3) ** 2 for part in point.values()) + generator.gauss(0, 1e-4)
        bound.add(point, sign * 100 * value)
        assert number >= 19 or bound.value is None
    assert bound.value is not None
    assert 0 < sign * bound.best < bound.value < 1


def declared(**more: Any) -> dict[str, Any]:
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "trials": 100,
        "seed": 1,
        "objective": {"command": ["echo", "1"]},
        **more,
    }


def test_a_study_ends_with_the_bound_as_its_reason(folder_store: Store, tmp_path: Path) -> None:
    study = Study.begin(folder_store, define(declared(stop={"regret": "5%"}), tmp_path))
    while study.why_stop is None:
        (task,) = study.ask()
        value = 10 + (task.payload["params"]["x"] - 0.3) ** 2
        labels = task.labels | {"values": [value], "constraints": []}
        record = Record(task.key, "success", metrics={"value": value}, labels=labels)
        study.tell(results.settle(study.run, results.begin(study.run, task), record))
    why = study.why_stop
    assert why.startswith("More trials can improve the best value, 10")
    assert why.endswith("with probability 0.9), and 'regret' is 0.5.")
    assert len(study.optimizer.trials()) == 20
    assert Study.open(folder_store, "s").why_stop == why


@pytest.mark.parametrize("regret", [0, -1, "0%", "1", True, [1]])
def test_faults_of_regret(tmp_path: Path, regret: Any) -> None:
    with pytest.raises(StudyError, match="as 'regret'; write a number above 0 or a share"):
        define(declared(stop={"regret": regret}), tmp_path)


def test_regret_needs_one_direction_and_declared_tunables(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def objective(trial): return 1.0\n")
    both = {"direction": ["minimize", "minimize"]}
    without = {"objective": "own.py:objective", "tunables": None}
    for more in (both, without):
        with pytest.raises(StudyError, match="one direction with declared tunables"):
            define(declared(stop={"regret": 1}, **more), tmp_path)
