"""What a sampler learns of failures and forbidden points, and that a study goes on as it was."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from benchmark.hpo.samplers.algorithms import ALGORITHMS
from benchmark.hpo.samplers.optimizer import FORBIDDEN, Optimizer
from benchmark.hpo.samplers.proposal import Asked, Told
from benchmark.hpo.samplers.study_sampler import Lessons
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.search_space import Space
from benchmark.hpo.space.space_file import read_space

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
N = {"name": "n", "value_type": "integer", "lower_bound": 1, "upper_bound": 64, "when": "c != 'a'"}
C = {"name": "c", "value_type": "categorical", "choices": ["a", "b", "c", "d"]}
SPACE = read_space({"tunables": [X, C]})
# No algorithm of these learns at all, or within so few trials.
FORGETFUL = ("random", "grid", "qmc", "nsga2", "gp")
SLOW = [pytest.param("optuna_skopt", marks=pytest.mark.integration)]
LEARNING = [*(a for a in ALGORITHMS if a not in (*FORGETFUL, "optuna_skopt")), *SLOW]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def make(
    algorithm: str, space: Space = SPACE, storage: InMemoryStorage | None = None, **more: Any
) -> Optimizer:
    directions = more.get("directions", ["minimize"])
    return Optimizer(space, directions, algorithm, 3, storage or InMemoryStorage(), "s")


def score(asked: Asked) -> float:
    return float(asked.params["x"]) + "dcba".index(str(asked.params["c"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", ["failure", "prune"])
@pytest.mark.parametrize("algorithm", LEARNING)
def test_a_sampler_learns_what_fails(algorithm: str, ending: Any) -> None:
    """The choice that would be the best one; by chance it were 5 of 20."""
    optimizer = make(algorithm)
    chosen = []
    for _ in range(40):
        asked = optimizer.ask()
        chosen.append(asked.params["c"])
        fails = chosen[-1] == "d"
        optimizer.tell(asked.number, Told(ending) if fails else Told("success", (score(asked),)))
    assert chosen[-20:].count("d") <= 3
    states = {trial.state.name for trial in optimizer.trials() if trial.params["c"] == "d"}
    assert states <= {"FAIL", "PRUNED"}


@pytest.mark.parametrize("algorithm", [*LEARNING, "random", "grid", "qmc", "nsga2"])
def test_a_study_that_goes_on_proposes_what_it_would_have(algorithm: str) -> None:
    x = X | {"step": 0.125}
    space = read_space({"tunables": [x, C, N], "forbidden": ["c == 'b' and n > 20"]})

    def points(reopened: set[int]) -> list[Any]:
        storage = InMemoryStorage()
        optimizer = make(algorithm, space, storage)
        for number in range(16):
            if number in reopened:
                optimizer = make(algorithm, space, storage)
            asked = optimizer.ask()
            if number == 9:
                optimizer = make(algorithm, space, storage)  # interrupted before it was told
            ends = {2: Told("failure"), 5: Told("prune", intermediate={1: 0.5}), 7: Told("prune")}
            told = Told("success", (score(asked),), constraints=(score(asked) - 3,))
            optimizer.tell(number, ends.get(number, told))
        return [trial.params for trial in optimizer.trials()]

    assert points({3, 11, 12}) == points(set())


@pytest.mark.parametrize("algorithm", [*LEARNING, "random", "grid", "qmc", "nsga2"])
def test_nothing_is_learned_from_a_deleted_trial(algorithm: str) -> None:
    """What is proposed next is the same as if the trial had been deleted before it was read."""
    space = read_space({"tunables": [X | {"step": 0.125}, C, N]})

    def points(*, reopened: bool) -> list[Any]:
        storage = InMemoryStorage()
        optimizer = make(algorithm, space, storage)
        for number in range(18):
            if number == 15:
                for deleted in (3, 6, 12):
                    optimizer.delete(deleted)
                if reopened:
                    optimizer = make(algorithm, space, storage)
            asked = optimizer.ask()
            ends = {3: Told("failure"), 5: Told("prune")}
            value = -9.0 if number in (6, 12) else score(asked)
            told = Told("success", (value,), constraints=(score(asked) - 3,))
            optimizer.tell(asked.number, ends.get(number, told))
        assert [trial.number for trial in optimizer.by_number()] == list(range(18))
        return [(trial.number, trial.params) for trial in optimizer.trials()]

    live = points(reopened=False)
    assert live == points(reopened=True)
    assert [number for number, _ in live] == [n for n in range(18) if n not in (3, 6, 12)]


@pytest.mark.parametrize("algorithm", ["optuna_tpe", "optuna_tpe_multivariate", "hyperopt"])
def test_a_sampler_is_asked_once_where_points_are_forbidden(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "c == 'd' or x > 0.8"
    space = read_space({"tunables": [X, C], "forbidden": [rule]})
    storage = InMemoryStorage()
    optimizer = make(algorithm, space, storage)
    asked_of_sampler = []
    ask = optimizer._suggested
    monkeypatch.setattr(
        optimizer, "_suggested", lambda trial: asked_of_sampler.append(1) or ask(trial)
    )
    for number in range(40):
        asked = optimizer.ask()
        assert space.fault(asked.params) is None
        optimizer.tell(number, Told("success", (score(asked),)))
    assert len(asked_of_sampler) == 40
    forbidden = [trial.system_attrs.get(FORBIDDEN, []) for trial in optimizer.trials()]
    assert all(space.forbidding(point) for points in forbidden for point in points)
    early, late = (sum(map(len, part)) for part in (forbidden[:20], forbidden[20:]))
    # By chance it were 8 of 20.
    assert late < early and late <= 5 if algorithm != "hyperopt" else late <= 8


def test_a_point_near_a_forbidden_one_differs_in_what_the_rule_names() -> None:
    space = read_space({"tunables": [X, C, N], "forbidden": ["c == 'b' and n > 20"]})
    generator = random.Random(1)
    near = [space.near({"x": 0.25, "c": "b", "n": 50}, generator) for _ in range(20)]
    assert {one["x"] for one in near if one} == {0.25}
    assert all(one and space.fault(one) is None for one in near)
    held = [space.near({"x": 0.25, "c": "b", "n": 50}, generator, ["c"]) for _ in range(20)]
    assert {one["c"] for one in held if one} == {"b"}
    assert space.near({"x": 0.25, "c": "b", "n": 50}, generator, ["c", "n"]) is None
    nowhere = replace(read_space({"tunables": [X]}), forbidden=(Expression("x >= 0"),))
    assert nowhere.near({"x": 0.5}, generator) is None


def shown(ends: list[tuple[str, float, dict[str, float]]], way: str, algorithm: str) -> list[Any]:
    """What a sampler sees of trials: state, value, constraints."""
    storage = Lessons(algorithm)
    study = optuna.create_study(storage=storage, direction=way)
    for state, value, constraints in ends:
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        for name, number in constraints.items():
            trial.set_constraint(name, number)
        found = optuna.trial.TrialState[state]
        study.tell(trial, value if state == "COMPLETE" else None, state=found)
        storage.note(storage.get_trial(trial._trial_id))
    storage.forbid(len(ends), {"x": 0.5}, study.trials[0].distributions)
    states = (optuna.trial.TrialState.COMPLETE,)
    seen = study.get_trials(deepcopy=False, states=states)
    assert [trial.number for trial in seen] == [*range(len(ends)), len(ends) - 1]
    return [(trial.value, trial.constraints) for trial in seen]


@pytest.mark.parametrize(("way", "worst"), [("minimize", 4.0), ("maximize", 1.0)])
def test_a_lesson_is_as_bad_as_the_worst(way: str, worst: float) -> None:
    ends: list[tuple[str, float, dict[str, float]]] = [
        ("FAIL", 0, {}),
        ("COMPLETE", 1, {"p99": 9.0}),
        ("COMPLETE", 4, {"p99": -1.0, "mb": -5.0}),
        ("PRUNED", 0, {}),
    ]
    lesson = (worst, {"p99": 9.0, "mb": 0.0, "failed": 1.0})
    first, one, other, last, forbidden = shown(ends, way, "optuna_tpe")
    assert [first, last, forbidden] == [lesson] * 3
    assert [one, other] == [(1.0, {"p99": 9.0}), (4.0, {"p99": -1.0, "mb": -5.0})]
    # Gaussian processes want the same constraints of each.
    _, one, other, _, _ = shown(ends, way, "gp")
    assert one == (1.0, {"p99": 9.0, "mb": 0.0, "failed": -1.0})
    assert other == (4.0, {"p99": -1.0, "mb": -5.0, "failed": -1.0})


def test_without_a_success_a_lesson_has_a_value() -> None:
    assert shown([("FAIL", 0, {})], "minimize", "cmaes") == [(0.0, {"failed": 1.0})] * 2


def test_several_directions_learn_too() -> None:
    optimizer = make("optuna_tpe", directions=["minimize", "maximize"])
    chosen = []
    for _ in range(30):
        asked = optimizer.ask()
        chosen.append(asked.params["c"])
        success = Told("success", (score(asked), float(asked.params["x"])))  # type: ignore[arg-type]
        optimizer.tell(asked.number, Told("failure") if chosen[-1] == "d" else success)
    assert chosen[-15:].count("d") <= 3


def test_a_held_layer_s_forbidden_points_are_moved_too() -> None:
    space = read_space({"tunables": [X, C], "forbidden": ["x > 0.05"]})
    optimizer = make("optuna_tpe", space)
    for number in range(12):
        asked = optimizer.ask(held={"c": "b"})
        assert asked.params["c"] == "b"
        assert asked.params["x"] <= 0.05
        optimizer.tell(number, Told("success", (0.0,)))
