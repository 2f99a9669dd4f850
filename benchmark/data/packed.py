"""A data set as objects: the same three in the store and in this machine's cache.

    objects = pack(dataset)             # {".parquet": …, ".json": …}, and ".splits.parquet"
    dataset = unpack("iris", lambda ending: objects.get(ending))

The description (`.json`) has the sha256 of the others' bytes, so that readers need not check and
hash the table again, and notice objects that do not belong together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmark.data.datasets import Dataset
from benchmark.data.folds import Folds
from benchmark.errors import DataError

TABLE, SPLITS, DESCRIPTION = ".parquet", ".splits.parquet", ".json"
ENDINGS = (TABLE, SPLITS, DESCRIPTION)


def pack(dataset: Dataset) -> dict[str, bytes]:
    """The objects by suffix; the description is the last, so its presence means completeness."""
    objects = {TABLE: dataset.to_parquet()}
    description = dataset.description | {"parquet_sha256": _sha256(objects[TABLE])}
    if dataset.folds is not None:
        objects[SPLITS] = dataset.folds.to_parquet()
        description["splits_sha256"] = _sha256(objects[SPLITS])
    objects[DESCRIPTION] = json.dumps(description).encode()
    return objects


def unpack(name: str, get: Callable[[str], bytes | None]) -> Dataset | None:
    """The data set of the objects that `get` returns by suffix; None if one is missing.

    Objects of two writers may be mixed: they are valid if the content has the description's hash.

    Raises:
        DataError: the objects cannot be read or do not belong together.
    """
    described, content = get(DESCRIPTION), get(TABLE)
    if described is None or content is None:
        return None
    description = description_of(name, described)
    splits = get(SPLITS) if description.get("folds") else None
    if description.get("folds") and splits is None:
        return None
    fault = damage(description, {TABLE: content, SPLITS: splits})
    if fault is not None:
        description.pop("parquet_sha256", None)  # Then the content itself is checked.
    try:
        folds = Folds.from_parquet(splits, name) if splits is not None else None
        return Dataset.from_parquet(content, description, folds)
    except DataError as error:
        if fault is None:
            raise
        raise DataError(f"The {fault} of data set {name} is damaged; download it again.") from error


def holds(name: str, hash: str, get: Callable[[str], bytes | None]) -> bool:
    """Whether the objects that `get` returns by suffix are the data set with this hash."""
    objects = {ending: get(ending) for ending in ENDINGS}
    try:
        description = description_of(name, objects[DESCRIPTION] or b"")
        if description.get("parquet_sha256") and damage(description, objects) is None:
            return bool(description.get("hash") == hash)
        dataset = unpack(name, objects.get)  # Other bytes may hold the same content.
    except (DataError, KeyError, TypeError, ValueError):
        return False
    return dataset is not None and dataset.hash == hash


def damage(description: dict[str, Any], objects: Mapping[str, bytes | None]) -> str | None:
    """The object, "table" or "folds", that does not belong to the description, if any."""
    for part, key, ending in (
        ("table", "parquet_sha256", TABLE),
        ("folds", "splits_sha256", SPLITS),
    ):
        sealed = description.get(key)
        if sealed and sealed != _sha256(objects.get(ending) or b""):
            return part
    return None


def description_of(name: str, content: bytes) -> dict[str, Any]:
    """The description as a dict.

    Raises:
        DataError: it is not a JSON object.
    """
    try:
        description = json.loads(content)
    except ValueError:
        description = None
    if not isinstance(description, dict):
        raise DataError(f"The description of data set {name} is not a JSON object.")
    return description


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
