"""What the measurements have in common: the line about the machine, and figures handed over.

    print(heading("optuna"))                 # "2 CPUs, load 0.3, Python 3.12.4, optuna 5.0.0"
    figure("overhead of a task", 0.057, "s", aim=0.25, peer="a process each", peer_value=1.5)

A script prints as it always does; started by `python -m perf` it also hands its figures over.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "PERF_FIGURES"


@dataclass(frozen=True)
class Figure:
    """A measured value in `unit`, what it should be, and what a peer or a naive way takes.

    `at_least` says that more is better.
    """

    name: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False
    peer: str | None = None
    peer_value: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; None without one."""
        if self.peer_value is None:
            return None
        above, below = (
            (self.value, self.peer_value) if self.at_least else (self.peer_value, self.value)
        )
        return above / below if below > 0 else None


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    aim: float | None = None,
    at_least: bool = False,
    peer: str | None = None,
    peer_value: float | None = None,
) -> None:
    """Hand a figure to who asked for it, if anybody did."""
    place = os.environ.get(VARIABLE)
    if place:
        made = Figure(name, float(value), unit, aim, at_least, peer, peer_value)
        with Path(place).open("a") as file:
            file.write(json.dumps(asdict(made)) + "\n")


def handed_over(path: Path) -> list[Figure]:
    """The figures that a script left in a file, in order."""
    return [Figure(**json.loads(line)) for line in path.read_text().splitlines()]


def loop_s() -> float:
    """Seconds that this Python takes for five million additions, the best of three.

    Virtual machines are at times three times slower than at others, and no load shows it.
    """
    took = []
    for _ in range(3):
        total, started = 0, time.perf_counter()
        for number in range(5_000_000):
            total += number
        took.append(time.perf_counter() - started)
    return min(took)


def processor_ticks() -> tuple[int, int]:
    """Of all processors so far: what other machines of the host took (Linux), and in all."""
    try:
        words = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    except OSError:
        return 0, 1
    ticks = [int(word) for word in words]
    return ticks[7], sum(ticks)


def heading(*distributions: str) -> str:
    """Cores, load, and versions: what a figure depends on. No names of the machine."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in distributions]
    said = [f"{os.cpu_count()} CPUs", f"load {os.getloadavg()[0]:.1f}"]
    return ", ".join([*said, f"Python {platform.python_version()}", *versions])
