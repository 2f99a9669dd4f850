"""Data sets in the store of a run: what its manifest says of each, and how one gets there."""

from __future__ import annotations

import contextlib
from typing import Any

from benchmark.data import Dataset
from benchmark.data.cache import Entry
from benchmark.data.packed import DESCRIPTION, TABLE, holds
from benchmark.data.sources import with_hash
from benchmark.errors import DataError
from benchmark.records.layout import dataset_path
from benchmark.store import Store

_FACTS = ("type", "problem", "target", "rows", "features", "classes", "hash")
_FACTS_IF_ANY = ("folds", "openml", "task")


def facts_of(entry: Entry) -> dict[str, Any]:
    """What the manifest says of a data set."""
    said = entry.description
    facts = {key: said[key] for key in _FACTS}
    return facts | {key: said[key] for key in _FACTS_IF_ANY if said.get(key) is not None}


def publish(store: Store, name: str, entry: Entry, *, check: bool = False) -> None:
    """Put a data set into the store, by its hash; what is there is replaced only if it is damaged.

    In a folder that is looked for always, in a store over the network with `check`.

    Raises:
        DataError: this machine's copy is damaged; with `check` also where the store's copy of an
            earlier content is.
    """
    path = dataset_path(name, entry.description["hash"])
    present = store.list(dataset_path(name))
    there = {path + TABLE, path + DESCRIPTION} <= set(present)
    if not there or ((check or "://" not in store.url) and not _holds(store, name, path)):
        objects = entry.objects()
        for ending, content in objects.items():
            if store.create(path + ending, content) or store.get(path + ending) == content:
                continue
            store.put(path + ending, content)
        plain = dataset_path(name)
        # In a folder also by its name, for people: no task reads a table without a description. One
        # that has its description is an earlier version's, and runs of then read it.
        if "://" not in store.url and store.get(plain + DESCRIPTION) is None:
            store.put(plain + TABLE, objects[TABLE])
    described = {path.removesuffix(DESCRIPTION) for path in present if path.endswith(DESCRIPTION)}
    for earlier in sorted(described - {path, dataset_path(name)}) if check else ():
        if not _holds(store, name, earlier):
            raise DataError(
                f"{earlier}{TABLE} in {store.url} is damaged, and the data set {name} has changed "
                "since it was written; start its runs again under another name (--run NAME)."
            )


def restored(store: Store, name: str, hash: str) -> Dataset | None:
    """A data set whose copy in the store is damaged, from this machine; None where it is not here.

    The store has it again then.
    """
    entry = with_hash(name, hash)
    if entry is None:
        return None
    with contextlib.suppress(DataError):
        publish(store, name, entry)
        return entry.load()
    return None


def _holds(store: Store, name: str, path: str) -> bool:
    return holds(name, path.rpartition("/")[2], lambda ending: store.get(path + ending))
