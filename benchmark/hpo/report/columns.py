"""Names of columns for trials: the same in exports, reports, frames and imports.

    names = columns(["value"], ["threads", "seconds"], ["p99", "threads"])
    names.tunables         # {"threads": "threads", "seconds": "tunable.seconds"}
    names.metrics          # {"p99": "p99", "threads": "metric.threads"}

A direction, tunable or metric has its own name, with a prefix where another column has that name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OWN = ("trial", "state", "feasible", "seconds", "steps", "cause", "message")
DIRECTION, TUNABLE, METRIC = "direction.", "tunable.", "metric."


@dataclass(frozen=True)
class Columns:
    """The heading of each direction, tunable and metric."""

    directions: dict[str, str]
    tunables: dict[str, str]
    metrics: dict[str, str]


def columns(
    directions: Iterable[str], tunables: Iterable[str], metrics: Iterable[str] = ()
) -> Columns:
    """Headings for these names; none is used twice."""
    taken = set(OWN)
    found = []
    for prefix, names in ((DIRECTION, directions), (TUNABLE, tunables), (METRIC, metrics)):
        # A name that begins with the prefix has it twice, so that each heading is one name's.
        headed = {
            name: f"{prefix}{name}" if name in taken or name.startswith(prefix) else name
            for name in names
        }
        found.append(headed)
        taken |= {*headed, *headed.values()}
    return Columns(*found)
