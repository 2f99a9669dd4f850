"""Whether a body of the classic contract is one: keys, types and values, all faults at once."""

from __future__ import annotations

import math
from typing import Any

from benchmark.hpo.samplers.algorithms import ALGORITHMS
from benchmark.hpo.service.classic import phrases

SPACE_REQUIRED = (
    *("experiment_name", "experiment_id", "total_trials", "objective_function"),
    *("tunables", "direction"),
)
SPACE_OPTIONAL = (
    *("parallel_trials", "value_type", "hpo_algo_impl", "function_variables", "slo_class"),
    *("layers", "forbidden", "initial"),
)
RESULT = ("experiment_name", "trial_number", "trial_result", "result_value_type", "result_value")
VALUE_TYPES = ("double", "int", "float")
RESULTS = ("success", "failure", "error", "prune")
_TEXTS = ("experiment_name", "experiment_id", "direction", "hpo_algo_impl", "value_type")
LARGEST = 10**6


def keys(
    body: dict[str, Any],
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    own_phrases: tuple[str, ...] = (),
) -> list[str]:
    """Missing, unknown and empty keys; an empty text in `own_phrases` is its own check's matter."""
    faults = [phrases.REQUIRED.format(key) for key in required if key not in body]
    unknown = [f"'{key}'" for key in body if key not in (*required, *optional)]
    if unknown:
        faults.append(phrases.UNKNOWN.format(", ".join(unknown)[:200]))
    if any(
        is_empty(body[key]) and not (key in own_phrases and isinstance(body[key], str))
        for key in body
        if key in (*required, *optional)
    ):
        faults.append(phrases.EMPTY)
    return faults


def is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip())


def search_space(space: dict[str, Any]) -> tuple[list[str], set[str]]:
    """The faults of a search space that the contract has words for, and the keys that have one.

    Its tunables, layers and rules are the study's to check.
    """
    faults = keys(space, SPACE_REQUIRED, SPACE_OPTIONAL)
    empty = {key for key, value in space.items() if is_empty(value)}
    absent = {*SPACE_REQUIRED} - space.keys()
    given = {key: value for key, value in space.items() if key not in empty}
    trials, parallel = given.get("total_trials", 1), given.get("parallel_trials", 1)
    rules = [
        (key, not isinstance(given[key], str), f"{given[key]!r} is not of type 'string'"[:200])
        for key in _TEXTS
        if key in given
    ]
    rules += [
        ("total_trials", not is_whole(trials), phrases.NO_INTEGER),
        ("total_trials", is_whole(trials) and trials < 1, phrases.TOTAL_TRIALS),
        ("total_trials", is_whole(trials) and trials > LARGEST, phrases.TOO_MANY),
        ("parallel_trials", not is_whole(parallel) or parallel < 1, phrases.PARALLEL_TRIALS),
        ("parallel_trials", is_whole(parallel) and parallel > LARGEST, phrases.TOO_MANY),
        (
            "direction",
            given.get("direction", "minimize") not in ("minimize", "maximize"),
            phrases.DIRECTION,
        ),
        (
            "hpo_algo_impl",
            given.get("hpo_algo_impl", ALGORITHMS[0]) not in ALGORITHMS,
            phrases.ALGORITHM,
        ),
        ("value_type", given.get("value_type", "double") not in VALUE_TYPES, phrases.VALUE_TYPE),
        ("tunables", not isinstance(given.get("tunables", []), list), phrases.NO_ARRAY),
    ]
    broken = [(key, phrase) for key, is_broken, phrase in rules if is_broken]
    return [*faults, *(phrase for _, phrase in broken)], empty | absent | {key for key, _ in broken}


def result(body: dict[str, Any]) -> str:
    """What is wrong with a result, apart from what the experiment knows."""
    faults = keys(body, RESULT, ("operation",), ("trial_result", "result_value_type"))
    if faults:
        return ", ".join(faults)
    number, value, kind = body["trial_number"], body["result_value"], body["result_value_type"]
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
    rules = (
        (not isinstance(body["experiment_name"], str), phrases.EMPTY),
        (not is_whole(number), phrases.NO_INTEGER),
        (is_whole(number) and number < 0, phrases.NEGATIVE_TRIAL),
        (body["trial_result"] not in RESULTS, phrases.RESULT_INVALID),
        (kind not in VALUE_TYPES, phrases.VALUE_TYPE),
        (not fits or (kind == "int" and not float(value).is_integer()), phrases.TYPE_MISMATCH),
    )
    return ", ".join(phrase for broken, phrase in rules if broken)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
