"""Points of a space as vectors, for models: every value between 0 and 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmark.hpo.space.operators import same

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.hpo.space.tunables import Tunable

_MISSING = object()


def coordinates(tunables: Sequence[Tunable], params: Mapping[str, Any]) -> list[float]:
    """A number in its declared scale; of choices one coordinate each. Inactive tunables are in the
    middle of their range, and have none of their choices."""
    found: list[float] = []
    for tunable in tunables:
        value = params.get(tunable.name, _MISSING)
        if tunable.kind == "categorical":
            found += [float(value is not _MISSING and same(c, value)) for c in tunable.choices]
        else:
            found.append(0.5 if value is _MISSING else share_of(tunable, value))
    return found


def share_of(tunable: Tunable, value: Any) -> float:
    """The place of a number in its range, from 0 to 1 in the declared scale."""
    low, high = float(tunable.low or 0), float(tunable.high or 0)
    value = float(value)
    if tunable.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low) if high > low else 0.0


def value_at(tunable: Tunable, share: float) -> float:
    """The number at that place of the range."""
    low, high = float(tunable.low or 0), float(tunable.high or 0)
    if tunable.log:
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return low + share * (high - low)
