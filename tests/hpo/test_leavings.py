"""What a study leaves, and what is done with it: exports, imports, pause and stop, delete."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.hpo.driver import control, study_list
from benchmark.hpo.driver.loop import tune
from benchmark.hpo.report import export
from benchmark.hpo.runner import Found
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study import dashboard
from benchmark.hpo.study.deletion import delete
from benchmark.hpo.study.store import study_names
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import (
    Imported,
    Mapping,
    import_rows,
    read_rows,
)
from benchmark.store import Store

Program = Callable[..., subprocess.CompletedProcess[str]]
X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
GC = {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"], "default": "Z"}
HEAP = {
    "name": "heap",
    "value_type": "integer",
    "lower_bound": 64,
    "upper_bound": 512,
    "step": 64,
    "default": 128,
}


def declared(*tunables: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [*tunables],
        "trials": 3,
        "seed": 1,
        "algorithm": "random",
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": [sys.executable, "-c", "print({x})"]},
        **more,
    }


def begun(store: Store, tmp_path: Path, *tunables: dict[str, Any], **more: Any) -> Study:
    return Study.begin(store, define(declared(*tunables, **more), tmp_path))


def written(tmp_path: Path, name: str, content: Any) -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_an_export_comes_back_by_import_into_a_changed_space(
    folder_store: Store, tmp_path: Path
) -> None:
    old = begun(folder_store, tmp_path, X, GC, name="old", trials=1)
    rows = [
        {"x": 0.125, "gc": "G1", "value": 4.0, "p99": 7},
        {"x": 0.75, "gc": "Z", "value": 2.0, "p99": 9},
        {"x": 0.5, "gc": "Z", "state": "pruned"},
    ]
    assert import_rows(old, rows) == Imported(imported=3)
    files = export.write(old.run, old.definition, tmp_path / "out")
    assert {path.name for path in files} == {
        *("experiment-data.csv", "best.json", "best.env", "best.args"),
        *("output.txt", "total-output.txt"),
    }
    assert (tmp_path / "out" / "best.env").read_text() == "x=0.75\ngc=Z\n"
    assert (tmp_path / "out" / "best.args").read_text() == "--x=0.75 --gc=Z\n"

    narrower = {**X, "upper_bound": 0.6}
    new = begun(folder_store, tmp_path, narrower, HEAP, name="new")
    outcome = import_rows(new, read_rows(tmp_path / "out" / "experiment-data.csv", Mapping()))
    assert (outcome.imported, outcome.known) == (2, 0)
    ((row, why),) = outcome.skipped
    assert row == 2
    assert "0.75 for 'x'" in why
    states = [(t.state.name, t.params) for t in new.optimizer.trials()]
    assert states == [
        ("COMPLETE", {"x": 0.125, "heap": 128}),
        ("PRUNED", {"x": 0.5, "heap": 128}),
    ]
    assert new.left == 3
    assert [r.metrics.get("p99") for r in export.trial_records(new.run)] == [7.0, None]


CHOICES: list[Any] = [0, False, 1, True, 1.0, "1", "true", "", None, "True", "null", "None", "1.0"]
ALIKE = {"name": "c", "value_type": "categorical", "choices": CHOICES, "default": "true"}


def test_choices_of_other_types_are_other_choices_in_an_export_and_its_import(
    folder_store: Store, tmp_path: Path
) -> None:
    command = {"command": ["true"]}
    old = begun(folder_store, tmp_path, ALIKE, name="old", objective=command)
    rows = [{"c": choice, "value": float(place)} for place, choice in enumerate(CHOICES)]
    assert import_rows(old, rows) == Imported(imported=len(CHOICES))
    found = list(Found("old", old.run, old.definition).frame()["c"])
    assert repr(found) == repr(CHOICES)
    file = written(tmp_path, "rows.json", rows)
    text = export.table(export.trial_records(old.run), old.definition)
    table = written(tmp_path, "table.csv", text)
    for name, place in (("json", file), ("csv", table)):
        new = begun(folder_store, tmp_path, ALIKE, name=name, objective=command)
        assert import_rows(new, read_rows(place, Mapping())) == Imported(imported=len(CHOICES))
        found = [record.labels["params"]["c"] for record in export.trial_records(new.run)]
        assert repr(found) == repr(CHOICES)
        assert repr([t.params["c"] for t in new.optimizer.trials()]) == repr(CHOICES)


def test_a_frame_has_the_types_of_the_records(folder_store: Store, tmp_path: Path) -> None:
    mode = {"name": "mode", "value_type": "categorical", "choices": ["0644", "12", "true", "NA"]}
    study = begun(folder_store, tmp_path, mode, HEAP, objective={"command": ["true"]})
    rows = [{"mode": mode, "heap": 64, "value": 1} for mode in ("0644", "12", "true", "NA")]
    assert import_rows(study, rows).imported == 4
    frame = Found("s", study.run, study.definition).frame()
    assert list(frame["mode"]) == ["0644", "12", "true", "NA"]
    assert frame["heap"].dtype == frame["trial"].dtype == "int64"
    assert list(frame["value"]) == [1.0] * 4


@pytest.mark.parametrize("told", ['"256"', "true", '"x"', "null"])
def test_a_json_text_is_no_number(folder_store: Store, tmp_path: Path, told: str) -> None:
    row = f'[{{"x": {told}, "value": 1}}, {{"x": 0.5, "value": {told}}}]'
    study = begun(folder_store, tmp_path, X)
    outcome = import_rows(study, read_rows(written(tmp_path, "a.json", row), Mapping()))
    assert (outcome.imported, [number for number, _ in outcome.skipped]) == (0, [1, 2])


def test_a_row_with_something_else_has_no_only_metric(folder_store: Store, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"x": 0.5, "loss": None, "epoch": 3}, {"x": 0.5, "epoch": 3}]
    outcome = import_rows(begun(folder_store, tmp_path, X), rows)
    assert (outcome.imported, [number for number, _ in outcome.skipped]) == (1, [1])


def test_what_an_export_has_twice_has_two_names(folder_store: Store, tmp_path: Path) -> None:
    study = begun(folder_store, tmp_path, X)
    import_rows(study, [{"x": 0.5, "value": 1}])
    (record,) = export.trial_records(study.run)
    metrics = {**record.metrics, "x": 2.0, "message": 3.0, "trial": 4.0}
    text = export.table([replace(record, metrics=metrics)], study.definition)
    (row,) = csv.DictReader(text.splitlines())
    assert (row["x"], row["metric.x"]) == ("0.5", "2.0")
    assert (row["metric.message"], row["metric.trial"], row["trial"]) == ("3.0", "4.0", "0")
    header = text.splitlines()[0].split(",")
    assert len(set(header)) == len(header)


def test_a_row_is_imported_once_and_survives_a_lost_journal(
    folder_store: Store, tmp_path: Path
) -> None:
    study = begun(folder_store, tmp_path, X)
    rows = [{"x": 0.25, "value": 3}, {"x": 0.25, "value": 3.5}]
    assert import_rows(study, rows).imported == 2
    assert import_rows(study, rows) == Imported(known=2)
    (tmp_path / "store" / "studies" / "s" / "optuna.journal").unlink()
    again = Study.open(folder_store, "s")
    assert again.unfinished() == []
    assert again.left == 3
    assert [trial.value for trial in again.optimizer.trials()] == [3.0, 3.5]


def test_json_of_any_shape_by_paths(folder_store: Store, tmp_path: Path) -> None:
    nested = {
        "runs": [
            {"config": {"pool-size": 256, "jvm": "Z"}, "results": {"load": [{"rt": 4.0}]}},
            {"config": {"pool-size": 100, "jvm": "Z"}, "results": {"load": [{"rt": 5.0}]}},
            {"config": {"pool-size": 64, "jvm": "?"}, "results": {"load": [{"rt": 5.0}]}},
        ]
    }
    paths = {"heap": 'config."pool-size"', "gc": "config.jvm", "rt": "results.load[0].rt"}
    file = written(tmp_path, "horreum.json", nested)
    objective = {"command": ["true"], "value": "10 * rt", "constraints": ["rt <= 3"]}
    study = begun(folder_store, tmp_path, HEAP, GC, objective=objective)
    outcome = import_rows(study, read_rows(file, Mapping("runs", paths)))
    assert outcome.imported == 1
    assert [row for row, _ in outcome.skipped] == [2, 3]
    (record,) = export.trial_records(study.run)
    assert record.labels["values"] == [40.0]
    assert record.labels["constraints"] == [1.0]
    assert export.best(study.run, study.definition) == []


def test_rows_are_judged_in_declared_units(folder_store: Store, tmp_path: Path) -> None:
    heap = {"name": "heap", "value_type": "integer", "lower_bound": "512Mi", "upper_bound": "4Gi"}
    objective = {
        "command": ["true"],
        "value": "p99 + budget",
        "constraints": ["p99 <= budget", "heap <= 1Gi", "p99 <= 200ms"],
        "metrics": {"json": "stdout", "units": {"p99": "ms", "budget": "s"}},
    }
    study = begun(folder_store, tmp_path, heap, objective=objective)
    rows = [{"heap": 2048, "p99": 500, "budget": 1}, {"heap": 512, "p99": 150, "budget": 1}]
    assert import_rows(study, rows) == Imported(imported=2)
    first, second = export.trial_records(study.run)
    assert first.labels["values"] == [1.5]
    assert [value > 0 for value in first.labels["constraints"]] == [False, True, True]
    assert first.labels["constraints"][0] == -0.5
    assert export.best(study.run, study.definition) == [second]


def test_an_infeasible_trial_of_a_python_study_stays_infeasible(
    folder_store: Store, tmp_path: Path
) -> None:
    study = begun(folder_store, tmp_path, X, name="old")
    import_rows(study, [{"x": 0.5, "value": 1}, {"x": 0.25, "value": 2}])
    broken, kept = export.trial_records(study.run)
    broken.labels["constraints"] = [-1.0, 0.5]  # as `set_constraint` leaves them
    text = export.table([broken, kept], study.definition)
    new = begun(folder_store, tmp_path, X, name="new")
    rows = [*read_rows(written(tmp_path, "a.csv", text), Mapping()), {**kept.metrics, "x": 0.1}]
    rows += [{"x": 0.2, "value": 0, "feasible": told} for told in (False, "no")]
    outcome = import_rows(new, rows)
    assert (outcome.imported, [number for number, _ in outcome.skipped]) == (4, [5])
    assert "'no'; write true or false" in outcome.skipped[0][1]
    states = [export.state(record) for record in export.trial_records(new.run)]
    assert states == ["infeasible", "success", "success", "infeasible"]
    (best,) = export.best(new.run, new.definition)
    assert best.metrics["value"] == 2

    rules = {"command": ["true"], "constraints": ["value <= 5"]}
    ruled = begun(folder_store, tmp_path, X, name="ruled", objective=rules)
    import_rows(ruled, [{"x": x, "value": x * 10, "feasible": False} for x in (0.25, 0.75)])
    said = [record.labels["constraints"] for record in export.trial_records(ruled.run)]
    assert said == [[-2.5, 1.0], [2.5]]  # its own rule says by how much


@pytest.mark.parametrize(
    ("name", "content", "mapping", "said"),
    [
        ("a.csv", "x\n1\n", Mapping(paths={"x": "cpu"}), "no column 'cpu'"),
        ("a.csv", "x,value,x\n1,2,3\n", Mapping(), "has 'x' twice"),
        ("a.csv", " x ,value,x\n1,2,3\n", Mapping(), "has 'x' twice"),
        ("a.csv", "x,value\n1,2\n1,2,3\n", Mapping(), "Row 2 of"),
        *(("a.csv", f"x{m}y\n1{m}2\n", Mapping(), "between its columns; save") for m in ";\t"),
        ("a.txt", "x,value\n1,2\n", Mapping(), "A file of comma-separated values ends in .csv"),
        *(("a.csv", text, Mapping(), "no rows") for text in ("", "x,value\n")),
        ("a.json", '[{"x": 1, "x": 2}]', Mapping(), 'the key "x" occurs twice'),
        ("a.json", "{", Mapping(), "is not JSON"),
        ("a.json", "[]", Mapping(), "--rows"),
        ("a.json", '{"a": 1}', Mapping(rows="a["), "no JMESPath"),
        ("a.json", '{"a": 1}', Mapping(rows="b"), "at 'b'"),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path, name: str, content: str, mapping: Mapping, said: str
) -> None:
    with pytest.raises(BenchmarkError, match=said.replace("[", r"\[")):
        read_rows(written(tmp_path, name, content), mapping)


@pytest.mark.parametrize("content", ["x,value\n0.5,1\n", '[{"x": 0.5, "value": 1}]'])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, content: str) -> None:
    file = tmp_path / ("a.json" if content.startswith("[") else "a.csv")
    file.write_text(content, encoding="utf-8-sig")
    (row,) = read_rows(file, Mapping())
    assert list(row) == ["x", "value"]


def test_a_study_without_declared_tunables_takes_no_rows(
    folder_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("def objective(t): return t.suggest_float('x', 0, 1)\n")
    study = begun(folder_store, tmp_path, objective="own.py:objective")
    with pytest.raises(BenchmarkError, match="'s' declares no tunables"):
        import_rows(study, [{"x": 0.5, "value": 1}])
    assert study.optimizer.trials() == []


@pytest.mark.slow
def test_a_driver_heeds_pause_and_stop(
    folder_store: Store,
    tmp_path: Path,
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However fast trials are, not all have ended before it looks.
    monkeypatch.setattr(control, "EVERY_S", 0.0)
    study = begun(folder_store, tmp_path, X, trials=50)
    config = make_config(memory=300, hard_limit=200)
    first = tune(study, config, on_record=lambda _: control.request(study.run, "stop"))
    assert first.stopped
    assert not first.interrupted
    assert 1 <= len(first.records) < 50
    told: list[str] = []

    def heard(record: Any) -> None:
        told.append(record.task)
        if len(told) == 1:
            control.request(study.run, "pause")
            threading.Timer(1.0, control.request, (study.run, "stop")).start()

    second = tune(study, config, on_record=heard)
    assert second.stopped
    assert study.unfinished() == []
    assert len(told) <= study.definition.at_once
    assert len(study.optimizer.trials()) == len(first.records) + len(told) < 50


def test_a_deleted_study_leaves_the_ones_below_its_name(
    folder_store: Store, tmp_path: Path
) -> None:
    study = begun(folder_store, tmp_path, X, name="team")
    import_rows(begun(folder_store, tmp_path, X, name="team/a"), [{"x": 0.5, "value": 1}])
    delete(study.run, study.definition)
    assert study_names(folder_store) == ["team/a"]
    (one,) = study_list.listed(folder_store)
    assert (one["study"], one["ended"], one["imported"]) == ("team/a", 0, 1)
    assert one["word"] == "go"
    assert one["state"] == "not running"
    assert len(Study.open(folder_store, "team/a").optimizer.trials()) == 1


def test_the_dashboard_shows_the_study(folder_store: Store, tmp_path: Path) -> None:
    study = begun(folder_store, tmp_path, X, name="team/a")
    import_rows(study, [{"x": 0.5, "value": 1}])
    with dashboard.server(study.run, study.definition, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        base = f"http://{dashboard.HOST}:{server.server_port}"
        with urllib.request.urlopen(f"{base}/api/studies", timeout=60) as answer:
            (one,) = json.load(answer)["study_summaries"]
        server.shutdown()
    assert one["study_name"] == "team/a"
    assert server.page == f"/dashboard/studies/{one['study_id']}"


@pytest.mark.slow
def test_a_finished_study_of_infeasible_trials(command: Program, tmp_path: Path) -> None:
    """The list shows them within the terminal's width, and a background start starts nothing."""
    work = tmp_path / "work"
    printed = 'print(\'{"value": {x}, "p99": 30.25}\')'
    objective = {"command": [sys.executable, "-c", printed], "constraints": ["p99 <= 20"]}
    written(work, "s.json", declared(X, trials=1, objective=objective))
    ended = command("tune", "s.json")
    assert "(infeasible: p99 <= 20 (p99 30.25)) [x=" in ended.stderr
    again = command("tune", "--resume", "s", "--mode", "3")
    assert (again.returncode, again.stdout) == (
        *(0,),
        "Study 's' has nothing left to run: it has all of its 1 trial. "
        "--trials N sets a higher number.\n",
    )
    assert not (work / "log").exists()
    more = command("tune", "--resume", "s", "--trials", "2")
    assert "s: 2 of 2 trials" in more.stdout
    fewer = command("tune", "s.json")
    assert fewer.returncode == 0
    assert "it has all of its 2 trials" in fewer.stderr
    assert "s: 2 of 2 trials" in fewer.stdout
    assert " 2/2 " in command("studies").stdout
    head, row = study_list.lines(json.loads(command("studies", "--json").stdout)["studies"], 70)
    assert head.endswith("OBJECTIVE")
    assert "none feasible" in row
    assert (len(row), row[-1]) == (70, "…")


