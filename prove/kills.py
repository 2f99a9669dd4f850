"""Rows of killed processes: of a benchmark run, of a study, of the service."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna

from benchmark import results
from benchmark.hpo import Client
from benchmark.hpo.client import ClientError, Trial
from benchmark.hpo.study import Study
from benchmark.results import Record
from benchmark.store import open_store
from benchmark.tasks import Run
from prove.playground import ROLES, Kill, Playground, play, schedule
from prove.program import configure
from prove.rows import Stage, check, row, until
from prove.server import Server

OBJECTIVE = """
import time

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    time.sleep(0.1)
    return (x - 0.3) ** 2
"""
TUNABLES = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(3)
]


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
    ground = Playground(configure(stage.folder / "run", seeds=max(4, kills)))
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


@row(1, "HPO service: SIGKILL of the server; two clients tell each trial at once, and try again")
def service_kills(stage: Stage) -> str:
    kills = max(1, stage.kills // 4)
    trials, dice = 25 * kills + 50, stage.dice("service-kills")
    moments = sorted(dice.sample(range(1, trials - 8), kills))
    server = Server(stage.folder, "--no-grpc")
    server.start()
    try:
        return killed_service(server, moments, trials)
    finally:
        server.kill()


def ending(number: int, teller: int) -> dict[str, Any]:
    """What a client tells of a trial: every part of it says which trial and whose it is."""
    value = number + teller / 4
    return {
        "status": "success",
        "values": [value],
        "metrics": {"m": value, f"of {teller}": value},
        "constraints": [-value, -1.0] if teller else [-value],
        "intermediate": {"0": value, str(1 + teller): value},
        "cost": value,
        "message": f"client {teller}",
    }


def tell_twice(trial: Trial) -> int:
    """Two clients tell the trial at once, each another ending; which of them was not refused."""
    accepted: list[int] = []

    def tell(teller: int) -> None:
        try:
            trial.tell(**ending(trial.number, teller))
            accepted.append(teller)
        except ClientError as error:
            check(error.status == 409, f"trial {trial.number}: {error}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(tell, (0, 1)))
    check(len(accepted) == 1, f"trial {trial.number}: {len(accepted)} of two tells were accepted")
    return accepted[0]


def killed_service(server: Server, moments: list[int], trials: int, clients: int = 8) -> str:
    """Kill the server when so many results are told; each trial is the ending that was accepted."""
    client = Client(server.url, patience_s=120)
    client.create("e", direction="minimize", tunables=TUNABLES, trials=trials, algorithm="random")
    told: dict[int, int] = {}
    faults: list[BaseException] = []

    def work() -> None:
        mine = Client(server.url, patience_s=120)
        try:
            for trial in mine.experiment("e"):
                told[trial.number] = tell_twice(trial)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for moment in moments:
        until(lambda moment=moment: len(told) >= moment or faults, f"{moment} results", 300)
        server.kill()
        server.start()
    for thread in threads:
        thread.join(300)
    check(not faults, f"a client failed: {faults[:1]}")
    found = client.experiment("e").trials(limit=10_000)
    numbers = [trial["number"] for trial in found]
    check(numbers == list(range(trials)), f"{trials} trials, {len(numbers)} in the service")
    check(len(told) == trials, f"{len(told)} results were acknowledged of {trials} trials")
    for trial in found:
        wanted = ending(trial["number"], told[trial["number"]])
        differing = [key for key in wanted if trial[key] != wanted[key]]
        check(not differing, f"trial {trial['number']} is not what was told: {differing}")
    server.kill(signal.SIGTERM)
    store = open_store(str(server.folder / "runs"))
    for trial in found:
        record = Record.from_bytes(store.get(f"studies/e/out/{trial['number']}.json"))
        check(record is not None, f"trial {trial['number']} has no record")
        assert record is not None
        held = contents(record)
        wanted = ending(trial["number"], told[trial["number"]])
        steps = {int(step): value for step, value in wanted["intermediate"].items()}
        metrics = wanted["metrics"] | {"value": wanted["values"][0]}
        same = held == (wanted["values"], trial["params"], steps, metrics)
        check(same, f"the record of trial {trial['number']} is not what was told")
    return (
        f"{len(moments)} kills: {trials} trials, each told twice at once, one of two accepted; "
        "trials and records equal to it in every value"
    )
