"""Numbers and states of imported rows are those that are written there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.report import export
from benchmark.hpo.study.trial_import import Mapping, import_rows, read_rows
from benchmark.store import Store
from tests.hpo.test_leavings import begun, written

WHOLE = {"name": "n", "value_type": "integer", "lower_bound": -(2**53), "upper_bound": 2**53}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (["9007199254740993", "-9007199254740993", "2000000000.5"], []),
        (["9007199254740991", " 2 ", "3.0", "4e0", "+5"], [9007199254740991, 2, 3, 4, 5]),
    ],
)
def test_a_whole_number_is_imported_as_it_is_written(
    folder_store: Store, tmp_path: Path, told: list[str], kept: list[int]
) -> None:
    """A float would make another point of it, within the bounds."""
    table = "n,value\n" + "".join(f"{one},1\n" for one in told)
    rows = json.dumps([{"n": "@", "value": 1} for _ in told])
    for one in told:
        rows = rows.replace('"@"', one.strip(" +"), 1)
    for name, text in (("a.csv", table), ("b.json", rows)):
        study = begun(folder_store, tmp_path, WHOLE, name=name[0], objective={"command": ["true"]})
        outcome = import_rows(study, read_rows(written(tmp_path, name, text), Mapping()))
        found = [record.labels["params"]["n"] for record in export.trial_records(study.run)]
        assert (found, len(outcome.skipped)) == (kept, len(told) - len(kept))
        assert all(type(one) is int for one in found)


@pytest.mark.parametrize("state", [0, False, 0.0, [], {}, " "])
def test_a_state_that_is_not_one_is_no_success(
    folder_store: Store, tmp_path: Path, state: Any
) -> None:
    row = {"n": 1, "value": 1.0, "state": state}
    file = written(tmp_path, "a.json", json.dumps([row, {**row, "state": None}]))
    study = begun(folder_store, tmp_path, WHOLE, objective={"command": ["true"]})
    outcome = import_rows(study, read_rows(file, Mapping()))
    assert (outcome.imported, [number for number, _ in outcome.skipped]) == (1, [1])
    assert f"its state is {state!r}; there are success, complete" in outcome.reasons[0]


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "fast"])
def test_a_value_that_is_no_number_is_named(
    folder_store: Store, tmp_path: Path, value: str
) -> None:
    file = written(tmp_path, "a.csv", f"n,value,p99\n1,{value},5\n2,,5\n3,2,5\n")
    study = begun(folder_store, tmp_path, WHOLE, objective={"command": ["true"]})
    outcome = import_rows(study, read_rows(file, Mapping()))
    assert (outcome.imported, [number for number, _ in outcome.skipped]) == (1, [1, 2])
    assert [
        said.endswith(f"Its 'value' is '{value}', which is no finite number")
        for said in (reason for _, reason in outcome.skipped)
    ] == [True, False]
