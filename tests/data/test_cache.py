"""The cache: whole or not there, shared by processes, and damage is found."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from benchmark.data import load
from benchmark.data.cache import DataCache, write_whole
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
    with pytest.raises(DataError, match="has gone"):
        entry.load()


def test_damage_is_found(tmp_path: Path) -> None:
    cache = DataCache(tmp_path)
    cache.put(load("cpu"))
    table = tmp_path / "cpu.parquet"
    table.write_bytes(table.read_bytes()[:-9] + b"123456789")
    with pytest.raises(DataError, match="cpu is damaged; download it again"):
        cache.load("cpu")
    (tmp_path / "cpu.json").write_text('{"name": ')
    assert cache.entry("cpu") is None
    (tmp_path / "cpu.json").write_text(json.dumps([1]))
    assert cache.entry("cpu") is None


def test_a_folder_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be kept in"):
        DataCache(tmp_path / "file" / "cache").put(load("cpu"))


def _write(folder: str, name: str, times: int) -> None:
    for _ in range(times):
        DataCache(Path(folder)).put(load(name), "shared")


def test_who_reads_while_others_write_sees_one_or_the_other(tmp_path: Path) -> None:
    cache = DataCache(tmp_path)
    whole = {load(name).hash for name in ("cpu", "auto-mpg")}
    cache.put(load("cpu"), "shared")
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_write, args=(str(tmp_path), name, 10))
        for name in ("cpu", "auto-mpg")
    ]
    for writer in writers:
        writer.start()
    seen = 0
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
    assert seen
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".shared")]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
