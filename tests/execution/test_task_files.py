"""What a task left is hostile input: read exactly, or the framework's failure in one sentence."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import holdout, load
from benchmark.execution.answer import read_answer, read_inference
from benchmark.execution.evaluation import _checked, _described
from benchmark.execution.metric_values import UnusablePredictions
from benchmark.execution.sandbox import sandbox
from benchmark.execution.worker import task
from benchmark.files.safe_text import plain_text
from benchmark.hpo.objectives.metrics.measuring import LARGEST
from benchmark.hpo.objectives.metrics.measuring import read_answer as read_trial_answer
from benchmark.hpo.sandboxed import python_trial
from benchmark.hpo.trials import python_objective
from benchmark.hpo.trials.evaluation import _printed
from benchmark.records.results import Cause, Record, failure

TIMES = {"setup_s": 1, "fit_s": 1.5, "predict_s": 0}
LEFT = {
    "a pipe": (os.mkfifo, "not a regular file"),
    "a folder": (os.mkdir, "Is a directory"),
    "a link": (lambda path: path.symlink_to("/dev/zero"), "is a link"),
    "40 GB": (
        lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 40 << 30),
        "40,960",
    ),
    "brackets": (lambda path: path.write_text("[" * 100_000), "nested too deeply"),
    "NaN": (lambda path: path.write_text('{"fit_s": NaN}'), "NaN is not a JSON value"),
    "1e999": (lambda path: path.write_text('{"fit_s": 1e999}'), "1e999 is out of range"),
    "digits": (lambda path: path.write_text("1" * 100_000), "not valid JSON"),
    "bytes": (lambda path: path.write_bytes(bytes(range(256))), "not valid JSON"),
    "a list": (lambda path: path.write_text("[]"), "holds list"),
    "nothing": (Path.touch, "not valid JSON"),
}
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "another status": (TIMES | {"status": "prune"}, "status: 'prune'"),
    "another cause": ({"status": "failure", "cause": "data", "message": ""}, "not an outcome"),
    "no message": ({"status": "failure", "cause": "framework"}, "not an outcome"),
    "a time in text": (TIMES | {"status": "success", "fit_s": "\ud800"}, "fit_s: '\ufffd'"),
    "a time without end": (TIMES | {"status": "success", "predict_s": 1e99}, "predict_s: 1e+99"),
    "a time that is true": (TIMES | {"status": "success", "setup_s": True}, "setup_s: True"),
    "a time below 0": (TIMES | {"status": "success", "setup_s": -1}, "setup_s: -1"),
    "classes of numbers": (TIMES | {"status": "success", "classes": [1]}, "classes: [1]"),
    "a class": (TIMES | {"status": "success", "classes": "ab"}, "classes: 'ab'"),
}


def said(folder: Path) -> tuple[dict[str, Any], tuple[Cause, str] | None]:
    return _checked(sandbox._said(folder / task.OUTCOME))


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_an_outcome_is_the_frameworks_failure(name: str, tmp_path: Path) -> None:
    make, words = LEFT[name]
    make(tmp_path / task.OUTCOME)
    fault = said(tmp_path)[1]
    assert fault is not None
    assert fault[0] is Cause.FRAMEWORK
    assert words in fault[1]


@pytest.mark.parametrize("name", FORMS)
def test_an_outcome_of_another_form_is_the_frameworks_failure(name: str, tmp_path: Path) -> None:
    value, words = FORMS[name]
    (tmp_path / task.OUTCOME).write_text(json.dumps(value))
    fault = said(tmp_path)[1]
    assert fault is not None
    assert fault[0] is Cause.FRAMEWORK
    assert words in fault[1]


def test_an_outcome_of_the_workers_form_is_read_exactly(tmp_path: Path) -> None:
    value = TIMES | {"status": "success", "classes": ["\x01", "b" * 5000], "description": {}}
    (tmp_path / task.OUTCOME).write_text(json.dumps(value))
    assert said(tmp_path) == (value, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
outcomes = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.sampled_from([1, 0.5, "success", "failure", "framework", ["a"]])
        for name in ("status", "cause", "message", "classes", "description", *TIMES)
    },
)


@settings(max_examples=200)
@given(outcomes)
def test_any_outcome_ends_as_a_record(value: dict[str, Any]) -> None:
    """A success only of the worker's form; a record in any case, which reads back equal."""
    text = json.dumps(value).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.execution.task_files.read_left", lambda *_, **__: text)
        found, fault = said(Path())
    description, notes = _described(found, "")
    message = plain_text(" ".join(notes))
    record = failure("a/b/1", *fault) if fault else Record("a/b/1", "success", message=message)
    if fault:
        assert fault[0] in (Cause.FRAMEWORK, Cause.MEMORY, Cause.SETUP)
    else:
        assert all(isinstance(found[name], int | float) for name in TIMES)
    facts = {name: part for name, part in description.items() if part is not None}
    record = Record(**(vars(record) | facts))
    assert Record.from_bytes(record.to_bytes()) == record


