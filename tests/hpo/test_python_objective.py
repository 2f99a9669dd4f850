"""A Python objective's trial keeps what it said of itself, however it ended."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from benchmark.execution.work import Outcome
from benchmark.hpo.report import export, trial_line
from benchmark.hpo.sandboxed import python_trial
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials import python_objective
from benchmark.hpo.trials.trial_record import Trial
from benchmark.records.results import Cause, Record
from benchmark.store import Store

OBJECTIVE = """
import math, os, optuna
def objective(trial):
    os.makedirs("elsewhere")
    os.chdir("elsewhere")
    x = trial.suggest_float("x", 0, 1)
    c = trial.suggest_categorical("c", [0, False, 1, True, 1.0, "1"])
    n = trial.suggest_int("n", 2, 2)
    trial.set_user_attr("size", 12)
    trial.set_user_attr("device", "gpu")
    trial.set_user_attr("odd", {(1, 2): object})
    loop = []
    loop.append(loop)
    trial.set_user_attr("loop", loop)
    for step in (1, 2):
        trial.report(x / step, step)
    END
"""
ENDS = {
    "raised": ("raise RuntimeError('boom')", None, 1, "framework", "boom"),
    "left": ("raise SystemExit(3)", None, 3, "framework", "The objective failed"),
    "not finite": ("return math.nan", None, 0, "framework", "no finite number"),
    "pruned": ("raise optuna.TrialPruned('bad')", None, 0, None, "bad"),
    "too long": ("KILLED", Cause.TIMEOUT, None, "timeout", "too long"),
    "too large": ("KILLED", Cause.MEMORY, None, "memory", "too long"),
    "crashed": ("KILLED", None, -11, "framework", "The objective failed"),
}


def worked(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    params: dict[str, Any] | None,
    history: Sequence[dict[str, Any]] = (),
) -> None:
    """What the sandbox does, in this process."""
    (folder / "own.py").write_text(OBJECTIVE.replace("END", end.replace("KILLED", "raise Killed")))
    request: dict[str, Any] = {
        **{"study": "s", "number": 0, "params": params, "function": "own.py:objective"},
        **{"directions": ["minimize"], "pruner": {"class": "NopPruner"}},
        **{"sampler": None, "history": list(history), "number": len(history)},
    }
    (folder / python_objective.REQUEST).write_text(json.dumps(request))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "objective", None)
    with contextlib.suppress(RuntimeError, SystemExit, NameError):
        python_trial.main(python_objective.REQUEST)
    monkeypatch.undo()
    if end == "KILLED":
        (folder / python_trial.ANSWER).unlink()
        with (folder / python_trial.NOTES).open("ab") as file:
            file.write(b'["user_attrs", "siz')


def outcome(folder: Path, cause: Cause | None, code: int | None) -> Outcome:
    return Outcome(
        folder=folder,
        said={},
        cause=cause,
        message="It took too long." if cause else "",
        code=code,
        stage=None,
        wall_s=1.0,
        peak_memory_mb=None,
        baseline_memory_mb=None,
        sandbox="none",
        log=b"Traceback\nRuntimeError: boom\n",
        afterwards="",
        gone=0.0,
        follow_up=lambda _: pytest.fail("no follow-up"),
    )


@pytest.mark.parametrize("name", ENDS)
def test_an_open_study_learns_the_point(
    name: str, folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, cause, code, caused, said = ENDS[name]
    (tmp_path / "own.py").write_text(OBJECTIVE)
    values = {"name": "s", "direction": "minimize", "objective": "own.py:objective"}
    study = Study.begin(folder_store, define(values, tmp_path))
    (task,) = study.ask()
    work = tmp_path / "work"
    work.mkdir()
    worked(work, monkeypatch, end, None)
    record = python_objective.measured(
        Trial(task, study.definition, outcome(work, cause, code), {})
    )
    assert isinstance(record, Record)
    assert (record.status, record.cause) == ("failure" if caused else "prune", caused)
    assert said in record.message
    kept = json.loads(record.to_bytes())["labels"]
    x, c = kept["params"]["x"], kept["params"]["c"]
    assert kept["params"] == {"x": x, "c": c, "n": 2}
    assert kept["intermediate"] == {"1": x, "2": x / 2}
    assert kept["user_attrs"]["size"] == 12
    assert record.metrics == {"size": 12.0}

    assert study.tell(record)
    (trial,) = study.optimizer.trials()
    assert trial.state.name == ("FAIL" if caused else "PRUNED")
    assert (trial.params, type(trial.params["c"])) == (kept["params"], type(c))
    assert trial.intermediate_values == {1: x, 2: x / 2}
    assert trial.user_attrs["device"] == "gpu"
    assert f"x={x:.6g} c={c}" in trial_line.line(record, study.definition, study.run.store)
    (row,) = csv.DictReader(io.StringIO(export.table([record], study.definition)))
    assert (row["x"], row["n"], row["size"], row["device"]) == (str(x), "2", "12.0", "gpu")
    assert json.loads(row["steps"]) == kept["intermediate"]


def test_a_killed_trial_keeps_the_declared_point(
    tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the part of it that the objective had asked for."""
    (tmp_path / "own.py").write_text(OBJECTIVE)
    tunables = [
        {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
        {"name": "c", "value_type": "categorical", "choices": [False, 0], "default": 0},
        {"name": "late", "value_type": "integer", "lower_bound": 1, "upper_bound": 3},
    ]
    values: dict[str, Any] = {"name": "s", "direction": "minimize", "tunables": tunables}
    values |= {"objective": "own.py:objective", "seed": 1}
    study = Study.begin(folder_store, define(values, tmp_path))
    (task,) = study.ask()
    work = tmp_path / "work"
    work.mkdir()
    params = task.payload["params"]
    worked(work, monkeypatch, "KILLED", params)
    trial = Trial(task, study.definition, outcome(work, Cause.TIMEOUT, None), dict(params))
    record = python_objective.measured(trial)
    assert isinstance(record, Record)
    assert record.labels["params"] == params
    assert record.labels["intermediate"] == {"1": params["x"], "2": params["x"] / 2}


@pytest.mark.parametrize("notes", ["", '[1]\nnull\n[[], 1, 2]\n["params", 1, 2]\n{}\n', "\x00"])
def test_notes_are_not_trusted(notes: str, tmp_path: Path) -> None:
    (tmp_path / python_trial.NOTES).write_text(notes)
    assert not any(python_objective._notes(tmp_path).values())
    assert not any(python_objective._notes(tmp_path / "none").values())


@pytest.mark.parametrize(
    ("given", "suggested"),
    [(True, 1), (0, False), (1.0, True), ("1", 1), (1, "1"), (1, 1.0), (2.0, 2), (0.0, -0.0)],
)
def test_a_suggestion_of_another_type_is_another_value(given: Any, suggested: Any) -> None:
    kind = optuna.distributions.CategoricalDistribution([suggested])
    trial = optuna.trial.create_trial(params={"c": suggested}, distributions={"c": kind}, value=1.0)
    assert "from another range" in str(python_trial._unlike({"c": given}, trial))
    assert python_trial._unlike({"c": suggested}, trial) is None


def test_other_choices_of_one_name_end_no_study(folder_store: Store, tmp_path: Path) -> None:
    """Optuna keeps one list for a name; trials that run at the same time may have used two."""
    (tmp_path / "own.py").write_text(OBJECTIVE)
    values = {"name": "s", "direction": "minimize", "objective": "own.py:objective"}
    study = Study.begin(folder_store, define(values, tmp_path))
    lists: list[list[Any]] = [["a", 1], [True, "b"]]
    for task, choices in zip(study.ask(2), lists, strict=True):
        distribution = optuna.distributions.CategoricalDistribution(choices)
        text = optuna.distributions.distribution_to_json(distribution)
        labels = {"params": {"c": choices[0]}, "distributions": {"c": text}}
        assert study.tell(Record(task.key, "failure", Cause.FRAMEWORK, labels=labels))
    trials = study.optimizer.trials()
    assert [(trial.state.name, trial.params) for trial in trials] == [
        ("FAIL", {"c": "a"}),
        ("FAIL", {}),
    ]


def test_a_later_trial_may_not_use_other_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution = optuna.distributions.CategoricalDistribution(["a", "b"])
    past: dict[str, Any] = {
        **{"number": 0, "state": "FAIL", "values": None, "params": {"c": "a"}},
        "distributions": {"c": optuna.distributions.distribution_to_json(distribution)},
        **{"intermediate": {}, "system_attrs": {}, "constraints": []},
    }
    with pytest.raises(ValueError, match="dynamic value space"):
        worked(tmp_path, monkeypatch, "return 1", None, [past])
    answer = json.loads((tmp_path / python_trial.ANSWER).read_text())
    assert answer["status"] == "failure"
    assert list(answer["params"]) == ["x"]


OPEN = {"name": "s", "direction": "minimize", "objective": "own.py:objective"}


def of_open(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, end: str) -> Any:
    """A study whose objective names its tunables, and what came of its first trial."""
    (folder / "own.py").write_text(OBJECTIVE)
    study = Study.begin(store, define(OPEN, folder))
    (task,) = study.ask()
    work = folder / "work"
    work.mkdir()
    worked(work, monkeypatch, end, None)
    trial = Trial(task, study.definition, outcome(work, None, 0), {})
    found = python_objective.measured(trial)
    return study, found if isinstance(found, Record) else trial.measured([found])


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        ("True", "'True', which is a boolean"),
        ("'0.5'", "'0.5', which is a text"),
        ("b'1'", "which is a text"),
        ("__import__('numpy').bool_(True)", "'True', which is a boolean"),
        ("{}", "which is of the type dict"),
        ("1j", "which is complex"),
        ("__import__('numpy').array(['1'])[0]", "'1', which is a text"),
    ],
)
def test_what_is_returned_and_is_no_number(
    returned: str, kind: str, tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, record = of_open(tmp_path, folder_store, monkeypatch, f"return {returned}")
    assert isinstance(record, Record)
    assert (record.status, record.cause) == ("failure", Cause.FRAMEWORK)
    assert kind in record.message
    assert "values" not in record.labels


@pytest.mark.parametrize(
    ("reported", "said"),
    [
        ("True, 0", "reported 'True', which is a boolean"),
        ("'0.5', 0", "reported '0.5', which is a text"),
        ("__import__('numpy').bool_(False), 0", "reported 'False', which is a boolean"),
        ("0.5, True", "reported the step True"),
        ("0.5, 1.5", "reported the step 1.5"),
        ("0.5, '1'", "reported the step '1'"),
    ],
)
def test_what_is_reported_and_is_no_number(
    reported: str, said: str, tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = f"trial.report(0.25, 7); trial.report({reported}); return 1.0"
    with pytest.raises(TypeError, match=said):
        of_open(tmp_path, folder_store, monkeypatch, end)


@pytest.mark.parametrize(
    "returned", ["1", "0.5", "__import__('numpy').float32(0.5)", "__import__('numpy').int64(3)"]
)
def test_numbers_of_other_libraries_are_numbers(
    returned: str, tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = f"trial.set_user_attr('one', {returned}); return {returned}"
    _, record = of_open(tmp_path, folder_store, monkeypatch, end)
    assert record.status == "success"
    assert record.metrics["value"] == record.metrics["one"]


def test_choices_of_an_open_study_are_shown_apart(folder_store: Store, tmp_path: Path) -> None:
    choices = (1, "1", None, "None", True, "x")
    (tmp_path / "own.py").write_text(OBJECTIVE)
    definition = define(OPEN, tmp_path)
    text = optuna.distributions.distribution_to_json(
        optuna.distributions.CategoricalDistribution(choices)
    )
    labels = [{"params": {"c": one}, "distributions": {"c": text}} for one in choices]
    records = [Record(str(n), "prune", labels=one) for n, one in enumerate(labels)]
    lines = [
        trial_line.line(record, definition, folder_store).partition("[")[2] for record in records
    ]
    assert lines == ["c=1]", 'c="1"]', "c=null]", 'c="None"]', "c=true]", "c=x]"]
    cells = [row["c"] for row in csv.DictReader(io.StringIO(export.table(records, definition)))]
    assert cells == ["1", '"1"', "null", '"None"', "true", "x"]


def test_reported_steps_are_strict_json(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OBJECTIVE)
    steps = {"1": 0.5, "2": float("nan"), "3": float("-inf")}
    record = Record("0", "prune", labels={"params": {}, "intermediate": steps})
    table = export.table([record], define(OPEN, tmp_path))
    (row,) = csv.DictReader(io.StringIO(table))

    def refuse(name: str) -> None:
        pytest.fail(f"{name} is not JSON")

    found = json.loads(row["steps"], parse_constant=refuse)
    assert found == {"1": 0.5, "2": "nan", "3": "-inf"}


def test_a_constraint_that_the_objective_sets_holds(
    tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = "trial.set_constraint('p99', x + 3); trial.set_constraint('mb', -1); return x"
    study, record = of_open(tmp_path, folder_store, monkeypatch, end)
    assert record.labels["constraints"] == [record.labels["params"]["x"] + 3, -1]
    assert export.best_of([record], study.definition) == []
    assert "(infeasible: constraint 1)" in trial_line.line(
        record, study.definition, study.run.store
    )
    assert study.tell(record)
    (trial,) = study.optimizer.trials()
    assert list(trial.constraints.values()) == record.labels["constraints"]


def test_an_objective_stops_its_study(
    tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = "trial.study.stop(); return x"
    study, record = of_open(tmp_path, folder_store, monkeypatch, end)
    assert record.status == "success"
    assert study.why_stop is None
    study.tell(record)
    assert study.why_stop == "Trial 0 called study.stop()."


@pytest.mark.parametrize(
    "call", ["enqueue_trial({})", "set_user_attr('a', 1)", "optimize(print, callbacks=[print])"]
)
def test_what_would_have_no_effect_within_a_trial_is_refused(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = f"""try:
        trial.study.{call}
    except RuntimeError as error:
        raise optuna.TrialPruned(str(error))"""
    worked(tmp_path, monkeypatch, end, None)
    answer = json.loads((tmp_path / python_trial.ANSWER).read_text())
    name = call.partition("(")[0]
    assert f"study.{name}() has no effect within a trial; " in answer["message"]


def history(*states: str) -> list[dict[str, Any]]:
    """Past trials as the sandbox gets them; x is the number."""
    rest = {"intermediate": {1: 0.5}, "constraints": [], "distributions": {}, "system_attrs": {}}
    return [
        rest
        | {"number": number, "state": state, "params": {"x": number, "y": 1}}
        | {"values": [5.0] if state == "COMPLETE" else None}
        for number, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("algorithm", "pruner", "states"),
    [
        ("optuna_tpe", "none", ["COMPLETE", "COMPLETE", "PRUNED"]),
        ("cmaes", "none", ["COMPLETE", "COMPLETE", "COMPLETE"]),
        ("optuna_tpe", "median", ["COMPLETE", "PRUNED", "PRUNED"]),
    ],
)
def test_an_open_study_s_sampler_learns_from_failures(
    algorithm: str, pruner: str, states: list[str], tmp_path: Path, folder_store: Store
) -> None:
    (tmp_path / "own.py").write_text(OBJECTIVE)
    values = OPEN | {"algorithm": algorithm, "pruner": pruner}
    study = Study.begin(folder_store, define(values, tmp_path))
    (task,) = study.ask()

    def taught(past: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = python_objective.request(study.definition, task, past)[
            "history"
        ]
        return found

    found = taught(history("COMPLETE", "FAIL", "PRUNED"))
    assert [one["state"] for one in found] == states
    assert [one["constraints"] for one in found[:2]] == [[-1.0], [1.0]]
    if states[1] == "COMPLETE":
        assert (found[1]["values"], found[1]["intermediate"]) == ([5.0], {})
    # One that ended before it had asked for all its tunables would hide the others from cmaes.
    early = history("COMPLETE", "FAIL")
    del early[1]["params"]["y"]
    assert taught(early)[1]["state"] == ("FAIL" if algorithm == "cmaes" else states[1])
