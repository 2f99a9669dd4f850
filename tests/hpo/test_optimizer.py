"""One contract for every algorithm: admitted, new, durable, told once, repeatable."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytest

from benchmark.hpo.samplers.algorithms import (
    ALGORITHMS,
    PRUNERS,
    AlgorithmError,
    check_algorithm,
    pruner_of,
    sampler_of,
)
from benchmark.hpo.samplers.model_sampler import Known, ModelSampler
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Asked, ExhaustedError, Told
from benchmark.hpo.space.search_space import identity
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.spec.study_file import StudyDefinition, define, own_form
from benchmark.hpo.storages.storage import open_storage

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SPACE = read_space(
    {
        "tunables": [
            {
                "name": "x",
                "value_type": "double",
                "lower_bound": 0,
                "upper_bound": 1,
                "step": 0.25,
            },
            {
                "name": "y",
                "value_type": "integer",
                "lower_bound": 1,
                "upper_bound": 16,
                "log": True,
            },
            {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
            {
                "name": "r",
                "value_type": "integer",
                "lower_bound": 1,
                "upper_bound": 3,
                "when": "gc == 'G1'",
            },
        ],
        "forbidden": ["gc == 'Z' and y > 8"],
    }
)
SLOW = [pytest.param("optuna_skopt", marks=pytest.mark.integration)]  # a minute of fitting
HERE = [*(name for name in ALGORITHMS if name not in ("gp", "optuna_skopt")), *SLOW]


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def make(folder: Path, algorithm: str, seed: int | None = 3) -> Optimizer:
    storage = open_storage(str(folder / "journal"), "s")
    return Optimizer(SPACE, ["minimize"], algorithm, seed, storage, "s")


def value(asked: Asked) -> float:
    return (asked.params["x"] - 0.5) ** 2 + abs(asked.params["y"] - 4) / 16  # type: ignore


@pytest.mark.parametrize("algorithm", HERE)
@pytest.mark.filterwarnings("ignore")
def test_contract(tmp_path: Path, algorithm: str) -> None:
    optimizer = make(tmp_path, algorithm)
    seen = set()
    for number in range(24):
        if number == 14:
            optimizer = make(tmp_path, algorithm)
        asked = optimizer.ask()
        assert asked.number == number
        assert SPACE.fault(asked.params) is None
        assert identity(asked.params) not in seen
        seen.add(identity(asked.params))
        assert asked in make(tmp_path, algorithm).running()
        assert optimizer.tell(number, Told("success", (value(asked),)))
        assert not optimizer.tell(number, Told("failure"))
    trials = make(tmp_path, algorithm).trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 24


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algorithm", [*HERE, "optuna.samplers:RandomSampler"])
def test_a_seed_repeats_a_serial_study(tmp_path: Path, algorithm: str) -> None:
    points = []
    for name in "ab":
        optimizer = make(tmp_path / name, algorithm)
        asked = [optimizer.ask() for _ in range(1)]
        for _ in range(13):
            optimizer.tell(asked[-1].number, Told("success", (value(asked[-1]),)))
            asked.append(optimizer.ask())
        points.append([one.params for one in asked])
    assert points[0] == points[1]


ALIKE: list[Any] = [0, False, 1, True, 1.0, "1", None]


@pytest.mark.parametrize("algorithm", ["grid", "optuna_tpe_multivariate", "nsga2", "hyperopt"])
@pytest.mark.parametrize("kept", ["journal", "sqlite"])
@pytest.mark.filterwarnings("ignore")
def test_choices_that_python_holds_equal_are_apart(
    tmp_path: Path, algorithm: str, kept: str
) -> None:
    """In the storage too: another process reads each point as it was asked."""
    c = {"name": "c", "value_type": "categorical", "choices": ALIKE, "default": True}
    d = {"name": "d", "value_type": "categorical", "choices": [False, 0], "default": 0}
    space = read_space({"tunables": [c, d]})
    place = f"sqlite:///{tmp_path}/db" if kept == "sqlite" else str(tmp_path / "journal")
    asked: list[Asked] = []
    for end in (8, 14):
        optimizer = Optimizer(space, ["minimize"], algorithm, 3, open_storage(place, "s"), "s")
        assert repr(optimizer.running()) == "[]"
        for first in optimizer.begin_with():
            asked.append(optimizer.ask(first))
            assert repr(asked[0].params) == "{'c': True, 'd': 0}"
            optimizer.tell(asked[-1].number, Told("success", (0.0,)))
        while len(asked) < end:
            asked.append(optimizer.ask())
            worth = float(ALIKE.index(asked[-1].params["c"]))
            optimizer.tell(asked[-1].number, Told("success", (worth,)))
    assert len({identity(one.params) for one in asked}) == 14
    storage = open_storage(place, "s")
    study = optuna.load_study(study_name="s", storage=storage)
    assert [repr(trial.params) for trial in study.trials] == [repr(one.params) for one in asked]


@pytest.mark.parametrize("algorithm", ["optuna_tpe", "grid"])
def test_a_countable_space_is_exhausted_without_a_duplicate(tmp_path: Path, algorithm: str) -> None:
    optimizer = make(tmp_path, algorithm)
    count = len(list(SPACE.points()))
    asked = {identity(optimizer.ask().params) for _ in range(count)}
    assert len(asked) == count
    with pytest.raises(ExhaustedError, match=f"All {count} points"):
        optimizer.ask()


class Seeing(ModelSampler):
    """Keeps what a model would be made of."""

    known: Known

    def propose(
        self,
        known: Known,
        search_space: dict[str, BaseDistribution],
        seed: int | None,
    ) -> dict[str, Any]:
        self.known = known
        return dict.fromkeys(search_space, 0)


def test_what_breaks_a_constraint_looks_as_bad_as_the_worst() -> None:
    sampler = Seeing(1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(11):
        trial = study.ask()
        trial.suggest_int("n", 0, 9)
        if number < 10:
            trial.set_constraint("c", 1.0 if number == 9 else 0.0)
            study.tell(trial, number)
    assert sampler.known.losses == [0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, 0.0]


def test_a_large_countable_space_has_no_duplicate_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stuck.py").write_text(
        "from optuna.samplers import RandomSampler\n"
        "class Sampler(RandomSampler):\n"
        "    def sample_independent(self, study, trial, name, distribution):\n"
        "        return distribution.low\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bounds = {"value_type": "integer", "lower_bound": 1, "upper_bound": 400}
    space = read_space({"tunables": [{"name": name, **bounds} for name in "xy"]})
    storage = open_storage(str(tmp_path / "journal"), "s")
    optimizer = Optimizer(space, ["minimize"], "stuck:Sampler", 1, storage, "s")
    first = optimizer.propose()
    assert first.params == {"x": 1, "y": 1}
    other = Optimizer(space, ["minimize"], "stuck:Sampler", 1, storage, "s")
    asked = [other.ask().params for _ in range(3)]
    assert len({identity(params) for params in asked}) == 3
    assert optimizer.was_taken(first)


def test_each_ending_as_optuna_has_it(tmp_path: Path) -> None:
    optimizer = make(tmp_path, "optuna_tpe")
    for _ in range(3):
        optimizer.ask()
    optimizer.tell(0, Told("failure"))
    optimizer.tell(1, Told("prune", intermediate={0: 0.5}))
    optimizer.tell(2, Told("success", (1.0,), constraints=(2.0,), metrics={"p99": 3.5}))
    trials = make(tmp_path, "optuna_tpe").trials()
    assert [trial.state.name for trial in trials] == ["FAIL", "PRUNED", "COMPLETE"]
    assert trials[1].intermediate_values == {0: 0.5}
    assert trials[2].system_attrs["constraints"] == [2.0]
    assert trials[2].user_attrs["metrics"] == {"p99": 3.5}


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_is_made(name: str) -> None:
    needed = {"threshold": {"upper": 1.0}, "patient": {"patience": 3}}.get(name, {})
    assert type(pruner_of(name, needed)).__name__ == PRUNERS[name]
    with pytest.raises(AlgorithmError, match=f"The pruner '{name}' refuses"):
        pruner_of(name, {"nonsense": 1})


def test_an_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(AlgorithmError, match=r"install the extra 'gp': .* -m pip install -e .*gp"):
        sampler_of("gp", 1)
    with pytest.raises(AlgorithmError, match="is not an Optuna sampler"):
        sampler_of("collections:Counter", 1)
    with pytest.raises(AlgorithmError, match="cannot be created"):
        sampler_of("no.where:Sampler", 1)


def auto(monkeypatch: pytest.MonkeyPatch, *, torch: bool = True, **more: Any) -> StudyDefinition:
    """A study with two continuous tunables and `algorithm: auto`."""
    spec = importlib.machinery.ModuleSpec("torch", None) if torch else None
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    double = {"value_type": "double", "lower_bound": 0, "upper_bound": 1}
    values = {
        "name": "s",
        "direction": "minimize",
        "algorithm": "auto",
        "tunables": [{"name": "a", **double}, {"name": "b", **double}],
        "objective": {"command": ["true"]},
    }
    if "directions" in more:
        del values["direction"]
    return define(values | more, Path())


SWITCH = {"name": "s", "value_type": "categorical", "choices": ["a", "b"]}


@pytest.mark.parametrize(
    ("more", "algorithm", "why"),
    [
        ({"trials": 50}, "optuna_tpe_multivariate", "no other"),
        ({"trials": 50, "limits": {"time": 60}}, "gp", "a trial may take 60 s"),
        ({"trials": 50, "limits": {"time": 20}}, "optuna_tpe_multivariate", "no other"),
        ({"trials": 301, "limits": {"time": 60}}, "cmaes", "301 trials"),
        ({"trials": 50, "limits": {"memory": 500}}, "optuna_tpe_multivariate", "no other"),
        ({"trials": 50, "limits": {"time": 60}, "torch": False}, "optuna_tpe_multivariate", "no"),
        ({"trials": 200}, "cmaes", "200 trials, and all tunables are continuous"),
        ({"trials": 200, "forbidden": ["a > b"]}, "optuna_tpe_multivariate", "no other"),
        ({"trials": 2, "tunables": [SWITCH]}, "grid", "2 points, no more than the 2 trials"),
        ({"trials": 1, "tunables": [SWITCH]}, "optuna_tpe_multivariate", "no other"),
        (
            {"trials": 200, "directions": {"p99": "minimize", "rate": "maximize"}},
            "optuna_tpe_multivariate",
            "2 directions",
        ),
    ],
)
def test_auto_chooses_by_the_study(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], algorithm: str, why: str
) -> None:
    found = auto(monkeypatch, **more)
    assert found.algorithm == algorithm
    assert why in found.algorithm_why
    # The manifest has the choice, so that it is the same on every machine.
    assert found.source["algorithm"] == algorithm
    again = define(found.source, Path())
    assert (again.algorithm, again.algorithm_why) == (algorithm, "")


def test_the_default_algorithm_and_that_of_the_classic_forms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = {k: v for k, v in auto(monkeypatch).source.items() if k != "algorithm"}
    assert define(source, Path()).algorithm == "optuna_tpe_multivariate"
    classic = {"experiment_name": "e", "total_trials": 3, "direction": "minimize"}
    own = own_form(classic | {"tunables": source["tunables"]}, {"objective": source["objective"]})
    assert define(own, Path()).algorithm == "optuna_tpe"


def test_unknown_algorithms() -> None:
    with pytest.raises(AlgorithmError, match="did you mean 'optuna_tpe'"):
        check_algorithm("optuna_tp")
    with pytest.raises(AlgorithmError, match="one direction, but the study has 2"):
        check_algorithm("cmaes", 2)
