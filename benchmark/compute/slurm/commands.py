"""All that is Slurm's for arrays: its commands, what they say, and what its words mean.

Slurm = Slurm(options)
    slurm.submit(request, script)        # sbatch
    slurm.present()                      # squeue, one call for all jobs of this user
    slurm.past(["123"])                  # sacct, else scontrol, else jobcomp.log
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.compute.cluster import (
    Cluster,
    ClusterError,
    Element,
    Elements,
    Request,
    TooManyError,
    indices,
)
from benchmark.compute.faults import PassingError
from benchmark.compute.submissions import Submission
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from benchmark.config.method_options import SlurmOptions

INDEX_VARIABLE = "SLURM_ARRAY_TASK_ID"
RESTARTS_VARIABLE = "SLURM_RESTART_COUNT"
ANSWER_S = 100.0
_LOOK_S = 0.5
_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")
_PASSING = (
    *("Unable to contact slurm controller", "Socket timed out", "Connection refused"),
    *("Connection reset", "Zero Bytes were transmitted", "Communication connection failure"),
    *("temporarily unable", "standby mode", "Transport endpoint", "Connection timed out"),
    *("Unspecified error", "Message receive failure", "Resource temporarily unavailable"),
)
# sbatch waits for two minutes where others' jobs fill MaxJobCount.
_RETRIES = "sleeping and retrying"
_TOO_MANY = ("MaxSubmitJob", "job submit limit", "MaxJobCount", "job limit", _RETRIES)
_TOO_LARGE = ("Invalid job array specification", "MaxArraySize")
# A limit of the account or QOS on something else than the number of jobs does not pass.
_ON_OTHER = re.compile(r"\b(Assoc|QOS)(?!\w*Submit)\w+Limit\b")
_OVER = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
}
# Reasons to wait that no one but a person can end; those of limits a job itself is above.
_HOPELESS = re.compile(
    r"Partition(Config|NodeLimit|TimeLimit|Inactive|Down)|BadConstraints|JobHeldAdmin"
    r"|Invalid(Account|QOS)|AccountNotAllowed|QOSNotAllowed|DependencyNeverSatisfied"
    r"|MaxMemPerLimit|JobHoldMaxRequeue|(?i:launch failed requeued held)"
    r"|(Assoc|QOS)\w*(PerJob|PerNode|MinCpu|MinGRES|MinMem)\w*|Reservation(Deleted|Invalid)"
)
_HELD = re.compile(r"(?i)launch failed requeued held|JobHoldMaxRequeue")
# What helps where a job waits for more than its turn; `%s` is Slurm's reason.
_NOTES = {
    r"JobHeldUser": "they are held (%s); `scontrol release JOB` releases them",
    r"JobHeldAdmin": "an administrator has held them (%s)",
    r"ReqNodeNotAvail.*|NodeDown|Resources.*Drain.*|Nodes required .*": (
        "nodes are drained, down or reserved (%s); `sinfo -R` lists why"
    ),
    r"Reservation": "they wait for a reservation (%s)",
    r"(Assoc|QOS)\w*(Limit|PerUser|PerAccount)\w*": (
        "a limit of the account or the QOS is reached (%s); they start when other jobs end"
    ),
    r"Partition(Down|Inactive)": "the partition starts no jobs (%s)",
}
_CAUSES = {
    "TIMEOUT": (Cause.TIMEOUT, "Slurm ended the job at its time limit"),
    "OUT_OF_MEMORY": (Cause.MEMORY, "Slurm ended the job for its memory"),
    "NODE_FAIL": (Cause.INFRASTRUCTURE, "The job's node was lost"),
    "BOOT_FAIL": (Cause.INFRASTRUCTURE, "The job's node did not start"),
    "LAUNCH_FAILED": (Cause.INFRASTRUCTURE, "The job's node could not start it"),
    "PREEMPTED": (Cause.INTERRUPTED, "The job was preempted"),
    "CANCELLED": (Cause.INTERRUPTED, "The job was cancelled"),
    "DEADLINE": (Cause.INTERRUPTED, "The job was ended at its deadline"),
    "REVOKED": (Cause.INTERRUPTED, "The job was revoked"),
    "COMPLETED": (Cause.INFRASTRUCTURE, "The job ended without a word of its task"),
    "FAILED": (Cause.INFRASTRUCTURE, "The job failed without a word of its task"),
}
_LARGEST_LOG = 64 * 2**20
_FACTS = ("JobState", "Reason", "ExitCode", "JobId", "NodeList")
_UNSAID = ("None", "null")
_NO_NODES = ("", "(null)", "None", "None assigned")


class Slurm(Cluster):
    """Slurm's commands, of release 20.11 and later."""

    name = "Slurm"
    causes = _CAUSES

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options
        self._settings: dict[str, str] = {}

    def largest_array(self) -> int:
        """MaxArraySize, which bounds the indices too, and no more than the jobs it may hold."""
        sizes = [self.settings().get(key, "") for key in ("MaxArraySize", "MaxJobCount")]
        found = [int(size) for size in sizes if size.isdigit() and int(size) > 0]
        return min(found, default=1000)

    def settings(self) -> dict[str, str]:
        """`scontrol show config`, asked once."""
        if not self._settings:
            for line in call("scontrol", "show", "config").splitlines():
                key, equals, value = line.partition("=")
                if equals:
                    self._settings[key.strip()] = value.strip()
        return self._settings

    def submit(self, request: Request, script: str) -> str:
        if not request.size:
            shape = {"nodes": request.nodes, "ntasks-per-node": 1, "cpus-per-task": request.cores}
            return self._sbatch(request, shape, "--no-requeue", script)
        throttle = f"%{request.throttle}" if request.throttle else ""
        array = {"array": f"0-{request.size - 1}{throttle}"}
        return self._sbatch(request, array | _shape(request), "--requeue", script)

    def chosen(self) -> dict[str, str]:
        """Partition, account and the like, where the configuration names them."""
        names = ("partition", "account", "qos", "gres", "constraint")
        found = {name: getattr(self._options, name) for name in names}
        return {name: value for name, value in found.items() if value}

    def find(self, name: str) -> str | None:
        for line in call(*_SQUEUE, "--name", name).splitlines():
            return line.split("|", 1)[0]
        try:
            output = call("sacct", "-X", "-P", "-n", "--name", name, "-o", "JobID")
        except ClusterError:
            return None  # There is no accounting here.
        return output.split("\n", 1)[0].partition("_")[0] or None

    def present(self, jobs: Collection[Submission] = ()) -> Elements:  # noqa: ARG002  all are
        found: Elements = {}
        for line in call(*_SQUEUE).splitlines():
            job, index, state, reason, number, nodes, _ = line.split("|", 6)
            kept = element(state, reason, number=number, nodes=nodes)
            found.setdefault(job, {})[int(index) if index.isdigit() else 0] = kept
        return found

    def past(self, jobs: Collection[str]) -> Elements:
        found: Elements = {}
        try:
            _accounted(jobs, found)
        except ClusterError:  # There is no accounting here: what the controller still knows.
            for job in jobs:
                _remembered(job, found)
            missing = set(jobs) - found.keys()
            if missing:
                self._logged(missing, found)
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        if not jobs:
            return
        try:
            call("scancel", *jobs)
        except ClusterError as error:
            if "Invalid job id" not in str(error):
                raise  # What has gone already needs no cancelling.

    def cancel_element(self, job: str, index: int) -> None:
        self.cancel([f"{job}_{index}"])

    def forget(self, job: str) -> bool:  # noqa: ARG002
        """False: if a node is lost before the end of a job, its element is queued again."""
        return False

    def cause_of(self, element: Element, log: Path) -> tuple[Cause, str]:
        if element.is_held:
            why = f"A node could not start the job, and Slurm held it ({element.reason})."
            return Cause.INFRASTRUCTURE, why
        cause, message = super().cause_of(element, log)
        if cause is Cause.TIMEOUT and not self._has_ended_on_its_node(element, log):
            return Cause.INFRASTRUCTURE, f"{message} Its node did not end it."
        return cause, message

    def _has_ended_on_its_node(self, element: Element, log: Path) -> bool:
        """Whether the node wrote that it ended the job at its limit, as a living node does.

        For a node that was lost or hung, the controller alone counts the time to the limit. Where
        that cannot be known the limit is believed.
        """
        elsewhere = any(flag.startswith(("--error", "-e")) for flag in self._options.flags)
        try:
            text = log.read_bytes().decode(errors="replace")
        except OSError:
            return True
        line = rf"\*\*\* (JOB|STEP) {re.escape(element.number)}\b.* DUE TO TIME LIMIT"
        return elsewhere or not element.number or bool(re.search(line, text))

    def _sbatch(
        self, request: Request, shape: Mapping[str, object], requeue: str, script: str
    ) -> str:
        Path(request.log).parent.mkdir(parents=True, exist_ok=True)
        named = {
            "job-name": request.name,
            **shape,
            "mem": f"{request.memory_mb}M",
            "time": minutes(request.time_s),
            "output": request.log,
            **self.chosen(),
        }
        options = [f"--{name}={value}" for name, value in named.items()]
        options += ["--open-mode=append", requeue, *self._options.flags]
        try:
            output = call("sbatch", "--parsable", *options, text=script)
        except PassingError as error:
            raise PassingError(str(error), perhaps_done=True) from None
        except ClusterError as error:
            why = str(error).rstrip(".")
            job = self.find(request.name) if _RETRIES in why else None
            if job:
                return job  # It was taken just before sbatch was ended.
            kinds = _TOO_MANY + (_TOO_LARGE if request.size > 1 else ())
            if any(words in why for words in kinds) and not _ON_OTHER.search(why):
                raise TooManyError(f"no more jobs are accepted ({why})") from None
            raise
        job = output.strip().splitlines()[-1].partition(";")[0] if output.strip() else ""
        if not job.isdigit():
            raise PassingError(f"sbatch gave no job id but '{output.strip()}'.", perhaps_done=True)
        return job

    def _logged(self, jobs: Collection[str], found: Elements) -> None:
        """The end of jobcomp.log, where there is one that can be read."""
        settings = self.settings()
        if "filetxt" not in settings.get("JobCompType", ""):
            return
        try:
            with Path(settings.get("JobCompLoc", "")).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LARGEST_LOG))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return  # It is the administrator's, and may not be for us.
        for line in lines:
            _described(line, jobs, found)


