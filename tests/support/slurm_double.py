"""Slurm's commands as small programs that answer as Slurm does, over jobs in a folder.

A job's elements wait until a test says otherwise (`double.set(job, index, "RUNNING")`); where
`runs` is set their script is run, one element after the other, as a process of this machine.
`down` makes every command fail as without a controller; `purge` forgets a job.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = r"""#!{python} -IS
import fcntl, json, os, re, sys, time  # not pathlib, which takes as long as all of these
root = {root!r} + "/"
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]

def read(place):
    with open(root + place) as file:
        return json.load(file)

settings = read("settings.json")
with open(root + "calls", "a") as file:
    file.write(name + " " + " ".join(words) + "\n")

def fail(said):
    sys.stderr.write(said + "\n")
    sys.exit(1)

def jobs():
    names = sorted(os.listdir(root))
    return [read(one) for one in names if one.startswith("job-") and one.endswith(".json")]

def save(job):
    path = root + "job-{{:06d}}".format(job["id"])
    staged = path + ".tmp%d" % os.getpid()
    with open(staged, "w") as file:
        json.dump(job, file)
    os.replace(staged, path + ".json")

def node(job, n):
    "Where an element runs or ran; one that is cancelled while it waits never did."
    known = job["elements"][n][0] not in ("PENDING", "CANCELLED")
    return job.get("nodes", {{}}).get(str(n), "n1" if known else "")

def options():
    return dict(re.findall(r"--([a-z-]+)=(.*)", "\n".join(w for w in words if "=" in w)))