def test_the_commands_as_a_user(program: Program, command: Program, tmp_path: Path) -> None:
    work = tmp_path / "work"
    written(work, "s.json", declared(X, HEAP))
    written(work, "known.csv", "x, heap, p99\n0.5, 64, 3\n0.25, 128, 4\n0.3, 65, 4\n")
    ended = command("studies", "import", "s.json", "known.csv", "--map", "value=p99")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "s: 2 of 3 rows imported, 0 known before, 1 skipped\n"
    assert "row 3 is skipped: The point has 65" in ended.stderr
    assert command("studies", "pause", "s").returncode == 0
    assert "(requested: pause)" in command("studies").stdout
    told = json.loads(command("studies", "show", "s", "--json").stdout)
    assert (told["imported"], told["told"], told["word"]) == (2, 0, "pause")
    assert command("studies", "best", "s", "--format", "env").stdout == "x=0.5\nheap=64\n"
    assert command("studies", "export", "s", "--output", "out").returncode == 0
    with (work / "out" / "experiment-data.csv").open() as file:
        assert [row["value"] for row in csv.DictReader(file)] == ["3.0", "4.0"]
    refused = command("studies", "show", "t")
    assert (refused.returncode, refused.stderr[:5]) == (2, "error")
    assert command("studies", "import", "s").returncode == 2
    assert command("studies", "delete", "s", "--yes").returncode == 0
    none = f"There are no studies in {work}/runs; start one with tune FILE.\n"
    assert command("studies").stdout == none
    assert program("dashboard").returncode == 2
