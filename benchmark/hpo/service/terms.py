"""What a service's experiment says beyond its study: its name, its leases, its budgets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

LEASE_S = 600.0
LONGEST_LEASE_S = 30 * 86400.0


@dataclass(frozen=True)
class Terms:
    """`facts` is what a client declared for its own use. A trial's cost is in the client's unit.

    `key` and `request` are the idempotency key of the founding and a hash of what it declared.
    `lease_s` is for how long a trial is its client's alone, unless the ask says otherwise; None:
    until it is told. `max_time_s` counts from the first ask, `max_cost` what the tells said.
    """

    experiment: str
    created: str
    lease_s: float | None = LEASE_S
    max_time_s: float | None = None
    max_cost: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    request: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any] | None, study: str) -> Terms:
        """The terms as they were kept; those of a study that `tune` began are the defaults."""
        return Terms(**values) if values else Terms(experiment=study, created="")
