"""A control group for one task: memory, cores and kill, on cgroup v2 and v1 alike.

    group = create("automl-x-1", memory_mb=300, cores=[0])   # None where this is not allowed
    group.enter()                                            # in the process to be limited
    group.kill(); group.remove()

Where a host has both versions (v1 controllers, v2 mounted beside them), v1 limits and v2's
`cgroup.kill` kills. What works is found by trying, not by version.
"""

import errno
import os
import signal
import time
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from benchmark.execution.worker.linux import read_text

PREFIX = "automl-"
_MB = 1024 * 1024
# A process is killed if this much more cannot be had at once: eight pages, of up to 64 kB.
_LARGEST_CHARGE = 8 * 65536

# What the groups around a process let it have: CPU time in whole cores' worth, and memory.
Allowance = NamedTuple("Allowance", [("cores", float), ("memory_mb", float)])
Usage = NamedTuple("Usage", [("anonymous_mb", float), ("cache_mb", float), ("peak_mb", float)])


class Group:
    """One group, by its folder in each hierarchy ("unified" is cgroup v2's)."""

    def __init__(self, folders: Dict[str, str]) -> None:
        self.folders = folders
        self.version = 1 if "memory" in folders else 2
        self._memory = folders.get("memory") or folders["unified"]

    def enter(self) -> None:
        """Move this process into the group."""
        for folder in self.folders.values():
            _write(os.path.join(folder, "cgroup.procs"), "0")

    def oom_kills(self) -> int:
        """How many processes of the group the kernel has killed for memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _numbers(os.path.join(self._memory, name)).get("oom_kill", 0)

    def has_run_out(self) -> bool:
        """Whether the kernel killed a process of the group because of the group's own limit.

        A group above, or the whole machine, may have run out instead: the limit was not reached.
        """
        if not self.oom_kills():
            return False
        if self.version == 2:
            return _numbers(os.path.join(self._memory, "memory.events")).get("oom", 1) > 0
        # Not memory.failcnt: newer kernels do not count there. Memory alone stays below the limit
        # where a part of it was swapped out.
        for kind in ("memory", "memory.memsw"):
            names = (kind + ".max_usage_in_bytes", kind + ".limit_in_bytes")
            texts = [read_text(os.path.join(self._memory, name)).strip() for name in names]
            if all(text.isdigit() for text in texts):
                peak, limit = map(int, texts)
                if peak + _LARGEST_CHARGE >= limit:
                    return True
        return False

    def usage(self) -> Usage:
        """Anonymous and shared memory now, file cache now, and the kernel's peak of both."""
        stat = _numbers(os.path.join(self._memory, "memory.stat"))
        if self.version == 1:
            anonymous = stat.get("total_rss", 0) + stat.get("total_shmem", 0)
            cache = max(0, stat.get("total_cache", 0) - stat.get("total_shmem", 0))
            peak_name = "memory.max_usage_in_bytes"
        else:
            anonymous = stat.get("anon", 0) + stat.get("shmem", 0)
            cache = max(0, stat.get("file", 0) - stat.get("shmem", 0))
            peak_name = "memory.peak"
        peak = read_text(os.path.join(self._memory, peak_name)).strip()
        return Usage(anonymous / _MB, cache / _MB, int(peak) / _MB if peak else 0.0)

    def pids(self) -> List[int]:
        found: Set[int] = set()
        for top in self.folders.values():
            for folder in _tree(top):
                found.update(
                    int(pid) for pid in read_text(os.path.join(folder, "cgroup.procs")).split()
                )
        return sorted(found - {0})

    def kill(self, patience_s: float = 5.0) -> bool:
        """SIGKILL every process of the group until there is none: True if so in time."""
        end = time.monotonic() + patience_s
        unified = os.path.join(self.folders.get("unified", ""), "cgroup.kill")
        while True:
            if os.path.exists(unified):
                _try_write(unified, "1")
            pids = self.pids()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if not pids:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.002)

    def remove(self, patience_s: float = 2.0) -> bool:
        """Remove the group, with those that a task made in it: True if it is gone in time."""
        end = time.monotonic() + patience_s
        for top in self.folders.values():
            for folder in reversed(_tree(top)):
                while os.path.isdir(folder):
                    try:
                        os.rmdir(folder)
                    except FileNotFoundError:
                        break
                    except OSError as error:
                        if error.errno != errno.EBUSY or time.monotonic() > end:
                            return False
                        time.sleep(0.002)
        return True


def _tree(top: str) -> List[str]:
    """A group's folder and those of the groups in it, each after the one that it is in."""
    found = [top]
    for folder in found:
        try:
            with os.scandir(folder) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return found


def surrounding() -> Optional[Group]:
    """The group that this process is in, such as its container's, to be read; None without one."""
    mounts = hierarchies()
    kind = "memory" if "memory" in mounts else "unified"
    if kind not in mounts:
        return None
    folder = mounts[kind] + _own_paths().get(kind, "/").rstrip("/")
    # A container sees its own group as the root, whatever its path is called outside.
    return Group({kind: folder if os.path.isdir(folder) else mounts[kind]})


