"""The points of a countable space, listed when they are needed: for grids and for the last few."""

from __future__ import annotations

import random
from collections.abc import Container
from typing import Any

from benchmark.hpo.samplers.proposal import ExhaustedError
from benchmark.hpo.space.search_space import LARGEST_GRID, Params, Space, SpaceError, identity


class PointList:
    """Every allowed point in random order."""

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._seed = seed
        self._size = space.size() or 0
        self.is_countable = 0 < self._size <= LARGEST_GRID
        self._points: list[Params] | None = None
        self._next = 0

    def all(self) -> list[Params]:
        """All points; created at the first call, because the list may be long."""
        if self._points is None:
            self._points = list(self._space.points())
            random.Random(self._seed or 0).shuffle(self._points)  # noqa: S311  # nosec B311 # points
        return self._points

    def next(self, asked: Container[Any]) -> Params:
        """The next point that has not been asked.

        Raises:
            SpaceError: the space is not countable.
            ExhaustedError: every point has been asked.
        """
        if not self.is_countable:
            raise SpaceError(self._why_uncountable())
        points = self.all()
        while self._next < len(points):
            if identity(points[self._next]) not in asked:
                return points[self._next]
            self._next += 1
        raise ExhaustedError(f"All {len(points)} points of the space have been asked.")

    def rewind(self) -> None:
        """Look at all points again: one that was asked is free again."""
        self._next = 0

    def is_nearly_exhausted(self, asked: int, few: int) -> bool:
        """Whether so few points are left that they must be enumerated to be found."""
        if not self.is_countable or 2 * asked < self._size:
            return False
        return len(self.all()) - asked <= few

    def _why_uncountable(self) -> str:
        for tunable in self._space.tunables:
            if tunable.steps is None:
                return f"The tunable '{tunable.name}' has no step, which grid needs; give it one."
        return (
            f"The space has {self._size or self._space.size()} points, but grid supports "
            f"{LARGEST_GRID} at most; choose another algorithm."
        )
