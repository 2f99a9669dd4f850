"""Spaces: values as declared, conditions, rules, and every fault in one answer."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmark.hpo.space import SpaceError
from benchmark.hpo.space_file import read_space

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "step": 0.1}
GC = {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z", True, 1]}
R = {"name": "r", "value_type": "integer", "lower_bound": 1, "upper_bound": 3, "when": "gc == 'G1'"}


def test_stepped_double_is_exact() -> None:
    (x,) = read_space({"tunables": [X]}).tunables
    assert [x.at(n) for n in range(x.steps or 0)] == [n / 10 for n in range(11)]
    assert x.typed(0.30000000000000004) == 0.3
    assert x.admits(0.3)
    assert not x.admits(0.35)


def test_choices_keep_their_types() -> None:
    (gc,) = read_space({"tunables": [GC]}).tunables
    assert gc.typed(True) is True
    assert type(gc.typed(1)) is int
    assert not gc.admits("1")


def test_conditions_and_rules() -> None:
    space = read_space({"tunables": [GC, R], "forbidden": ["r == 2", {"gc": "Z"}]})
    assert list(space.points()) == [
        {"gc": "G1", "r": 1},
        {"gc": "G1", "r": 3},
        {"gc": True},
        {"gc": 1},
    ]
    generator = random.Random(0)
    assert all(space.fault(space.draw(generator)) is None for _ in range(200))
    assert "forbidden by 'r == 2'" in str(space.fault({"gc": "G1", "r": 2}))
    assert "no value for 'r'" in str(space.fault({"gc": "G1"}))
    assert "condition is not met" in str(space.fault({"gc": True, "r": 1}))


def test_log_with_step_stays_on_steps() -> None:
    values = {"name": "n", "value_type": "integer", "lower_bound": 4, "upper_bound": 63, "step": 8}
    (n,) = read_space({"tunables": [values | {"log": True}]}).tunables
    generator = random.Random(0)
    drawn = {n.draw(generator) for _ in range(500)}
    assert drawn == {4, 12, 20, 28, 36, 44, 52, 60}


def test_layers_name_their_tunables() -> None:
    space = read_space({"layers": {"os": [X], "jvm": [GC, R]}})
    assert [(t.name, t.layer) for t in space.tunables] == [("x", "os"), ("gc", "jvm"), ("r", "jvm")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value_type": "real"}, "value_type 'real'"),
        ({"value_type": "integr"}, "did you mean 'integer'?"),
        ({"uper_bound": 2}, "did you mean 'upper_bound'?"),
        ({"lower_bound": 2}, "lower_bound 2 above the upper_bound 1"),
        ({"lower_bound": None}, "no 'lower_bound'"),
        ({"upper_bound": "a"}, "'a' as 'upper_bound'"),
        ({"upper_bound": float("nan")}, "finite"),
        ({"step": 0}, "step 0"),
        ({"step": 5}, "longer than"),
        ({"log": True}, "logarithmic"),
        ({"log": "yes"}, "true or false"),
        ({"choices": [1]}, "has choices"),
        ({"value_type": "integer", "step": 0.5}, "whole number"),
        ({"default": 0.25}, "default 0.25"),
        ({"when": "later == 1"}, "'later'"),
        ({"when": "1 +"}, "no expression"),
        ({"name": "a b"}, "space"),
        ({"bounds": [0, 1]}, "unknown key 'bounds'"),
    ],
)
def test_each_fault_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError) as caught:
        read_space({"tunables": [X | change]})
    assert said in str(caught.value)


def test_all_faults_in_one_answer() -> None:
    with pytest.raises(SpaceError) as caught:
        read_space(
            {
                "tunables": [X, X, {"name": "c", "value_type": "categorical", "choices": []}, 7],
                "forbidden": ["y > 1", "import os"],
            }
        )
    for said in ("declared twice", "no choices", "7", "'y'", "no expression"):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "said"), [("x >= 0", "Every point"), ("x < 'a'", "cannot be applied")]
)
def test_rules_that_leave_nothing(rule: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        read_space({"tunables": [X], "forbidden": [rule]})
    free = {"tunables": [X | {"step": None}], "forbidden": [rule]}
    with pytest.raises(SpaceError):
        read_space(free)


def test_a_text_without_quotes_is_told_how_it_is_written() -> None:
    gc = {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]}
    with pytest.raises(SpaceError) as caught:
        read_space({"tunables": [gc, X | {"when": "gc == G1"}], "forbidden": ["gc == ‘Z’"]})  # noqa: RUF001
    condition, rule = str(caught.value).splitlines()
    assert condition.endswith("the whole in double ones: \"gc == 'G1'\".")
    assert "with straight quotes" in rule


def test_a_fault_brings_no_others() -> None:
    broken = X | {"lower_bound": 2}
    with pytest.raises(SpaceError) as caught:
        read_space(
            {
                "tunables": [broken, X | {"name": "y", "when": "x > 0.5"}],
                "forbidden": ["x > 0.7"],
            }
        )
    assert len(str(caught.value).splitlines()) == 1


def test_initial_points_are_checked() -> None:
    with pytest.raises(SpaceError, match="Initial point 1: The point has 3 for 'x'"):
        read_space({"tunables": [X], "initial": [{"x": 3}]})
