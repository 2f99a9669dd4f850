"""Rows of killed processes: of a benchmark run and of a study."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna

from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from prove.playground import ROLES, Kill, Playground, play, schedule
from prove.program import SIDE_BY_SIDE, configure
from prove.rows import Stage, check, row

OBJECTIVE = """
import time

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    time.sleep(0.1)
    return (x - 0.3) ** 2
"""


def told(killed: Counter[str]) -> str:
    """`12 kills (4 driver, …)`."""
    parts = ", ".join(f"{number} {role}" for role, number in killed.items() if number)
    return f"{killed.total()} kills ({parts})"


def check_ground(ground: Playground, kills: int) -> None:
    check(not ground.faults, "; ".join(ground.faults[:3]))
    check(ground.killed.total() >= kills / 2, f"only {ground.killed.total()} of {kills} kills hit")


@row(1, "Benchmark run: SIGKILL of task, keeper, zygote, runner and driver, Ctrl-C; then resume")
def run_kills(stage: Stage) -> str:
    kills = max(1, stage.kills // 2)
    folder = configure(stage.folder / "run", seeds=max(4, kills), **SIDE_BY_SIDE)
    ground = Playground(folder)
    play(ground, schedule(stage.dice("run-kills"), kills))
    check_ground(ground, kills)
    run = Run.open(ground.store, "default")
    records = list(results.records(run))
    keys = Counter(record.task for record in records)
    lost = [task.key for task in run.tasks if task.key not in keys]
    check(not lost, f"{len(lost)} tasks have no record, {lost[:1]} the first")
    check(len(records) == len(run.tasks), f"{len(run.tasks)} tasks, {len(records)} records")
    bad = [record for record in records if record.status != "success"]
    check(not bad, f"{len(bad)} failed that should not: {[one.message for one in bad[:1]]}")
    attempts = ground.attempts().total()
    return (
        f"{told(ground.killed)}: {len(run.tasks)} tasks, {len(records)} records of {attempts} "
        "attempts; none lost, twice or changed; no process left, "
        f"the slowest driver ended in {ground.slowest_s:.1f} s"
    )


def study_file(folder: Path, trials: int, **more: object) -> Path:
    """A study of a Python function that takes 0.1 s."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "objective.py").write_text(OBJECTIVE)
    declared = {
        "name": "proof",
        "direction": "minimize",
        "algorithm": "random",
        "seed": 1,
        "trials": trials,
        "parallel": 2,
        "limits": {"time": 20, "memory": 300},
        "tunables": [
            {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
        ],
        "objective": {"python": "objective.py:objective"},
    }
    file = folder / "proof.json"
    file.write_text(json.dumps(declared | more))
    return file


def study_schedule(stage: Stage) -> list[Kill]:
    """A quarter of the kills, and each role once at least."""
    return schedule(stage.dice("study-kills"), max(len(ROLES), stage.kills // 4))


@row(1, "Study: the same processes killed, the study continued")
def study_kills(stage: Stage) -> str:
    kills = study_schedule(stage)
    trials = 40 * len(kills) + 40
    folder = configure(stage.folder / "study")
    file = study_file(folder, trials)
    ground = Playground(folder, ("tune", str(file)), "studies/proof")
    play(ground, kills)
    check_ground(ground, len(kills))
    check_study(ground, trials)
    return (
        f"{told(ground.killed)}: {trials} trials, {len(ground.finals())} records, equal to "
        "Optuna's; none lost, twice or changed"
    )


def check_study(ground: Playground, trials: int) -> None:
    """Each trial has one record, and Optuna's history says the same."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = Study.open(ground.store, "proof")
    records = {int(record.task): record for record in results.records(study.run)}
    check(sorted(records) == list(range(trials)), f"{trials} trials, {len(records)} records")
    history = {
        trial.number: (
            trial.values,
            study.optimizer.params_of(trial),
            trial.intermediate_values,
            trial.user_attrs.get("metrics"),
        )
        for trial in study.optimizer.trials()
    }
    found = {number: contents(record) for number, record in records.items()}
    check(history == found, "Optuna's history and the records differ")
    check(study.unfinished() == [], "trials are unfinished")


def contents(record: Record) -> tuple[Any, ...]:
    """What a trial's record holds: values, point, steps and metrics."""
    labels = record.labels
    steps = {int(step): value for step, value in (labels.get("intermediate") or {}).items()}
    return labels.get("values"), labels["params"], steps, record.metrics
