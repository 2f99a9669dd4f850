"""Kills a process of a run at random, by role, and checks what must hold afterwards.

python tests/faults/killing.py --kills 50 --seed 1
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
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmark import results  # noqa: E402
from benchmark.store import open_store  # noqa: E402
from benchmark.tasks import Run  # noqa: E402

ROLES = ("task", "keeper", "zygote", "runner", "driver", "ctrl-c")
PATIENCE_S = 60.0


@dataclass
class Playground:
    """A run in a folder of its own, with all its processes known by their TMPDIR."""

    folder: Path
    seeds: int
    killed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "tmp").mkdir(parents=True)
        config = {
            "studies": ["starter"],
            "frameworks": [
                "constant",
                {"name": "random-forest", "as": "forest", "params": {"n_estimators": 30}},
            ],
            "seeds": self.seeds,
            "cores": 1,
            "memory": 1000,
            "runtime": 10,
            "hard_limit": 30,
            "compute": {"*": "local"},
        }
        (self.folder / "batch.config").write_text(json.dumps(config))

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, ROOT / "main.py", "resume-compute"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"TMPDIR": str(self.folder / "tmp")},
                start_new_session=True,
            )

    def processes(self) -> dict[int, str]:
        """pid: role of every living process of the run."""
        mark = f"TMPDIR={self.folder / 'tmp'}".encode()
        commands: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes():
                    commands[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
            except OSError:
                continue
        roles = {}
        for pid, command in commands.items():
            if not command:
                continue
            if "main.py" in command:
                roles[pid] = "driver"
            elif "--serve" in command:
                roles[pid] = "runner"
            elif "worker" in command:
                above = commands.get(parent(pid), "")
                grand = commands.get(parent(parent(pid)), "")
                roles[pid] = (
                    "zygote" if "--serve" in above else "keeper" if "--serve" in grand else "task"
                )
        return roles

    def run(self) -> Run | None:
        try:
            return Run.open(open_store(str(self.folder / "runs")), "default")
        except Exception:
            return None

    def finals(self) -> dict[str, bytes]:
        run = self.run()
        if run is None:
            return {}
        paths = run.store.list("default/out")
        return {path: data for path, data in run.store.get_many(paths) if data is not None}

    def attempts(self) -> Counter[str]:
        run = self.run()
        paths = run.store.list("default/attempts") if run else []
        return Counter(path.rpartition("/")[0].removeprefix("default/attempts/") for path in paths)

    def groups(self) -> list[str]:
        scratches = {path.name for path in (self.folder / "tmp").glob("automl-benchmark-*/*")}
        found = Path("/sys/fs/cgroup").glob("**/automl-*")
        return [str(g) for g in found if any(name in g.name for name in scratches)]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def until(true: object, what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_S:g} s for {what}")
        time.sleep(0.01)


def one_kill(ground: Playground, dice: random.Random, role: str) -> None:
    """Start, let it run for a while, kill one process, end the driver, check."""
    before, tries = ground.finals(), ground.attempts()
    driver = ground.start()
    until(lambda: driver.poll() is not None or len(ground.finals()) > len(before), "a record")
    time.sleep(dice.uniform(0, 0.8))
    if role == "ctrl-c":
        driver.send_signal(signal.SIGINT)
        ground.killed[role] += 1
    else:
        ground.killed[role] += kill_one(ground, dice, role, driver)
        time.sleep(dice.uniform(0, 0.8))
        if role != "driver":
            driver.send_signal(signal.SIGINT)
    asked = time.monotonic()
    driver.wait(PATIENCE_S)
    took = time.monotonic() - asked
    if role != "driver" and took > 5:
        ground.faults.append(f"the driver took {took:.1f} s to end")
    until(lambda: not ground.processes(), f"the processes to go: {ground.processes()}")
    after, now = ground.finals(), ground.attempts()
    for path, data in before.items():
        key = path.removeprefix("default/out/").removesuffix(".json")
        if after.get(path) != data:
            ground.faults.append(f"the record {path} changed or is lost")
        if now[key] != tries[key]:
            ground.faults.append(f"{key} had a record and ran again")


def kill_one(
    ground: Playground, dice: random.Random, role: str, driver: subprocess.Popen[bytes]
) -> bool:
    """Kill one process of a role, as soon as there is one."""
    while driver.poll() is None:
        victims = [pid for pid, its in ground.processes().items() if its == role]
        if victims:
            try:
                os.kill(dice.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
    return False


def finish(ground: Playground) -> None:
    driver = ground.start()
    driver.wait(600)
    if driver.returncode != 0:
        ground.faults.append(f"the last resume-compute ended with {driver.returncode}")
    run = ground.run()
    assert run is not None
    records = list(results.records(run))
    keys = [record.task for record in records]
    if sorted(keys) != sorted(task.key for task in run.tasks):
        ground.faults.append(f"{len(run.tasks)} tasks, {len(keys)} records")
    bad = [record for record in records if record.status != "success"]
    ground.faults += [f"{record.task}: {record.cause} {record.message}" for record in bad]
    until(lambda: not ground.processes(), "the processes to go")
    ground.faults += [f"left behind: {group}" for group in ground.groups()]
    left = list((ground.folder / "tmp").glob("automl-benchmark-*/*"))
    ground.faults += [f"left behind: {path}" for path in left]


def play(folder: Path, kills: int, seed: int, seeds: int) -> Playground:
    """`kills` kills, the roles in turn, then the rest of the run; its faults are listed."""
    dice = random.Random(seed)
    ground = Playground(folder, seeds)
    for number in range(kills):
        one_kill(ground, dice, ROLES[number % len(ROLES)])
    finish(ground)
    return ground


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=80)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ground = play(Path(folder) / "ground", options.kills, options.seed, options.seeds)
        run = ground.run()
        print(f"{dict(ground.killed)} killed; {len(run.tasks) if run else 0} tasks")
        if ground.faults:
            print((ground.folder / "driver.log").read_text()[-3000:])
    for fault in ground.faults:
        print(f"FAULT {fault}")
    return 1 if ground.faults else 0


if __name__ == "__main__":
    sys.exit(main())
