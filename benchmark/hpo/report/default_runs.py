"""The runs of the default configuration, and how much one of them varies."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from benchmark.hpo.space.search_space import identity
from benchmark.hpo.spec.stop_rules import IMPORTED
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.results import Record

CONFIRM, DEFAULT = "confirm", "default"
# Fewer runs do not allow an estimate of their spread.
_FEWEST = 4
# In standard deviations of one run: the best of many runs of equal configurations is about that far
# from their median.
CLEAR = 2.0


def default_values(records: Iterable[Record], definition: StudyDefinition) -> list[float]:
    """The first value of the default's successful runs here, in the order of their ends."""
    default = definition.space.default() if definition.space.tunables else None
    if default is None:
        return []
    name, wanted = next(iter(definition.directions)), identity(default)
    ended = (
        record
        for record in records
        if (record.task.isdigit() and not record.labels.get(IMPORTED))
        or record.labels.get(CONFIRM) == DEFAULT
    )
    return [
        value
        for record in sorted(ended, key=_time)
        if record.status == "success" and (value := record.metrics.get(name)) is not None
        if identity(record.labels.get("params") or {}) == wanted
    ]


def _time(record: Record) -> tuple[str, int]:
    """The order of ends; trials with the same end by number."""
    return record.ended or "", int(record.task) if record.task.isdigit() else 0


def level_of(values: Sequence[float]) -> tuple[float, float | None]:
    """The size of the default's value, and how much one run varies; None if that is unknown."""
    import numpy as np

    from benchmark.hpo.report import paired_test

    base = abs(statistics.median(values)) if values else 0.0
    if len(values) < _FEWEST or not base:
        return base, None
    # From neighbouring runs, so that a drift does not count as noise.
    return base, float(paired_test.spread(np.diff(np.array(values))) / np.sqrt(2))
