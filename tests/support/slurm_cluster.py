"""A real Slurm on this host: munge, a controller and three nodes, in a folder of its own.

    with SlurmCluster(folder) as cluster:
        subprocess.run(["sinfo"], env=os.environ | cluster.variables)

Needs root and Debian's slurm-wlm and munge (`accounting=True`: slurmdbd and mariadb-server too).
Nothing is installed as a service, and every process goes with this one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.services import free_ports
from tests.support.slurm_files import CGROUPS, CONFIGURATION, DATABASE, WITH, WITHOUT

PATIENCE_S = 300.0
# What fits on the nodes below: `slurm` of the configuration.
SMALL_CLUSTER = {
    "reserve_mb": 300,
    # Ranks on nodes that share a host take each other for neighbours in memory.
    "preamble": ["export OMPI_MCA_btl=self,tcp"],
    "pilot": {"nodes": 3, "cores": 2, "memory": 3800, "time_s": 900, "idle_s": 30},
}
NODES = ("n1", "n2", "n3")
PROGRAMS = ("sbatch", "slurmctld", "slurmd", "munged")


class SlurmCluster:
    """`kill` and `start` take the names of daemons: munged, slurmctld, n1, n2, n3."""

    def __init__(
        self,
        folder: Path,
        *,
        accounting: bool = False,
        largest_array: int = 10001,
        min_job_age_s: int = 300,
        cpus: int = 2,
    ) -> None:
        self.folder = folder
        self.accounting = accounting
        self._largest = largest_array
        self._min_job_age_s = min_job_age_s
        self._cpus = cpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def variables(self) -> dict[str, str]:
        """What a command needs to find this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> SlurmCluster:
        try:
            self._prepare()
            self.start("munged")
            self._until((self.folder / "munge/munge.socket").exists, "munged")
            if self.accounting:
                self._start_database()
            self.start("slurmctld")
            for name in NODES:
                self.start(name)
            self._until(lambda: self.call("sinfo", "-h", "-t", "idle", "-o", "%D") == "3", "nodes")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every job, its steps and the daemons, and the groups that they have made."""
        if "slurmctld" in self._daemons and self._daemons["slurmctld"].poll() is None:
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                self.call("scancel", "--user=root")
                self._until(lambda: not self.call("squeue", "-h"), "the jobs to end", 15)
        for name in reversed(list(self._daemons)):
            self.kill(name, signal.SIGTERM)
        for pid in self._steps():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        groups = [
            *Path("/sys/fs/cgroup").glob("*/slurm"),
            *Path("/sys/fs/cgroup").glob("*/slurm_n*"),
        ]
        for group in groups:
            for inner in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):
                    inner.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()

    def start(self, name: str) -> None:
        """Start a daemon of the cluster, again after `kill`."""
        log = self.folder / "log" / f"{name}.out"
        with log.open("ab") as file:
            self._daemons[name] = subprocess.Popen(
                self._command(name),
                env=os.environ | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  prctl is one system call
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a daemon; a node's jobs live on unless they are killed too."""
        daemon = self._daemons.pop(name, None)
        if daemon is None:
            return
        daemon.send_signal(number)
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def freeze(self, name: str) -> set[tuple[str, str]]:
        """Stop a node's jobs where they are, also what they start meanwhile.

        Returns:
            The array elements of which every process has stopped, by job and index. One that Slurm
            starts later is not among them and is not stopped.
        """
        while True:
            pids = self._steps(name)
            moving = [pid for pid in pids if not _is_stopped(pid)]
            if not moving:
                return {element for pid in pids if (element := _element(pid)) is not None}
            self._signal(moving, signal.SIGSTOP)
            time.sleep(0.01)

    def unfreeze(self, name: str) -> None:
        """Let a node's jobs go on."""
        self._signal(self._steps(name), signal.SIGCONT)

    def _signal(self, pids: Iterable[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wake_daemons(self, name: str) -> None:
        """Let a frozen node's slurmstepd go on; what runs below it waits for Slurm's signals."""
        for pid in self._steps(name):
            with contextlib.suppress(OSError):
                if b"slurmstepd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGCONT)

    def is_frozen(self, name: str) -> bool:
        """Whether anything on a node is stopped."""
        return any(_is_stopped(pid) for pid in self._steps(name))

    def lose_node(self, name: str) -> None:
        """As a machine that is switched off: its daemon, and all that runs on it."""
        self.kill(name)
        while left := self._steps(name):
            self._signal(left, signal.SIGKILL)
            time.sleep(0.01)

    def return_drained(self) -> None:
        """As an administrator: return nodes that Slurm drained for a job that it started twice.

        A controller that is killed forgets what it has not saved, and may start a job again.
        """
        for line in self.call("sinfo", "-h", "-N", "-o", "%N|%E").splitlines():
            node, _, reason = line.partition("|")
            if reason == "Duplicate jobid":
                self.call("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def call(self, *command: str) -> str:
        """The output of a command of Slurm's."""
        done = subprocess.run(
            command,
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.stdout.strip()

    def _steps(self, node: str = "") -> list[int]:
        """The processes of jobs (on one node): slurmstepd and what runs below it."""
        mark = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        spool = f"{self.folder}/spool/{node}/"
        sockets = {
            f"socket:[{line.split()[6]}]"
            for line in Path("/proc/net/unix").read_text().splitlines()
            if spool in line
        }
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (entry / "environ").read_bytes().split(b"\0")
                here = not node or f"SLURMD_NODENAME={node}".encode() in variables
                is_step = b"slurmstepd" in (entry / "cmdline").read_bytes()
                in_job = any(one.startswith(b"SLURM_JOB_ID=") for one in variables)
                if not (mark in variables and (in_job or is_step)):
                    continue
                # What runs in a job has its node's name; slurmstepd has a socket in its folder.
                if is_step and node and not in_job:
                    here = any(str(fd.readlink()) in sockets for fd in (entry / "fd").iterdir())
                if here:
                    found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]

    def _command(self, name: str) -> list[str]:
        if name == "munged":
            place = self.folder / "munge"
            files = {
                "socket": "munge.socket",
                "key-file": "munge.key",
                "log-file": "munge.log",
                "pid-file": "munge.pid",
                "seed-file": "munge.seed",
            }
            as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
            as_munge.append("--pdeathsig=KILL")  # a change of user clears what was set before
            options = [f"--{option}={place / file}" for option, file in files.items()]
            return [*as_munge, "munged", "--foreground", "--force", *options]
        if name == "slurmctld":
            return ["slurmctld", "-D"]
        if name == "slurmdbd":
            return ["slurmdbd", "-D"]
        if name == "mariadbd":
            return [
                *("setpriv", "--reuid=mysql", "--regid=mysql", "--clear-groups"),
                "--pdeathsig=KILL",
                "mariadbd",
                "--no-defaults",
                "--skip-name-resolve",
                f"--datadir={self.folder}/database",
                f"--socket={self.folder}/database/socket",
                "--skip-networking=0",
                "--bind-address=127.0.0.1",
                f"--port={self._database_port}",
                f"--pid-file={self.folder}/database/pid",
            ]
        return ["slurmd", "-D", "-N", name]

    def _prepare(self) -> None:
        for path in (self.folder, *self.folder.parents):  # munged runs as another user
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.mkdir(exist_ok=True)
                path.chmod(path.stat().st_mode | 0o055)
        for part in ("state", "spool", "log", "munge", "database"):
            (self.folder / part).mkdir()
        for name in NODES:
            (self.folder / "spool" / name).mkdir()
        key = self.folder / "munge" / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        (self.folder / "munge").chmod(0o755)
        for path in (self.folder / "munge", key):
            shutil.chown(path, "munge", "munge")
        ports = free_ports(3 + len(NODES))
        self._database_port, accounting_port, controller, *own = ports
        host = socket.gethostname().partition(".")[0]
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={self._cpus} RealMemory=4000"
            for name, port in zip(NODES, own, strict=True)
        )
        accounting = (WITH if self.accounting else WITHOUT).format(
            folder=self.folder, port=accounting_port
        )
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host,
                folder=self.folder,
                controller=controller,
                nodes=nodes,
                accounting=accounting,
                largest=self._largest,
                min_job_age=self._min_job_age_s,
            )
        )
        hybrid = Path("/sys/fs/cgroup/memory").is_dir()
        plugin = "cgroup/v1" if hybrid else "cgroup/v2"
        (self.folder / "cgroup.conf").write_text(CGROUPS.format(plugin=plugin))
        database = self.folder / "slurmdbd.conf"
        database.write_text(
            DATABASE.format(folder=self.folder, port=accounting_port)
            + f"StoragePort={self._database_port}\n"
        )
        database.chmod(0o600)

    def _start_database(self) -> None:
        data = self.folder / "database"
        shutil.chown(data, "mysql", "mysql")
        made = subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}"],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self.start("mariadbd")
        administer = ["mariadb", f"--socket={data}/socket", "-e"]
        self._until(
            lambda: subprocess.run([*administer, "select 1"], capture_output=True).returncode == 0,  # noqa: PLW1510
            "the database",
        )
        right = "CREATE USER slurm@'127.0.0.1'; GRANT ALL ON *.* TO slurm@'127.0.0.1'"
        subprocess.run([*administer, right], check=True, capture_output=True)
        self.start("slurmdbd")
        self._until(
            lambda: (
                "Error" not in self.call("sacctmgr", "-i", "add", "cluster", "lab")
                and "lab" in self.call("sacctmgr", "-n", "show", "cluster", "format=cluster")
            ),
            "slurmdbd",
        )
        self.call("sacctmgr", "-i", "add", "account", "lab", "cluster=lab")
        self.call("sacctmgr", "-i", "add", "user", "root", "account=lab", "cluster=lab")

    def _until(self, true: object, what: str, patience_s: float = PATIENCE_S) -> None:
        end = time.monotonic() + patience_s
        while not true():  # type: ignore[operator]
            if time.monotonic() > end:
                logs = [path.read_text(errors="replace")[-600:] for path in self._logs()]
                raise AssertionError(f"waited {patience_s:g} s for {what}: {logs}")
            time.sleep(0.1)

    def _logs(self) -> list[Path]:
        return sorted((self.folder / "log").iterdir())


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()
    return False


def _element(pid: int) -> tuple[str, str] | None:
    """The array element, by job and index, that a process is of."""
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        told = dict(one.partition("=")[::2] for one in text.split("\0"))
        if all(name in told for name in names):
            return told[names[0]], told[names[1]]
    return None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def missing() -> str:
    """Why there can be no cluster here, or ''."""
    if os.getuid() != 0:
        return "it needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)}: apt-get install slurm-wlm munge" if absent else ""


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A running cluster of three nodes, without accounting."""
    if why := missing():
        pytest.skip(why)
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """The cluster, with the variables set so that its commands are found.

    A controller that was killed may find a job of its own running and drain the node for that.
    """
    for name, value in slurm_cluster.variables.items():
        monkeypatch.setenv(name, value)
    yield slurm_cluster
    # Jobs that a failed test left behind must not fail the next one.
    slurm_cluster.call("scancel", "--user=root")
    for node in NODES:
        slurm_cluster.call("scontrol", "update", f"nodename={node}", "state=resume")
