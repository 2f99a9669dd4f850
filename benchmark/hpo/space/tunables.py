"""A tunable: its declared range, its values in their declared types, and in Optuna's form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.sandboxed.python_trial import exact_choices
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.operators import same

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

    from benchmark.hpo.space.units import Unit

Kind = Literal["double", "integer", "categorical"]
Value = bool | int | float | str | None
LARGEST = 1e300
"""The largest bound; the width of a larger range overflows a float."""


@dataclass(frozen=True)
class Tunable:
    """One tunable. Numbers have bounds (both reachable), a categorical has choices.

    `when` is an expression over earlier tunables: if it is false the tunable has no value.
    `default` is the system's value without tuning; `layer` the part that it belongs to. Numbers are
    in its `unit`, if it has one.
    """

    name: str
    kind: Kind
    low: float | int | None = None
    high: float | int | None = None
    step: float | int | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()
    when: Expression | None = None
    default: Value = None
    has_default: bool = False
    layer: str | None = None
    unit: Unit | None = None

    @property
    def steps(self) -> int | None:
        """The number of values; None if uncountable."""
        if self.kind == "categorical":
            return len(self.choices)
        low, high = _decimal(self.low), _decimal(self.high)
        if low == high:
            return 1
        if self.kind == "integer":
            return int((high - low) // _decimal(self.step or 1)) + 1
        return None if self.step is None else int((high - low) // _decimal(self.step)) + 1

    @property
    def words(self) -> str:
        """Its values, as shown in messages."""
        if self.kind == "categorical":
            shown = ", ".join(repr(choice) for choice in self.choices[:10])
            return shown + (" \u2026" if len(self.choices) > 10 else "")
        step = f" in steps of {self.step}" if self.step is not None else ""
        whole = "whole numbers " if self.kind == "integer" else ""
        return f"{whole}from {self.low} to {self.high}{step}"

    def at(self, place: int) -> Value:
        """The n-th value of a countable tunable, from 0."""
        if self.kind == "categorical":
            return self.choices[place]
        step = self.step if self.step is not None else 1
        return self.typed(_decimal(self.low) + place * _decimal(step))

    def typed(self, value: Any) -> Value:
        """A sampler's value in its declared type: an int, a float exact to its step, a choice."""
        if self.kind == "categorical":
            found = self.choices_like(value)
            return next((c for c in found if type(c) is type(value)), found[0])
        if self.step is not None:
            low, step = _decimal(self.low), _decimal(self.step)
            value = low + round((_decimal(value) - low) / step) * step
            value = min(value, _decimal(self._reach()[1]))
        return int(value) if self.kind == "integer" else float(value)

    def admits(self, value: Any) -> bool:
        """Whether this is one of its values."""
        if self.kind == "categorical":
            return bool(self.choices_like(value))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if not abs(value) <= LARGEST or (self.kind == "integer" and value != int(value)):
            return False
        if not _decimal(self.low) <= _decimal(value) <= _decimal(self.high):
            return False
        step = self.step if self.step is not None else (1 if self.kind == "integer" else None)
        return step is None or (_decimal(value) - _decimal(self.low)) % _decimal(step) == 0

    def choices_like(self, value: Any) -> list[Value]:
        """The choices equal to a value: several if a number is written as 1 and as 1.0."""
        return [choice for choice in self.choices if same(choice, value)]

    def distribution(self) -> BaseDistribution:
        """The tunable as Optuna's distribution. Step and log are combined by rounding (`typed`)."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        exact_choices()
        if self.kind == "categorical":
            return CategoricalDistribution(self.choices)
        low, high = self._reach()
        if self.kind == "integer":
            step = 1 if self.log else int(self.step or 1)
            return IntDistribution(int(low), int(high), log=self.log, step=step)
        return FloatDistribution(
            float(low), float(high), log=self.log, step=None if self.log else self.step
        )

    def suggest(self, trial: Trial) -> Value:
        """Suggest a value with an Optuna trial."""
        if self.kind == "categorical":
            exact_choices()
            return self.typed(trial.suggest_categorical(self.name, self.choices))
        low, high = self._reach()
        if self.kind == "integer":
            step = 1 if self.log else int(self.step or 1)
            value: float = trial.suggest_int(
                self.name, int(low), int(high), log=self.log, step=step
            )
        else:
            step_ = None if self.log else self.step
            value = trial.suggest_float(
                self.name, float(low), float(high), log=self.log, step=step_
            )
        return self.typed(value)

    def draw(self, generator: random.Random) -> Value:
        """A value at random, uniform in the declared scale."""
        steps = self.steps
        if steps is not None and not self.log:
            return self.at(generator.randrange(steps))
        low, high = map(float, self._reach())
        if self.log:
            drawn = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            drawn = generator.uniform(low, high)
        drawn = min(max(drawn, low), high)
        return self.typed(round(drawn) if self.kind == "integer" else drawn)

    def _reach(self) -> tuple[float | int, float | int]:
        """The reachable bounds: the upper one is on a step."""
        low, high = _decimal(self.low), _decimal(self.high)
        if self.step is not None:
            step = _decimal(self.step)
            high = low + (high - low) // step * step
        if self.kind == "integer":
            return int(low), int(high)
        return float(low), float(high)


def _decimal(value: Any) -> Decimal:
    """The decimal number as written: 0.1 is one tenth."""
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def coordinates(tunables: Sequence[Tunable], params: Mapping[str, Any]) -> list[float]:
    """A point as a vector, for models: numbers in their declared scale, one per choice otherwise.

    Inactive tunables are in the middle of their range, and have none of their choices.
    """
    found: list[float] = []
    for tunable in tunables:
        is_active, value = tunable.name in params, params.get(tunable.name)
        if tunable.kind == "categorical":
            found += [float(is_active and same(choice, value)) for choice in tunable.choices]
        else:
            found.append(share_of(tunable, value) if is_active else 0.5)
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
