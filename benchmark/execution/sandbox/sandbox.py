"""The sandbox: runs Work under limits that bind the whole process tree, by the best means here.

    with Sandbox(cores=[0]) as sandbox:
        outcome = sandbox.run(work)

The means: `cgroup` (memory, cores and kill by a control group, in a PID namespace as well where
that works), `namespace` (a PID namespace and a memory watchdog), `subreaper` (and the watchdog),
and where there is no Linux `process-group` (which `ps` watches; cores are not bound). All pass the
same tests.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import SetupError
from benchmark.execution.machine.cores import usable_cores
from benchmark.execution.sandbox.scratch import Scratch
from benchmark.execution.sandbox.variables import wanted
from benchmark.execution.sandbox.zygotes import Key, Zygote, superfluous
from benchmark.execution.task_files import TaskFileError, read_left, read_object
from benchmark.execution.work import (
    KEEPER_GONE,
    KEEPER_KILLED,
    Outcome,
    Work,
    by_signal,
    signal_name,
)
from benchmark.execution.worker.cgroups import Group, surrounding
from benchmark.execution.worker.crowd import Crowd
from benchmark.execution.worker.task import BEFORE_FIT, OUTCOME, STAGE, STAGES
from benchmark.files.removal import remove_tree
from benchmark.records.results import Cause

Means = Literal["cgroup", "namespace", "subreaper", "process-group"]

GRACE_S = 15.0
LARGEST_OUTCOME = 2**24
LARGEST_OUTPUT = 2**23
DEFAULT: Means | None = None if sys.platform.startswith("linux") else "process-group"


class Sandbox:
    """Runs one Work at a time on the given cores. Not for several threads."""

    def __init__(self, cores: Sequence[int] | None = None, means: Means | None = None) -> None:
        self.cores = sorted(cores or usable_cores())
        self._asked = means
        self._by_groups = (means or DEFAULT) == "process-group"
        if self._by_groups and not shutil.which("ps"):
            raise SetupError("The sandbox means 'process-group' needs the program ps; install it.")
        self._scratch = Scratch()
        self._zygotes: dict[Key, Zygote] = {}
        self._places: list[Path] = []
        self._current: Zygote | None = None
        self._closing = False

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Work) -> Outcome:
        """Run it to its end, whatever that is.

        Raises:
            SetupError: the interpreter does not start, or the means asked for do not work here.
        """
        return self._run(work, "work")

    def _run(self, work: Work, place: str) -> Outcome:
        cores = self.cores[: work.limits.cores] or self.cores
        folder = self._scratch.work_folder(place)
        self._places.append(folder)
        payload = work.inputs(folder)
        zygote = self._zygote(work, cores)
        group, namespace = self._means(zygote, work, cores)
        apart = namespace and zygote.facts["apart"]
        request = {
            "entry": work.entry,
            "payload": payload,
            "work": str(folder),
            "output": str(self._scratch.folder / "output.log"),
            "stdout": str(self._scratch.folder / "stdout.log") if work.stdout_apart else None,
            "cores": cores,
            "memory_mb": work.limits.memory_mb,
            "hard_limit_s": work.limits.hard_limit_s,
            "seed": work.seed,
            "env": wanted(os.environ, work.secrets) | work.environment,
            "namespace": namespace,
            "apart": work.apart(folder, self._scratch.folder.parent) if apart else None,
            "cgroup": group.folders if group else None,
            "mark": zygote.mark,
        }
        self._current = zygote
        # Of the task alone where it has a group; else of the container, job or session around it.
        watched = group or surrounding()
        killed_before = _memory_kills(watched)
        try:
            # An interrupter sets the one and then looks at the other: no order misses both.
            patience_s = work.limits.hard_limit_s + GRACE_S
            report = {} if self._closing else zygote.ask(request, patience_s)
            if "code" not in report:
                self._discard(zygote)
            report["memory_kills"] = _memory_kills(watched) - killed_before
            report["within_limit"] = bool(group and not group.has_run_out())
        finally:
            self._current = None
            if group:
                group.kill()
                group.remove()
        name: Means = "cgroup" if group else "namespace" if namespace else "subreaper"
        name = "process-group" if self._by_groups else name
        return replace(self._outcome(work, folder, report, name, zygote.facts), apart=apart)

    def discard_work(self) -> None:
        """Remove what the last Work and its follow-up left on disk."""
        for folder in self._places:
            remove_tree(folder)
        self._places.clear()

    def interrupt(self) -> None:
        """End the Work that runs, and refuse more; from any thread or a signal handler."""
        self._closing = True
        if self._current:
            self._current.hang_up()

    def close(self) -> None:
        """End every process of this sandbox and remove its files."""
        self._closing = True
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
        self._scratch.close()

    def _zygote(self, work: Work, cores: list[int]) -> Zygote:
        key = (work.python, work.preload, len(cores))
        self._retire(work, self._zygotes.get(key))
        if key not in self._zygotes:
            crowd = Crowd(self._scratch.mark()) if self._by_groups else None
            zygote = Zygote(work.python, work.preload, cores, self._scratch.folder, crowd)
            self._current = zygote
            try:
                if self._closing:
                    zygote.hang_up()
                zygote.wait()
            finally:
                self._current = None
            self._zygotes[key] = zygote
        self._zygotes[key].used = time.monotonic()
        return self._zygotes[key]

    def _retire(self, work: Work, wanted: Zygote | None) -> None:
        for zygote in superfluous(self._zygotes.values(), wanted, work.limits.hard_limit_s):
            self._discard(zygote)

    def _discard(self, zygote: Zygote) -> None:
        zygote.close()
        self._zygotes = {key: z for key, z in self._zygotes.items() if z is not zygote}

    def _means(self, zygote: Zygote, work: Work, cores: list[int]) -> tuple[Group | None, bool]:
        """The task's group, and whether it gets a PID namespace."""
        namespace = bool(zygote.facts["namespace"])
        if self._by_groups:
            return None, False
        if self._asked in (None, "cgroup"):
            group = self._scratch.group(work.limits.memory_mb, cores)
            if group or self._asked is None:
                return group, namespace
        elif self._asked == "subreaper":
            return None, False
        elif namespace:
            return None, True
        raise SetupError(f"The sandbox means '{self._asked}' does not work on this machine.")

    def _outcome(
        self, work: Work, folder: Path, report: dict[str, Any], name: str, facts: dict[str, Any]
    ) -> Outcome:
        said = _said(folder / OUTCOME) if work.is_worker else {}
        stage = _stage(folder / STAGE) if work.is_worker else None
        cause, message = _cause(report, said, work, stage)
        afterwards = _cause(report, {}, work, stage)[1] if said and cause is None else ""
        if self._closing and "code" not in report:
            afterwards = "It was interrupted."
        if self._closing and cause in (None, Cause.INFRASTRUCTURE) and not said:
            cause, message = Cause.INTERRUPTED, "The task was interrupted."
        return Outcome(
            folder=folder,
            said=said,
            cause=cause,
            message=message,
            code=report.get("code"),
            stage=stage,
            wall_s=report.get("wall_s", 0.0),
            peak_memory_mb=report.get("peak_mb"),
            baseline_memory_mb=report.get("baseline_mb"),
            sandbox=name,
            log=_faults(facts) + _output(self._scratch.folder / "output.log"),
            afterwards=afterwards,
            gone=report.get("gone") or time.monotonic(),
            follow_up=lambda more: self._run(more, "follow-up"),
            stdout=_output(self._scratch.folder / "stdout.log") if work.stdout_apart else b"",
            memory_kills=report.get("memory_kills", 0),
            import_s=facts.get("import_s"),
        )


