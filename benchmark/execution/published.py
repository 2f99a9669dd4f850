"""Data sets in the store of a run: what its manifest says of each, and how one gets there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmark.data.packed import DESCRIPTION
from benchmark.execution.evaluation import dataset_path

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
    """Put a data set into the store unless it is there already, by its hash."""
    path = dataset_path(name)
    present = store.get(path + DESCRIPTION)
    if present is not None:
        try:
            if json.loads(present).get("hash") == entry.description["hash"]:
                return
        except ValueError:
            pass  # A broken description is written anew.
    for ending, content in entry.objects().items():
        store.put(path + ending, content)
