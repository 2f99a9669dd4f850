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


def search_space(space: Any) -> str:
    """What is wrong with a search space, by commas; empty where nothing is."""
    if not isinstance(space, dict):
        return phrases.EMPTY if space is None else phrases.NO_JSON + "'search_space' is no object"
    faults = keys(space, SPACE_REQUIRED, SPACE_OPTIONAL)
    if faults:
        return ", ".join(faults)
    for key in _TEXTS:
        if key in space and not isinstance(space[key], str):
            faults.append(f"{space[key]!r} is not of type 'string'"[:200])
    if not is_whole(space["total_trials"]):
        faults.append(phrases.NO_INTEGER)
    elif not 0 < space["total_trials"] <= LARGEST:
        faults.append(phrases.TOTAL_TRIALS)
    parallel = space.get("parallel_trials", 1)
    if not is_whole(parallel) or not 0 < parallel <= LARGEST:
        faults.append("Parallel Trials value should be greater than 0!")
    if space["direction"] not in ("minimize", "maximize"):
        faults.append(phrases.DIRECTION)
    if space.get("hpo_algo_impl", ALGORITHMS[0]) not in ALGORITHMS:
        faults.append(phrases.ALGORITHM)
    if space.get("value_type", "double") not in VALUE_TYPES:
        faults.append(phrases.VALUE_TYPE)
    if not isinstance(space["tunables"], list):
        faults.append("'tunables' is not of type 'array'")
    return ", ".join(faults)


def result(body: dict[str, Any]) -> str:
    """What is wrong with a result, apart from what the experiment knows."""
    faults = keys(body, RESULT, ("operation",), ("trial_result", "result_value_type"))
    if faults:
        return ", ".join(faults)
    number, value = body["trial_number"], body["result_value"]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    rules = (
        (not isinstance(body["experiment_name"], str), phrases.EMPTY),
        (not is_whole(number), phrases.NO_INTEGER),
        (is_whole(number) and number < 0, phrases.NEGATIVE_TRIAL),
        (body["trial_result"] not in RESULTS, phrases.RESULT_INVALID),
        (body["result_value_type"] not in VALUE_TYPES, phrases.VALUE_TYPE),
        (not is_number or not _is_finite(value), phrases.TYPE_MISMATCH),
    )
    return next((phrase for broken, phrase in rules if broken), "")


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
