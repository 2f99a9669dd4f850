"""Data sets as Arrow files that all tasks of one machine map, in place of a copy for each.

    with SharedTables() as tables:
        dataset = tables.dataset("iris", "2ac5…", lambda: unpacked)    # its table is mapped
        parts = tables.parts(dataset, "holdout", 75)                   # what a task is given

`features.arrow` has the features of the rows of a split, training rows first, and is one batch:
both parts are slices that the worker maps without copying. Its value buffers are in the form that
pandas has in memory: NaN under a missing number, -1 under a missing category. `target.arrow` has
the target of the training rows only. What a task is given names no file with the other targets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmark.data import exact
from benchmark.data.datasets import Dataset
from benchmark.data.folds import Folds
from benchmark.data.splits import Split, split
from benchmark.errors import DataError
from benchmark.execution.sandbox.shared import SharedFolders

_TABLE, _DESCRIPTION, _FOLDS = "table.arrow", "description.json", "folds.parquet"
_FEATURES, _TARGET, _ROWS = "features.arrow", "target.arrow", "rows.npz"


@dataclass(frozen=True)
class Parts:
    """What a task reads: the first rows of `features`, as many as `split` trains on, train."""

    features: Path
    target: Path
    split: Split

    def payload(self) -> dict[str, Any]:
        return {
            "features": str(self.features),
            "target": str(self.target),
            "train_rows": len(self.split.train),
        }


class SharedTables:
    """The tables that this process uses, shared with the other runners of the machine."""

    def __init__(self) -> None:
        self._folders = SharedFolders()
        self._open: dict[tuple[Path, int], Dataset] = {}

    def __enter__(self) -> SharedTables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def dataset(self, name: str, hash: str, load: Callable[[], Dataset]) -> Dataset:
        """The data set with this hash, its table mapped; `load` is called once on this machine."""

        def build(folder: Path) -> None:
            dataset = load()
            (folder / _DESCRIPTION).write_text(json.dumps(dataset.description))
            if dataset.folds is not None:
                (folder / _FOLDS).write_bytes(dataset.folds.to_parquet())
            _write_arrow(dataset.table, folder / _TABLE)

        self._folders.let_go()
        folder = self._folders.hold(_data_name(hash), build)
        _release()
        self._open = {
            (path, inode): held
            for (path, inode), held in self._open.items()
            if path.exists() and (path / _TABLE).stat().st_ino == inode
        }
        key = (folder, (folder / _TABLE).stat().st_ino)
        if key not in self._open:
            self._open[key] = _mapped(name, hash, folder)
        return self._open[key]

    def parts(self, dataset: Dataset, mode: str, seed: int) -> Parts:
        """The files of a split, written once on this machine.

        Raises:
            DataError: the data set has no such fold.
        """

        def build(folder: Path) -> None:
            part = split(dataset, mode, seed)
            np.savez(folder / _ROWS, train=part.train, test=part.test)
            table = dataset.table
            rows = exact.row_numbers(np.concatenate([part.train, part.test]))
            arrays = [_as_in_pandas(table.column(name).take(rows)) for name in dataset.features]
            _write_arrow(pa.table(arrays, names=dataset.features), folder / _FEATURES)
            target = table.select([dataset.target]).take(exact.row_numbers(part.train))
            _write_arrow(target, folder / _TARGET)

        folder = self._folders.hold(_parts_name(dataset.hash, mode, seed), build)
        _release()
        with np.load(folder / _ROWS) as rows:
            part = Split.of(rows["train"], rows["test"])
        return Parts(folder / _FEATURES, folder / _TARGET, part)

    def check(self, name: str, hash: str, mode: str, seed: int, thoroughly: bool) -> None:
        """Whether a task was given what was built; what has changed is built again for the next.

        Raises:
            DataError: a file is not as it was when it was given to the task.
        """
        changed = [
            held
            for held in (_data_name(hash), _parts_name(hash, mode, seed))
            if not self._folders.is_intact(held, thoroughly)
        ]
        for held in changed:
            self._folders.put_aside(held)
        if changed:
            raise DataError(
                f"The files of the data set '{name}' that tasks of this machine share were changed "
                "while the task ran; resume-compute gives it new ones."
            )

    def close(self) -> None:
        self._open.clear()
        self._folders.close()


def _data_name(hash: str) -> str:
    return f"data-{hash}"


def _parts_name(hash: str, mode: str, seed: int) -> str:
    return f"parts-{hash}-{mode}-{seed}"


def _release() -> None:
    """Arrow keeps what it has freed, and after a build that may be twice the table."""
    pa.default_memory_pool().release_unused()


def _mapped(name: str, hash: str, folder: Path) -> Dataset:
    description = json.loads((folder / _DESCRIPTION).read_text())
    with pa.memory_map(str(folder / _TABLE)) as source:
        table = pa.ipc.open_file(source).read_all()
    folds = folder / _FOLDS
    return Dataset(
        name,
        description["type"],
        description["target"],
        table,
        hash,
        description,
        Folds.from_parquet(folds.read_bytes(), name) if folds.exists() else None,
    )


def _as_in_pandas(column: pa.ChunkedArray) -> pa.Array:
    """The same values, with what pandas has for a missing one in the buffer below it."""
    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        levels = len(array.dictionary)
        # As pandas does: the smallest kind that has a number for every level.
        kind = np.int8 if levels < 127 else np.int16 if levels < 32767 else np.int32
        codes = exact.to_numpy(array.indices, missing=-1).astype(kind)
        indices = _masked(codes, array)
        return pa.DictionaryArray.from_arrays(
            indices, array.dictionary, ordered=array.type.ordered, safe=False
        )
    if array.null_count == 0:
        return array
    wide = array if pa.types.is_float32(array.type) else array.cast(pa.float64(), safe=False)
    return _masked(exact.to_numpy(wide, missing=np.nan), array)


def _masked(values: np.ndarray[Any, Any], array: pa.Array) -> pa.Array:
    """An array over these very values, missing where `array` is; nothing is set to zero."""
    values = np.ascontiguousarray(values)
    validity = None
    if array.null_count:
        validity = pa.py_buffer(np.packbits(exact.valid(array), bitorder="little").tobytes())
    kind = pa.from_numpy_dtype(values.dtype)
    buffers = [validity, pa.py_buffer(values)]
    return pa.Array.from_buffers(kind, len(values), buffers, array.null_count)


def _write_arrow(table: pa.Table, path: Path) -> None:
    """As one batch, so that every column lies in one piece."""
    table = table.combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, table.num_rows))