def allowance(process: str = "/proc/self") -> Allowance:
    """The least of all limits on the path of this process's groups; infinite where there is none.

    Such as `docker --cpus`, limits of Kubernetes, and a service's `CPUQuota` and `MemoryMax`.
    """
    mounts = _mounts(process + "/mountinfo")
    own = _own_paths(process + "/cgroup")
    cores = memory_mb = float("inf")
    for kind in ("cpu", "memory", "unified"):
        for folder in _path(*mounts[kind], own=own.get(kind, "/")) if kind in mounts else []:
            cores = min(cores, _quota(folder, kind == "unified"))
            name = "memory.max" if kind == "unified" else "memory.limit_in_bytes"
            text = read_text(os.path.join(folder, name)).strip()
            memory_mb = min(memory_mb, int(text) / _MB) if text.isdigit() else memory_mb
    return Allowance(cores, memory_mb)


def _path(mount: str, root: str, own: str) -> List[str]:
    """The folders of the group and of those above it, as far as they can be seen from here.

    A container sees its own group as the root, whatever its path is called outside.
    """
    if root != "/" and (own + "/").startswith(root + "/"):
        own = own[len(root) :]
    parts = [part for part in own.split("/") if part]
    if ".." in parts or not os.path.isdir(os.path.join(mount, *parts)):
        parts = []
    return [os.path.join(mount, *parts[:end]) for end in range(len(parts), -1, -1)]


def _quota(folder: str, unified: bool) -> float:
    """How many cores' time the group may take of each period."""
    if unified:
        fields = read_text(os.path.join(folder, "cpu.max")).split()
    else:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        fields = [read_text(os.path.join(folder, name)).strip() for name in names]
    if len(fields) == 2 and all(field.isdigit() and int(field) for field in fields):
        return int(fields[0]) / int(fields[1])
    return float("inf")


def create(name: str, memory_mb: float, cores: List[int]) -> Optional[Group]:
    """Make a group with limits, or None where this process may not."""
    mounts, own = hierarchies(), _own_paths()
    if "memory" in mounts:
        return _create_v1(name, memory_mb, cores, mounts, own)
    if "unified" in mounts:
        return _create_v2(name, memory_mb, cores, mounts["unified"], own.get("unified", "/"))
    return None


def _create_v1(
    name: str, memory_mb: float, cores: List[int], mounts: Dict[str, str], own: Dict[str, str]
) -> Optional[Group]:
    folders: Dict[str, str] = {}
    try:
        for controller in ("memory", "cpuset", "unified"):
            if controller not in mounts:
                continue
            parent = mounts[controller] + own.get(controller, "/").rstrip("/")
            folder = os.path.join(parent, name)
            try:
                os.mkdir(folder)
                folders[controller] = folder
                if controller == "cpuset":
                    _write(
                        os.path.join(folder, "cpuset.mems"),
                        read_text(os.path.join(parent, "cpuset.mems")),
                    )
                    _write(os.path.join(folder, "cpuset.cpus"), ",".join(map(str, cores)))
                if controller == "unified" and not os.path.exists(folder + "/cgroup.kill"):
                    os.rmdir(folders.pop(controller))
            except OSError:
                if controller == "memory":
                    raise
                if controller in folders:
                    os.rmdir(folders.pop(controller))
        limit = str(int(memory_mb * _MB))
        _write(folders["memory"] + "/memory.limit_in_bytes", limit)
        _try_write(folders["memory"] + "/memory.memsw.limit_in_bytes", limit)
        return Group(folders)
    except OSError:
        if folders:
            Group(dict(folders, memory=folders.get("memory", ""))).remove(0.1)
        return None


def _create_v2(
    name: str, memory_mb: float, cores: List[int], mount: str, own: str
) -> Optional[Group]:
    """In our own group or the nearest one above that hands the memory controller down."""
    path = own.rstrip("/")
    while True:
        folder = os.path.join(mount + path, name)
        try:
            os.mkdir(folder)
        except OSError:
            folder = ""
        if folder:
            if not os.path.exists(folder + "/memory.max"):
                _try_write(mount + path + "/cgroup.subtree_control", "+memory +cpuset")
            try:
                _write(folder + "/memory.max", str(int(memory_mb * _MB)))
                _try_write(folder + "/memory.swap.max", "0")
                _try_write(folder + "/memory.oom.group", "1")
                _try_write(folder + "/cpuset.cpus", ",".join(map(str, cores)))
                return Group({"unified": folder})
            except OSError:
                os.rmdir(folder)
        if not path:
            return None
        path = path.rpartition("/")[0]


def hierarchies() -> Dict[str, str]:
    """Where each controller's hierarchy is mounted."""
    return {kind: mount for kind, (mount, _) in _mounts("/proc/self/mountinfo").items()}


def _mounts(mountinfo: str) -> Dict[str, Tuple[str, str]]:
    """Of each controller the mount point, and which group is its root there."""
    found: Dict[str, Tuple[str, str]] = {}
    for line in read_text(mountinfo).splitlines():
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind = right.split()[0]
        if kind == "cgroup2":
            found.setdefault("unified", (mount, root))
        elif kind == "cgroup":
            for option in right.split()[2].split(","):
                if option in ("memory", "cpuset", "cpu"):
                    found.setdefault(option, (mount, root))
    return found


def _own_paths(cgroup: str = "/proc/self/cgroup") -> Dict[str, str]:
    """This process's group in each hierarchy."""
    found: Dict[str, str] = {}
    for line in read_text(cgroup).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(",") if controllers else ["unified"]:
            found[controller] = path
    return found


def _numbers(path: str) -> Dict[str, int]:
    pairs = [line.split() for line in read_text(path).splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text.strip())


def _try_write(path: str, text: str) -> bool:
    try:
        _write(path, text)
    except OSError:
        return False
    return True
