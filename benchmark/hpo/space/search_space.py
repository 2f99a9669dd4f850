"""A search space: tunables in their order, forbidden combinations, initial points, layers."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.space.expressions import Expression
from benchmark.hpo.space.operators import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from optuna.distributions import BaseDistribution

    from benchmark.hpo.space.tunables import Tunable, Value
    from benchmark.hpo.space.units import Unit

Params = dict[str, "Value"]

LARGEST_GRID = 100_000
_DRAWS = 10_000
_STEPS, _SINGLE_STEPS = 1000, 20


class SpaceError(BenchmarkError):
    """A search space is wrong, or does not have the requested point."""


@dataclass(frozen=True)
class Space:
    """Tunables in order (conditions depend on earlier ones), forbidden combinations, first points.

    A forbidden combination is an expression over tunables; if one of them has no value in a point,
    because its condition does not hold, the combination does not apply to the point.
    """

    tunables: tuple[Tunable, ...]
    forbidden: tuple[Expression, ...] = ()
    initial: tuple[Params, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tunable.name for tunable in self.tunables)

    def build(self, value_of: Callable[[Tunable], Value]) -> Params:
        """A point: a value for each tunable whose condition holds."""
        params: Params = {}
        for tunable in self.tunables:
            if is_active(tunable, params):
                params[tunable.name] = value_of(tunable)
        return params

    def default(self) -> Params | None:
        """The point of the defaults; None if an active tunable does not have one."""
        if not all(tunable.has_default for tunable in self.tunables):
            return None
        return self.build(lambda tunable: tunable.default)

    def typed(self, params: Mapping[str, Any]) -> Params:
        """An allowed point with its values in the types of their tunables."""
        return {t.name: t.typed(params[t.name]) for t in self.tunables if t.name in params}

    def fault(self, params: Mapping[str, Any]) -> str | None:
        """A sentence on what is wrong with a point; None if it is valid."""
        for name in params:
            if name not in self.names:
                there = ", ".join(self.names)
                return f"The point has '{name}', which is not a tunable; there are {there}."
        for tunable in self.tunables:
            active = is_active(tunable, params)
            if active and tunable.name not in params:
                return f"The point has no value for '{tunable.name}'."
            if not active and tunable.name in params:
                return f"The point has a value for '{tunable.name}', whose condition is not met."
            if active and not tunable.admits(params[tunable.name]):
                return (
                    f"The point has {params[tunable.name]!r} for '{tunable.name}', which is not "
                    "one "
                    f"of its values; they are {tunable.words}."
                )
        rule = self.forbidding(params)
        return None if rule is None else f"The point is forbidden by '{rule.text}'."

    @property
    def units(self) -> dict[str, Unit]:
        """The units of the tunables that have one."""
        return {t.name: t.unit for t in self.tunables if t.unit is not None}

    @property
    def draws_as_optuna(self) -> bool:
        """Whether `draw` has Optuna's distribution, which gives whole ends of a log scale more."""
        return not any(tunable.log and tunable.steps for tunable in self.tunables)

    def forbidding(self, params: Mapping[str, Any]) -> Expression | None:
        """The first rule that forbids the point."""
        return next((rule for rule in self.forbidden if _holds(rule, params)), None)

    def size(self) -> int | None:
        """The maximum number of points, including forbidden ones; None if uncountable."""
        steps = [tunable.steps for tunable in self.tunables]
        counted = [number for number in steps if number is not None]
        return math.prod(counted) if len(counted) == len(steps) else None

    def points(self) -> Iterator[Params]:
        """Every allowed point of a countable space, each once.

        Raises:
            SpaceError: the space is uncountable.
        """
        for tunable in self.tunables:
            if tunable.steps is None:
                raise SpaceError(
                    f"The tunable '{tunable.name}' has no step, so its values cannot be "
                    "counted; give it a step, or choose another algorithm than grid."
                )
        seen = set()
        for places in itertools.product(*(range(t.steps or 0) for t in self.tunables)):
            params = self.build(_choose(dict(zip(self.names, places, strict=True))))
            key = identity(params)
            if key not in seen and self.forbidding(params) is None:
                seen.add(key)
                yield params

    def draw(self, generator: random.Random) -> Params:
        """A random allowed point.

        Raises:
            SpaceError: none was found among ten thousand; the rules forbid nearly everything.
        """
        for _ in range(_DRAWS):
            params = self.build(lambda tunable: tunable.draw(generator))
            if self.forbidding(params) is None:
                return params
        rules = ", ".join(f"'{rule.text}'" for rule in self.forbidden)
        raise SpaceError(
            f"All of {_DRAWS} random points are forbidden by {rules}; relax these rules."
        )

    def near(
        self, params: Params, generator: random.Random, held: Collection[str] = ()
    ) -> Params | None:
        """An allowed point near a forbidden one; None if a thousand draws find none.

        One tunable in a rule is drawn at random and the others stay; if that fails, all tunables
        in the rules are drawn. Those in `held` always stay.
        """
        found = params
        for turn in range(_STEPS):
            rule = self.forbidding(found)
            if rule is None:
                return found
            loose = set(rule.names).difference(held)
            if not loose:
                return None
            if turn < _SINGLE_STEPS:
                found, loose = params, {generator.choice(sorted(loose))}
            kept = {name: value for name, value in found.items() if name not in loose}
            found = self.build(
                lambda tunable, kept=kept: (  # type: ignore[misc]
                    kept[tunable.name] if tunable.name in kept else tunable.draw(generator)
                )
            )
        return None

    def distributions(self, params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Optuna's distribution of each tunable of a point."""
        return {t.name: t.distribution() for t in self.tunables if t.name in params}


def _choose(places: Mapping[str, int]) -> Callable[[Tunable], Value]:
    return lambda tunable: tunable.at(places[tunable.name])


def is_active(tunable: Tunable, params: Mapping[str, Any]) -> bool:
    """Whether the tunable's condition holds; one on a tunable without a value does not."""
    return tunable.when is None or _holds(tunable.when, params)


def identity(params: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """The identity of a point: names and values with their types."""
    return tuple(
        sorted((name, type(value).__name__, repr(value)) for name, value in params.items())
    )


def _holds(rule: Expression, params: Mapping[str, Any]) -> bool:
    if not rule.names <= params.keys():
        return False
    try:
        return rule.is_true(params)
    except ExpressionError as error:
        raise SpaceError(f"A rule of the space cannot be applied: {error}") from None


TOGETHER = "together"
_IN_TURN = 10


@dataclass(frozen=True)
class Layering:
    """How layers are tuned: all together, one by one, or in turn with the others at their best.

    `block` is the number of trials per turn (None: an even share). In a study file:

        layers: [container.yaml, os.yaml]
        tune_layers: in_turn          # together (the default), one_by_one, in_turn
        layer_trials: 10              # how many trials until the next layer's turn
    """

    way: str = TOGETHER
    block: int | None = None

    def layer_of(self, number: int, trials: int, layers: tuple[str, ...]) -> str | None:
        """The layer that a trial tunes; None if it tunes all."""
        if self.way == TOGETHER or not layers:
            return None
        if self.way == "one_by_one":
            block = self.block or math.ceil(trials / len(layers))
            return layers[min(number // block, len(layers) - 1)]
        return layers[number // (self.block or _IN_TURN) % len(layers)]


def check_layers(way: str, algorithm: str, space: Space | None) -> Iterator[str]:
    """What prevents tuning layers in this way; `space` is None if it has faults of its own."""
    if way == TOGETHER or space is None:
        return
    if len(layers_of(space)) < 2:
        yield f"'tune_layers' is '{way}', but the space has fewer than two layers."
    if algorithm == "cmaes":
        yield "cmaes supports one space only; tune the layers together, or with another algorithm."
    bare = next((t.name for t in space.tunables if not t.has_default), None)
    if bare is not None:
        yield (
            f"'tune_layers' is '{way}', which holds the other layers at their defaults first; "
            f"give '{bare}' a 'default'."
        )


def layers_of(space: Space) -> tuple[str, ...]:
    """The layers in their order; tunables without one are a layer of their own, named ''."""
    return tuple(dict.fromkeys(tunable.layer or "" for tunable in space.tunables))


def held_beside(space: Space, layer: str, best: Params | None) -> Params:
    """The values of the tunables of all other layers: the best trial's, else the defaults.

    A tunable that was not active in the best trial has its default.
    """
    point = best or {}
    return {
        tunable.name: point.get(tunable.name, tunable.default)
        for tunable in space.tunables
        if (tunable.layer or "") != layer
    }
