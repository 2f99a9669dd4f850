"""Cells by Arrow are those by pandas, and what pandas refuses is refused."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from benchmark.analysis.results import csv_texts, table
from benchmark.analysis.results.cells import numbers
from benchmark.errors import BenchmarkError
from tests.support.made_results import grid


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "a,b\r\n1,\r\n,2",
        "\ufeffa,b\n1,2\n",
        '"a",b\n"1, ""2""\n3",NA\n',
        "a,a\nnull,''\n\n é ,\x00",
        "a,b\n 1 ,2.50\n007,1e5\n",
    ],
)
def test_the_cells_are_those_that_pandas_reads(text, tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    path.write_bytes(text.encode())
    expected = csv_texts._by_pandas(path)
    monkeypatch.setattr(csv_texts, "_by_pandas", lambda *_, rows: expected.iloc[:rows])
    pd.testing.assert_frame_equal(csv_texts.texts(path), expected)


@pytest.mark.parametrize(
    "text", ['a,b\n1,"2\n', "a,b\n1,2,3\n1,2\n4,5,6,7\n", "a,b\n1,\n2\n", 'a,b,c\n1,2,"3"\n4,5']
)
def test_a_cut_or_ragged_file_is_refused(text, tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(pd.errors.ParserError):
        csv_texts.texts(path)


def test_bytes_that_are_not_utf_8_are_refused(tmp_path):
    path = tmp_path / "results.csv"
    path.write_bytes(b"a,b\n\xff,1\n")
    with pytest.raises(UnicodeDecodeError):
        csv_texts.texts(path)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            ["1", "", "0.1", "1e-3", "nan", "-inf", "Infinity", "0e-400", "00.0"],
            [1, None, 0.1, 0.001, None, -1e999, 1e999, 0, 0],
        ),
        ([" 1", "None", "+2", "NA", "0.30000000000000004"], [1, None, 2, None, 0.1 + 0.2]),
    ],
)
def test_numbers_are_exact_with_and_without_spaces(cells, expected):
    found = numbers(pd.Series(cells, dtype="str"), "a.csv")
    pd.testing.assert_series_equal(found, pd.Series(expected, dtype=float))


def test_a_row_that_was_cut_is_named(tmp_path):
    path = tmp_path / "results.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("a,b,c\n1,,\n2,0.\n")
    with pytest.raises(pd.errors.ParserError, match="row 2 has 2 of the header's 3 columns"):
        csv_texts.texts(path)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"SCORE": " 0.5", "FIT_S": "007"},
        {"SCORE": "", "F1_SCORE": "none", "MESSAGE": 'a, "b"\nc'},
        {"STATUS": "failure", "CAUSE": "interrupted", "SCORE": "", "HOST": "'=x"},
        {"RUNTIME": "60.0", "SEED": "1.0"},
        {"FIT_S": "-1"},
        {"SCORE": "1e-400"},
        {"FIT_S": "1E400"},
        {"FIT_S": "0." + "0" * 400 + "1"},
        {"SCORE": "0", "MESSAGE": "code-404"},
        {"SCORE": "inf", "FIT_S": "0e-400"},
        {"SCORE": "1_0"},
        {"SCORE": "2", "METRIC": "auc"},
        {"MODEL": " "},
    ],
)
def test_typed_columns_are_what_their_text_gives(changes, tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    frame = grid(frameworks=("constant", "a"), datasets=2).astype(object)
    frame.loc[1, list(changes)] = list(changes.values())
    frame.to_csv(path, index=False)

    found = read_or_refused(path)
    monkeypatch.setattr(table, "typed", lambda *_: None)
    expected = read_or_refused(path)

    if isinstance(expected, str):
        assert found == expected
    else:
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def read_or_refused(path):
    try:
        return table.read_results(path, merge=True)
    except BenchmarkError as error:
        return str(error)


def test_plain_results_are_read_without_the_text_of_their_numbers(tmp_path):
    path = tmp_path / "results.csv"
    grid(frameworks=("constant", "a"), datasets=2).to_csv(path, index=False)
    found = csv_texts.typed(path, table._numbers, table.UNIQUE)
    found.loc[0, "FIT_S"] = 1.0
    assert found["F1_SCORE"].dtype == float
    assert isinstance(found["MODEL"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize("run", ["0b6f1c2e-0123-4c5e-8d3a-9e0123456789", "e0123", "1e5", "1e-400"])
def test_a_name_that_looks_like_a_number_is_text_and_read_fast(run, tmp_path):
    path = tmp_path / "results.csv"
    grid(frameworks=("constant", "a"), datasets=2).assign(RUN=run, FIT_S=0.0).to_csv(
        path, index=False
    )
    found = csv_texts.typed(path, table._numbers, table.UNIQUE)
    assert set(found["RUN"]) == {run}
    assert list(found["FIT_S"]) == [0.0] * 4
