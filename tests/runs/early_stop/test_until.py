"""A run that stops when its question is answered: the plan, the waves, kills, growth."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.analysis.early_stop import schedule
from benchmark.analysis.early_stop.question import UNITS, Question
from benchmark.analysis.early_stop.replay import Grid
from benchmark.analysis.early_stop.sequential import paired_ranks, paired_scores
from benchmark.analysis.early_stop.stopped import ahead, standing_of
from benchmark.analysis.missing import by_cause
from benchmark.analysis.processing import process
from benchmark.analysis.results.table import read_results
from benchmark.analysis.type_statistics import study
from benchmark.cli.runs.question import lines
from benchmark.compute import discovery
from benchmark.compute.dispatcher import Rate
from benchmark.records.record import Record
from benchmark.records.results import Cause
from benchmark.records.tasks import Run, Task
from benchmark.runs.compiled import compile_results
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.early_stop.until import Until
from benchmark.runs.early_stop.waves import Waves
from benchmark.runs.execute import execute
from benchmark.runs.status import status
from benchmark.runs.watch import Watch
from benchmark.store import open_store
from tests.support.scripted_runs import (
    BEST,
    BY_SPLIT,
    DATASETS,
    FRAMEWORKS,
    SEEDS,
    Scripted,
    claims,
    config_of,
    go,
    manifest,
    nothing,
    planned,
)


def test_a_run_stops_when_its_question_is_answered_and_accounts_for_all_tasks(
    tmp_path: Path, scripted: type[Scripted]
) -> None:
    run = planned(open_store(str(tmp_path)))
    summary = go(run)
    (answer,) = summary.answers
    assert answer.answered
    assert answer.frameworks["a"][1] == "the best"
    assert summary.all_have_results
    assert not summary.faults
    assert len(summary.records) + len(summary.retired) == len(run.tasks) == answer.tasks
    assert len(summary.retired) > 90
    assert summary.causes["retired"] == len(summary.retired)
    assert set(summary.retired.values()) == {
        f"retired after {number} data sets: {'is' if name == 'a' else 'cannot be'} the best"
        for name, (number, _) in answer.frameworks.items()
    }
    found = status(run)
    assert (found.success, found.waiting, found.left) == (len(summary.records), 0, 0)
    assert found.causes == {"retired": len(summary.retired)}
    assert found.answers == tuple(summary.answers)
    assert answer.saved == pytest.approx(0.5 * len(summary.retired))
    look = Watch(run, run.tasks).look()
    assert look.words == {"success": found.success, "retired": len(summary.retired)}
    assert look.without_result == 0
    assert look.question == "until best: classification answered"


def test_the_table_marks_what_was_not_run_and_why(tmp_path: Path, scripted: type[Scripted]) -> None:
    run = planned(open_store(str(tmp_path / "store")))
    summary = go(run)
    compile_results(run, tmp_path / "results.csv")
    frame = read_results(tmp_path / "results.csv")
    out = frame[frame["CAUSE"] == "retired"]
    assert len(out) == len(summary.retired)
    assert set(out["STATUS"]) == {"not run"}
    assert out["MESSAGE"].str.match(r"retired after \d+ data sets: (cannot be|is) the best").all()
    assert set(frame["UNTIL"]) == {"best"}
    drawn = frame.groupby("DATASET_ID")["DRAWN"].first().sort_values()
    assert list(drawn.index) == (run.manifest.until or {})["orders"]["classification"]


@pytest.mark.slow
@pytest.mark.parametrize(("until", "units"), [(BEST, "data sets"), (BY_SPLIT, "splits")])
def test_the_table_has_the_claims_and_a_board_uses_what_all_frameworks_ran_on(
    tmp_path: Path, scripted: type[Scripted], until: Until, units: str, others_undrawn: None
) -> None:
    def ends(task: Task) -> Cause | None:
        if task.key.startswith(("b/set01", "b/set02", "a/set03")):
            return Cause.DATA
        return Cause.FRAMEWORK if task.key.startswith("a/set1") else None

    scripted.ends = staticmethod(ends)
    run = planned(open_store(str(tmp_path / "store")), until)
    go(run)
    compile_results(run, tmp_path / "results.csv")
    frame = read_results(tmp_path / "results.csv")
    standing = standing_of(frame, "classification")
    assert standing is not None
    assert standing.facts() == claims(run)["classification"]
    found = study(frame, "classification")
    seen = int(standing.ran.min())
    size = len(standing.design.order)
    assert size == len(DATASETS) * (1 if units == "data sets" else len(SEEDS))
    assert 0 < seen < size
    covered = {(name, seed) for name, seeds in standing.design.order[:seen] for seed in seeds}
    assert set(found.comparison.gains.index) <= covered
    assert any(f"the first {seen} of {size} {units}" in note for note in found.notes)
    process(frame, tmp_path / "figures", tmp_path / "report.html", {})
    assert (tmp_path / "figures" / "UntilClassification.png").exists()
    page = (tmp_path / "report.html").read_text()
    assert "<h3>Until best: answered</h3>" in page
    assert f"retired after {seen} {units}: cannot be the best" in page
    assert f"Wins of {standing.design.frameworks[standing.reference]}<" in page
    assert f"({found.comparison.size})" in page
    assert ("splits of" in found.comparison.size) == (units == "splits")
    ran = int(frame["TOTAL_S"].notna().sum())
    assert f"{ran} of {len(run.tasks)} tasks ran and took" in page
    assert "retired" not in by_cause(frame).columns
    # Claims are about the whole grid, so that a part of the rows has none.
    some = {cell.key for cell in run.manifest.cells if cell.framework != "b"}
    compile_results(run, tmp_path / "some.csv", some)
    assert standing_of(read_results(tmp_path / "some.csv"), "classification") is None


@pytest.mark.slow
@pytest.mark.parametrize(("at", "until"), [(3, BEST), (17, BEST), (40, BEST), (9, BY_SPLIT)])
def test_a_run_that_is_killed_and_resumed_claims_what_an_uninterrupted_one_claims(
    tmp_path: Path, scripted: type[Scripted], at: int, until: Until
) -> None:
    whole = planned(open_store(str(tmp_path / "whole")), until)
    go(whole)
    killed = planned(open_store(str(tmp_path / "killed")), until)
    heard: list[str] = []

    def kill(record: Record) -> None:
        heard.append(record.task)
        if len(heard) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=go, args=(killed, kill))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert "looked" not in (Run.open(killed.store, "default").manifest.until or {})
    summary = go(Run.open(killed.store, "default"), parallel=7)
    assert summary.all_have_results
    assert claims(killed) == claims(whole)


@pytest.mark.slow
@pytest.mark.parametrize("until", [BEST, BY_SPLIT])
def test_a_run_stops_where_its_replay_stops(
    tmp_path: Path, scripted: type[Scripted], until: Until
) -> None:
    asked = planned(open_store(str(tmp_path / "asked")), until)
    go(asked, parallel=1)
    whole = planned(open_store(str(tmp_path / "whole")), None)
    go(whole)
    compile_results(whole, tmp_path / "results.csv")
    grid = Grid.of(read_results(tmp_path / "results.csv"), "classification", until.unit)
    splits = [[dataset, seed] for dataset in DATASETS for seed in SEEDS]
    rows: list[Any] = list(DATASETS) if until.unit == "dataset" else splits
    drawn = (asked.manifest.until or {})["orders"]["classification"]
    order = np.array([[rows.index(one) for one in drawn]])
    played = schedule.play(grid.wins, order, Question("best"))
    ran = dict(zip(grid.frameworks, played.ran[0].tolist(), strict=True))
    assert {name: number for name, (number, _) in _answer(asked).items()} == ran
    assert status(asked).answers[0].units == UNITS[until.unit]
    compile_results(asked, tmp_path / "asked.csv")
    found = study(read_results(tmp_path / "asked.csv"), "classification")
    assert found.standing is not None
    inside = ahead(found.standing, found.comparison)
    first, most = found.standing.reference, len(FRAMEWORKS) - 1
    truth = {"ranks": most * (2 * paired_ranks(grid.means).mean(axis=0)[first] - 1)}
    truth["scores"] = 2 * paired_scores(grid.means).mean(axis=0)[first] - 1
    assert inside.keys() == truth.keys()
    for kind, (low, high) in inside.items():
        assert (low <= truth[kind] + 1e-9).all()
        assert (truth[kind] <= high + 1e-9).all()
        assert (high - low < (2 * most if kind == "ranks" else 2)).all()


@pytest.mark.slow
def test_splits_answer_with_fewer_tasks_than_data_sets(
    tmp_path: Path, scripted: type[Scripted]
) -> None:
    by_dataset = planned(open_store(str(tmp_path / "datasets")))
    by_split = planned(open_store(str(tmp_path / "splits")), BY_SPLIT)
    for run in (by_dataset, by_split):
        go(run, parallel=1)
        assert status(run).answers[0].answered
    assert status(by_split).success < status(by_dataset).success


def test_tasks_that_a_user_names_are_all_run(tmp_path: Path, scripted: type[Scripted]) -> None:
    run = planned(open_store(str(tmp_path)))
    named = [task for task in run.tasks if task.labels["framework"] == "constant"]
    summary = execute(run, config_of(), named)
    assert len(summary.records) == len(named) == len(DATASETS) * len(SEEDS)
    assert not summary.answers[0].answered
    assert go(run).answers[0].answered


def test_machines_stay_busy_and_no_more_is_handed_out_than_they_need(
    tmp_path: Path, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = threading.Semaphore(1)

    class Slow(scripted):  # type: ignore[misc, valid-type]
        """Ends a task once the record before it was looked at, as real tasks do."""

        def completed(self, timeout_s: float) -> list[Record]:
            if self.waiting:
                looked_at.acquire()
            return super().completed(timeout_s)  # type: ignore[no-any-return]

    monkeypatch.setattr(discovery, "load_method", lambda name: Slow)
    run = planned(open_store(str(tmp_path)))
    go(run, lambda record: looked_at.release(), parallel=8)
    assert len(scripted.given[0]) == 10
    assert all(len(portion) <= 10 for portion in scripted.given)
    handed = [key for portion in scripted.given for key in portion]
    assert len(handed) == len(set(handed))
    seen = {name: number for name, (number, _) in _answer(run).items()}
    needed = sum(number * len(SEEDS) for number in seen.values())
    assert needed <= len(handed) <= needed + 3 * 10


def test_what_is_due_waits_for_no_portion_while_a_place_is_free(
    tmp_path: Path, scripted: type[Scripted]
) -> None:
    run = planned(open_store(str(tmp_path)))
    waves = Waves(run)
    queue = waves.queue("scripted", config_of(parallel=16))
    found = queue.next_of(run.tasks, 0)
    due = [task for task in found if waves.is_due([task])]
    assert len(found) == 20
    assert [queue.is_due([task]) for task in found] == [task in due for task in found]
    for busy, is_free in ((15, True), (16, False)):
        assert queue.next_of(run.tasks, busy)
        assert queue.is_due(due) == is_free


def _answer(run: Run) -> dict[str, tuple[int, str]]:
    return status(run).answers[0].frameworks


def test_without_a_number_of_machines_one_data_set_more_is_handed_out(
    tmp_path: Path, scripted: type[Scripted]
) -> None:
    run = planned(open_store(str(tmp_path)))
    go(run, parallel=None)
    assert len(scripted.given[0]) == 2 * len(FRAMEWORKS) * len(SEEDS)
    assert status(run).answers[0].answered


def test_where_machines_are_started_as_needed_one_data_set_more_is_handed_out_at_most(
    tmp_path: Path, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripted, "scales", True)
    go(planned(open_store(str(tmp_path / "many"))), parallel=100)
    assert len(scripted.given[0]) == 2 * len(FRAMEWORKS) * len(SEEDS)
    scripted.given.clear()
    go(planned(open_store(str(tmp_path / "few"))), parallel=4)
    assert len(scripted.given[0]) == 5


@pytest.mark.slow
def test_tasks_that_the_answer_does_not_need_are_ended(
    tmp_path: Path, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(open_store(str(tmp_path)))
    order = (run.manifest.until or {})["orders"]["classification"]
    seen = max(number for number, _ in _answer_of_a_whole_run(tmp_path / "whole").values())
    closed: list[list[str]] = []

    class Endless(scripted):  # type: ignore[misc, valid-type]
        def completed(self, timeout_s: float) -> list[Record]:
            place = {t.key: order.index(t.labels["dataset"]) for t in self.waiting}
            later = [task for task in self.waiting if place[task.key] >= seen]
            last = [task for task in self.waiting if place[task.key] == seen - 1]
            # A task that nobody needs never ends; until there is one, a result that the answer
            # needs is held back.
            held = (later or last)[:1]
            self.waiting = [task for task in self.waiting if task not in held]
            found: list[Record] = super().completed(timeout_s)
            self.waiting += held
            return found

        def close(self) -> None:
            closed.append([task.key for task in self.waiting])

    monkeypatch.setattr(discovery, "load_method", lambda name: Endless)
    summary = go(run)
    assert summary.faults == []
    assert summary.all_have_results
    assert summary.answers[0].answered
    (ended,) = closed
    assert ended
    assert set(ended) <= set(summary.retired)
    assert len(summary.retired) + len(summary.records) == len(run.tasks)


def _answer_of_a_whole_run(folder: Path) -> dict[str, tuple[int, str]]:
    run = planned(open_store(str(folder)))
    go(run)
    return _answer(run)


@pytest.mark.slow
def test_lost_tasks_are_tried_again_and_what_stays_without_result_stops_nothing(
    tmp_path: Path, scripted: type[Scripted]
) -> None:
    def ends(task: Task) -> Cause | None:
        if task.key.startswith(("b/set01", "b/set02")):
            return Cause.INFRASTRUCTURE
        return Cause.FRAMEWORK if task.key.startswith("a/set1") else None

    scripted.ends = staticmethod(ends)
    run = planned(open_store(str(tmp_path)))
    summary = go(run)
    lost = [record for record in summary.records.values() if record.cause is Cause.INFRASTRUCTURE]
    assert lost
    assert {record.attempt for record in lost} == {2}
    # Where a failed, the constant predictor runs although it is retired.
    failed = {key.split("/", 1)[1] for key in summary.records if key.startswith("a/set1")}
    assert failed
    looked_at = _answer(run)["a"][0]
    order = (run.manifest.until or {})["orders"]["classification"][:looked_at]
    for name in (name for name in order if name.startswith("set1")):
        for seed in SEEDS:
            assert f"constant/{name}/{seed}" in summary.records


def test_a_limit_of_money_ends_with_what_can_be_claimed(
    tmp_path: Path, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripted, "rate", classmethod(lambda cls, config: Rate(1, 1, "a machine")))
    run = planned(open_store(str(tmp_path)), Until(Question("order"), seed=5))
    summary = go(run, max_cost=30.0)
    (fault,) = summary.faults
    assert fault.startswith("'max_cost' is 30 USD")
    (answer,) = summary.answers
    assert not answer.answered
    assert answer.pairs
    assert all(0 <= low <= high <= 1 for *_, low, high in answer.pairs)
    assert answer.ran < answer.expected <= answer.tasks
    assert go(run).answers[0].answered


def test_a_run_resumes_with_its_question_and_draws_again_where_it_grows(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    run = planned(store, Until(Question("best"), alpha=0.1))
    first = run.manifest.until or {}
    again = early_stop.planned(run.manifest, run, None, nothing)
    assert again.until == first
    same = early_stop.planned(run.manifest, run, Until(Question("best"), alpha=0.1), nothing)
    assert same.until == first
    looked = {"classification": {"answered": False}}
    grown = manifest((*FRAMEWORKS, "new"))
    after = early_stop.planned(grown, run, None, lambda run: looked).until or {}
    assert (after["question"], after["alpha"]) == ("best", 0.1)
    assert after["orders"] != first["orders"]
    (earlier,) = after["earlier"]
    assert earlier["orders"] == first["orders"]
    assert earlier["looked"] == looked
    shown = lines(replace(grown, until=after), status(run).answers)
    assert "  asked before, with a probability of their own: best" in shown
    other = early_stop.planned(run.manifest, run, Until(Question("order")), nothing).until or {}
    assert other["question"] == "order"
    assert other["seed"] != first["seed"]
    dropped = early_stop.planned(run.manifest, run, Until(None), nothing)
    assert (dropped.until or {})["question"] == "all"
    assert not early_stop.is_asked(dropped)


def test_all_completes_the_grid(tmp_path: Path, scripted: type[Scripted]) -> None:
    store = open_store(str(tmp_path))
    run = planned(store)
    go(run)
    complete = Run("default", store, early_stop.planned(run.manifest, run, Until(None), nothing))
    complete.save()
    summary = go(Run.open(store, "default"))
    assert not summary.answers
    assert status(complete).success == len(run.tasks)
