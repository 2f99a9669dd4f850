"""Spaces: values as declared, conditions, rules, and every fault in one answer."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.space.search_space import SpaceError
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.spec.study_file import StudyError, define

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


ALIKE = [0, False, 1, True, 1.0, "1", "true", None, ""]


def test_choices_that_python_holds_equal_are_apart() -> None:
    tunables = [
        {"name": "c", "value_type": "categorical", "choices": ALIKE, "default": True},
        {"name": "n", "value_type": "categorical", "choices": [2.0, 3], "default": 2},
    ]
    space = read_space({"tunables": tunables, "initial": [{"c": False, "n": 3.0}]})
    c, n = space.tunables
    assert len(list(space.points())) == 2 * len(ALIKE)
    assert c.default is True
    assert space.initial[0]["c"] is False
    for place, choice in enumerate(ALIKE):
        assert repr(c.typed(choice)) == repr(c.at(place)) == repr(choice)
        distribution = c.distribution()
        assert distribution.to_internal_repr(choice) == place
    assert not c.admits("0")
    assert not n.admits(True)
    assert not n.admits("3")
    assert [repr(n.default), repr(space.initial[0]["n"])] == ["2.0", "3"]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("c == 0", [0]),
        ("c == false", [False]),
        ("c != true", [0, False, 1, "1", "true", None]),
        ("c in [1, 'true']", [1, "true"]),
        ("c not in [False, '1', null]", [0, 1, True, "true"]),
        ({"c": True}, [True]),
        ({"c": "1"}, ["1"]),
        ({"c": None}, [None]),
    ],
)
def test_rules_tell_types_apart(rule: Any, holds: list[Any]) -> None:
    choices = [0, False, 1, True, "1", "true", None]
    c = {"name": "c", "value_type": "categorical", "choices": choices}
    space = read_space({"tunables": [c], "forbidden": [rule]})
    left = [point["c"] for point in space.points()]
    gone = [one for one in choices if repr(one) not in map(repr, left)]
    assert repr(gone) == repr(holds)
    if isinstance(rule, str):
        r = {**R, "when": rule}
        points = list(read_space({"tunables": [c, r]}).points())
        active = {repr(point["c"]): None for point in points if "r" in point}
        assert list(active) == list(map(repr, holds))


@pytest.mark.parametrize("more", [{"forbidden": ["c == 1"]}, {"forbidden": [{"c": 1.0}]}])
def test_a_rule_cannot_tell_1_from_1_0(more: dict[str, Any]) -> None:
    c = {"name": "c", "value_type": "categorical", "choices": [1, 1.0, 2]}
    with pytest.raises(SpaceError, match=r"but its choices 1 and 1\.0 are equal"):
        read_space({"tunables": [c], **more})
    with pytest.raises(SpaceError, match=r"but its choices 1 and 1\.0 are equal"):
        read_space({"tunables": [c, {**R, "when": "c == 2"}]})


def test_a_text_is_no_condition() -> None:
    c = {"name": "c", "value_type": "categorical", "choices": ["on", "off"]}
    for when in ("c", "not c", "c and true", "1 if c else 0"):
        with pytest.raises(SpaceError, match="neither true nor false; compare it"):
            read_space({"tunables": [c, {**R, "when": when}]})


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


MEMORY = {"name": "m", "value_type": "integer", "lower_bound": "64MiB", "upper_bound": "1GiB"}
SYNC = {"name": "sync", "value_type": "categorical", "choices": ["on", "off", 1]}


def test_a_forbidden_combination_has_its_values_in_any_unit() -> None:
    for value in ("512MiB", "0.5GiB", 512):
        space = read_space({"tunables": [MEMORY], "forbidden": [{"m": value}]})
        assert "forbidden" in str(space.fault({"m": 512}))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"forbidden": [{"sync": True}]}, "'forbidden' has True for 'sync', which is not one"),
        ({"forbidden": [{"sync": "1"}]}, "'forbidden' has '1' for 'sync'"),
        ({"forbidden": [{"sync": ["on", "off"]}]}, "'forbidden' has ['on', 'off'] for 'sync'"),
        ({"forbidden": [{"m": "2GiB"}]}, "'forbidden' has '2GiB' for 'm'"),
        ({"forbidden": ["sync == 'On' and m > 99"]}, "compares 'sync' with 'On', which is not"),
        ({"forbidden": ["sync in ['on', 'of']"]}, "compares 'sync' with 'of'"),
        ({"forbidden": ["sync == true and m > 99"]}, "compares 'sync' with True"),
        ({"when": "'no' == sync"}, "compares 'sync' with 'no'"),
        ({"forbidden": ["sync == 'on' and m == 2GiB"]}, "compares 'm' with 2048 MiB, which is not"),
        ({"forbidden": ["sync == 'on' and m > 1e301"]}, "compares 'm' with 1e+301, which is not"),
        ({"forbidden": ["m in [512, 512.5]"]}, "compares 'm' with 512.5"),
        ({"forbidden": ["m >= 512 and m != -1"]}, "compares 'm' with -1"),
        ({"when": "n == 2.5"}, "compares 'n' with 2.5"),
        ({"forbidden": [{"gc-x": 1}]}, "'forbidden' has 'gc-x', which cannot be named in a rule"),
        ({"forbidden": [{True: 1, "sync": 1}]}, "references 'True', which is not a tunable"),
        ({"forbidden": [{"true": 1, "sync": 1}]}, "references 'true', which is not a tunable"),
    ],
)
def test_a_rule_that_never_applies_is_a_fault(rules: dict[str, Any], said: str) -> None:
    n = {"name": "n", "value_type": "integer", "lower_bound": 0, "upper_bound": 9}
    tunables = [SYNC, n, MEMORY | {k: v for k, v in rules.items() if k == "when"}]
    forbidden = rules.get("forbidden", [])
    study = {
        "name": "s",
        "direction": "minimize",
        "objective": {"command": "./a {sync}"},
        "tunables": tunables,
    }
    with pytest.raises(StudyError) as caught:
        define(study | {"forbidden": forbidden}, Path())
    assert said in str(caught.value)
    if "named" not in said and "'True'" not in said:
        # An earlier version took it, and its studies stay readable; their keys are JSON's.
        define(study | {"forbidden": forbidden}, Path(), stored=True)


@pytest.mark.parametrize(
    "rule",
    [
        *("m >= 1GiB", "m > 1000 and n > -1", "n < 1 and m < 1023.5", "n == 4.0", "n != 9"),
        # These never hold here, as rules that studies of different ranges share.
        *("n > 9 and m == 512", "m > 2GiB", "64 > m", "n <= -0.5"),
    ],
)
def test_a_rule_that_may_apply_is_none(rule: str) -> None:
    n = {"name": "n", "value_type": "integer", "lower_bound": 0, "upper_bound": 9}
    study = {"name": "s", "direction": "minimize", "objective": {"command": "./a"}}
    define(study | {"tunables": [n, MEMORY], "forbidden": [rule]}, Path())


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
        ({"upper_bound": 1e300, "step": 1}, "more than 2^53 steps"),
        ({"upper_bound": 1e-300, "step": 1e-320}, "more than 2^53 steps"),
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
        ({"when": "1 +"}, "not an expression"),
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
    for said in ("declared twice", "no choices", "7", "'y'", "not an expression"):
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
    assert condition.endswith("the expression in double quotes: \"gc == 'G1'\".")
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
