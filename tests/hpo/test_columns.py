"""Columns of exports, reports, frames and imports whose names meet."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.report import export
from benchmark.hpo.report.html_report import write_report
from benchmark.hpo.runner import Found
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study import trial_import
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import Imported, Mapping, import_rows, read_rows
from benchmark.store import Store


def tunable(name: str) -> dict[str, Any]:
    return {"name": name, "value_type": "double", "lower_bound": 0, "upper_bound": 9}


OWN = ("trial", "state", "feasible", "seconds", "steps", "cause", "message")
COLLIDING: dict[str, Any] = {
    "name": "old",
    "directions": {"seconds": "minimize", "message": "maximize", "a": "minimize"},
    "tunables": [tunable(name) for name in (*OWN, "a", "p_95")],
    "objective": {"command": ["true"]},
    "trials": 3,
}


def test_names_of_columns_are_kept_apart_and_come_back(folder_store: Store, tmp_path: Path) -> None:
    old = Study.begin(folder_store, define(COLLIDING, tmp_path))
    point = {f"tunable.{name}": place / 2 for place, name in enumerate((*OWN, "a"))}
    row = point | {"p_95": 8.5, "direction.seconds": 1, "direction.message": 2, "a": 3}
    assert import_rows(old, [row | {"metric.trial": 7, "metric.p_95": 6}]) == Imported(imported=1)
    (record,) = export.trial_records(old.run)
    assert record.labels["params"] == {
        name.removeprefix("tunable."): value for name, value in (point | {"p_95": 8.5}).items()
    }
    assert record.labels["values"] == [1, 2, 3]
    assert record.metrics == {"seconds": 1, "message": 2, "a": 3, "trial": 7, "p_95": 6}

    text = export.table([record], old.definition)
    header = text.splitlines()[0].split(",")
    assert len(set(header)) == len(header)
    (told,) = csv.DictReader(text.splitlines())
    assert (told["seconds"], told["direction.seconds"], told["tunable.seconds"]) == (
        "",
        "1.0",
        "1.5",
    )
    frame = Found("old", old.run, old.definition).frame()
    assert list(frame["tunable.state"]) == [0.5]
    assert list(frame["state"]) == ["success"]
    page = write_report(old.run, old.definition, tmp_path / "report").read_text()
    for name in ("direction.seconds", "tunable.seconds", "tunable.a"):
        assert f">{name}<" in page

    file = tmp_path / "table.csv"
    file.write_text(text)
    new = Study.begin(folder_store, define(COLLIDING | {"name": "new"}, tmp_path))
    assert import_rows(new, read_rows(file, Mapping())) == Imported(imported=1)
    (copy,) = export.trial_records(new.run)
    assert copy.metrics == record.metrics
    assert copy.labels["params"] == record.labels["params"]


def test_a_plain_row_may_have_names_of_our_columns(folder_store: Store, tmp_path: Path) -> None:
    values = COLLIDING | {"directions": {"seconds": "minimize"}, "tunables": [tunable("state")]}
    study = Study.begin(folder_store, define(values, tmp_path))
    assert import_rows(study, [{"state": 4, "seconds": 2.5}]) == Imported(imported=1)
    (record,) = export.trial_records(study.run)
    assert (record.labels["params"], record.labels["values"]) == ({"state": 4.0}, [2.5])


def test_metrics_of_rows_have_the_names_that_expressions_know(
    folder_store: Store, tmp_path: Path
) -> None:
    """As in a trial: `p(95)` is p_95, and what was measured is not the tunable of its name."""
    objective = {"command": ["true"], "value": "2 * p_95", "constraints": ["p_95 <= 10"]}
    values = COLLIDING | {"directions": {"value": "minimize"}, "objective": objective}
    values["tunables"] = [tunable("x")]
    study = Study.begin(folder_store, define(values, tmp_path))
    rows = [{"x": 1, "p(95)": 4}, {"x": 1, "p(95)": 40}]
    assert import_rows(study, rows) == Imported(imported=2)
    first, second = export.trial_records(study.run)
    assert (first.labels["values"], first.labels["constraints"]) == ([8.0], [-6.0])
    assert export.state(second) == "infeasible"
    assert "p_95" not in first.metrics

    values["objective"] = {"command": ["true"], "value": "x + y"}
    study = Study.begin(folder_store, define(values | {"name": "unclear"}, tmp_path))
    outcome = import_rows(study, [{"x": 1, "y": 1, "metric.x": 2}])
    assert outcome.imported == 0
    assert "'x' is 1.0 as a tunable and was measured as 2" in outcome.skipped[0][1]


def test_an_infeasible_row_is_another_row(folder_store: Store, tmp_path: Path) -> None:
    values = COLLIDING | {"directions": {"value": "minimize"}, "tunables": [tunable("x")]}
    study = Study.begin(folder_store, define(values, tmp_path))
    row = {"x": 1, "value": 2}
    assert import_rows(study, [row, row | {"feasible": False}]) == Imported(imported=2)
    assert import_rows(study, [row | {"feasible": True}]) == Imported(known=1)
    assert [export.state(one) for one in export.trial_records(study.run)] == [
        "success",
        "infeasible",
    ]


def test_an_infeasible_row_of_an_earlier_version_is_imported_once(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest did not have the flag, and was that of the same row that is feasible."""
    values = COLLIDING | {"directions": {"value": "minimize"}, "tunables": [tunable("x")]}
    study = Study.begin(folder_store, define(values, tmp_path))
    row = {"x": 1, "value": 2, "feasible": False}
    digest = trial_import._digest
    with monkeypatch.context() as patch:
        patch.setattr(trial_import, "_digest", lambda told: digest(told[:3]))
        assert import_rows(study, [row]) == Imported(imported=1)
    assert import_rows(study, [row]) == Imported(known=1)
    assert export.trial_records(study.run)[0].labels["imported"] == digest(
        [{"x": 1.0}, {"value": 2.0}, "success"]
    )


