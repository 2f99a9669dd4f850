"""Data sets in the store of a run: what its manifest says of each, and how one gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.data.packed import DESCRIPTION, TABLE
from benchmark.layout import dataset_path

if TYPE_CHECKING:
    from benchmark.data.cache import Entry
    from benchmark.store import Store

_FACTS = ("type", "problem", "target", "rows", "features", "classes", "hash")
_FACTS_IF_ANY = ("folds", "openml", "task")


def facts_of(entry: Entry) -> dict[str, Any]:
    """What the manifest says of a data set."""
    said = entry.description
    facts = {key: said[key] for key in _FACTS}
    return facts | {key: said[key] for key in _FACTS_IF_ANY if said.get(key) is not None}


def publish(store: Store, name: str, entry: Entry) -> None:
    """Put a data set into the store, by its hash; what is there already is never replaced.

    Raises:
        DataError: this machine's copy is damaged.
    """
    path = dataset_path(name, entry.description["hash"])
    present = store.list(dataset_path(name))
    if {path + TABLE, path + DESCRIPTION} <= set(present):
        return
    objects = entry.objects()
    for ending, content in objects.items():
        store.create(path + ending, content)
    plain = dataset_path(name)
    # In a folder also by its name, for people: no task reads a table without a description. One
    # that has its description is an earlier version's, and runs of then read it.
    if "://" not in store.url and store.get(plain + DESCRIPTION) is None:
        store.put(plain + TABLE, objects[TABLE])
