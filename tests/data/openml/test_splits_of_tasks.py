"""The splits of OpenML's tasks: read exactly, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.data.openml import source as openml_source
from benchmark.errors import DataError
from tests.support.openml_server import _splits

HEAD = """@relation splits
@attribute type {TRAIN,TEST}
@attribute rowid numeric
@attribute repeat numeric
@attribute fold numeric
"""
HALVES = [(0, "TEST", 0), (1, "TRAIN", 0), (0, "TRAIN", 1), (1, "TEST", 1)]


def folds_of(
    path: Path, rows: int, kind: str = "crossvalidation", shape: tuple[int, int] = (1, 2)
) -> openml_source.Folds:
    repeats, folds = map(str, shape)
    parameters = {"number_repeats": repeats, "number_folds": folds}
    task = SimpleNamespace(
        task_id=7,
        dataset_id=61,
        estimation_procedure={"type": kind, "parameters": parameters},
        _download_split=lambda file: None,
    )
    return openml_source._read_folds(task, rows, "task-7")  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "datasplits.arff"
    monkeypatch.setattr(openml_source, "_client_file", lambda task, name: tmp_path / name)
    return file


def written(lines: list[tuple[int, str, int]], more: str = "") -> str:
    rows = [f"{part},{row},{fold // 2},{fold % 2}" for row, part, fold in lines]
    return HEAD + "@data\n" + "\n".join(rows) + more + "\n"


def test_repeats_and_folds_in_any_order(path: Path) -> None:
    content = _splits(7, 9, 3, 2).decode()
    path.write_text(content)
    folds = folds_of(path, 9, shape=(2, 3))
    assert (folds.count, folds.per_repeat) == (6, 3)
    head, _, body = content.partition("@data\n")
    lines = body.splitlines()
    path.write_text(head + "@data\n" + "\n".join(reversed(lines)))
    assert (folds_of(path, 9, shape=(2, 3)).parts == folds.parts).all()
    for line in lines:
        part, row, repeat, fold = line.split(",")
        mark = {"TRAIN": 1, "TEST": 2}[part]
        assert folds.parts[int(repeat) * 3 + int(fold), int(row)] == mark


def test_the_last_sample_is_the_fold(path: Path) -> None:
    path.write_text(
        HEAD.replace("fold numeric", "fold numeric\n@attribute sample integer")
        + "@data\nTRAIN,0,0,0,0\nTEST,2,0,0,0\nTRAIN,0,0,0,1\nTRAIN,1,0,0,1\nTEST,2,0,0,1\n"
    )
    assert folds_of(path, 3, "learningcurve").parts.tolist() == [[1, 1, 2]]


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        (HALVES[:3], "", "leave rows out, or test one twice"),
        ([*HALVES[:2], (0, "TEST", 1), (1, "TRAIN", 1)], "", "test one twice in a repeat"),
        (
            HALVES[:2],
            "",
            "are 1 x 1 folds, and OpenML declares 1 x 2; name its data set, openml-61",
        ),
        ([*HALVES, (1, "TRAIN", 0)], "", "Fold 0 of repeat 0 of data set task-7 has a row twice"),
        (HALVES, "\nTRAIN,1.5,0,0", "a value of rowid that is not a number from 0"),
        (HALVES, "\nTRAIN,-1,0,0", "a value of rowid that is not a number from 0"),
        (HALVES, "\nTRAIN,?,0,0", "a value of rowid that is not a number from 0"),
        (HALVES, "\nTRAIN,2,0,0", "name a row that is not among its 2"),
        (HALVES, "\nTRAIN,1,?,0", "a value of repeat that is not a number from 0"),
        (HALVES, "\nTRAIN,a,0,0", "The split file of task-7 is not valid ARFF"),
        (HALVES, "\nTRAI", "The split file of task-7 is not valid ARFF: .*Expected 4 columns"),
        ([], "", "The split file of task-7 is not valid ARFF: it has no rows"),
    ],
)
def test_wrong_splits(path: Path, lines: list[tuple[int, str, int]], more: str, words: str) -> None:
    path.write_text(written(lines, more))
    with pytest.raises(DataError, match=words):
        folds_of(path, 2)
