"""What goes into the sandbox and what comes out of it: Work, Outcome, and the evaluation's door."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmark.records.results import Cause, Record

if TYPE_CHECKING:
    from benchmark.records.tasks import Run, Task


# How the message of an attempt begins that the task's own processes may have ended.
KILLED = "The task was killed"
KEEPER_KILLED = "The process that kept the task was killed"
KEEPER_GONE = "The process that kept the task ended without a message"
UNUSABLE = "What the task left could not be used"
SUSPECT = (KILLED, KEEPER_KILLED, KEEPER_GONE, UNUSABLE)
MEANWHILE = " Meanwhile "
"""What follows in the message of a killed attempt may differ between attempts."""
# What others send to end a process; of any other signal it is itself the cause.
_ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Limits:
    """What binds the whole process tree. Seconds and MB; `cores` is how many, 0 all it may use."""

    hard_limit_s: float
    memory_mb: float
    cores: int


@dataclass(frozen=True)
class Work:
    """The part of a task that is not trusted.

    `python` is the interpreter and `preload` what its zygote imports; `entry` is
    `{"adapter": path}`, `{"argv": [...]}`, `{"script": path, "arguments": [...]}` (Python that ends
    as a command does, and has what is preloaded) or `{"metric": function}`. `inputs` writes what
    the entry reads into the work folder that it is given, and returns the entry's payload.
    `stdout_apart` keeps what it prints on standard output by itself as well: the log holds that and
    its errors. `environment` comes on top of the runner's own, of which `secrets` names the
    variables that a task has only when it asks for them (see variables.py). Where the machine has
    the means, the entry can read and not change the files `shared`, which lie outside of its work
    folder, and sees nothing in the folders `hidden`.
    """

    python: Path
    entry: dict[str, Any]
    limits: Limits
    preload: tuple[str, ...] = ()
    seed: int = 0
    inputs: Callable[[Path], dict[str, Any]] = lambda folder: {}  # noqa: ARG005
    environment: dict[str, str] = field(default_factory=dict)
    stdout_apart: bool = False
    secrets: tuple[str, ...] = ()
    shared: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()

    @property
    def is_worker(self) -> bool:
        """Whether it is code of ours around an adapter or a metric, which writes an outcome."""
        return "argv" not in self.entry and "script" not in self.entry

    def apart(self, folder: Path, scratch: Path) -> dict[str, Any]:
        """What linux.set_apart does for it: in the scratch root it sees its own `folder` only."""
        named = [str(path) for path in (self.python, *self.entry.values(), folder)]
        used = [Path(path) for name in named for path in (name, os.path.realpath(name))]
        used.append(Path(os.path.realpath(self.python.parent)))
        places = {Path(os.path.realpath(place)) for place in self.hidden}
        hidden = [
            str(place)
            for place in sorted(places)
            if place.is_dir()
            and places.isdisjoint(place.parents)
            and not any(path.is_relative_to(place) for path in used)
        ]
        return {
            "hidden": [*hidden, str(scratch)],
            "work": str(folder),
            "readable": [str(path) for path in self.shared],
            "memory_mb": self.limits.memory_mb,
            "trusted": not self.is_worker,
        }


@dataclass(frozen=True)
class Outcome:
    """How the sandboxed part ended. `folder` holds its files until the runner has finished.

    `cause` is None when the entry said itself how it ended (`said`), or a command's `code`. What
    ended an entry after it had said so stands in `afterwards`. `gone` is when the last process was
    gone, by the clock `time.monotonic()`. `follow_up` runs more Work in the same sandbox, while
    `folder` stays. `stdout` is standard output alone, where the Work asked for it; capped as the
    log is. `apart` is whether it was kept from other tasks' files (see Work). `import_s` is what
    the interpreter took to import its libraries, once for all Work.
    `memory_kills` is how many processes the kernel killed meanwhile because memory had run out, of
    the task's control group; where it has none of its own, of the container, job or session that it
    is in, but never of the rest of the machine.
    `attempt` is the number of the task's attempt; what `finish` stores carries it in its name.
    """

    folder: Path
    said: dict[str, Any]
    cause: Cause | None
    message: str
    code: int | None
    stage: str | None
    wall_s: float
    peak_memory_mb: float | None
    baseline_memory_mb: float | None
    sandbox: str
    log: bytes
    afterwards: str
    gone: float
    follow_up: Callable[[Work], Outcome]
    stdout: bytes = b""
    memory_kills: int = 0
    import_s: float | None = None
    attempt: int = 0
    apart: bool = False


def by_signal(number: int, where: str, memory_kills: int, crash: Cause) -> tuple[Cause, str]:
    """The cause and the message of what a signal ended whose sender is not known.

    `where` follows the verb (" during fit"), `crash` is the cause of a signal of its own making,
    such as SIGSEGV, and `memory_kills` are as in Outcome.
    """
    if number not in _ENDING:
        return crash, f"It crashed{where} ({signal_name(number)})."
    message = (
        f"{KILLED}{where} by {signal_words(number)}, from outside or by a process that it started."
    )
    seen = number == signal.SIGKILL and memory_kills
    return Cause.INFRASTRUCTURE, message + (memory_note(memory_kills) if seen else "")


def memory_note(kills: int) -> str:
    """What the kernel did around an attempt while it ran, as a sentence after its message."""
    return (
        f"{MEANWHILE}the kernel killed {kills} process{'es'[: 2 * (kills != 1)]} of its control "
        "group because memory had run out: probably this one."
    )


def signal_words(number: int) -> str:
    """A signal's number and name: `signal 9 (SIGKILL)`."""
    name = signal_name(number)
    return name if name.startswith("signal") else f"signal {number} ({name})"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


class Evaluation(Protocol):
    """What a task's `evaluation` names: two functions that run in the trusted runner."""

    def prepare(self, task: Task, run: Run) -> Work: ...

    def finish(self, task: Task, run: Run, outcome: Outcome) -> Record: ...


def load_evaluation(path: str) -> Evaluation:
    """An instance of the class at an import path such as `package.module:Name`."""
    module, _, name = path.partition(":")
    evaluation: Evaluation = getattr(importlib.import_module(module), name)()
    return evaluation