def _shape(request: Request) -> dict[str, object]:
    """Nodes, ranks and cores: one process, or the ranks of an MPI program."""
    mpi = request.mpi
    if mpi is None:
        return {"nodes": 1, "ntasks": 1, "cpus-per-task": request.cores}
    shape: dict[str, object] = {
        "nodes": mpi.nodes,
        "ntasks-per-node": mpi.ranks_per_node,
        "cpus-per-task": mpi.threads_per_rank,
    }
    return shape | ({"gpus-per-task": mpi.gpus_per_rank} if mpi.gpus_per_rank else {})


def hosts(variables: Mapping[str, str]) -> list[str]:
    """The nodes of the job that this process is in, the first one first; none outside of a job."""
    listed = variables.get("SLURM_JOB_NODELIST")
    return call("scontrol", "show", "hostnames", listed).split() if listed else []


_SQUEUE = ("squeue", "--me", "-h", "-r", "-t", "all", "-o", "%F|%K|%T|%r|%A|%N|%j")


def element(
    state: str, reason: str = "", code: str = "", number: str = "", nodes: str = ""
) -> Element:
    """An element by Slurm's words; a word that is not known is taken for one that goes on. Without
    `nodes` it has never been started."""
    word = state.split(maxsplit=1)[0].rstrip("+") if state.strip() else "UNKNOWN"
    waits = word in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
    plain = reason.strip("()")
    notes = (text % plain for words, text in _NOTES.items() if re.fullmatch(words, plain))
    return Element(
        state=word,
        reason="" if plain in _UNSAID else reason,
        code="" if code == "0:0" else code,
        is_over=word in _OVER,
        waits=waits,
        is_hopeless=waits and bool(_HOPELESS.fullmatch(plain)),
        is_held=waits and bool(_HELD.fullmatch(plain)),
        note=next(notes, "") if waits else "",
        number=number,
        starts=int(nodes not in _NO_NODES),
    )


