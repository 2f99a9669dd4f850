"""A study whose processes are killed again and again, and what is wrong with it afterwards.

python tests/faults/killing_studies.py --trials 200 --kills 30 --seed 1

Each start of `tune` is let alone for a few trials; then its driver, or a process below it (a
worker, a runner, a zygote, a trial), is killed. Half of the starts are of a study with one driver,
half of one that workers share.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmark.execution.worker.trees import descendants
from benchmark.hpo.report import export
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.store import open_store

ROOT = Path(__file__).parents[2]
PAUSE = 6
OBJECTIVE = "import os; open({!r}, 'a').write(os.environ['HPO_TRIAL'] + chr(10)); print({{x}} ** 2)"


def declared(name: str, trials: int, lines: Path, **more: Any) -> dict[str, Any]:
    command = [sys.executable, "-c", OBJECTIVE.format(str(lines))]
    bounds = {"lower_bound": -1, "upper_bound": 1, "default": 0.5}
    return {
        "name": name,
        "direction": "minimize",
        "algorithm": "random",
        "trials": trials,
        "limits": {"time": 60, "memory": 300},
        "objective": {"command": command},
        "tunables": [{"name": "x", "value_type": "double", **bounds}],
        **more,
    }


def killed(command: list[str], folder: Path, chance: random.Random, most: int) -> Counter[str]:
    """Run the command and kill a part of it every few trials; how often which, until it ends."""
    counts: Counter[str] = Counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stderr is not None
        said, left = [], chance.randint(1, PAUSE)
        for line in driver.stderr:
            said.append(line)
            left -= line.startswith("trial ")
            if left > 0 or counts.total() == most:
                continue
            left = chance.randint(1, PAUSE)
            family = descendants(driver.pid)
            role = chance.choice(["driver", "below", "below"]) if family else "driver"
            try:
                os.kill(driver.pid if role == "driver" else chance.choice(family), signal.SIGKILL)
                counts[role] += 1
            except ProcessLookupError:
                continue
    if driver.returncode not in (0, 1, -signal.SIGKILL):
        raise AssertionError(f"tune ended with {driver.returncode}: {said[-5:]}")
    return counts


def play(folder: Path, trials: int, kills: int, seed: int) -> Counter[str]:
    """Play it to the end; how often each role was killed."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    for name, more in (
        ("alone", {"parallel": 2}),
        ("shared", {"max_parallelism": 2, "trials_per_task": 5}),
    ):
        lines = folder / f"{name}.lines"
        lines.touch()
        file = folder / f"{name}.json"
        file.write_text(json.dumps(declared(name, trials // 2, lines, **more)))
        command = [sys.executable, str(ROOT / "main.py"), "tune", str(file)]
        aim = counts.total() + kills // 2
        while counts.total() < aim and (
            new := killed(command, folder, chance, aim - counts.total())
        ):
            counts += new
        while subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
            pass
    return counts


def faults(folder: Path, trials: int) -> list[str]:
    """What is not as promised: each trial told once, from its record, and the best of them."""
    found: list[str] = []
    store = open_store(str(folder / "runs"))
    for name in ("alone", "shared"):
        study = Study.open(store, name)
        told = study.optimizer.trials()
        states = [trial.state.name for trial in told]
        if len(told) != trials // 2 or set(states) - {"COMPLETE", "FAIL"}:
            found.append(f"{name}: {len(told)} trials, {sorted(set(states))}")
        records = {int(record.task): record for record in results.records(study.run)}
        if sorted(records) != [trial.number for trial in told]:
            found.append(f"{name}: records {sorted(records)}")
        for trial in told:
            values = records[trial.number].labels.get("values")
            if values != trial.values:
                found.append(f"{name}: trial {trial.number}: {trial.values}, record {values}")
        # What a user is shown as the best, against what the optimizer was told.
        shown = [record.labels["values"] for record in export.best(study.run, study.definition)]
        least = min((trial.values for trial in told if trial.values), default=None)
        if shown != ([] if least is None else [least]):
            found.append(f"{name}: the best is {shown}, the best that was told {least}")
        ran = set((folder / f"{name}.lines").read_text().split())
        if ran != set(map(str, range(trials // 2))):
            found.append(f"{name}: {len(ran)} numbers were run")
        failed = states.count("FAIL")
        if failed:
            messages = {r.message for r in records.values() if r.status != "success"}
            found.append(f"{name}: {failed} failures: {messages}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(dict(play(folder, options.trials, options.kills, options.seed)))
        found = faults(folder, options.trials)
    print("\n".join(found) or f"{options.trials} told once each")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
