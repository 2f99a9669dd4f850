"""`safe`: the trials of a study on a system in use, see samplers/safe_region.py.

The default runs first, until it has a value, and now and then. A trial that fails, violates a
constraint, or is worse than the default by more than the margin is a breach: the best safe
configuration runs again as the next trial, before the sampler's next point.
"""

from __future__ import annotations

from typing import Any

from benchmark.hpo.report import export
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Asked
from benchmark.hpo.samplers.safe_region import Safe, SafeRegion
from benchmark.hpo.spec.safe import LIMIT
from benchmark.hpo.spec.stop_rules import IMPORTED
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.results import Record

# Labels of trials: why the point is not the sampler's.
SAFE = "safe"
DRIFT = "drift"


class Safety:
    """The safe region, and whether the next trial returns to its best point."""

    def __init__(self, definition: StudyDefinition, safe: Safe) -> None:
        self.region = SafeRegion(definition.space, safe, definition.signs[0])
        self.warning: str | None = None
        self._every = definition.default_every
        self._margin = safe.margin
        self._is_breached = False

    @classmethod
    def of(cls, definition: StudyDefinition, optimizer: Optimizer) -> Safety | None:
        """None for a study without `safe`; else the optimizer keeps to its region."""
        if definition.safe is None:
            return None
        safety = cls(definition, definition.safe)
        optimizer.region, optimizer.draws = safety.region, False
        return safety

    def add(self, record: Record) -> None:
        """A trial has ended; one that was measured elsewhere shows nothing of this system."""
        if record.labels.get(IMPORTED):
            return
        good = export.is_good(record)
        score = self.region.sign * float(record.labels["values"][0]) if good else None
        self.region.add(record.labels["params"], score)
        self._is_breached = self.region.breaches(score)
        self.warning = None
        if self._is_breached:
            ends = {"success": "violated a constraint", "prune": "was ended early"}
            how = ends.get(record.status, "failed")
            how = f"was more than {self._margin:.0%} worse than the default" if good else how
            self.warning = f"Trial {record.task} {how}; the best safe configuration runs next."

    def next(self, optimizer: Optimizer) -> tuple[Asked, dict[str, Any]]:
        """The next trial, with the labels of its task."""
        region, limit = self.region, self.region.limit
        if limit is None or (self._every and len(optimizer.by_number()) % self._every == 0):
            return optimizer.ask(region.default), {DRIFT: True} if limit is not None else {}
        labels = {LIMIT: region.sign * limit}
        if self._is_breached:
            self._is_breached = False
            return optimizer.ask(region.best), labels | {SAFE: "after a breach"}
        return optimizer.ask(), labels
