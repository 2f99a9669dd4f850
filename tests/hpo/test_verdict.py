"""The verdict: keep where the difference is real, not proven where it may be noise."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmark.compute import discovery
from benchmark.compute.dispatcher import Dispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.hpo.driver.confirmation import confirm
from benchmark.hpo.report import export
from benchmark.hpo.report.default_runs import CONFIRM
from benchmark.hpo.report.drift import against_itself, noise, noise_known
from benchmark.hpo.report.paired_test import FEWEST_DECISIVE
from benchmark.hpo.report.repeats import (
    BEST,
    Plan,
    check,
    default_tasks,
    doubt,
    pair_tasks,
)
from benchmark.hpo.report.verdict import Verdict, compare, judge, known
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import import_rows
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Task
from benchmark.store import Store

Program = Callable[..., subprocess.CompletedProcess[str]]
X = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 9, "default": 5}


def study(store: Store, **more: Any) -> Study:
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "trials": 2,
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": ["true"]},
    }
    begun = Study.begin(store, define(values | more, Path()))
    import_rows(begun, [{"x": 5, "value": 10}, {"x": 1, "value": 3}])
    return begun


Pairs = list[tuple[float | None, float | None]]


def judged(begun: Study, values: Pairs, **labels: Any) -> Verdict:
    """The verdict where the repeats measured these (best, default); None is a failure."""
    for task in pair_tasks(begun.run, begun.definition, len(values)):
        side = 0 if task.labels[CONFIRM] == BEST else 1
        measured(begun, task, values[int(task.key.rpartition("-")[2])][side], **labels)
    return judge(begun.run, begun.definition, len(values))


def measured(begun: Study, task: Task, value: float | None, **labels: Any) -> None:
    attempt = results.begin(begun.run, task)
    told = {**task.labels, "values": [value], **labels}
    name = next(iter(begun.definition.directions))
    ended = ("failure", Cause.FRAMEWORK) if value is None else ("success", None)
    metrics = {} if value is None else {name: value}
    record = Record(task.key, *ended, labels=told, metrics=metrics)
    results.settle(begun.run, attempt, record)


def test_pairs_are_in_random_order_and_no_trials(folder_store: Store) -> None:
    begun = study(folder_store)
    tasks = pair_tasks(begun.run, begun.definition, 40)
    sides = [task.labels[CONFIRM] for task in tasks]
    firsts = sides[::2]
    assert all({one, other} == {"best", "default"} for one, other in batched(sides))
    # Chance of fewer than eight of either, or of a plain alternation: below 0.0001.
    assert 8 <= firsts.count("best") <= 32
    assert any(one == other for one, other in itertools.pairwise(firsts))
    assert [task.labels["place"] for task in tasks] == [0, 1] * 40
    # The same when asked again, and with fewer pairs.
    keys = [task.key for task in tasks]
    again = pair_tasks(begun.run, begun.definition, 7)
    assert [task.key for task in again] == keys[:14]
    assert {task.payload["params"]["x"] for task in tasks} == {1, 5}
    assert judged(begun, [(3, 9)] * 3).pairs == 3
    assert [record.task for record in export.trial_records(begun.run)] == ["0", "1"]
    assert len(Study.open(folder_store, "s").optimizer.trials()) == 2


def batched(values: list[str]) -> list[tuple[str, str]]:
    return list(zip(values[::2], values[1::2], strict=True))


def test_the_order_differs_between_studies(folder_store: Store) -> None:
    orders = set()
    for name in "abcdef":
        begun = study(folder_store, name=name)
        tasks = pair_tasks(begun.run, begun.definition, 20)
        orders.add(tuple(task.labels[CONFIRM] for task in tasks))
    assert len(orders) == 6


def test_keep(folder_store: Store) -> None:
    values: Pairs = [(3.0, 9.0), (3.5, 9.2), (2.9, 8.8), (3.2, 9.3), (3.1, 9.2), (3.3, 9.5)]
    begun = study(folder_store)
    assert judged(begun, values).says == "not proven"
    verdict = judged(begun, [*values, (3.0, 9.1)])
    assert (verdict.says, verdict.decided, verdict.pairs) == ("keep", 7, 7)
    # By hand: all differences have one sign and nearly the median size, so that the four bets gain
    # (1 + tanh 0.2)^7, (1 + tanh 0.4)^7, (1 + tanh 0.8)^7 and 2^7; p is 2 over their mean.
    capital = [*((1 + math.tanh(c)) ** 7 for c in (0.2, 0.4, 0.8)), 2**7]
    assert verdict.p == pytest.approx(2 / statistics.mean(capital), rel=0.02)
    assert verdict.p_signed_rank == 2 / 2**7
    # -5.7 -5.9 -6.0 -6.1 -6.1 -6.1 -6.2: -6.05 is the fourteenth of 28 averages, and so is -6.0.
    assert verdict.difference == pytest.approx(-6.0, abs=0.06)
    assert (verdict.best, verdict.default) == pytest.approx((3.1, 9.2))
    assert verdict.gain_measured == pytest.approx(-verdict.difference / 9.2)
    assert verdict.gain is not None
    assert 0.99 * verdict.gain_measured < verdict.gain < verdict.gain_measured
    assert "Verdict on trial 1: keep." in str(verdict)
    assert "Gain +65." in str(verdict)
    assert known(begun.run, begun.definition) == verdict


def test_more_pairs_never_take_a_decision_back() -> None:
    decided: Pairs = [(3.0, 9.0)] * 7
    verdict = compare(decided + [(9.0, 3.0)] * 20, smaller=True)
    assert (verdict.says, verdict.decided, verdict.pairs) == ("keep", 7, 27)
    assert verdict.p == compare(decided, smaller=True).p


def negative(value: float | None) -> float | None:
    return None if value is None else -value


FAILED: Pairs = [(None, 9.0)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([(3, 9), (9, 3), (5, 6)], "Only 3 pairs differ; 7 or more"),
        ([(3, 4)] * 6, "Only 6 pairs differ"),
        ([(3, 4)] * 5 + [(3, 3)] * 5, "Only 5 pairs differ"),
        ([(3, 3)] * 8, "Only 0 pairs differ"),
        ([(0.3, 0.1 + 0.2)] * 8, "Only 0 pairs differ"),
        ([(3, 9)] * 4 + [(9, 3)] * 4, "may be noise"),
        ([(9, 3), (9.1, 3), (9, 3.1)] * 3, "worse than the default"),
        (
            FAILED * 7 + [(3.0, 9.0)] * 3,
            "It failed in 7 of 10 repeats (95 % interval 35 % to 93 %)",
        ),
        ([(None, None)] * 3 + [(3.0, 9.0)] * 6, "It failed in 3 of 9 repeats"),
        (FAILED * 7, "It is worse than the default beyond noise. It failed in 7 of 7"),
    ],
)
def test_not_proven(values: Pairs, why: str) -> None:
    verdict = compare(values, smaller=True)
    assert verdict.says == "not proven"
    assert why in str(verdict).replace("%", " %").replace("  %", " %")
    # With the larger the better, and all negated, it is the same.
    negated = [(negative(best), negative(default)) for best, default in values]
    mirrored = compare(negated, smaller=False)
    assert (mirrored.why, mirrored.p, mirrored.gain) == (verdict.why, verdict.p, verdict.gain)


def test_a_failure_counts_as_worse_than_every_value(folder_store: Store) -> None:
    verdict = judged(study(folder_store), [(3.0, None)] * 5 + [(3.1, 9.0)] * 2)
    assert (verdict.says, verdict.default_failures) == ("keep", 5)
    assert "The default failed in 5 of 7 repeats" in verdict.why
    assert verdict.difference == pytest.approx(-5.9)
    everywhere = compare([(3.0, None)] * 7, smaller=True)
    assert (everywhere.says, everywhere.difference) == ("keep", None)
    # One failure of many does not block a best that wins otherwise, and is shown.
    rare = compare([*FAILED, *[(3.0, 9.0)] * 19], smaller=True)
    assert (rare.says, rare.best_failures) == ("keep", 1)
    assert "It failed in 1 of 20 repeats" in str(rare)
    assert rare.decided is not None
    assert rare.decided > FEWEST_DECISIVE
    # A failure counts against the best, and two failures of a pair are a tie.
    without = compare([(3.0, 9.0)] * 20, smaller=True)
    assert rare.p is not None
    assert without.p is not None
    assert rare.p > without.p
    assert compare([(None, None)] * 9, smaller=True).p == 1.0


def test_what_has_no_result_counts_on_neither_side(folder_store: Store) -> None:
    begun = study(folder_store)
    for task in pair_tasks(begun.run, begun.definition, 3):
        attempt = results.begin(begun.run, task)
        number = int(task.key.rpartition("-")[2])
        cause = [Cause.MEMORY, Cause.INTERRUPTED, Cause.TIMEOUT][number]
        results.settle(
            begun.run, attempt, Record(task.key, "failure", cause, labels=dict(task.labels))
        )
    verdict = judge(begun.run, begun.definition, 3)
    assert (verdict.pairs, verdict.best_failures, verdict.default_failures) == (2, 2, 2)
    assert "None of 4 pairs" in judge(study(folder_store, name="t").run, begun.definition, 4).why


def test_a_broken_constraint_counts_as_a_failure(folder_store: Store) -> None:
    verdict = judged(study(folder_store), [(3, 9)] * 8, constraints=[1.0])
    assert (verdict.says, verdict.best_broken, verdict.default_broken) == ("not proven", 8, 8)
    assert verdict.best_failures == 0
    assert "It violated a constraint in 8 of 8 repeats" in verdict.why


def test_what_so_many_pairs_find_and_drift_are_shown() -> None:
    dice = np.random.default_rng(1)
    noisy = dice.normal(100, 1, (2, 12))
    verdict = compare([(one, other) for one, other in noisy.T.tolist()], smaller=True)
    assert verdict.decided is None
    # 1.55 sd of a difference, whose sd is sqrt(2) sd of a run of 1 %; 12 pairs estimate it roughly.
    assert verdict.detectable == pytest.approx(0.015 * math.sqrt(2), rel=0.5)
    assert "12 pairs detect a gain of" in str(verdict)
    assert verdict.drift is None
    drifting = compare(
        [(one + 5 * n, other + 5 * n) for n, (one, other) in enumerate(noisy.T.tolist())],
        smaller=True,
    )
    assert drifting.drift == pytest.approx(30 / 127, rel=0.1)
    assert "The system drifts" in str(drifting)


def test_the_noise_of_the_default_before_the_pairs(folder_store: Store) -> None:
    begun = study(folder_store)
    assert noise_known(begun.run, begun.definition, Plan(20)) is None
    values = [100.0, 101.0, 100.5, 99.0, 100.0, 99.5, 101.5, 100.0]
    for task, value in zip(
        default_tasks(begun.run, begun.definition, len(values)), values, strict=True
    ):
        assert task.payload["params"] == {"x": 5}
        measured(begun, task, value)
    told = noise_known(begun.run, begun.definition, Plan(20))
    assert told is not None
    assert "(8 runs)" in told
    assert "20 pairs detect a gain of" in told
    assert told.endswith("in 4 pairs: too few; run the default 14 times or more in a row.")
    assert noise([float(n) for n in range(1, 11)]) == (
        "One run of the default varies by 0.00% (10 runs). The system drifts: +90.9% from the "
        "first half of these runs to the second."
    )


def test_the_default_against_itself() -> None:
    values = np.random.default_rng(2).normal(100, 1, 40)
    assert str(against_itself(values.tolist())).endswith("in 20 pairs: no difference found.")
    values[1::2] += 4  # As of a first run that leaves caches cold, or full, for the second.
    found = str(against_itself(values.tolist()))
    assert "the second run differs from the first by +3.5%" in found
    assert "runs influence the next ones or the system drifts" in found
    assert against_itself([100.0]) is None


class Drifting(Dispatcher):
    """Each run takes 2 more than the one before; the default 50 more than the best."""

    runs: ClassVar[Iterator[int]]

    def submit(self, tasks: Sequence[Task]) -> None:
        self.waiting = list(tasks)

    def completed(self, timeout_s: float) -> list[Record]:
        task = self.waiting.pop()
        value = 100.0 + 2 * next(self.runs) + 50 * (task.labels[CONFIRM] == "default")
        record = Record(
            task.key,
            "success",
            labels=task.labels | {"values": [value]},
            metrics={"value": value},
        )
        return [results.settle(self.run, results.begin(self.run, task), record)]


def test_drift_until_decided_is_reported_and_takes_no_decision_away(
    folder_store: Store, make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Drifting, "runs", itertools.count(), raising=False)
    monkeypatch.setattr(discovery, "load_method", lambda name: Drifting)
    begun = study(folder_store)
    heard: list[Record] = []
    plan = Plan.parse("until-decided")
    verdict = confirm(begun, make_config(), "drifting", plan, heard.append)
    assert verdict is not None
    assert (verdict.says, verdict.decided, len(heard)) == ("keep", 7, 14)
    assert verdict.drift is not None
    assert verdict.drift > 0.05
    assert "The system drifts: the default changed by +" in str(verdict)


@pytest.mark.parametrize(
    "text", ["1", "0", "1001", "-3", "x", "6.5", "", "until-decided:1", "until"]
)
def test_a_plan_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="write a number of pairs from 2 to 1000"):
        Plan.parse(text)


def test_plans() -> None:
    assert Plan.parse("12") == Plan(12)
    assert Plan.parse("until-decided") == Plan(50, stops=True)
    assert Plan.parse("until-decided:30") == Plan(30, stops=True)
    assert str(Plan.parse("until-decided:30")) == "until-decided:30"
    assert "6 pairs cannot show" in str(doubt(Plan(6)))
    assert doubt(Plan(FEWEST_DECISIVE)) is None


def test_nothing_to_confirm(folder_store: Store) -> None:
    begun = study(folder_store)
    import_rows(begun, [{"x": 5, "value": 1}])
    assert pair_tasks(begun.run, begun.definition, 2) == []
    assert "The default itself is the best" in str(judge(begun.run, begun.definition, 2))
    bare = {key: value for key, value in X.items() if key != "default"}
    with pytest.raises(BenchmarkError, match="no default"):
        check(study(folder_store, name="bare", tunables=[bare]).definition)
    several = study(folder_store, name="two", direction=["minimize", "maximize"])
    with pytest.raises(BenchmarkError, match="2 directions"):
        check(several.definition)


@pytest.mark.slow
def test_a_verdict_as_a_user(program: Program, command: Program, tmp_path: Path) -> None:
    text = "import sys, random; print(int(sys.argv[1]) + random.random() / 10)"
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "trials": 4,
        "seed": 1,
        "initial": [{"x": 1}],
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": [sys.executable, "-c", text, "{x}"]},
    }
    (tmp_path / "work" / "s.json").write_text(json.dumps(values))
    ended = program("tune", "s.json", "--confirm", "5", "--measure-noise", "5", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "warning: 5 pairs cannot show" in ended.stderr
    assert "One run of the default varies by" in ended.stderr
    told = json.loads(ended.stdout)
    assert (told["told"], told["verdict"]["says"]) == (4, "not proven")
    assert (told["verdict"]["pairs"], told["verdict"]["decided"]) == (5, None)
    again = program("tune", "--resume", "s", "--confirm", "until-decided:9", "--json")
    assert again.stderr.count("best: ") == 2
    assert "warning" not in again.stderr
    verdict = json.loads(again.stdout)["verdict"]
    assert (verdict["pairs"], verdict["says"], verdict["decided"]) == (7, "keep", 7)
    shown = json.loads(command("studies", "show", "s", "--json").stdout)
    assert shown["verdict"] == json.loads(again.stdout)["verdict"]
    assert command("studies", "report", "s", "--output", "told").returncode == 0
    assert "Verdict on trial" in (tmp_path / "work" / "told" / "report.html").read_text()
    handed = program(
        *("tune", "--resume", "s", "--confirm", "8", "-m", "3", "--json"),
        *("--log-level", "WARNING", "--trials", "5"),
    )
    log = tmp_path / "work" / json.loads(handed.stdout)["log"]
    end = time.monotonic() + 600
    while "Verdict on" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    assert "Comparing best and default, 8 pairs" in log.read_text()
    assert "trial 4: " not in log.read_text()
    assert len(command("studies", "report", "s").stdout.splitlines()) == 1
