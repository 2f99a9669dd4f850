"""A declared split column, folds beyond the rows, and splits that partition the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import PredefinedSplit

from benchmark.data import Dataset, split
from benchmark.data.own import source as own
from benchmark.data.splits import has_fold
from benchmark.errors import DataError


def folds_of(values: Any) -> list[tuple[list[int], list[int]]]:
    folds = own._folds_of(pa.chunked_array([pa.array(values)]), "part", "sales")
    return [tuple(map(list, folds.rows_of(fold))) for fold in range(folds.count)]  # type: ignore[misc]


@pytest.mark.parametrize(
    "values",
    [
        [-1, 0, -1, 0],
        [-1, 1, 0, -1, 1, 0],
        [0, 1, 2, 2, 1, 0],
        [1, 2, 1, 2],
        [3, 7, 3, 7],
        [-1.0, 0.0, 2.0, 0.0],
        ["0", "1", "-1", "2"],
    ],
)
def test_fold_numbers_are_those_of_predefined_split(values: list[Any]) -> None:
    theirs = PredefinedSplit([int(value) for value in values])
    wanted = [(list(train), list(test)) for train, test in theirs.split()]
    assert folds_of(values) == wanted


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1, 1, 0], "holds 0 and 1, which may be two folds or mark"),
        (["0", "1"], "holds 0 and 1"),
        ([0.0, 1.0], "holds 0 and 1"),
        ([-2, 0, 1], "holds -2"),
        ([0, 0, 0], "holds 0 in every row"),
        ([-1, -1], "holds -1 in every row"),
        ([True, False], 'holds "false"'),
        ([0.5, 1.5], 'holds "0.5"'),
        ([0, None, 1], "has missing values"),
        (["train", "valid", "test"], 'holds "valid"'),
    ],
)
def test_a_split_column_that_is_not_clear_is_refused(values: list[Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        folds_of(values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "seed", "rows", "folds", "has"),
    [
        ("cv", 5, 6, None, True),
        ("cv", 6, 6, None, False),
        ("cv", 16, 6, None, False),
        ("cv", 20, 6, None, True),
        ("openml", 7, 6, None, False),
        ("openml", 2, 6, 3, True),
        ("openml", 3, 6, 3, False),
        ("holdout", 999, 2, 3, True),
    ],
)
def test_which_folds_there_are(mode: str, seed: int, rows: int, folds: int, has: bool) -> None:
    assert has_fold(mode, seed, rows, folds) is has


@settings(max_examples=60)
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=4, max_size=40).filter(
        lambda x: len(set(x)) > 1
    ),
    regression=st.booleans(),
    mode=st.sampled_from(["holdout", "cv", "openml"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_split_partitions_the_rows(
    labels: list[str], regression: bool, mode: str, seed: int
) -> None:
    rows = len(labels)
    goal = [float(ord(label)) for label in labels] if regression else labels
    kind = "regression" if regression else "classification"
    data = Dataset.of("t", kind, "y", pa.table({"a": list(range(rows)), "y": goal}))
    if not has_fold(mode, seed, rows, None):
        with pytest.raises(DataError, match="but no fold"):
            split(data, mode, seed)
        return
    part = split(data, mode, seed)
    assert len(part.train)
    assert len(part.test)
    assert np.array_equal(np.sort(np.concatenate([part.train, part.test])), np.arange(rows))


def declared(folder: Path, text: str, **files: str) -> str:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    (folder / "mine.yaml").write_text(text)
    return str(folder / "mine.yaml")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_run_leaves_folds_out_and_says_what_is_odd(cached: Path, make_config: Any) -> None:
    from benchmark.runs.plan import draft

    rows = "".join(f"{n},{n % 2},{'test' if n > 3 else 'train'}\n" for n in range(6))
    text = """
- {name: few, file: s.csv, target: y, type: classification, columns: {part: ignore}}
- {name: parted, file: s.csv, target: y, type: classification, split_column: part}
- {name: gaps, file: g.csv, target: y, type: classification}
"""
    path = declared(cached, text, s__csv="a,y,part\n" + rows, g__csv="a,y\n1,0\n2,\n3,1\n4,0\n")
    wanted = draft(make_config(studies=[], datasets=[path], split="cv", seeds=8))
    seeds = {
        name: [c.seed for c in wanted.manifest.cells if c.dataset == name]
        for name in wanted.datasets
    }
    assert {name: sorted(found) for name, found in seeds.items()} == {
        "few": list(range(6)),
        "parted": list(range(6)),
        "gaps": list(range(3)),
    }
    said = "\n".join(wanted.notes)
    assert "few has 6 rows and so 6 folds; of the seeds, 6, 7 name none and are left out" in said
    assert 'parted: its own split is not followed with "split": "cv"' in said
    assert "gaps: 1 row without a target (it is missing there) left out" in said


def test_one_data_set_that_cannot_be_read_stops_no_other(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.data import Catalogue
    from benchmark.data.formats import tables

    def broken(*_: Any) -> None:
        raise RuntimeError("no reader expects this")

    monkeypatch.setattr(tables, "read_arff", broken)
    files = {
        "good.csv": "a,y\n1,2\n2,3\n",
        "odd.arff": "@data",
        "bad.parquet": "PAR1",
        "nul.csv": "\0",
    }
    lines = []
    for name, content in files.items():
        (cached / name).write_text(content)
        lines.append(f"- {{name: {name.split('.')[0]}, file: {name}, target: y}}\n")
    catalogue = Catalogue([], [declared(cached, "".join(lines))])
    assert list(catalogue.ready(catalogue.names())) == ["good"]
    assert set(catalogue.faults) == {"odd", "bad", "nul"}
    assert "RuntimeError: no reader expects this" in catalogue.faults["odd"]


def test_a_data_set_that_an_older_reader_read_is_read_again(cached: Path) -> None:
    import json

    from benchmark.data import Catalogue

    path = declared(cached, "file: s.csv\ntarget: y\n", s__csv="a,y\n1,2\n2,3\n")
    first = Catalogue([], [path])
    assert not first.ready(first.names())["mine"].outdated
    (described,) = (cached / "cache/datasets/own").glob("*.json")
    described.write_text(json.dumps(json.loads(described.read_text()) | {"reader": 1}))
    again = Catalogue([], [path])
    assert not again.ready(again.names())["mine"].outdated
