"""The cache: whole or not there, shared by processes, and damage is found."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import Dataset, load
from benchmark.data.cache import DataCache, write_whole
from benchmark.data.folds import Folds
from benchmark.errors import DataError


def test_a_data_set_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = DataCache(tmp_path / "a" / "b")
    dataset = load("credit-g")
    assert cache.entry("credit-g") is None
    assert cache.load("credit-g") is None
    cache.put(dataset)
    entry = cache.entry("credit-g")
    assert entry is not None
    again = entry.load()
    assert again.hash == dataset.hash
    assert again.table.equals(dataset.table)
    assert again.table.schema.equals(dataset.table.schema)
    cache.drop("credit-g")
    assert cache.entry("credit-g") is None
    with pytest.raises(DataError, match="is missing from"):
        entry.load()


def test_damage_is_found(tmp_path: Path) -> None:
    cache = DataCache(tmp_path)
    cache.put(load("cpu"))
    table = tmp_path / "cpu.parquet"
    table.write_bytes(table.read_bytes()[:-9] + b"123456789")
    with pytest.raises(DataError, match="cpu is damaged; download it again"):
        cache.load("cpu")
    entry = cache.entry("cpu")
    assert entry is not None
    with pytest.raises(DataError, match=r"cpu in .* was damaged and has been removed; start the"):
        entry.load()
    assert not table.exists()
    (tmp_path / "cpu.json").write_text('{"name": ')
    assert cache.entry("cpu") is None
    (tmp_path / "cpu.json").write_text(json.dumps([1]))
    assert cache.entry("cpu") is None


@pytest.mark.parametrize("ending", [".parquet", ".splits.parquet", ".json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_what_is_damaged_is_not_given_away_and_is_made_again(
    tmp_path: Path, ending: str, damage: str
) -> None:
    cache = DataCache(tmp_path)
    table = pa.table({"a": [1, 2, 3, 4], "y": [1.0, 2.0, 3.0, 4.0]})
    dataset = Dataset.of("t", "regression", "y", table, folds=Folds.of_numbers([0, 1, 0, 1]))
    entry = cache.put(dataset)
    whole = entry.objects()
    assert cache.is_whole("t")
    file = tmp_path / f"t{ending}"
    content = file.read_bytes()
    file.write_bytes({"cut": content[:-5], "changed": b"!" + content[1:], "gone": b""}[damage])
    if damage == "gone":
        file.unlink()
    assert not cache.is_whole("t")
    with pytest.raises(DataError, match=r"copy of data set t in .* was damaged and has been remov"):
        entry.objects()
    assert cache.entry("t") is None
    assert cache.put(dataset).objects() == whole


def test_a_table_that_another_writer_wrote_alike_is_good(tmp_path: Path) -> None:
    """Other bytes of the same content, as another version of the library writes them."""
    cache = DataCache(tmp_path)
    cache.put(load("penguins"))
    sink = io.BytesIO()
    table = pq.read_table(tmp_path / "penguins.parquet")
    pq.write_table(table, sink, compression="snappy")
    (tmp_path / "penguins.parquet").write_bytes(sink.getvalue())
    found = cache.load("penguins")
    assert found is not None
    assert found.hash == load("penguins").hash
    assert found.table.equals(load("penguins").table)


def test_a_folder_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be kept in"):
        DataCache(tmp_path / "file" / "cache").put(load("cpu"))


def _write(folder: str, name: str, seen: Any) -> None:
    times = 0
    while times < 10 or not seen.is_set():
        DataCache(Path(folder)).put(load(name), "shared")
        times += 1


def test_who_reads_while_others_write_sees_one_or_the_other(tmp_path: Path) -> None:
    cache = DataCache(tmp_path)
    whole = {load(name).hash for name in ("cpu", "auto-mpg")}
    cache.put(load("cpu"), "shared")
    context = multiprocessing.get_context("fork")
    enough = context.Event()
    writers = [
        context.Process(target=_write, args=(str(tmp_path), name, enough))
        for name in ("cpu", "auto-mpg")
    ]
    for writer in writers:
        writer.start()
    seen = 0
    try:
        while any(writer.is_alive() for writer in writers):
            try:
                dataset = cache.load("shared")
            except DataError as error:
                # Table and description of two writers: that is noticed.
                assert "damaged" in str(error)
                continue
            assert dataset is not None
            assert dataset.hash in whole
            seen += 1
            if seen == 10:
                enough.set()
    finally:
        enough.set()
    assert seen >= 10
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".shared")]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_read_only_cache_is_read_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DataCache(tmp_path / "cache")
    table = pa.table({"a": [1, 2, 3, 4], "y": [1.0, 2.0, 3.0, 4.0]})
    cache.put(Dataset.of("t", "regression", "y", table))
    before = sorted(path.name for path in cache.folder.rglob("*"))

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert sorted(cache.objects("t")) == [".json", ".parquet"]
    with pytest.raises(DataError, match="cache cannot be written: Read-only file system; make it"):
        cache.objects("another")
    assert sorted(path.name for path in cache.folder.rglob("*")) == before
