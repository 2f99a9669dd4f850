"""Task files: what is read, what is refused, and that nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError
from benchmark.runs import taskfiles
from benchmark.runs.taskfiles import Row

LINE = '{"framework": "h2o", "dataset": "cpu", "type": "regression", "seed": 75}'


def test_json_lines_are_read_each_task_once(tmp_path: Path) -> None:
    file = tmp_path / "tasks"
    lines = f"{LINE}\n{LINE}\n" + LINE.replace("75", "85")
    file.write_text(lines, encoding="utf-8-sig")
    assert taskfiles.read(file) == [Row("h2o", "cpu", seed, "regression") for seed in (75, 85)]


@pytest.mark.parametrize("line", ['{"seed": 1, "seed": 2}', '{"framework": "a", "framework": "b"}'])
def test_a_key_stands_once_in_a_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "failed.json"
    file.write_text(line + "\n")
    with pytest.raises(BenchmarkError, match="occurs twice"):
        taskfiles.read(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_classic_pickle_is_read(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "tasks"
    rows = [[0, "h2o", 61, "classification", 75], (1, "tpot", "cpu", "regression", 2**31)]
    file.write_bytes(pickle.dumps(rows, protocol))
    assert taskfiles.read(file) == [
        Row("h2o", "61", 75, "classification"),
        Row("tpot", "cpu", 2**31, "regression"),
    ]


class Hostile:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return (self.call[0], self.call[1:])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    file = tmp_path / "tasks"
    for call in ((os.mkdir, str(mark)), (exec, f"open({str(mark)!r}, 'w')")):
        file.write_bytes(pickle.dumps([Hostile(*call)], protocol))
        with pytest.raises(BenchmarkError, match="neither JSON lines nor a plain pickled list"):
            taskfiles.read(file)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"\x80\x04.",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b'{"framework": "a"}',
        b'{"framework": "a", "dataset": "b", "seed": "x"}',
        b'{"framework": "a", "dataset": "b", "seed": true}',
        b'{"framework": null, "dataset": "b", "seed": 1}',
        b'{"framework": "a", "dataset": "b", "type": 1, "seed": 1}',
        b'{"framework": "a", "dataset": "b", "seed": 1}\n{',
        b"{" * 100_000,
        pickle.dumps({"a": 1}),
        pickle.dumps([1, 2]),
        pickle.dumps([[1, 2, 3]]),
        pickle.dumps([[0, "a", "b", "c", "not a seed"]]),
    ],
)
def test_anything_else_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tasks"
    file.write_bytes(content)
    with pytest.raises(BenchmarkError) as caught:
        taskfiles.read(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_has_no_tasks(tmp_path: Path) -> None:
    (tmp_path / "tasks").write_bytes(b"")
    assert taskfiles.read(tmp_path / "tasks") == []


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BenchmarkError, match="cannot be read"):
            taskfiles.read(path)
