"""`safe`: small steps from the best safe configuration, and a return to it after a breach."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.report import export, trial_line
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import import_rows
from benchmark.hpo.trials import python_objective
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.store import Store

Point = dict[str, Any]
X = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 100, "default": 50}
MEMORY = {"name": "memory", "value_type": "integer", "lower_bound": "64MiB", "upper_bound": "1GiB"}
MEMORY |= {"unit": "MiB", "default": "512MiB"}
C = {"name": "c", "value_type": "categorical", "choices": ["a", "b"], "default": "a"}
STEPS = {"margin": "10%", "step": {"*": "5%", "memory": "20MiB"}}


def declared(**more: Any) -> dict[str, Any]:
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [X, MEMORY, C],
        "trials": 40,
        "seed": 1,
        "objective": {"command": ["true"]},
        "safe": STEPS,
        **more,
    }


def ended(study: Study, value_of: Callable[[Point], float | None]) -> Record:
    """The next trial with its value; None is a failure."""
    (task,) = study.ask(1)
    value = value_of(task.payload["params"])
    labels = {**task.labels, "values": [value], "constraints": []}
    record = Record(task.key, "success", metrics={"minimize": value or 0.0}, labels=labels)
    if value is None:
        record = Record(task.key, "failure", Cause.FRAMEWORK, "It broke.", labels=task.labels)
    record = results.settle(study.run, results.begin(study.run, task), record)
    study.tell(record)
    return record


def bowl(point: Point) -> float:
    return 100 - point["x"] / 2 + (5 if point["c"] == "b" else 0)


@pytest.mark.parametrize("more", [{}, {"algorithm": "random", "seed": None}])
def test_no_trial_goes_farther_than_a_step(
    more: dict[str, Any], folder_store: Store, tmp_path: Path
) -> None:
    study = Study.begin(folder_store, define(declared(**more), tmp_path))
    best, score = {"x": 50, "memory": 512, "c": "a"}, 75.0
    for _ in range(25):
        point = ended(study, bowl).labels["params"]
        if point != {"x": 50, "memory": 512, "c": "a"}:  # the default runs now and then
            assert abs(point["x"] - best["x"]) <= 5
            assert abs(point["memory"] - best["memory"]) <= 20
            if point["c"] != best["c"]:
                assert {**point, "c": best["c"]} == best
        if bowl(point) < score:
            best, score = point, bowl(point)
    assert score < 75.0
    if "seed" not in more:
        assert best["x"] > 60


def test_after_a_breach_the_best_safe_point_runs(
    folder_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.begin(folder_store, define(declared(), tmp_path))
    good = [ended(study, bowl) for _ in range(5)]
    best = min(good, key=lambda record: record.labels["values"][0])
    bad = ended(study, lambda _: 90.0)
    assert bad.labels["safe_limit"] == pytest.approx(82.5)
    assert "Trial 5 was more than 10% worse than the default" in capsys.readouterr().err
    back = ended(study, bowl)
    assert (back.labels["params"], back.labels["safe"]) == (best.labels["params"], "after a breach")
    failed = ended(study, lambda _: None)
    assert ended(study, bowl).labels["params"] == best.labels["params"]
    assert failed.labels["params"] != best.labels["params"]
    records = export.trial_records(study.run)
    assert trial_line.counts(records, study.definition).endswith("1 failure, 0 pruned; 2 unsafe")


def test_imported_trials_show_nothing_of_this_system(folder_store: Store, tmp_path: Path) -> None:
    """Neither its limit, nor a breach, nor a point that is safe here."""
    study = Study.begin(folder_store, define(declared(), tmp_path))
    default = {"x": 50, "memory": 512, "c": "a"}
    rows = [{**default, "value": 7}, {**default, "x": 99, "value": 1}, {**default, "x": 1}]
    rows[2]["state"] = "failure"
    assert import_rows(study, rows).imported == 3
    first = ended(study, bowl)
    assert (first.labels["params"], first.labels.get("safe_limit")) == (default, None)
    second = ended(study, bowl)
    assert second.labels["safe_limit"] == pytest.approx(82.5)
    assert abs(second.labels["params"]["x"] - 50) <= 5
    assert "safe" not in second.labels


def test_the_default_runs_until_it_has_a_value(folder_store: Store, tmp_path: Path) -> None:
    study = Study.begin(folder_store, define(declared(), tmp_path))
    first = [ended(study, lambda _: None), ended(study, lambda _: None), ended(study, bowl)]
    assert [record.labels["params"] for record in first] == [{"x": 50, "memory": 512, "c": "a"}] * 3
    assert ended(study, bowl).labels["safe_limit"] == pytest.approx(82.5)


def test_fewer_breaches_at_a_cliff_than_without(folder_store: Store, tmp_path: Path) -> None:
    def cliff(point: Point) -> float:
        return 65 + abs(point["x"] - 70) / 2 + (200 if point["x"] > 80 else 0)

    breaches = {}
    for name, safe in (("safe", "10%"), ("free", None)):
        more = {"name": name, "safe": safe, "default_every": 10}
        study = Study.begin(folder_store, define(declared(**more), tmp_path))
        records = [ended(study, cliff) for _ in range(30)]
        breaches[name] = sum(record.labels["values"][0] > 82.5 for record in records)
        assert min(record.labels["values"][0] for record in records) < 66
    assert breaches["safe"] <= breaches["free"] / 2


def test_a_resumed_study_proposes_the_same(folder_store: Store, tmp_path: Path) -> None:
    points = {}
    for name in ("whole", "parts"):
        study = Study.begin(folder_store, define(declared(name=name), tmp_path))
        found = [ended(study, bowl) for _ in range(4)]
        found.append(ended(study, lambda _: 99.0))
        if name == "parts":
            study = Study.open(folder_store, "parts")
        found += [ended(study, bowl) for _ in range(4)]
        points[name] = [record.labels["params"] for record in found]
    assert points["whole"] == points["parts"]


@pytest.mark.parametrize(("direction", "bound"), [("minimize", "upper"), ("maximize", "lower")])
def test_a_python_objective_is_ended_at_the_limit(
    direction: str, bound: str, folder_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("def objective(trial): return 1.0\n")
    values = declared(direction=direction, objective={"python": "own.py:objective"})
    study = Study.begin(folder_store, define(values, tmp_path))
    ended(study, lambda _: 100.0)
    (task,) = study.ask(1)
    limit = 110.0 if direction == "minimize" else 90.0
    pruner = python_objective.request(study.definition, task, [])["pruner"]
    assert pruner == {"class": "ThresholdPruner", bound: pytest.approx(limit)}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"safe": "much"}, "'safe' has 'much' as 'margin'; write a share above 0 such as 10%."),
        ({"safe": {"step": "5%"}}, "'safe' has None as 'margin'"),
        ({"safe": {"margin": "5%", "stepp": 1}}, "unknown key 'stepp'; did you mean 'step'?"),
        ({"safe": {"margin": "5%", "step": {"y": "5%"}}}, "a step for 'y'; "),
        ({"safe": {"margin": "5%", "step": {"x": 0.5}}}, "has the step 0.5 for 'x'"),
        ({"safe": {"margin": "5%", "step": {"memory": "2s"}}}, "has the step '2s' for 'memory'"),
        ({"safe": {"margin": "5%", "step": 3}}, "has the step 3 for '*'"),
        ({"initial": [{"x": 1, "memory": 64, "c": "a"}]}, "'initial' has points that no trial"),
        ({"algorithm": "grid"}, "which the algorithm grid does not"),
        ({"direction": None, "directions": ["minimize", "maximize"]}, "a study of one direction"),
        ({"tunables": [{**X, "default": None}]}, "give every tunable a 'default'"),
        ({"objective": {}}, "'safe' is for trials that this program runs"),
    ],
)
def test_what_is_wrong_is_said(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    values = {key: value for key, value in declared(**more).items() if value is not None}
    if "tunables" in more:
        values["tunables"] = [{k: v for k, v in X.items() if k != "default"}]
    with pytest.raises(StudyError, match=re.escape(said)):
        define(values, tmp_path)
