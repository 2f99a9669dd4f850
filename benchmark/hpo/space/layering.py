"""Layers of tunables: all together, one by one, or in turn with the others held at their best.

layers: [container.yaml, os.yaml]
tune_layers: in_turn          # together (the default), one_by_one, in_turn
layer_trials: 10              # how many trials until the next layer's turn
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.files.spelling import meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.space.search_space import Params, Space

TOGETHER = "together"
WAYS = (TOGETHER, "one_by_one", "in_turn")
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


def read_layering(values: Mapping[str, Any], space: Space | None, faults: list[str]) -> Layering:
    """Read `tune_layers` and `layer_trials` of a study file; `space` is None if it has faults."""
    way, block = values.get("tune_layers", TOGETHER), values.get("layer_trials")
    if way not in WAYS:
        faults.append(f"'tune_layers' is {way!r}; {meant(way, WAYS)}")
        return Layering()
    if block is not None and (type(block) is not int or block < 1):
        faults.append(f"'layer_trials' is {block!r}; write a whole number above 0.")
        return Layering()
    if way != TOGETHER and space is not None:
        if len(layers_of(space)) < 2:
            faults.append(f"'tune_layers' is '{way}', but the space has fewer than two layers.")
        if values.get("algorithm") == "cmaes":
            faults.append(
                "cmaes supports one space only; tune the layers together, or with another "
                "algorithm."
            )
        bare = next((t.name for t in space.tunables if not t.has_default), None)
        if bare is not None:
            faults.append(
                f"'tune_layers' is '{way}', which holds the other layers at their defaults first; "
                f"give '{bare}' a 'default'."
            )
    return Layering(way, block)


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
