"""A driver whose processes are killed by role, resumed after each kill, and what must hold then."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.store import Store, open_store
from prove.processes import groups
from prove.program import ROOT, environment
from prove.rows import check, until

ROLES = ("task", "keeper", "zygote", "runner", "driver", "ctrl-c")
PATIENCE_S = 900.0


@dataclass(frozen=True)
class Kill:
    """One kill: whom, seconds after a new record and after the kill, and which of several (0-1)."""

    role: str
    before_s: float
    after_s: float
    which: float


def schedule(dice: random.Random, kills: int) -> list[Kill]:
    """The roles in turn at random moments, all drawn at once: the same for the same dice."""
    return [
        Kill(ROLES[number % len(ROLES)], dice.uniform(0, 0.8), dice.uniform(0, 0.8), dice.random())
        for number in range(kills)
    ]


@dataclass
class Playground:
    """A command that drives `run` in a folder, with all its processes known by their TMPDIR.

    `slowest_s` is the longest that a driver took to end when it was asked to.
    """

    folder: Path
    command: Sequence[str] = ("resume-compute",)
    run: str = "default"
    root: Path = ROOT
    variables: dict[str, str] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / "runs"))

    @property
    def said(self) -> str:
        """What all drivers have said."""
        return (self.folder / "driver.log").read_text(errors="replace")

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, self.root / "main.py", *self.command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(TMPDIR=str(self.folder / "tmp"), **self.variables),
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

    def finals(self) -> dict[str, bytes]:
        """The records as they stand in the store, by their paths."""
        store = self.store
        paths = store.list(f"{self.run}/out")
        return {path: data for path, data in store.get_many(paths) if data is not None}

    def attempts(self) -> Counter[str]:
        """How often each task was begun."""
        prefix = f"{self.run}/attempts"
        paths = self.store.list(prefix)
        return Counter(path.rpartition("/")[0].removeprefix(f"{prefix}/") for path in paths)

    def ran_once(self, one: str = "a task") -> None:
        """Check that everything was begun exactly once; the sentence has how the first ended."""
        attempts = self.attempts()
        check(attempts, "no attempt is recorded")
        for key, times in attempts.items():
            if times != 1:
                paths = sorted(self.store.list(f"{self.run}/attempts/{key}"))
                ends = "; ".join(str(self.store.get(path))[:400] for path in paths)
                check(False, f"{one} ran {times} times: {key}: {ends}")

    def groups(self) -> list[str]:
        """Control groups of the run that are still there."""
        scratches = {path.name for path in (self.folder / "tmp").glob("automl-benchmark-*/*")}
        return [str(g) for g in groups() if any(name in g.name for name in scratches)]

    def end(self) -> None:
        """Kill every process that is left: whoever could start another first."""
        for role in ("driver", "runner", *ROLES):
            for pid, its in self.processes().items():
                if its == role:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def one_kill(ground: Playground, kill: Kill) -> None:
    """Start, let it run for a while, kill one process, end the driver, check."""
    before, tries = ground.finals(), ground.attempts()
    driver = ground.start()
    until(lambda: driver.poll() is not None or len(ground.finals()) > len(before), "a record")
    time.sleep(kill.before_s)
    if kill.role == "ctrl-c":
        ground.killed[kill.role] += driver.poll() is None
        driver.send_signal(signal.SIGINT)
    else:
        ground.killed[kill.role] += _kill_one(ground, kill, driver)
        time.sleep(kill.after_s)
        if kill.role != "driver":
            driver.send_signal(signal.SIGINT)
    asked = time.monotonic()
    driver.wait(PATIENCE_S)
    if kill.role != "driver":
        ground.slowest_s = max(ground.slowest_s, time.monotonic() - asked)
    until(lambda: not ground.processes(), f"the processes to go: {ground.processes()}")
    untouched(ground, before, tries)


def untouched(ground: Playground, before: dict[str, bytes], tries: Counter[str]) -> None:
    """Records that were there are as they were, and their tasks have not run again."""
    after, now = ground.finals(), ground.attempts()
    for path, data in before.items():
        key = path.removeprefix(f"{ground.run}/out/").removesuffix(".json")
        if after.get(path) != data:
            ground.faults.append(f"the record {path} changed or is lost")
        if now[key] != tries[key]:
            ground.faults.append(f"{key} had a record and ran again")


def _kill_one(ground: Playground, kill: Kill, driver: subprocess.Popen[bytes]) -> bool:
    """Kill one process of a role, as soon as there is one."""
    while driver.poll() is None:
        victims = sorted(pid for pid, its in ground.processes().items() if its == kill.role)
        if victims:
            try:
                os.kill(victims[int(kill.which * len(victims))], signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
    return False


def finish(ground: Playground) -> None:
    """The rest of the run, and what its processes have left."""
    driver = ground.start()
    driver.wait(3600)
    if driver.returncode != 0:
        ground.faults.append(
            f"the last driver ended with {driver.returncode}: {ground.said[-300:]}"
        )
    until(lambda: not ground.processes(), "the processes to go")
    ground.faults += [f"left behind: {group}" for group in ground.groups()]
    left = list((ground.folder / "tmp").glob("automl-benchmark-*/*"))
    ground.faults += [f"left behind: {path}" for path in left]


def play(ground: Playground, kills: Sequence[Kill]) -> None:
    """All kills, then the rest of the run; what did not hold is in `faults`."""
    try:
        for kill in kills:
            one_kill(ground, kill)
        finish(ground)
    finally:
        ground.end()
