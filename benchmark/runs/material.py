"""The data of a run: what can be had of it, its folds in the grid, its place in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from benchmark.config.loading import Config
from benchmark.data import Dataset
from benchmark.data.cache import Entry
from benchmark.data.sources import Catalogue
from benchmark.data.splits import has_fold
from benchmark.errors import ConfigError, DataError
from benchmark.records.tasks import Cell, seeds_of


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
    kept = []
    beyond: dict[str, set[int]] = {}
    for cell in cells:
        if cell.dataset not in found:
            continue
        said = found[cell.dataset].description
        if has_fold(split, cell.seed, said["rows"], said.get("folds")):
            kept.append(cell)
        else:
            beyond.setdefault(cell.dataset, set()).add(cell.seed)
    notes = tuple(
        f"{name} has {_folds_of(found[name], split)}; of the seeds, "
        f"{', '.join(map(str, sorted(seeds)))} name none and are left out"
        for name, seeds in beyond.items()
    )
    if not kept:
        raise ConfigError(f"No seed names a fold that is there: {notes[0]}; set 'seeds' lower.")
    return tuple(kept), notes


def _folds_of(entry: Entry, split: str) -> str:
    own, rows = entry.description.get("folds"), entry.description["rows"]
    if split == "openml" and own is not None:
        return f"{own} fold{'' if own == 1 else 's'} of its own"
    return f"{rows} rows and so {rows} folds"


def data_notes(found: Mapping[str, Entry], split: str) -> tuple[str, ...]:
    """A line for each data set of which something is not as one would expect."""
    lines = []
    for name, entry in found.items():
        notes = list(entry.description.get("notes", ()))
        if entry.description.get("declared_split") and split != "openml":
            notes.append(
                f'its own split is not followed with "split": "{split}", but with "openml"'
            )
        if notes:
            lines.append(f"{name}: {'; '.join(notes)}")
    return tuple(lines)


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