def _memory_kills(group: Group | None) -> int:
    """How many processes of a group the kernel has killed because memory had run out."""
    return group.oom_kills() if group else 0


def _faults(facts: dict[str, Any]) -> bytes:
    """A line for each module that could not be imported ahead."""
    said = facts.get("faults", {}).items()
    lines = [f"{module} could not be imported ahead: {why}\n" for module, why in said]
    return "".join(lines).encode()


def _cause(  # noqa: PLR0911
    report: dict[str, Any], said: dict[str, Any], work: Work, stage: str | None
) -> tuple[Cause | None, str]:
    """Why there is nothing usable, from the keeper's report; None where the entry ended itself."""
    if said and report.get("safe"):
        return None, ""
    where = f" during {stage}" if stage else ""
    if report.get("abandoned"):
        return Cause.INTERRUPTED, "The task was interrupted."
    if report.get("out_of_memory"):
        return Cause.MEMORY, (
            f"It took more than its {work.limits.memory_mb:g} MiB{where} and was ended "
            f"(peak {report['peak_mb']:.0f} MiB)."
        )
    if report.get("memory_kills") and report.get("within_limit"):
        return Cause.INFRASTRUCTURE, (
            f"The kernel killed a process of it{where} because memory outside of it had run out; "
            f"it was within its {work.limits.memory_mb:g} MiB."
        )
    if said:
        return None, ""
    if report.get("timed_out"):
        return Cause.TIMEOUT, (
            f"It was ended at the hard limit of {work.limits.hard_limit_s:g} s{where}."
        )
    if "code" not in report:
        status = report.get("keeper_status")
        gone = f"{KEEPER_GONE}." if status is None else f"{KEEPER_KILLED} (status {status})."
        return Cause.INFRASTRUCTURE, report.get("broken", gone)
    number = report.get("signal")
    if number is None and not work.is_worker:
        return None, ""
    cause = Cause.SETUP if stage in BEFORE_FIT else Cause.FRAMEWORK
    if number is not None and not report.get("own_signal"):
        return by_signal(number, where, report.get("memory_kills", 0), cause)
    if number is None:
        return cause, f"It ended by itself{where} (exit code {report['code']})."
    return cause, f"It killed itself{where} ({signal_name(number)})."


def _said(path: Path) -> dict[str, Any]:
    """What the worker wrote, {} where nothing; anything else is a failure of the framework."""
    try:
        return read_object(path, LARGEST_OUTCOME, exact="classes") or {}
    except TaskFileError as error:
        message = f"What the task left is not an outcome: {error}"
        return {"status": "failure", "cause": Cause.FRAMEWORK.value, "message": message}


def _stage(path: Path) -> str | None:
    try:
        text = (read_left(path, 64, cut=True) or b"").decode()
    except (TaskFileError, ValueError):
        return None
    return text if text in STAGES else None


def _output(path: Path) -> bytes:
    try:
        return read_left(path, LARGEST_OUTPUT, cut=True) or b""
    except TaskFileError as error:
        return f"{error}\n".encode()
