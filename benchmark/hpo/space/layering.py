"""Layers of tunables: all together, one by one, or in turn with the others held at their best.

layers: [container.yaml, os.yaml]
tune_layers: in_turn          # together (the default), one_by_one, in_turn
layer_trials: 10              # how many trials until the next layer's turn
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.hpo.space.search_space import Params, Space

TOGETHER = "together"
_IN_TURN = 10


@dataclass(frozen=True)
class Layering:
    """The schedule of layers; `block` is the number of trials per turn (None: an even share)."""

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


def held(space: Space, layer: str, best: Params | None) -> Params:
    """The values of the tunables of all other layers: the best trial's, else the defaults.

    A tunable that was not active in the best trial has its default.
    """
    point = best or {}
    return {
        tunable.name: point.get(tunable.name, tunable.default)
        for tunable in space.tunables
        if (tunable.layer or "") != layer
    }
