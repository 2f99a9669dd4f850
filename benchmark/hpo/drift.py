"""Whether the system has changed while it was tuned: the default configuration over time."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmark.hpo.space import identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record


def drift(records: Iterable[Record], definition: StudyDefinition) -> str | None:
    """How the default's first value went on, in a sentence; None where it ran less than twice."""
    default = definition.space.default() if definition.space.tunables else None
    if default is None:
        return None
    name = next(iter(definition.directions))
    values = [
        value
        for record in sorted(records, key=lambda record: int(record.task))
        if record.status == "success" and (value := record.metrics.get(name)) is not None
        if identity(record.labels.get("params") or {}) == identity(default)
    ]
    if len(values) < 2:
        return None
    return (
        f"The default ran {len(values)} times: {name} {values[0]:g} at first, {values[-1]:g} at "
        f"last, median {statistics.median(values):g}, spread {statistics.stdev(values):g}."
    )
