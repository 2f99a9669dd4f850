"""The key `safe` of a study: no trial may be much worse than the default, and none far away.

safe: 10%                                            # at most 10 % worse than the default
safe: {margin: 10%, step: 5%}
safe: {margin: 10%, step: {cache: 64MiB, threads: 2, "*": 20%}}

A step is how far one trial may be from the best safe configuration, in one tunable: a number in the
tunable's unit, or a share of its range in the declared scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from benchmark.files.spelling import check_keys, meant
from benchmark.hpo.objectives.metrics.measured_values import finite_number, share
from benchmark.hpo.objectives.objective import Objective
from benchmark.hpo.samplers.safe_region import ALL, Safe, Step
from benchmark.hpo.space.search_space import Space
from benchmark.hpo.space.tunables import Tunable
from benchmark.hpo.space.units import UNITS, UnitError, in_unit

SAFE_EVERY = 10
"""After how many trials the default of a safe study runs again, if `default_every` is not set."""
LIMIT = "safe_limit"
"""A label of trials: the worst value that is safe."""


def read_safe(
    values: Mapping[str, Any],
    space: Space | None,
    directions: int,
    objective: Objective,
    faults: list[str],
) -> Safe | None:
    """`safe` of a study file; `space` is None if it has faults of its own."""
    entry = values.get("safe")
    if entry is None:
        return None
    if objective.is_external:
        faults.append("'safe' is for trials that this program runs; leave it out of an experiment.")
    entry = entry if isinstance(entry, dict) else {"margin": entry}
    check_keys(entry, ("margin", "step"), "'safe'", faults)
    faults += _unfit(values, space, directions)
    try:
        step = _steps(entry.get("step", {}), space, faults)
        return Safe.model_validate({"margin": share(entry.get("margin")), "step": step})
    except ValidationError:
        faults.append(
            f"'safe' has {entry.get('margin')!r} as 'margin'; write a share above 0 such as 10%."
        )
        return None


def _unfit(values: Mapping[str, Any], space: Space | None, directions: int) -> list[str]:
    """What cannot be combined with `safe`."""
    if directions > 1:
        return ["'safe' needs a study of one direction; leave it out."]
    if space is not None and (not space.tunables or space.default() is None):
        return ["'safe' compares with the default; give every tunable a 'default'."]
    algorithm = values.get("algorithm")
    name = algorithm.get("name") if isinstance(algorithm, dict) else algorithm
    if name == "grid":
        return ["'safe' goes by small steps, which the algorithm grid does not; choose another."]
    why = {
        "initial": "points that no trial has shown to be safe",
        "warm_start": "points that no trial has shown to be safe",
        "tune_layers": "a schedule of its own",
        "pruner": "a limit of its own for reported values",
    }
    return [
        f"'{key}' has {said}; leave it out of a 'safe' study."
        for key, said in why.items()
        if values.get(key)
    ]


def _steps(entry: Any, space: Space | None, faults: list[str]) -> dict[str, Step]:
    entry = entry if isinstance(entry, dict) else {ALL: entry}
    tunables = {tunable.name: tunable for tunable in space.tunables} if space else {}
    found = {}
    for name, value in entry.items():
        if space is not None and name not in tunables and name != ALL:
            faults.append(f"'safe' has a step for {name!r}; {meant(name, tunables)}")
            continue
        step = _step(value, tunables.get(name))
        if step is None:
            faults.append(
                f"'safe' has the step {value!r} for {name!r}; write a share of the range such as "
                "10%, or for a number an amount in its unit that is at least its own step."
            )
        else:
            found[name] = step
    return found


def _step(value: Any, tunable: Tunable | None) -> Step | None:
    """The step, None if it is not one."""
    if isinstance(value, str) and value.strip().endswith("%"):
        part = share(value)
        return Step(share=part) if part is not None and 0 < part <= 1 else None
    if tunable is None or tunable.kind == "categorical":
        return None
    try:
        amount = in_unit(value, tunable.unit or UNITS["s"]) if tunable.unit else value
    except UnitError:
        return None
    amount = finite_number(amount)
    if amount is None:
        return None
    least = tunable.step or (1 if tunable.kind == "integer" else 0)
    return Step(amount=amount) if amount > 0 and amount >= least else None
