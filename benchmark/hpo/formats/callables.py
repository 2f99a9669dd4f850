"""A Python function as an objective: by its file where it has one, else packed with what it uses.

    with as_objective(function) as (folder, entry):
        define({"objective": entry, …}, folder)

A function at the top of a file is run from that file: it can be read, and a study that goes on is
the same as long as the file is. One of a notebook or a closure is packed by cloudpickle; it is
unpacked only within the sandbox.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.hpo.formats.project import python_objective
from benchmark.hpo.spec.study_file import StudyError

Space = Sequence[Mapping[str, Any]] | Mapping[str, Any]

PACKED = "objective.pkl"
LOADER = "packed_objective.py"
_LOADER_TEXT = f'''"""The objective that was handed to HPORunner as a function."""

import pickle
from pathlib import Path

objective = pickle.loads(Path("{PACKED}").read_bytes())
'''


@contextlib.contextmanager
def as_objective(function: Callable[[Any], Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder of the objective's files, and the entry `objective` of a study.

    Raises:
        StudyError: it holds something that cannot be packed.
    """
    file = _file_of(function)
    if file is not None:
        yield file.parent, python_objective(file, function.__name__)
        return
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-objective-") as place:
        folder = Path(place)
        (folder / PACKED).write_bytes(_packed(function))
        (folder / LOADER).write_text(_LOADER_TEXT, encoding="utf-8")
        yield folder, {"python": f"{LOADER}:objective", "files": [PACKED]}


def _file_of(function: Callable[[Any], Any]) -> Path | None:
    """The file that has the function at its top, under its own name."""
    if not inspect.isfunction(function) or function.__qualname__ != function.__name__:
        return None
    source = inspect.getsourcefile(function)
    if source is None or not source.endswith(".py") or "ipykernel" in source:
        return None
    module = sys.modules.get(function.__module__)
    same = getattr(module, function.__name__, None) is function
    path = Path(source).absolute()
    return path if same and path.is_file() else None


def _packed(function: Callable[[Any], Any]) -> bytes:
    import cloudpickle

    if inspect.isfunction(function):
        function = types.FunctionType(
            _nameless(function.__code__),
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
    try:
        return bytes(cloudpickle.dumps(function))
    except Exception as error:  # Whatever the objects that it uses may raise.
        raise StudyError(
            f"The objective '{getattr(function, '__name__', function)}' cannot be packed "
            f"({type(error).__name__}: {error}); put it into a file of its own."
        ) from None


def _nameless(code: types.CodeType) -> types.CodeType:
    """The code without the file of a notebook's cell, which is another in each session."""
    inner = tuple(
        _nameless(part) if isinstance(part, types.CodeType) else part for part in code.co_consts
    )
    return code.replace(co_filename="objective", co_consts=inner)


def tunables_of(space: Space | None) -> list[dict[str, Any]] | None:
    """Tunables of a study file from what was given as a space."""
    if space is None:
        return None
    if isinstance(space, Mapping):
        return [{"name": name, **_range(name, entry)} for name, entry in space.items()]
    return [dict(tunable) for tunable in space]


def _range(name: str, entry: Any) -> dict[str, Any]:
    """A tunable from Optuna's distribution."""
    from optuna import distributions as known

    if isinstance(entry, known.CategoricalDistribution):
        return {"value_type": "categorical", "choices": list(entry.choices)}
    if isinstance(entry, (known.IntDistribution, known.FloatDistribution)):
        kind = "integer" if isinstance(entry, known.IntDistribution) else "double"
        tunable = {"value_type": kind, "lower_bound": entry.low, "upper_bound": entry.high}
        stepped = entry.step is not None and not entry.log and (kind == "double" or entry.step != 1)
        return tunable | {"log": entry.log} | ({"step": entry.step} if stepped else {})
    if isinstance(entry, dict):
        return entry
    raise StudyError(f"The tunable '{name}' is {entry!r}; give a distribution of Optuna's.")
