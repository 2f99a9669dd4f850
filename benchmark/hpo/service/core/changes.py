"""What clients change of an experiment: its limits, its facts, and the attributes of its trials.

It is kept with the study, beside what was declared, so that every server on a database sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.service.core.backend import Opened
from benchmark.hpo.service.core.terms import Limits, declared

_LIMITS, _ATTRIBUTES = "service_limits", "service_attributes:"


class Changes:
    """The changes of one experiment. Those who change are in `leases.exclusive`."""

    def __init__(self, optimizer: Optimizer, opened: Opened) -> None:
        self._optimizer = optimizer
        self._alone = opened.alone
        self._declared = declared(opened.definition, opened.terms)
        self._limits: Limits | None = None

    def limits(self) -> Limits:
        """The limits as they are now."""
        if self._limits is None or not self._alone:
            self._limits = replace(self._declared, **self.kept().get(_LIMITS, {}))
        return self._limits

    def change(self, new: Mapping[str, Any]) -> None:
        """Change some of the limits; of the facts those that are named, None removes one."""
        kept = self.kept().get(_LIMITS, {}) | dict(new)
        if "facts" in new:
            kept["facts"] = _merged(self.limits().facts, new["facts"])
        self.keep(_LIMITS, kept)
        self._limits = None

    def attributes(self) -> Callable[[int], dict[str, Any]]:
        """What clients noted about each trial, by its number; read once for all of them."""
        kept = self.kept()
        return lambda number: dict(kept.get(f"{_ATTRIBUTES}{number}", {}))

    def annotate(self, number: int, new: Mapping[str, Any]) -> None:
        """Set attributes of a trial; None removes one."""
        self.keep(f"{_ATTRIBUTES}{number}", _merged(self.attributes()(number), new))

    def kept(self) -> dict[str, Any]:
        """All that is kept with the study."""
        return self._optimizer.storage.get_study_user_attrs(self._optimizer.study_id)

    def keep(self, name: str, value: Any) -> None:
        self._optimizer.storage.set_study_user_attr(self._optimizer.study_id, name, value)


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (dict(old) | dict(new)).items() if value is not None}
