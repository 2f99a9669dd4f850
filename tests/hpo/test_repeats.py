"""What a trial keeps of repeats that differ: units, attributes, reported steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError
from benchmark.execution.runner import Runner
from benchmark.hpo.report import export
from benchmark.hpo.report.repeats import check
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.records.results import Record
from benchmark.store import Store
from tests.support.small_studies import declared

Repeated = Callable[..., Record]


@pytest.fixture
def repeated(folder_store: Store, tmp_path: Path) -> Repeated:
    """The record of a trial whose runs print, or return, one after the other what is given."""

    def run(printed: list[str], **objective: Any) -> Record:
        (tmp_path / "values").write_text("".join(f"{one}\n" for one in printed))
        script = f"head -1 {tmp_path}/values; sed -i 1d {tmp_path}/values"
        values = declared(["sh", "-c", script], objective={"repeats": len(printed)} | objective)
        study = Study.begin(folder_store, define(values, tmp_path))
        with Runner(study.run) as runner:
            return runner.execute(study.ask()[0])

    return run


TIME = {"metrics": {"patterns": {"t": r"t=(\S+)"}}}


@pytest.mark.parametrize("printed", [["t=1.5ms", "t=2"], ["t=2", "t=1.5ms"]])
def test_a_unit_in_one_of_the_repeats(repeated: Repeated, printed: list[str]) -> None:
    record = repeated(printed, **TIME)
    assert record.message == "'t' has different units in the repeats of the trial."


def test_units_that_agree(repeated: Repeated) -> None:
    assert repeated(["t=1.5ms", "t=0", "t=2ms"], **TIME).metrics["t"] == 0.0015


BODY = """
import pathlib
def objective(trial):
    place = pathlib.Path({place!r})
    n = int(place.read_text()) if place.exists() else 0
    place.write_text(str(n + 1))
    trial.set_user_attr("p99", [5, 1, 3][n])
    trial.set_user_attr("note", f"run {{n}}")
    if n == 0:
        trial.set_user_attr("first", "yes")
    for step in range(3 - n):
        trial.report(10 * step + n, step)
    return n
"""


def test_attributes_and_steps_are_of_every_run(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BODY.format(place=str(tmp_path / "count")))
    values = declared("true")
    values["objective"] = {"python": "own.py:objective", "repeats": 3}
    values["tunables"] = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert record.labels["user_attrs"] == {"p99": 3, "note": "run 2", "first": "yes"}
    assert record.metrics["p99"] == 3
    assert record.labels["intermediate"] == {"0": 1, "1": 10.5, "2": 20}
    assert study.tell(record)


INF = float("inf")


@pytest.mark.parametrize(
    ("runs", "median"),
    [([INF, INF, -1.0], INF), ([-1.0, -1.0, INF], -1.0), ([-1.0, INF], INF), ([-INF, 2, 1], 1)],
)
def test_a_constraint_is_the_median_of_the_runs(
    folder_store: Store, tmp_path: Path, runs: list[float], median: float
) -> None:
    """An infinite one is broken, or kept, by any amount; it is not the last run that decides."""
    body = (
        "import pathlib\ndef objective(trial):\n"
        f"    place = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "    n = int(place.read_text()) if place.exists() else 0\n"
        "    place.write_text(str(n + 1))\n"
        f"    trial.set_constraint('c', float({list(map(str, runs))!r}[n]))\n"
        "    return 1.0\n"
    )
    (tmp_path / "own.py").write_text(body)
    values = declared("true")
    values["objective"] = {"python": "own.py:objective", "repeats": len(runs)}
    values["tunables"] = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert record.labels["constraints"] == [median]
    assert export.is_feasible(record) is (median <= 0)


def test_a_line_of_an_environment_is_one_line(tmp_path: Path) -> None:
    params = {"a": "x\ny=1", "b.c": "x\ny=1", "d.e": "x y"}
    record = Record("0", "success", labels={"params": params})
    assert export.as_environment(record) == (
        "a='x\ny=1'\n# 'b.c' is \"x\\ny=1\", which has no place in a line of this file.\nd.e=x y\n"
    )


def test_an_objective_of_other_types_is_another(folder_store: Store, tmp_path: Path) -> None:
    values = declared(["echo", 1])
    Study.begin(folder_store, define(values, tmp_path))
    other = json.loads(json.dumps(values["objective"] | {"command": ["echo", 1.0]}))
    with pytest.raises(BenchmarkError, match="has a command of its own"):
        Study.open(folder_store, "s", {"objective": other})
    with pytest.raises(BenchmarkError, match="other values of objective"):
        Study.begin(folder_store, define(values | {"objective": other}, tmp_path))
    Study.open(folder_store, "s", {"objective": values["objective"]})


def test_no_verdict_on_a_study_whose_objective_declares_the_tunables(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def objective(trial): return 1\n")
    values = {"name": "s", "direction": "minimize", "objective": {"python": "own.py:objective"}}
    with pytest.raises(BenchmarkError, match="declare 'tunables', each with a 'default', in a"):
        check(define(values, tmp_path))
