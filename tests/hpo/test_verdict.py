"""The verdict: keep where the difference is real, not proven where it may be noise."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark import results
from benchmark.hpo import export
from benchmark.hpo.importing import import_rows
from benchmark.hpo.study import Study
from benchmark.hpo.study_file import define
from benchmark.hpo.verdict import BEST, CONFIRM, Verdict, VerdictError, check, judge, rounds
from benchmark.results import Record
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


def judged(begun: Study, values: list[tuple[float | None, float | None]], **labels: Any) -> Verdict:
    """The verdict where the repeats measured these (best, default)."""
    for task in rounds(begun.run, begun.definition, len(values)):
        side = 0 if task.labels[CONFIRM] == BEST else 1
        value = values[int(task.key.rpartition("-")[2])][side]
        attempt = results.begin(begun.run, task)
        told = {**task.labels, "values": [value], **labels}
        status = "prune" if value is None else "success"
        results.settle(begun.run, attempt, Record(task.key, status, labels=told))
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
    verdict = judged(study(folder_store), [(3.0, 9.0), (3.5, 9.2), (2.9, 8.8), (3.2, 9.3)])
    assert verdict.says == "keep"
    # By hand: differences -6, -5.7, -5.9, -6.1; s = 0.1708, t(3) at 97.5 % = 3.1824.
    assert verdict.difference == pytest.approx(-5.925)
    assert (verdict.low, verdict.high) == pytest.approx((-6.1968, -5.6532), abs=1e-3)
    assert verdict.gain == pytest.approx(5.925 / 9.075)
    assert "keep" in str(verdict)
    assert "65.3% better" in str(verdict)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([(3, 9), (9, 3), (5, 6)], "may be noise"),
        ([(9, 3), (9.1, 3), (9, 3.1)], "worse than the default"),
        ([(3, None), (3, 9), (3, None)], "Only 1 of 3"),
        ([(3, 3), (3, 3)], "may be noise"),
    ],
)
def test_not_proven(folder_store: Store, values: Any, says: str) -> None:
    verdict = judged(study(folder_store), values)
    assert verdict.says == "not proven"
    assert says in str(verdict)


def test_without_noise_any_difference_counts(folder_store: Store) -> None:
    verdict = judged(study(folder_store), [(3, 4), (3, 4)])
    assert (verdict.says, verdict.p) == ("keep", 0.0)


def test_a_best_that_breaks_a_constraint_is_not_kept(folder_store: Store) -> None:
    verdict = judged(study(folder_store), [(3, 9), (3.1, 9), (3, 9.1)], constraints=[1.0])
    assert verdict.says == "not proven"
    assert "constraint in 3 of 3" in verdict.why


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


def test_a_verdict_as_a_user(program: Program, tmp_path: Path) -> None:
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
    ended = program("tune", "s.json", "--confirm", "4", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["told"], told["verdict"]["says"], told["verdict"]["pairs"]) == (4, "keep", 4)
    again = program("tune", "--resume", "s", "--confirm", "5", "--json")
    assert again.stderr.count("best: ") == 1
    assert json.loads(again.stdout)["verdict"]["pairs"] == 5
    shown = json.loads(program("studies", "show", "s", "--json").stdout)
    assert shown["verdict"] == json.loads(again.stdout)["verdict"]
    assert program("studies", "report", "s", "--output", "told").returncode == 0
    assert "Verdict on trial" in (tmp_path / "work" / "told" / "report.html").read_text()
    handed = program(
        *("tune", "--resume", "s", "--confirm", "6", "-m", "3", "--json"),
        *("--log-level", "WARNING", "--trials", "5"),
    )
    log = tmp_path / "work" / json.loads(handed.stdout)["log"]
    end = time.monotonic() + 120
    while "Verdict on" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    assert "against each other, 6 pairs" in log.read_text()
    assert "trial 4: " not in log.read_text()
    assert len(program("studies", "report", "s").stdout.splitlines()) == 1
