"""A run with a question over each method: detached, taken over, and stopped when it is answered."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.analysis.early_stop.question import Question
from benchmark.config.loading import Config
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.record import Record
from benchmark.runs.early_stop.until import Until
from benchmark.runs.execute import execute
from benchmark.runs.job_states import in_engines
from benchmark.runs.plan import Narrowing, draft, plan
from benchmark.runs.status import status
from benchmark.store import open_store
from tests.compute.metaflow.test_metaflow import needs_metaflow
from tests.support import kubernetes_double
from tests.support.batch_double import CONFIGURATION
from tests.support.batch_job import ENDED
from tests.support.ray_cluster import SMALL_RAY, needs_ray, runners
from tests.support.slurm_cluster import SMALL_CLUSTER

PATIENCE_S = 600.0
DATASETS = ("cpu", "diabetes-progression", "auto-mpg", "concrete", "abalone")
# Two wins of five data sets are enough.
UNTIL = Until(Question("best"), alpha=0.4, seed=1)
METHODS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "local": (None, {"parallel": 2}),
    "slurm": ("slurm", {"slurm": SMALL_CLUSTER, "parallel": 3}),
    "pilot": ("slurm", {"slurm": SMALL_CLUSTER}),
    "kubernetes": ("kubernetes", {**kubernetes_double.CONFIGURATION, "parallel": 2}),
    "ray": ("ray_cluster", {"ray": SMALL_RAY, "parallel": 3}),
    "metaflow": (None, {"parallel": 2}),
    "batch": ("batch", {**CONFIGURATION, "cluster_size": 2}),
    "baremetal": ("fleet", {"instance_types": ["c5.large"], "cluster_size": 2, "parallel": 1}),
}
NEEDS = {"ray": needs_ray, "metaflow": needs_metaflow}
# By target: the data sets after the second in the order of seed 1.
ENDLESS = ["Miles_per_Gallon", "compressive_strength", "class"]
WORST = """
import os, time

def fit(train, problem, limits):
    mark = os.path.join(problem.params["folder"], problem.target)
    open(mark, "w").close()
    ahead = os.path.join(problem.params["folder"], "Miles_per_Gallon")
    while problem.target in problem.params["endless"] or (
        problem.target == "rings" and not os.path.exists(ahead)
    ):
        time.sleep(0.05)

def predict(model, frame, problem):
    return {"predictions": [1e9] * len(frame), "probabilities": None, "classes": None}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=NEEDS.get(name, ())) for name in METHODS]
)
def test_a_run_is_left_taken_over_and_stopped_when_its_question_is_answered(
    request: pytest.FixtureRequest,
    make_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    fixture, keys = METHODS[method]
    service = request.getfixturevalue(fixture) if fixture else None
    store: Path | str = tmp_path / f"{method}-test"
    if method == "baremetal":
        keys = keys | {"ec2_template": service.make_template()}
        store = request.getfixturevalue("s3")
    folder = tmp_path / "own" / "worst"
    folder.mkdir(parents=True)
    (folder / "adapter.py").write_text(WORST)
    (folder / "framework.toml").write_text(
        'name = "worst"\ndescription = "Loses"\npython = ">=3.11,<3.14"\n'
        'environment = "random-forest"\npreload = ["numpy"]\nversion_of = "numpy"\n'
    )
    params = {"folder": str(tmp_path), "endless": ENDLESS}
    grid: dict[str, Any] = {
        "studies": ["embedded"],
        "frameworks_path": [str(tmp_path / "own")],
        "frameworks": ["constant", {"name": "worst", "params": params}],
        "hard_limit": 600,
        "max_attempts": 2,
    }
    wanted = draft(make_config(**grid), Narrowing(datasets=DATASETS))
    planned = plan(open_store(str(store)), wanted, until=UNTIL)
    run = planned.run
    config = make_config(**(grid | {"compute": {"*": method}} | keys))

    heard: list[Record] = []

    def leave(record: Record) -> None:
        heard.append(record)
        if len(heard) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    first = execute(run, config, planned.tasks, leave, detach=True)
    assert first.interrupted
    can_be_left = method not in ("local", "ray", "metaflow")
    assert first.detached == ([method] if can_be_left else [])
    assert bool(in_engines(run)) == can_be_left
    second = execute(run, config, record_reader.without_result(run))
    assert second.faults == []
    assert not second.interrupted
    (answer,) = second.answers
    assert answer.answered
    sentences = {name: sentence for name, (_, sentence) in answer.frameworks.items()}
    assert sentences == {"constant": "the best", "worst": "not the best"}
    # A task that never ends had begun, and was ended with the question.
    assert (tmp_path / ENDLESS[0]).exists()
    retired = {key for key in second.retired if key.startswith("worst/")}
    assert retired == {f"worst/{name}/75" for name in ("auto-mpg", "concrete", "cpu")}
    if can_be_left:  # What was left running was waited for, and not sent again.
        assert set(results.attempt_index(run).last.values()) == {1}
    assert in_engines(run) == set()
    _nothing_runs(method, service)
    # A task that was retired may have had its result before its cancellation reached it.
    found = status(run)
    assert (found.success + found.answers[0].retired, found.running) == (10, 0)


def _nothing_runs(method: str, service: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while left := _what_runs(method, service):
        assert time.monotonic() < end, left
        time.sleep(0.1)


def _what_runs(method: str, service: Any) -> Any:
    match method:
        case "slurm" | "pilot":
            return service.call("squeue", "-h")
        case "kubernetes":
            return service.jobs
        case "batch":
            return [job for job in service.jobs.values() if job.state not in ENDED]
        case "baremetal":
            return service.living()
    return runners()
