"""`restore` hooks: each runs once its trial is over, whatever ended the trial.

A mark in the store says that something has to be put back on a machine, from before the trial
begins until it has been. Who finds the mark of a process that is gone, a later trial or the driver
on its way out, puts it back in its place.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import SetupError
from benchmark.execution.variables import wanted, without_secrets
from benchmark.hpo import staging
from benchmark.layout import segment
from benchmark.store.holder import Holder

if TYPE_CHECKING:
    from benchmark.tasks import Run


@dataclass(frozen=True)
class Hook:
    """A command, the variables set for it, its limit in seconds, and the secrets it asks for."""

    argv: list[str]
    variables: dict[str, str]
    limit_s: float
    secrets: tuple[str, ...] = ()


def mark(run: Run, key: str, hook: Hook) -> None:
    """Say that a trial is about to change something."""
    said = asdict(hook)
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
        staging.lay_out(run, Path(folder))
        secrets = tuple(said.get("secrets", ()))
        fault = _call(
            Hook(said["argv"], said["variables"], float(said["limit_s"]), secrets), folder
        )
    if fault is not None:
        return f"The restore hook of trial {key} {fault}; mend it and go on with the study."
    run.store.delete([path])
    return None


def put_all_back(run: Run) -> None:
    """Run the restore hooks that trials of this machine owe whose process is gone.

    Raises:
        SetupError: one of them failed; nothing should be measured on such a machine.
    """
    for path in run.store.list(_folder(run)):
        data = run.store.get(path)
        if data is not None and _is_left(data):
            fault = put_back(run, path.rpartition("/")[2].removesuffix(".json"))
            if fault:
                raise SetupError(fault)


def _is_left(data: bytes) -> bool:
    holder = Holder.from_bytes(json.dumps(json.loads(data)["holder"]).encode())
    return holder.is_dead or holder.pid == os.getpid()


def _call(hook: Hook, folder: str) -> str | None:
    secrets = wanted(os.environ, hook.secrets)
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                hook.argv,
                cwd=folder,
                env=without_secrets(os.environ) | secrets | hook.variables,
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
    return f"ended with the exit code {code} ({lines[-1][:200] if lines else ''})" if code else None


def _folder(run: Run) -> str:
    return f"{run.name}/unrestored/{segment(platform.node())}"


def _path(run: Run, key: str) -> str:
    return f"{_folder(run)}/{key}.json"
