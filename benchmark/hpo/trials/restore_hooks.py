"""`restore` hooks: each runs once its trial is over, whatever ended the trial.

A mark in the store says that something has to be put back on a machine, from before the trial
begins until it has been. The runner holds a lock of the store meanwhile, which goes with it: by a
kill, a restart of its container, a reboot. Who finds a mark on its machine whose lock no one has, a
later trial or the driver on its way out, puts it back.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.config.extras import program
from benchmark.errors import SetupError
from benchmark.execution.sandbox.variables import in_c_locale, wanted, without_secrets
from benchmark.execution.work import signal_words
from benchmark.hpo.trials import objective_files
from benchmark.records.layout import segment
from benchmark.records.tasks import Run
from benchmark.store.holder import Holder, Life, machine

_AGAIN_S = 1.0
_OWED = "unrestored"
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Hook:
    """A command, the variables set for it, its limit in seconds, and the secrets it asks for.

    One that belongs into the trial's sandbox, and runs elsewhere only because that has ended, is
    `apart` from all processes: their numbers that the trial kept could be those of others by now.
    """

    argv: list[str]
    variables: dict[str, str]
    limit_s: float
    secrets: tuple[str, ...] = ()
    apart: bool = False


class Marks:
    """The marks of one runner, whose trials follow each other, and the lock that they stand for."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._lock = ""

    def put_all_back(self, run: Run) -> None:
        """Run the hooks that trials of this machine owe which are over, this runner's included.

        Raises:
            SetupError: one of them failed; nothing should be measured on such a machine.
        """
        put_all_back(run, self._lock)

    def add(self, run: Run, key: str, hook: Hook) -> None:
        """Say that a trial is about to change something."""
        if not self._lock:
            name = f"restore-{run.name}-{platform.node()}-{os.getpid()}-{next(_NUMBERS)}"
            self._held.enter_context(run.store.lock(name))
            self._lock = name
        mark(run, key, hook, self._lock)

    def close(self) -> None:
        self._lock = ""
        self._held.close()


def mark(run: Run, key: str, hook: Hook, lock: str) -> None:
    """Write the mark of a trial, which is over as soon as no one holds the lock."""
    said = asdict(hook) | {"lock": lock, "machine": machine()}
    said["holder"] = json.loads(Holder.here().to_bytes())
    run.store.put(_path(run, key), json.dumps(said).encode())


def put_back(run: Run, key: str) -> str | None:
    """Run the restore hook of a trial, if it is marked; what went wrong, in a sentence."""
    path = _path(run, key)
    data = run.store.get(path)
    if data is None:
        return None
    said = json.loads(data)
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-restore-") as folder:
        objective_files.lay_out(run, Path(folder))
        secrets = tuple(said.get("secrets", ()))
        fault = _call(
            Hook(
                said["argv"],
                said["variables"],
                float(said["limit_s"]),
                secrets,
                said.get("apart", False),
            ),
            folder,
        )
    if fault is not None:
        name = run.name.partition("/")[2]
        return (
            f"The restore hook of trial {key}, as the study keeps it, {fault}; make it succeed on "
            "this machine, or put the machine back by hand and forget the hook with "
            f"`{program()} studies resume {shlex.quote(name)} --restored {platform.node()}`; then "
            "resume."
        )
    run.store.delete([path])
    return None


def forget(run: Run, key: str) -> None:
    """The hook of a trial has run in its sandbox."""
    run.store.delete([_path(run, key)])


def forget_all(run: Run, node: str) -> list[str]:
    """Forget what trials that are over owe a machine, which a user has put back; their numbers.

    Raises:
        SetupError: they owe it nothing.
    """
    paths = run.store.list(_folder(run, node))
    held = [path for path in paths if _is_held(run, run.store.get(path))]
    over = [path for path in paths if path not in held]
    if not over:
        others = {path.split("/")[-2] for path in run.store.list(f"{run.name}/{_OWED}")} - {node}
        why = f"; there are of {', '.join(sorted(others))}" if others else ""
        raise SetupError(
            f"No restore hook of a trial that is over waits on the machine '{node}'{why}."
        )
    run.store.delete(over)
    return [path.rpartition("/")[2].removesuffix(".json") for path in over]


def _is_held(run: Run, data: bytes | None) -> bool:
    """Whether the runner of a marked trial lives."""
    try:
        lock = json.loads(data or b"{}").get("lock")
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(lock, str) and run.store.is_locked(lock)


def put_all_back(run: Run, own_lock: str = "") -> None:
    """Run the restore hooks that trials of this machine owe and whose runner is gone.

    Raises:
        SetupError: one of them failed; nothing should be measured on such a machine.
    """
    for path in run.store.list(_folder(run)):
        data = run.store.get(path)
        if data is not None and _is_left(run, path, data, own_lock):
            fault = put_back(run, path.rpartition("/")[2].removesuffix(".json"))
            if fault:
                raise SetupError(fault)


def _is_left(run: Run, path: str, data: bytes, own_lock: str) -> bool:
    """Whether the trial was on this machine and is over."""
    try:
        said = json.loads(data)
        holder = Holder.from_bytes(json.dumps(said["holder"]).encode())
        lock = said.get("lock")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        run.store.ignore(path, "is no mark of a restore hook")
        return False
    if said.get("machine", machine()) != machine():
        return False
    if not isinstance(lock, str):  # of a version before this
        return holder.life is Life.DEAD
    return lock == own_lock or _is_let_go(run, lock, holder)


def _is_let_go(run: Run, lock: str, holder: Holder) -> bool:
    """Whether no one holds the lock; one that a dead runner may have left is waited for."""
    end = time.monotonic() + run.store.lapse_s
    while run.store.is_locked(lock):
        if holder.life is Life.ALIVE or time.monotonic() > end:
            return False
        threading.Event().wait(_AGAIN_S)
    return True


def _call(hook: Hook, folder: str) -> str | None:
    secrets = wanted(os.environ, hook.secrets)
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                [*(_namespace() if hook.apart else ()), *hook.argv],
                cwd=folder,
                env=in_c_locale(without_secrets(os.environ)) | secrets | hook.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be started ({hook.argv[0]}: {error.strerror})"
        try:
            code = process.wait(hook.limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"took more than {hook.limit_s:g} s"
        output.seek(0)
        lines = output.read().decode(errors="replace").strip().splitlines()
    last = f" ({lines[-1][:200]})" if lines else ""
    if code < 0:
        return f"was killed by {signal_words(-code)}{last}"
    return f"ended with the exit code {code}{last}" if code else None


@functools.cache
def _namespace() -> tuple[str, ...]:
    """What runs a command in a PID namespace of its own, where this machine allows it."""
    words = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if os.geteuid() != 0 or shutil.which(words[0]) is None:
        return ()
    allowed = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if allowed.returncode == 0 else ()


def _folder(run: Run, node: str | None = None) -> str:
    return f"{run.name}/{_OWED}/{segment(node or platform.node())}"


def _path(run: Run, key: str) -> str:
    return f"{_folder(run)}/{key}.json"