def minutes(seconds: float) -> int:
    """A time limit as Slurm counts it."""
    return max(1, math.ceil(seconds / 60))


def call(*command: str, text: str = "") -> str:
    """A command's output.

    Raises:
        PassingError: the controller cannot be reached, or is silent.
        ClusterError: the command refuses, in Slurm's words.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        # A driver that runs inside a job must not hand that job's own limits on.
        if not name.startswith("SLURM_") or name in _KEPT
    }
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables,
            process_group=0,  # Ctrl-C is this program's to answer, not the command's
        )
    except FileNotFoundError:
        raise ClusterError(
            f"{command[0]} is not on PATH; run this on a machine of the cluster, such as its login "
            "node."
        ) from None
    output, said = _answer(command[0], process, text)
    if process.returncode == 0:
        return output
    said = " ".join(said.split()) or f"exit code {process.returncode}"
    sentence = f"{command[0]} failed: {said.rstrip('.')}."
    if any(words in said for words in _PASSING) and _RETRIES not in said:
        raise PassingError(sentence)
    raise ClusterError(sentence)


def _answer(name: str, process: subprocess.Popen[bytes], text: str) -> tuple[str, str]:
    """What a command prints on standard output and on standard error; one that only waits for room
    is ended.

    Raises:
        PassingError: it is silent.
    """
    end = time.monotonic() + ANSWER_S
    data: bytes | None = text.encode()
    with process:
        try:
            while True:
                try:
                    output, said = process.communicate(data, timeout=_LOOK_S)
                except subprocess.TimeoutExpired as silence:
                    data = None
                    if _RETRIES.encode() in (silence.stderr or b""):
                        process.kill()
                    elif time.monotonic() > end:
                        why = f"{name} gave no answer for {ANSWER_S:g} s."
                        raise PassingError(why) from None
                else:
                    return output.decode(errors="replace"), said.decode(errors="replace")
        finally:
            process.kill()


def _accounted(jobs: Collection[str], found: Elements) -> None:
    columns = ("-o", "JobID,State,Reason,ExitCode,JobIDRaw,NodeList")
    output = call("sacct", "-X", "-P", "-n", "-D", "-j", ",".join(jobs), *columns)
    lines = [line.split("|") for line in output.splitlines()]
    # "7_[6-15]", those that wait, goes on naming elements that have started and have a line of
    # their own. Of an element that was requeued the last line counts.
    for name, *facts in sorted(lines, key=lambda line: "[" not in line[0]):
        job, _, index = name.partition("_")
        for number in indices(index or "0"):
            found.setdefault(job, {})[number] = element(*facts)


def _remembered(job: str, found: Elements) -> None:
    try:
        output = call("scontrol", "show", "job", "-o", job)
    except ClusterError:
        return  # Purged: it is unknown.
    for line in output.splitlines():
        _described(line, (job,), found)


def _described(line: str, jobs: Collection[str], found: Elements) -> None:
    """A job as `scontrol show job -o` and jobcomp.log describe it, `Key=value` by `Key=value`."""
    facts = dict(re.findall(r"(\w+)=(\S*)", line))
    job = facts.get("ArrayJobId") or facts.get("JobId", "")
    if job in jobs:
        for number in indices(facts.get("ArrayTaskId", "0")):
            found.setdefault(job, {})[number] = element(*(facts.get(key, "") for key in _FACTS))
