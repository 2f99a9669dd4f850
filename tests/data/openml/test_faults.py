"""Faults of this machine's disk are no faults of OpenML and none of its files."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data.openml import source as openml_source
from benchmark.data.openml.faults import explained, is_passing
from benchmark.errors import DataError

DISK = [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS]


@pytest.fixture
def data(tmp_path: Path) -> Any:
    """As the client describes a data set with both files."""
    pq.write_table(pa.table({"a": list(range(999)), "y": ["u", "v", "w"] * 333}), tmp_path / "d.pq")
    (tmp_path / "d.arff").write_text("@relation d\n@attribute a numeric\n@data\n1\n")
    return SimpleNamespace(
        **{"dataset_id": 5, "md5_checksum": None, "qualities": None},
        parquet_file=str(tmp_path / "d.pq"),
        data_file=str(tmp_path / "d.arff"),
    )


@pytest.mark.parametrize("number", DISK)
def test_a_disk_that_cannot_be_read_costs_no_file(
    data: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number), data.parquet_file)

    path = Path(data.parquet_file)
    with monkeypatch.context() as patch:
        patch.setattr(openml_source, "read_parquet", refuse)
        patch.setattr(pq, "read_metadata", refuse)
        with pytest.raises(OSError, match=os.strerror(number)) as raised:
            openml_source._table(data, "y", set())
        with pytest.raises(OSError, match=os.strerror(number)):
            openml_source._is_whole(path, None)
    assert not is_passing(raised.value)
    said = explained(raised.value, "openml-5", "https://www.openml.org")
    assert said.startswith(f"openml-5 cannot be kept or read in the cache ({path}): ")
    assert openml_source._table(data, "y", set()).num_rows == 999


@pytest.mark.parametrize("damage", ["cut", "empty", "middle"])
def test_a_damaged_parquet_gives_way_to_the_arff(data: Any, damage: str) -> None:
    path = Path(data.parquet_file)
    content = path.read_bytes()
    middle = content[:8] + bytes(60) + content[68:]
    path.write_bytes({"cut": content[:-9], "empty": b"", "middle": middle}[damage])
    assert openml_source._table(data, "y", set()).num_rows == 1
    assert not path.exists()


@pytest.mark.parametrize("rows", [2.0, None, math.nan])
def test_an_arff_without_a_checksum_has_the_rows_that_openml_counted(data: Any, rows: Any) -> None:
    data.parquet_file = None
    data.qualities = None if rows is None else {"NumberOfInstances": rows}
    if rows == 2:
        with pytest.raises(DataError, match="file of OpenML data set 5 is damaged; start the"):
            openml_source._table(data, "y", set())
        assert not Path(data.data_file).exists()
    else:
        assert openml_source._table(data, "y", set()).num_rows == 1
