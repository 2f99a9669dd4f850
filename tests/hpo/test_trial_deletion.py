"""One trial of a stored study deleted: gone for every reader, its number never used again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main
from benchmark.hpo.report import export
from benchmark.hpo.samplers.algorithms import pruner_of
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.space.space_file import read_space
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.storages.deleted_trials import RemainingTrials
from benchmark.hpo.storages.storage import open_storage
from benchmark.hpo.storages.trial_write import TrialWrite
from benchmark.hpo.study.store import journal_path
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.store import Store, open_store

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
DECLARED: dict[str, Any] = {
    "name": "s",
    "direction": "minimize",
    "tunables": [X],
    "trials": 5,
    "seed": 1,
    "algorithm": "random",
    "objective": {"command": ["true", "{x}"]},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return open_store("./runs")


@pytest.fixture
def study(store: Store, tmp_path: Path) -> Study:
    """Of four trials, three have the values 0, 1 and 2; the last one has not ended."""
    made = Study.begin(store, define(DECLARED, tmp_path))
    for task in made.ask(3):
        attempt = results.begin(made.run, task)
        number = int(task.key)
        labels = task.labels | {"values": [float(number)]}
        record = Record(task=task.key, status="success", metric="value", labels=labels)
        assert made.tell(results.settle(made.run, attempt, record))
    made.ask(1)
    return made


@pytest.fixture
def command(store: Store, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*words: str, fails: bool = False) -> Any:
        status = main(["studies", *words, "--set", "s3_bucket_root=./runs"])
        shown = capsys.readouterr()
        assert status == (2 if fails else 0), shown
        return shown.err if fails else shown.out

    return run


def left(study: Study) -> list[str]:
    paths = study.run.store.list(study.run.name)
    return [path for path in paths if "/0/" in path or path.endswith("/0.json")]


def test_every_reader_leaves_it_out(study: Study, command: Callable[..., Any]) -> None:
    study.run.store.put(study.run.artifact_path("0", 1, "a.txt"), b"a")
    deleted = command("delete", "s", "--trial", "0", "--yes", "--json")
    assert json.loads(deleted) == {"study": "s", "deleted": 0}
    assert left(study) == ["studies/s/attempts/0/0002-aside.json", "studies/s/deleted/0.json"]
    shown = json.loads(command("show", "s", "--json"))
    assert (shown["told"], shown["best"][0]["trial"]) == (2, 1)
    assert json.loads(command("best", "s"))["trial"] == 1
    again = Study.open(study.run.store, "s")
    assert again.optimizer.study.best_trial.number == 1
    assert [one.number for one in again.optimizer.trials()] == [1, 2, 3]
    assert again.optimizer.study.trials[0].params == {}
    assert again.progress.own_trials == 2
    assert again.left == 2
    assert [task.key for task in again.ask(5)] == ["4", "5"]


def test_what_cannot_be_deleted(study: Study, command: Callable[..., Any]) -> None:
    for words, fault in (
        (("--trial", "9"), "There is no trial 9 in 's'; `studies export s` lists its trials."),
        (("--trial", "3"), "Trial 3 of 's' has not ended; delete it when it has."),
    ):
        assert fault in command("delete", "s", *words, "--yes", fails=True)
    command("delete", "s", "--trial", "0", "--yes")
    again = command("delete", "s", "--trial", "0", "--yes", fails=True)
    assert "There is no trial 0 in 's'" in again
    refused = command("show", "s", "--trial", "0", fails=True)
    assert "--trial is for studies delete; show takes no trial." in refused
    with pytest.raises(SystemExit, match="2"):
        command("delete", "s", "--trial", "-1", "--yes")
    for words in (("delete", "s", "t", "--yes"), ("list", "t")):
        refused = command(*words, fails=True)
        assert f"{words[0]} takes no further argument, and 't' is one; leave it" in refused
    with study.run.store.lock("driver-studies/s"):
        assert "studies/s" in command("delete", "s", "--trial", "1", "--yes", fails=True)
    assert [record.task for record in export.trial_records(study.run)] == ["1", "2"]


def test_what_cannot_be_deleted_is_refused_before_the_question(
    study: Study, command: Callable[..., Any]
) -> None:
    for number, fault in (("9", "There is no trial 9"), ("3", "Trial 3 of 's' has not ended")):
        refused = command("delete", "s", "--trial", number, fails=True)
        assert fault in refused
        assert "Delete trial" not in refused
    assert "Delete trial 0 of the study 's'?" in command("delete", "s", "--trial", "0", fails=True)
    with study.run.store.lock("driver-studies/s"):
        assert "Delete the study" not in command("delete", "s", fails=True)
    assert "Delete the study 's'" in command("delete", "s", fails=True)


def test_a_lost_journal_is_made_again_without_it(study: Study, command: Callable[..., Any]) -> None:
    points = [one.params for one in study.optimizer.by_number()]
    command("delete", "s", "--trial", "1", "--yes")
    Path(journal_path(study.run.store, study.run.name)).unlink()
    for _ in range(2):
        again = Study.open(study.run.store, "s")
        assert again.optimizer.deleted == {1}
        assert [one.params for one in again.optimizer.by_number()] == points
        assert [task.key for task in again.unfinished()] == ["3"]
        assert again.left == 2


def test_a_deletion_that_was_cut_short_is_completed(
    study: Study,
) -> None:
    study.optimizer.delete(0)
    assert "studies/s/out/0.json" in left(study)
    Study.open(study.run.store, "s")
    assert left(study) == ["studies/s/attempts/0/0002-aside.json", "studies/s/deleted/0.json"]


@pytest.mark.parametrize("deletes", [False, True])
def test_a_pruner_does_not_compare_with_it(deletes: bool, tmp_path: Path) -> None:
    optimizer = optimizer_at(f"{tmp_path}/s.journal")
    pruner = pruner_of("hyperband", {"min_resource": 1, "max_resource": 9, "reduction_factor": 3})

    def is_pruned(value: float) -> bool:
        number = optimizer.ask().number
        for step in range(1, 10):
            optimizer.write(number, TrialWrite(intermediate={step: value}))
            if pruner.prune(optimizer.study, optimizer.study.trials[number]):
                return True
        optimizer.tell(number, Told("success", (value,)))
        return False

    good = [number for number in range(9) if not is_pruned(0.0)]
    for number in good if deletes else ():
        optimizer.delete(number)
    assert is_pruned(1.0) is not deletes
    assert optimizer.study.best_value == (1.0 if deletes else 0.0)


def test_two_processes_delete_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    one, other = optimizer_at(url), optimizer_at(url)
    for _ in range(2):
        one.tell(one.ask().number, Told("failure"))
    for each in (one, other):
        each.storage.follows = False  # type: ignore[attr-defined]
        each.refresh()
    one.delete(0)
    other.delete(1)
    assert optimizer_at(url).deleted == {0, 1}


def test_the_dashboard_s_storage_shows_a_blank_trial(tmp_path: Path) -> None:
    optimizer = optimizer_at(f"{tmp_path}/s.journal")
    for value in (1.0, 2.0):
        optimizer.tell(optimizer.ask().number, Told("success", (value,)))
    optimizer.delete(0)
    shown = RemainingTrials(optimizer.storage, 0)
    first, second = shown.get_all_trials(0)
    assert (first.state.name, first.params, second.value) == ("FAIL", {}, 2.0)
    assert [shown.get_trial(number).state.name for number in (0, 1)] == ["FAIL", "COMPLETE"]
    assert shown.get_best_trial(0).number == 1


def optimizer_at(place: str) -> Optimizer:
    space = read_space({"tunables": [X]})
    return Optimizer(space, ["minimize"], "random", None, open_storage(place, "s"), "s")