class Adapter:
    """An adapter whose report is what it is given, or what that returns."""

    def __init__(self, report: Any) -> None:
        self.report = report

    def describe(self, model: Any) -> Any:
        return self.report() if callable(self.report) else self.report


def itself() -> dict[str, Any]:
    report: dict[str, Any] = {}
    report["version"] = report
    return report


def leave() -> None:
    raise SystemExit("enough")


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


REPORTS: dict[str, tuple[Any, str]] = {
    "leaves": (leave, "describe() failed: SystemExit: enough."),
    "is a list": (["what"], "describe() returned ['what'], not a dict."),
    "is itself": (itself, "describe() returned version {'version'"),
    "is odd": ({"models": "many", "leaderboard": {"a": 1}}, "describe() returned models 'many'"),
    "has no text": ({"version": Unspeakable()}, "describe() failed: RuntimeError: no text."),
    "is large": (
        lambda: {"leaderboard": [{str(n): "x" * 2000 for n in range(5000)}]},
        "more than 8388608",
    ),
    "has digits": ({"models": 10**5000}, "describe() failed: ValueError"),
}


def reported(folder: Path, report: Any) -> tuple[dict[str, Any], list[str]]:
    outcome = TIMES | {"status": "success", "classes": None}
    task._write({"work": str(folder)}, outcome)
    task._describe({"work": str(folder)}, Adapter(report), None, outcome)
    found, fault = said(folder)
    assert fault is None
    assert {name: found[name] for name in TIMES} == TIMES
    return _described(found, "")


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_fails_leaves_the_result_and_a_note(name: str, tmp_path: Path) -> None:
    report, words = REPORTS[name]
    description, notes = reported(tmp_path, report)
    assert words in " ".join(notes)
    assert not description.get("models")


def test_a_report_in_odd_forms_is_kept_plain(tmp_path: Path) -> None:
    row = {
        ("a", 1): np.float32(0.5),
        "b": float("nan"),
        "c": np.arange(2),
        "d": object,
        "e": "\x1b",
    }
    description, notes = reported(
        tmp_path, {"models": np.int64(3), "leaderboard": [row] * 300, "version": "1\ud800"}
    )
    plain = {"('a', 1)": 0.5, "b": None, "c": [0, 1], "d": "<class 'object'>", "e": "\ufffd"}
    assert description["leaderboard"] == [plain] * 200
    assert (description["models"], description["version"], notes) == (3, "1\ufffd", [])


def test_an_error_behind_a_safe_result_changes_nothing(tmp_path: Path) -> None:
    outcome = TIMES | {"status": "success"}
    task._write({"work": str(tmp_path)}, outcome)
    (tmp_path / task.SAFE).touch()
    task._fail({"work": str(tmp_path)}, RuntimeError("late"))
    assert said(tmp_path) == (outcome, None)


def predictions(path: Path, **columns: Any) -> None:
    table = pyarrow.table(columns)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


PREDICTIONS: dict[str, tuple[Any, str]] = {
    "none": (lambda path: None, "left no predictions"),
    "a pipe": (os.mkfifo, "not a regular file"),
    "40 GB": (LEFT["40 GB"][0], "40,960 MiB"),
    "text": (lambda path: path.write_text("{}"), "cannot be read"),
    "other columns": (lambda path: predictions(path, a=[1.0]), "other columns"),
    "a list": (lambda path: predictions(path, prediction=[[1.0]]), "type list"),
    "a gap": (lambda path: predictions(path, prediction=[1.0, None]), "a missing value in row 1"),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_unusable_predictions_are_named(name: str, tmp_path: Path) -> None:
    make, words = PREDICTIONS[name]
    make(tmp_path / task.PREDICTIONS)
    dataset = load("cpu")
    outcome: Any = SimpleNamespace(folder=tmp_path, said=TIMES)
    with pytest.raises(UnusablePredictions, match=words):
        read_answer(dataset, holdout(dataset, 1), outcome)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"since": "x"}', '{"since": 1, "s_per_row": 3}', '{"since": 1e400}']
)
def test_unusable_times_are_no_times(text: str, tmp_path: Path) -> None:
    (tmp_path / "inference.json").write_text(text)
    outcome: Any = SimpleNamespace(folder=tmp_path, afterwards="", gone=0.0)
    assert read_inference(outcome).cut == "Its times cannot be read."


@pytest.mark.parametrize("name", ["a pipe", "a folder", "a link", "40 GB", "brackets"])
def test_what_a_trial_left_is_read_as_a_tasks_files_are(name: str, tmp_path: Path) -> None:
    LEFT[name][0](tmp_path / "file")
    assert read_trial_answer(tmp_path, "file") is None
    LEFT[name][0](tmp_path / python_trial.NOTES)
    assert not any(python_objective._notes(tmp_path).values())
    printed = _printed(tmp_path / "file")
    assert len(printed) <= LARGEST
    assert printed == "" or name in ("40 GB", "brackets")