def test_a_metric_called_like_a_prefixed_one(folder_store: Store, tmp_path: Path) -> None:
    values = COLLIDING | {"directions": {"value": "minimize"}, "tunables": [tunable("x")]}
    study = Study.begin(folder_store, define(values, tmp_path))
    assert import_rows(study, [{"x": 1, "value": 2}]).imported
    (record,) = export.trial_records(study.run)
    metrics = {**record.metrics, "x": 3.0, "metric.x": 4.0}
    text = export.table([replace(record, metrics=metrics)], study.definition)
    file = tmp_path / "table.csv"
    file.write_text(text)
    new = Study.begin(folder_store, define(values | {"name": "new"}, tmp_path))
    assert import_rows(new, read_rows(file, Mapping())).imported == 1
    assert export.trial_records(new.run)[0].metrics == metrics


def test_integers_of_a_frame_stay_integers(folder_store: Store, tmp_path: Path) -> None:
    big = {"name": "big", "value_type": "integer", "lower_bound": 1, "upper_bound": 2**53}
    values = COLLIDING | {"directions": {"value": "minimize"}}
    values["tunables"] = [tunable("x"), big | {"when": "x > 1"}]
    study = Study.begin(folder_store, define(values, tmp_path))
    rows = [{"x": 2, "big": 2**53 - 1, "value": 1}, {"x": 0, "value": 1}]
    assert import_rows(study, rows) == Imported(imported=2)
    frame = Found("old", study.run, study.definition).frame()
    assert list(map(repr, frame["big"])) == [str(2**53 - 1), "None"]


def test_rows_that_are_skipped_for_one_reason_are_one_warning() -> None:
    outcome = Imported(
        skipped=[
            (2, "The point has 65.0 for 'heap', which is not one of its values"),
            (3, "'gc' is 'Z', which is none of its choices"),
            (5, "The point has 70 for 'heap', which is not one of its values"),
            (6, "The point has 70 for 'stack', which is not one of its values"),
        ]
    )
    assert outcome.reasons == [
        "2 rows are skipped for one reason; the first one, row 2: The point has 65.0 for 'heap', "
        "which is not one of its values.",
        "row 3 is skipped: 'gc' is 'Z', which is none of its choices.",
        "row 6 is skipped: The point has 70 for 'stack', which is not one of its values.",
    ]