def supervise(job):
    import subprocess  # takes as long as all the others
    given = job["options"]
    for index in range(job["size"]):
        with open(root + "element-%d" % job["id"], "w") as file:
            file.write(str(index))
        log = open(given["output"], "ab")
        done = subprocess.run(["bash"], input=job["script"].encode(), stdout=log, stderr=log,
            env=dict(os.environ, SLURM_ARRAY_TASK_ID=str(index)))
        path = "job-{{:06d}}.json".format(job["id"])
        with open(root + "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(root + path):
                return
            now = read(path)
            if now["elements"][index][0] == "CANCELLED":
                return
            state = ["COMPLETED", "None", "0:0"] if done.returncode == 0 else [
                "FAILED", "NonZeroExitCode", "%d:0" % done.returncode]
            now["elements"][index] = state
            save(now)

if settings["down"]:
    fail("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
lock = open(root + "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
if name == "sbatch":
    script, given = sys.stdin.read(), options()
    size = int(re.match(r"0-(\d+)", given["array"]).group(1)) + 1 if "array" in given else 1
    if settings["refusal"]:
        fail("sbatch: error: Batch job submission failed: " + settings["refusal"])
    if settings["taken"]:
        sys.stderr.write("sbatch: error: Slurm temporarily unable to accept job, sleeping and "
                         "retrying\n")
        sys.stderr.flush()
        lock.close()
        time.sleep(600)
    waiting = sum(e[0] == "PENDING" for job in jobs() for e in job["elements"])
    if waiting + size > settings["most"]:
        fail("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission "
             "failed: Job violates accounting/QOS policy (job submit limit, user's size and/or "
             "time limits)")
    taken = sum(one.startswith("taken-") for one in os.listdir(root))
    job = {{"id": settings["first"] + taken, "name": given["job-name"],
           "size": size, "options": given, "words": words, "script": script,
           "elements": [["PENDING", settings["reason"], "0:0"]] * size}}
    open(root + "taken-%d" % job["id"], "w").close()
    save(job)
    lock.close()
    if settings["silent"]:
        fail("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
    print(job["id"])
    sys.stdout.flush()
    if settings["runs"] and os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        supervise(job)
elif name == "squeue":
    wanted = words[words.index("--name") + 1] if "--name" in words else None
    for job in jobs():
        if wanted in (None, job["name"]) and not job.get("past"):
            for n, (state, reason, _) in enumerate(job["elements"]):
                print(job["id"], n if "array" in job["options"] else "N/A", state, reason,
                      9000 + n, node(job, n), job["name"], sep="|")
elif name == "sacct":
    if not settings["accounting"]:
        fail("Slurm accounting storage is disabled")
    for job in jobs():
        if "--name" in words:
            if job["name"] == words[words.index("--name") + 1]:
                print("%d_[0-%d]" % (job["id"], job["size"] - 1))
        elif str(job["id"]) in words[words.index("-j") + 1].split(","):
            waits = [e[0] == "PENDING" for e in job["elements"]]
            for n, (state, reason, code) in enumerate(job["elements"]):
                if not waits[n]:
                    print("%d_%d" % (job["id"], n), state, reason, code, 9000 + n,
                          node(job, n) or "None assigned", sep="|")
            if any(waits):  # late, as the real one: it names some that have begun long ago
                print("%d_[0-%d]" % (job["id"], job["size"] - 1), "PENDING", "None", "0:0",
                    9000, "None assigned", sep="|")
elif name == "scontrol" and words[:2] == ["show", "config"]:
    print("MaxArraySize            = %d\nMaxJobCount             = 10000" % settings["largest"])
    print("JobCompType             = jobcomp/filetxt\nJobCompLoc = %s" % (root + "jobcomp.log"))
    print("SLURM_VERSION           = 22.05.8")
elif name == "scontrol":
    found = [job for job in jobs() if str(job["id"]) == words[-1] and not job.get("purged")]
    if not found:
        fail("slurm_load_jobs error: Invalid job id specified")
    for n, (state, reason, code) in enumerate(found[0]["elements"]):
        print("JobId=900%d ArrayJobId=%d ArrayTaskId=%d JobState=%s Reason=%s ExitCode=%s "
              "NodeList=%s" % (n, found[0]["id"], n, state, reason, code,
                               node(found[0], n) or "(null)"))
elif name == "scancel":
    for job in jobs():
        for n in range(job["size"]):
            if "%d_%d" % (job["id"], n) in words:
                job["elements"][n] = ["CANCELLED", "None", "0:15"]
                save(job)
        if str(job["id"]) in words:
            over = ("COMPLETED", "FAILED", "TIMEOUT")
            job["elements"] = [e if e[0] in over else ["CANCELLED", "None", "0:15"]
                               for e in job["elements"]]
            save(job)
elif name == "sinfo":
    print("main*|up|infinite|4|8000|3\nshort|up|1:00|2|4000|1\nclosed|down|infinite|2|4000|1")
"""
COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo")


@dataclass
class SlurmDouble:
    """The folder of the jobs, and what the commands answer."""

    root: Path

    def configure(self, **changes: Any) -> None:
        """down, runs, silent, accounting, taken; refusal, reason; largest, most, first."""
        path = self.root / "settings.json"
        settings = json.loads(path.read_text()) if path.exists() else {}
        staged = path.with_suffix(".staged")
        staged.write_text(json.dumps(settings | changes))
        staged.rename(path)

    def jobs(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.root.glob("job-*.json"))]

    def set(
        self,
        job: int,
        index: int,
        state: str,
        reason: str = "None",
        code: str = "0:0",
        node: str | None = None,
    ) -> None:
        path = self.root / f"job-{job:06d}.json"
        values = json.loads(path.read_text())
        if node:
            values.setdefault("nodes", {})[str(index)] = node
        values["elements"][index] = [state, reason, code]
        staged = path.with_suffix(".set")
        staged.write_text(json.dumps(values))
        staged.rename(path)

    def purge(self, job: int, *, accounts_too: bool = True) -> None:
        """The controller's memory of a job ends; squeue's before the rest."""
        path = self.root / f"job-{job:06d}.json"
        values = json.loads(path.read_text()) | {"past": True, "purged": accounts_too}
        path.write_text(json.dumps(values))

    def calls(self, name: str) -> list[str]:
        lines = (self.root / "calls").read_text().splitlines()
        return [line for line in lines if line.split(" ", 1)[0] == name]


@pytest.fixture
def slurm_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmDouble]:
    """The commands on PATH; jobs wait."""
    root = tmp_path / "slurm"
    folder = root / "bin"
    folder.mkdir(parents=True)
    (root / "calls").touch()
    double = SlurmDouble(root)
    double.configure(
        **dict.fromkeys(("down", "runs", "silent", "accounting", "taken"), False),
        **{"refusal": "", "reason": "Priority", "largest": 1001, "most": 10000, "first": 7},
    )
    for name in COMMANDS:
        path = folder / name
        path.write_text(PROGRAM.format(python=sys.executable, root=str(root)))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    yield double
    double.configure(down=True)
