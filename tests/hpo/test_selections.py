"""Metrics selected from whole JSON documents and from rows of CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.metrics_key import read_metrics

DOCUMENT = {
    "data": {"result": [{"metric": {"job": "api"}, "value": [1700000000, "0.25"]}]},
    "jobs": [{"name": "a", "ms": [3, 1, 2]}, {"name": "b", "ms": [10]}],
    "http_req_duration": {"p(95)": "812us", "a/b": 7},
    "none": None,
    "text": "fast",
}
CSV = "test,rps,p99 latency\nSET,100,5\nGET,250.5,7\nGET,300,9\n"


def read(tmp_path: Path, entry: dict[str, Any], output: str) -> dict[str, float]:
    faults: list[str] = []
    measuring = read_metrics(entry, faults)
    assert not faults
    return measuring.read(tmp_path, output)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", ["", "starting\n3 requests\n"])
def test_paths_in_a_document(tmp_path: Path, indent: int | None, before: str) -> None:
    select = {
        "up": "to_number(data.result[0].value[1])",
        "first": "/jobs/0/ms/0",
        "p95": "/http_req_duration/p(95)",
        "slash": "/http_req_duration/a~1b",
        "worst": {"path": "jobs[].ms[]", "of": "max"},
        "b": {"path": "jobs[?name == 'b'].ms[]"},
        "p50": {"path": "jobs[].ms[]", "of": "p50"},
        "n": {"path": "jobs[].ms[]", "of": "count"},
    }
    output = before + json.dumps(DOCUMENT, indent=indent)
    found = read(tmp_path, {"json": "stdout", "select": select}, output)
    assert found == {
        **{"up": 0.25, "first": 3, "p95": 0.000812, "slash": 7, "worst": 10, "b": 10},
        **{"p50": 2.5, "n": 4},
    }


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("nothing.here", "nothing at 'nothing.here' for 'm'; it is an object with data, jobs"),
        ("none", "nothing at 'none'"),
        ("/jobs/9", "nothing at '/jobs/9'"),
        ("/jobs/" + "9" * 5000, "nothing at '/jobs/999"),
        ("jobs[].ms[]", "has 4 values for 'm'; select one, or say by 'of'"),
        ("http_req_duration", "is an object with p(95), a/b"),
        ("abs(text)", "has no value here"),
        ({"path": "text", "of": "max"}, "is no list; leave 'of' out"),
        ({"path": "jobs[].name", "of": "max"}, "'a', which is not a finite number"),
        ({"path": "jobs[?name == 'c'].ms[]", "of": "p99"}, "has no value for 'm'"),
    ],
)
def test_nothing_else_is_taken_for_a_metric(tmp_path: Path, selection: Any, said: str) -> None:
    with pytest.raises(MeasureError) as caught:
        read(tmp_path, {"json": "stdout", "select": {"m": selection}}, json.dumps(DOCUMENT))
    assert said in str(caught.value)


def test_rows_of_csv(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    select = {
        "set": {"column": "rps", "where": {"test": "SET"}},
        "get": {"column": "rps", "where": {"test": "GET"}, "of": "mean"},
        "p99": {"column": "p99 latency", "of": "p99"},
        "same": {"column": "p99_latency", "of": "max"},
        "rows": {"column": "test", "of": "count"},
    }
    units = {"p99": "ms"}
    found = read(tmp_path, {"csv": "r.csv", "select": select, "units": units}, "")
    assert found == pytest.approx(
        {"set": 100, "get": 275.25, "p99": 8.96, "same": 9, "rows": 3}, rel=1e-12
    )


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("rps", "has 3 values for 'm'"),
        ("nothing", "its columns are test, rps, p99 latency"),
        ({"column": "rps", "where": {"test": "DEL"}}, "No row has 'rps' in 'stdout' where test ="),
        ({"column": "test", "of": "sum"}, "'SET', which is not a finite number"),
    ],
)
def test_rows_that_are_not_clear(tmp_path: Path, selection: Any, said: str) -> None:
    with pytest.raises(MeasureError) as caught:
        read(tmp_path, {"csv": "stdout", "select": {"m": selection}}, CSV)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"json": "stdout", "select": {"m": "a["}}, "which is not JMESPath"),
        ({"json": "stdout", "select": {"m": {"path": "a", "of": "p101"}}}, "'of' of 'm' is 'p101'"),
        ({"select": {"m": "a"}}, "name the document in 'json'"),
        ({"json": "stdout", "select": {"m": {"column": "a"}}}, "name the CSV file in 'csv'"),
        ({"json": "stdout", "select": {"m": {"pth": "a"}}}, "give it a 'path'"),
        ({"json": "stdout", "select": {"m": {"path": "a", "where": {"a": "b"}}}}, "selects rows"),
        (
            {"csv": "x", "select": {"m": {"column": "a", "where": {"a": True}}}},
            "write it in quotes",
        ),
        ({"file": "x"}, "name the reader too"),
        ("wkr", "write the name of a reader (ab,"),
    ],
)
def test_faults_of_metrics(entry: Any, said: str) -> None:
    faults: list[str] = []
    read_metrics(entry, faults)
    assert said in "\n".join(faults)
