"""A data set as objects: the same three in the store and in this machine's cache.

    objects = pack(dataset)             # {".parquet": …, ".json": …}, and ".splits.parquet"
    dataset = unpack("iris", lambda ending: objects.get(ending))

The description (`.json`) has the sha256 of the others' bytes, so that whoever reads them need not
check and hash the table again, and notices a pair that does not belong together.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from benchmark.data.datasets import Dataset
from benchmark.data.folds import Folds
from benchmark.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE, SPLITS, DESCRIPTION = ".parquet", ".splits.parquet", ".json"
ENDINGS = (TABLE, SPLITS, DESCRIPTION)


def pack(dataset: Dataset) -> dict[str, bytes]:
    """The objects by ending; the description is the last, and complete when it is there."""
    objects = {TABLE: dataset.to_parquet()}
    description = dataset.description | {"parquet_sha256": _sha256(objects[TABLE])}
    if dataset.folds is not None:
        objects[SPLITS] = dataset.folds.to_parquet()
        description["splits_sha256"] = _sha256(objects[SPLITS])
    objects[DESCRIPTION] = json.dumps(description).encode()
    return objects


def unpack(name: str, get: Callable[[str], bytes | None]) -> Dataset | None:
    """The data set of the objects that `get` returns by ending; None where one is not there.

    Raises:
        DataError: the objects cannot be read or do not belong together.
    """
    described, content = get(DESCRIPTION), get(TABLE)
    if described is None or content is None:
        return None
    description = description_of(name, described)
    if description.get("parquet_sha256", "") not in ("", _sha256(content)):
        raise DataError(f"The table of data set {name} is damaged; download it again.")
    folds = None
    if description.get("folds"):
        splits = get(SPLITS)
        if splits is None:
            return None
        if description.get("splits_sha256") != _sha256(splits):
            raise DataError(f"The folds of data set {name} are damaged; download it again.")
        folds = Folds.from_parquet(splits, name)
    return Dataset.from_parquet(content, description, folds)


def description_of(name: str, content: bytes) -> dict[str, Any]:
    """The description as a dict.

    Raises:
        DataError: it is none.
    """
    try:
        description = json.loads(content)
    except ValueError:
        description = None
    if not isinstance(description, dict):
        raise DataError(f"The description of data set {name} is no JSON object.")
    return description


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
