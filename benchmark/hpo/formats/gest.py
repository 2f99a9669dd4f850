"""The optimizers as a generator of the gest-api standard, for libEnsemble and others of its users.

    from gest_api.vocs import VOCS
    from benchmark.hpo.formats.gest import TunerGenerator

    vocs = VOCS(variables={"x": [0, 1], "n": {1, 2, 4}}, objectives={"f": "MINIMIZE"})
    generator = TunerGenerator(vocs, algorithm="gp")
    points = generator.suggest(2)                        # [{"x": 0.3, "n": 2, "_id": 0}, ...]
    generator.ingest([point | {"f": measure(point)} for point in points])

Written for gest-api 0.2, which is installed by `pip install gest-api`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.samplers.algorithms import DEFAULT, check_algorithm
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import ExhaustedError, Told
from benchmark.hpo.space.search_space import SpaceError
from benchmark.hpo.space.space_file import read_space

try:
    from gest_api import Generator  # type: ignore[import-not-found]
except ImportError as error:
    raise BenchmarkError(
        "The generator for libEnsemble needs the package gest-api; install it: pip install gest-api"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmark.hpo.samplers.proposal import Proposal

_ID = "_id"
_WAYS = {"MinimizeObjective": "minimize", "MaximizeObjective": "maximize"}


class TunerGenerator(Generator):  # type: ignore[misc]
    """Suggests points by one of the algorithms, and learns from what is ingested.

    With a `storage` (a file's path, or a database's URL) a later generator of the same `study`
    goes on where this one ended. A result whose objective is no finite number is a failure.
    """

    returns_id = True

    def __init__(
        self,
        vocs: Any,
        algorithm: str = DEFAULT,
        seed: int | None = None,
        storage: str | None = None,
        study: str = "gest",
    ) -> None:
        super().__init__(vocs)
        from optuna.storages import InMemoryStorage

        from benchmark.hpo.storages.storage import open_storage

        self._constants = {name: one.value for name, one in vocs.constants.items()}
        self._objectives = list(vocs.objectives)
        self._constraints = [(name, _excess(one)) for name, one in vocs.constraints.items()]
        self._observables = [name for name in vocs.observables if name not in self._objectives]
        directions: Any = [_WAYS[type(one).__name__] for one in vocs.objectives.values()]
        try:
            check_algorithm(algorithm, len(directions))
            self._space = read_space({"tunables": _tunables(vocs)})
            opened = InMemoryStorage() if storage is None else open_storage(storage, study)
            self._optimizer = Optimizer(self._space, directions, algorithm, seed, opened, study)
        except SpaceError as error:
            raise ValueError(str(error)) from None

    def _validate_vocs(self, vocs: Any) -> None:
        for name, one in vocs.variables.items():
            if type(one).__name__ not in ("ContinuousVariable", "DiscreteVariable"):
                raise ValueError(
                    f"The variable '{name}' is a {type(one).__name__}; it needs bounds or values."
                )
            if isinstance(one.dtype, tuple):
                raise ValueError(f"The variable '{name}' is an array; declare its elements.")
        for name, one in vocs.objectives.items():
            if type(one).__name__ not in _WAYS:
                raise ValueError(
                    f"The objective '{name}' is neither minimized nor maximized; the tuner needs "
                    "MINIMIZE or MAXIMIZE."
                )
        if not vocs.objectives:
            raise ValueError("The VOCS has no objective; give one to minimize or to maximize.")

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """So many points, one where the number is left to the generator.

        Raises:
            ValueError: a countable space has fewer points left.
        """
        found: list[Proposal] = []
        for _ in range(1 if num_points is None else num_points):
            try:
                proposal = self._optimizer.propose()
            except ExhaustedError as error:
                for one in found:
                    self._optimizer.drop(one)
                raise ValueError(str(error)) from None
            found.append(proposal)
        asked = self._optimizer.take_all([(one, {}) for one in found])
        return [one.params | self._constants | {_ID: one.number} for one in asked]

    def ingest(self, results: Iterable[dict[str, Any]]) -> None:
        """Learn from results; those of points that the generator did not suggest have no `_id`.

        Raises:
            ValueError: an `_id` is unknown, a name is missing, or a point is not in the space.
        """
        checked = [
            (result.get(_ID), self._point(result), self._outcome(result)) for result in results
        ]
        known = len(self._optimizer.by_number())
        for number, _, _ in checked:
            if number is not None and not 0 <= int(number) < known:
                raise ValueError(f"There is no suggestion with the _id {number}.")
        for number, point, result in checked:
            place = self._optimizer.ask(point).number if number is None else int(number)
            self._optimizer.tell(place, result)

    def _point(self, result: dict[str, Any]) -> dict[str, Any]:
        values = {name: _plain(_given(result, name)) for name in self._space.names}
        if result.get(_ID) is None:
            fault = self._space.fault(values)
            if fault is not None:
                raise ValueError(fault)
        return values

    def _outcome(self, result: dict[str, Any]) -> Told:
        values = tuple(float(_given(result, name)) for name in self._objectives)
        metrics = {name: _plain(result[name]) for name in self._observables if name in result}
        if not all(map(math.isfinite, values)):
            return Told("failure", metrics=metrics)
        broken = tuple(by(float(_given(result, name))) for name, by in self._constraints)
        return Told("success", values, constraints=broken, metrics=metrics)


def _tunables(vocs: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, one in vocs.variables.items():
        if hasattr(one, "domain"):
            low, high = one.domain
            bounds = {"lower_bound": low, "upper_bound": high}
            found.append({"name": name, "value_type": "double", **bounds})
        else:
            # A set has no order, and a study that goes on needs one.
            choices = sorted(one.values, key=lambda value: (type(value).__name__, value))
            found.append({"name": name, "value_type": "categorical", "choices": choices})
    return found


def _excess(constraint: Any) -> Callable[[float], float]:
    """By how much a value breaks a constraint; at most 0 where it holds."""
    if hasattr(constraint, "range"):
        low, high = constraint.range
        return lambda value: max(low - value, value - high)
    limit = constraint.value
    if type(constraint).__name__ == "LessThanConstraint":
        return lambda value: value - limit
    return lambda value: limit - value


def _given(result: dict[str, Any], name: str) -> Any:
    if name not in result:
        raise ValueError(f"A result has no '{name}', which the VOCS names.")
    return result[name]


def _plain(value: Any) -> Any:
    """A value of Python in place of NumPy's."""
    return value.item() if hasattr(value, "item") else value
