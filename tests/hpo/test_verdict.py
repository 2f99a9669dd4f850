"""The verdict: keep where the difference is real, not proven where it may be noise."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark import results
from benchmark.hpo import export
from benchmark.hpo.importing import import_rows
from benchmark.hpo.study import Study
from benchmark.hpo.study_file import define
from benchmark.hpo.verdict import (
    ALPHA,
    BEST,
    CONFIRM,
    ENOUGH,
    Verdict,
    VerdictError,
    check,
    compare,
    doubt,
    judge,
    rounds,
    signed_rank,
)
from benchmark.results import Cause, Record
from benchmark.store import Store

Program = Callable[..., subprocess.CompletedProcess[str]]
X = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 9, "default": 5}


def study(store: Store, **more: Any) -> Study:
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "trials": 2,
        "limits": {"time": 20, "memory": 300},
        "objective": {"command": ["true"]},
    }
    begun = Study.begin(store, define(values | more, Path()))
    import_rows(begun, [{"x": 5, "value": 10}, {"x": 1, "value": 3}])
    return begun


Pairs = list[tuple[float | None, float | None]]


def judged(begun: Study, values: Pairs, **labels: Any) -> Verdict:
    """The verdict where the repeats measured these (best, default); None is a failure."""
    for task in rounds(begun.run, begun.definition, len(values)):
        side = 0 if task.labels[CONFIRM] == BEST else 1
        value = values[int(task.key.rpartition("-")[2])][side]
        attempt = results.begin(begun.run, task)
        told = {**task.labels, "values": [value], **labels}
        ended = ("failure", Cause.FRAMEWORK) if value is None else ("success", None)
        results.settle(begun.run, attempt, Record(task.key, *ended, labels=told))
    return judge(begun.run, begun.definition, len(values))


def test_pairs_are_interleaved_and_no_trials(folder_store: Store) -> None:
    begun = study(folder_store)
    tasks = rounds(begun.run, begun.definition, 3)
    sides = [task.labels[CONFIRM] for task in tasks]
    assert sides == ["default", "best", "best", "default", "default", "best"]
    assert {task.payload["params"]["x"] for task in tasks} == {1, 5}
    assert judged(begun, [(3, 9)] * 3).pairs == 3
    assert [record.task for record in export.trial_records(begun.run)] == ["0", "1"]
    assert len(Study.open(folder_store, "s").optimizer.trials()) == 2


def test_keep(folder_store: Store) -> None:
    values: Pairs = [(3.0, 9.0), (3.5, 9.2), (2.9, 8.8), (3.2, 9.3), (3.1, 9.2), (3.3, 9.5)]
    verdict = judged(study(folder_store), values)
    assert verdict.says == "keep"
    # By hand: differences -6, -5.7, -5.9, -6.1, -6.1, -6.2, all of one sign: p = 2 / 2^6. The
    # interval of six goes from the least to the largest; -6 is the eleventh of 21 averages.
    assert verdict.p == 2 / 2**6
    assert verdict.difference == pytest.approx(-6.0)
    assert (verdict.low, verdict.high) == pytest.approx((-6.2, -5.7))
    assert (verdict.best, verdict.default) == pytest.approx((3.15, 9.2))
    assert verdict.gain == pytest.approx(6.0 / 9.2)
    assert "Verdict on trial 1: keep." in str(verdict)
    assert "65.2% better" in str(verdict)


def negative(value: float | None) -> float | None:
    return None if value is None else -value


FAILED: Pairs = [(None, 9.0)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([(3, 9), (9, 3), (5, 6)], "Only 3 pairs differ, and it takes 6"),
        ([(3, 4)] * 2, "Only 2 pairs differ"),
        ([(3, 4)] * 5 + [(3, 3)] * 5, "Only 5 pairs differ"),
        ([(3, 3)] * 8, "Only 0 pairs differ"),
        ([(0.3, 0.1 + 0.2)] * 8, "Only 0 pairs differ"),
        ([(3, 9)] * 4 + [(9, 3)] * 4, "may be noise"),
        ([(9, 3), (9.1, 3), (9, 3.1)] * 2, "worse than the default"),
        (FAILED * 7 + [(3.0, 9.0)] * 3, "It failed in 7 of 10 repeats."),
        (FAILED + [(3.0, 9.0)] * 20, "It failed in 1 of 21 repeats."),
        ([(None, None)] * 3 + [(3.0, 9.0)] * 7, "It failed in 3 of 10 repeats."),
        (FAILED * 6, "It failed in 6 of 6 repeats."),
    ],
)
def test_not_proven(values: Pairs, why: str) -> None:
    verdict = compare(values, smaller=True)
    assert verdict.says == "not proven"
    assert why in str(verdict)
    # The other way round, with the larger the better, it is the same.
    negated = [(negative(best), negative(default)) for best, default in values]
    mirrored = compare(negated, smaller=False)
    assert (mirrored.why, mirrored.p, mirrored.gain) == (verdict.why, verdict.p, verdict.gain)


def test_a_failure_is_worse_than_any_value(folder_store: Store) -> None:
    verdict = judged(study(folder_store), [(3.0, None)] * 4 + [(3.1, 9.0)] * 2)
    assert (verdict.says, verdict.p, verdict.default_failures) == ("keep", 2 / 2**6, 4)
    assert "The default failed in 4 of 6 repeats." in verdict.why
    assert verdict.difference == pytest.approx(-5.9)
    everywhere = compare([(3.0, None)] * 6, smaller=True)
    assert (everywhere.says, everywhere.difference) == ("keep", None)
    assert str(everywhere).endswith("6 pairs, p = 0.031.")
    # One failure outweighs a worse value, as the largest rank does; both failing is no difference.
    assert signed_rank([-1.0, -2.0, -3.0, math.inf]) == signed_rank([-1.0, -2.0, -3.0, 4.0])
    assert compare([(None, None), (3.0, 9.0)], smaller=True).p == 1.0


def test_what_has_no_result_counts_on_neither_side(folder_store: Store) -> None:
    begun = study(folder_store)
    for task in rounds(begun.run, begun.definition, 3):
        attempt = results.begin(begun.run, task)
        number = int(task.key.rpartition("-")[2])
        cause = [Cause.MEMORY, Cause.INTERRUPTED, Cause.TIMEOUT][number]
        results.settle(
            begun.run, attempt, Record(task.key, "failure", cause, labels=dict(task.labels))
        )
    verdict = judge(begun.run, begun.definition, 3)
    assert (verdict.pairs, verdict.best_failures, verdict.default_failures) == (2, 2, 2)
    assert "None of 4 pairs" in judge(study(folder_store, name="t").run, begun.definition, 4).why


def test_p_is_never_zero_and_needs_pairs() -> None:
    for pairs in range(1, 12):
        p, gained = signed_rank([-1.0] * pairs)
        assert p == pytest.approx(min(1.0, 2 / 2**pairs))
        assert gained
        assert (p < ALPHA) == (pairs >= ENOUGH)
        assert (doubt(pairs) is None) == (pairs >= ENOUGH)
    assert 0 < signed_rank([-1.0] * 1000)[0] < 1e-290
    assert "p is 0.125 or more" in str(doubt(4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4) | st.just(math.inf), min_size=1, max_size=9))
def test_p_is_the_share_of_all_patterns_of_signs(differences: list[float]) -> None:
    p, _ = signed_rank(differences)
    sizes = [abs(value) for value in differences if value]
    ranks = stats.rankdata(sizes)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((False, True), repeat=len(sizes))
    ]
    seen = sum(r for r, v in zip(ranks, filter(None, differences), strict=True) if v < 0)
    tails = sum(one <= seen for one in sums), sum(one >= seen for one in sums)
    assert p == pytest.approx(min(1.0, 2 * min(tails) / len(sums)))
    if len(set(sizes)) == len(sizes) > 0 and math.inf not in sizes:
        known = stats.wilcoxon([v for v in differences if v], method="exact").pvalue
        assert p == pytest.approx(known)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=6, max_size=12, unique_by=abs))
def test_the_interval_is_of_the_test(differences: list[float]) -> None:
    """Without ties it excludes 0 just where p is below ALPHA."""
    verdict = compare([(value, 0.0) for value in differences], smaller=True)
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.difference is not None
    assert verdict.low <= verdict.difference <= verdict.high
    assert verdict.p is not None
    if 0.0 not in differences and 0.0 not in (verdict.low, verdict.high):
        assert (verdict.p < ALPHA) == (verdict.low > 0 or verdict.high < 0)


def test_a_best_that_breaks_a_constraint_is_not_kept(folder_store: Store) -> None:
    values: Pairs = [(3, 9), (3.1, 9), (3, 9.1)]
    verdict = judged(study(folder_store), values * 2, constraints=[1.0])
    assert (verdict.says, verdict.p) == ("not proven", 2 / 2**6)
    assert "constraint in 6 of 6" in verdict.why


def test_nothing_to_confirm(folder_store: Store) -> None:
    begun = study(folder_store)
    with pytest.raises(VerdictError, match="from 2 to"):
        check(begun.definition, 1)
    import_rows(begun, [{"x": 5, "value": 1}])
    assert rounds(begun.run, begun.definition, 2) == []
    assert "The default itself is the best" in str(judge(begun.run, begun.definition, 2))
    bare = {key: value for key, value in X.items() if key != "default"}
    with pytest.raises(VerdictError, match="no default"):
        check(study(folder_store, name="bare", tunables=[bare]).definition, 2)
    several = study(folder_store, name="two", direction=["minimize", "maximize"])
    with pytest.raises(VerdictError, match="2 directions"):
        check(several.definition, 2)


def test_a_verdict_as_a_user(program: Program, command: Program, tmp_path: Path) -> None:
    text = "import sys, random; print(int(sys.argv[1]) + random.random() / 10)"
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [X],
        "trials": 4,
        "seed": 1,
        "initial": [{"x": 1}],
        "limits": {"time": 20, "memory": 300},
        "objective": {"command": [sys.executable, "-c", text, "{x}"]},
    }
    (tmp_path / "work" / "s.json").write_text(json.dumps(values))
    ended = program("tune", "s.json", "--confirm", "5", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "warning: 5 pairs cannot show" in ended.stderr
    told = json.loads(ended.stdout)
    assert (told["told"], told["verdict"]["says"]) == (4, "not proven")
    assert (told["verdict"]["pairs"], told["verdict"]["p"]) == (5, 0.0625)
    again = program("tune", "--resume", "s", "--confirm", "6", "--json")
    assert again.stderr.count("best: ") == 1
    assert "warning" not in again.stderr
    verdict = json.loads(again.stdout)["verdict"]
    assert (verdict["pairs"], verdict["says"], verdict["p"]) == (6, "keep", 0.03125)
    shown = json.loads(command("studies", "show", "s", "--json").stdout)
    assert shown["verdict"] == json.loads(again.stdout)["verdict"]
    assert command("studies", "report", "s", "--output", "told").returncode == 0
    assert "Verdict on trial" in (tmp_path / "work" / "told" / "report.html").read_text()
    handed = program(
        *("tune", "--resume", "s", "--confirm", "7", "-m", "3", "--json"),
        *("--log-level", "WARNING", "--trials", "5"),
    )
    log = tmp_path / "work" / json.loads(handed.stdout)["log"]
    end = time.monotonic() + 120
    while "Verdict on" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    assert "against each other, 7 pairs" in log.read_text()
    assert "trial 4: " not in log.read_text()
    assert len(command("studies", "report", "s").stdout.splitlines()) == 1
