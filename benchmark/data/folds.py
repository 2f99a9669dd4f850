"""A data set's own folds: the training and test rows of each, as given by its source.

folds = Folds.of_numbers([0, 1, 0, 1])              # two folds, each row tested once
folds.count, folds.rows_of(0)                       # 2, (array([1, 3]), array([0, 2]))
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.errors import DataError

TRAIN, TEST = 1, 2
FoldKey = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Folds:
    """`parts[fold, row]` is 1 for a row that trains, 2 for one that tests, 0 for neither.

    Folds of several repeats are numbered one repeat after the other: fold f of repeat r of a task
    with n folds a repeat is number r·n + f.
    """

    parts: NDArray[np.int8]
    per_repeat: int

    @classmethod
    def of_rows(
        cls, rows: int, folds: Iterable[tuple[FoldKey, Iterable[int], Iterable[int]]], name: str
    ) -> Folds:
        """From ((repeat, fold), training rows, test rows), in any order.

        Raises:
            DataError: a fold names a missing row, trains on what it tests, or lacks a
                part; or the repeats have different numbers of folds.
        """
        found: dict[FoldKey, NDArray[np.int8]] = {}
        for key, train, test in folds:
            marks = np.zeros(rows, np.int8)
            for mark, part in ((TRAIN, train), (TEST, test)):
                places = np.asarray(part, dtype=np.int64)
                if len(places) and (places.min() < 0 or places.max() >= rows):
                    raise DataError(
                        f"The splits of data set {name} name a row that is not among its {rows}; "
                        "download it again with download-data."
                    )
                if len(np.unique(places)) < len(places):
                    raise DataError(
                        f"Fold {key[1]} of repeat {key[0]} of data set {name} has a row twice, as "
                        "bootstrap samples do, which is not supported."
                    )
                if mark == TEST and np.any(marks[places]):
                    raise DataError(
                        f"Fold {key[1]} of repeat {key[0]} of data set {name} tests rows that it "
                        "trains on."
                    )
                marks[places] = mark
            found[key] = marks
        repeats = sorted({repeat for repeat, _ in found})
        numbers = {repeat: sorted(f for r, f in found if r == repeat) for repeat in repeats}
        if not found or len({len(folds) for folds in numbers.values()}) != 1:
            raise DataError(f"The splits of data set {name} are incomplete; download them again.")
        matrix = np.stack([found[repeat, fold] for repeat in repeats for fold in numbers[repeat]])
        return cls(matrix, len(numbers[repeats[0]]))

    @classmethod
    def of_numbers(cls, numbers: Iterable[int]) -> Folds:
        """A cross-validation: `numbers[row]` is the fold that tests the row, -1 for none."""
        of_row = np.asarray(numbers)
        tested = np.unique(of_row[of_row >= 0])
        parts = [np.where(of_row == fold, TEST, TRAIN) for fold in tested]
        return cls(np.stack(parts).astype(np.int8), len(parts))

    @property
    def count(self) -> int:
        """The folds of all repeats."""
        return int(self.parts.shape[0])

    def rows_of(self, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training and test rows of a fold, ascending."""
        marks = self.parts[fold]
        train, test = np.flatnonzero(marks == TRAIN), np.flatnonzero(marks == TEST)
        return train.astype(np.int64), test.astype(np.int64)

    def kept(self, rows: NDArray[np.bool_]) -> Folds:
        """The folds restricted to the kept rows."""
        return Folds(self.parts[:, rows], self.per_repeat)

    @property
    def empty_fold(self) -> int | None:
        """A fold without training or test rows, if there is one."""
        for fold in range(self.count):
            if not (np.any(self.parts[fold] == TRAIN) and np.any(self.parts[fold] == TEST)):
                return fold
        return None

    def digest(self) -> str:
        """sha256 over the folds."""
        head = f"{self.parts.shape} {self.per_repeat}\n".encode()
        return hashlib.sha256(head + np.ascontiguousarray(self.parts).tobytes()).hexdigest()

    def to_parquet(self) -> bytes:
        columns = {f"fold{n}": pa.array(self.parts[n]) for n in range(self.count)}
        table = pa.table(columns).replace_schema_metadata({"per_repeat": str(self.per_repeat)})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes, name: str) -> Folds:
        """Read what `to_parquet` wrote.

        Raises:
            DataError: the bytes are not folds.
        """
        try:
            table = pq.ParquetFile(io.BytesIO(content)).read()
            per_repeat = int(table.schema.metadata[b"per_repeat"])
            parts = np.stack([column.to_numpy() for column in table.columns]).astype(np.int8)
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"The folds of data set {name} cannot be read: {error}.") from None
        return cls(parts, per_repeat)
