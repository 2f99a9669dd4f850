"""The data of a run: what can be had of it, its folds in the grid, its place in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.data.splits import fold_count
from benchmark.errors import ConfigError, DataError
from benchmark.tasks import seeds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from benchmark.config import Config
    from benchmark.data import Dataset
    from benchmark.data.cache import Entry
    from benchmark.data.sources import Catalogue
    from benchmark.tasks import Cell


def seeds(config: Config) -> list[int]:
    """The seeds of the grid: with folds, a number n means the folds 0 to n - 1."""
    if config.split != "holdout" and isinstance(config.seeds, int):
        return list(range(config.seeds))
    return seeds_of(config.seeds)


def had(catalogue: Catalogue, names: Iterable[str]) -> dict[str, Entry]:
    """The data sets that can be had, in the order of their names.

    Raises:
        DataError: it is none of them.
    """
    found = catalogue.ready(sorted(set(names)))
    if not found:
        raise DataError(why_none(catalogue))
    return found


def with_folds(
    cells: tuple[Cell, ...], found: Mapping[str, Entry], split: str
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """The cells whose data set was found and has such a fold, and a note on each that has fewer.

    Raises:
        ConfigError: no data set has any of the folds.
    """
    folds = {
        name: fold_count(split, entry.description.get("folds")) for name, entry in found.items()
    }
    kept = []
    beyond: dict[str, set[int]] = {}
    for cell in cells:
        if cell.dataset not in found:
            continue
        count = folds[cell.dataset]
        if count is not None and cell.seed >= count:
            beyond.setdefault(cell.dataset, set()).add(cell.seed)
        else:
            kept.append(cell)
    notes = tuple(
        f"{name} has {folds[name]} folds of its own; of the seeds, "
        f"{', '.join(map(str, sorted(seeds)))} name none and are left out"
        for name, seeds in beyond.items()
    )
    if not kept:
        raise ConfigError(f"No seed names a fold that is there: {notes[0]}; set 'seeds' lower.")
    return tuple(kept), notes


def examples(found: Mapping[str, Entry]) -> Iterator[Dataset]:
    """The smallest data set of each kind of problem."""
    smallest: dict[str, Entry] = {}
    for entry in found.values():
        problem = entry.description["problem"]
        present = smallest.get(problem)
        if present is None or entry.description["rows"] < present.description["rows"]:
            smallest[problem] = entry
    for entry in smallest.values():
        yield entry.load()


def why_none(catalogue: Catalogue) -> str:
    if catalogue.faults:
        name, reason = next(iter(catalogue.faults.items()))
        others = len(catalogue.faults) - 1
        more = f" ({others} more cannot be had either.)" if others else ""
        return reason if name in reason and not others else f"{name}: {reason}{more}"
    if catalogue.left_out:
        name, kind = next(iter(catalogue.left_out.items()))
        return f"No data set is of the type that 'studies' asks for: {name} is for {kind}."
    return "The configuration names no data set; set 'studies' or 'datasets'."
