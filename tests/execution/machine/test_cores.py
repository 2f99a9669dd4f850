"""What this process may use: its cores and memory under the limits of control groups."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.compute.local.local import LocalDispatcher, slots
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.execution.machine import cores
from benchmark.execution.worker.cgroups import PREFIX, Allowance, allowance
from benchmark.runs.doctor.machine import check_machine

INF = float("inf")
ROOT = Path(__file__).parents[3]
V1 = {"cpu": "cpu,cpuacct", "memory": "memory"}
V2 = {"unified": ""}


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., str]:
    """A made /proc/self and /sys/fs/cgroup: where this process is, and files of the groups."""

    def make(kind: str, own: str, files: dict[str, str], root: str = "/") -> str:
        (tmp_path / "process").mkdir()
        mounts, groups = ["25 1 0:1 / / rw - ext4 /dev/sda rw"], []
        hierarchies = {"v1": V1, "v2": V2, "hybrid": V1 | V2}[kind]
        for name, options in hierarchies.items():
            place = tmp_path / name
            place.mkdir()
            form = f"cgroup cgroup rw,{options}" if options else "cgroup2 cgroup rw"
            mounts.append(f"30 25 0:26 {root} {place} rw,nosuid shared:9 - {form}")
            groups.append(f"{len(groups) + 1 if options else 0}:{options}:{own}")
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        (tmp_path / "process" / "mountinfo").write_text("\n".join(mounts))
        (tmp_path / "process" / "cgroup").write_text("\n".join(groups))
        return str(tmp_path / "process")

    return make


GIB = 2**30
TREES = {
    "docker --cpus 1.5 -m 2g, v2": (
        ("v2", "/", {"unified/cpu.max": "150000 100000", "unified/memory.max": f"{2 * GIB}"}),
        Allowance(1.5, 2048),
    ),
    "no limit, v2": (
        ("v2", "/", {"unified/cpu.max": "max 100000", "unified/memory.max": "max"}),
        Allowance(INF, INF),
    ),
    "Kubernetes: the pod has less than its container, v2": (
        (
            "v2",
            "/kubepods/pod1/main",
            {
                "unified/kubepods/cpu.max": "max 100000",
                "unified/kubepods/pod1/cpu.max": "50000 100000",
                "unified/kubepods/pod1/memory.max": f"{3 * GIB}",
                "unified/kubepods/pod1/main/cpu.max": "200000 100000",
                "unified/kubepods/pod1/main/memory.max": f"{GIB}",
            },
        ),
        Allowance(0.5, 1024),
    ),
    "a slice's quota of 50 ms periods, v2": (
        (
            "v2",
            "/user.slice/a",
            {"unified/user.slice/cpu.max": "100000 50000", "unified/user.slice/a/cpu.weight": "1"},
        ),
        Allowance(2, INF),
    ),
    "docker, v1, seen from inside": (
        (
            "v1",
            "/docker/abc",
            {
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": f"{GIB}",
            },
            "/docker/abc",
        ),
        Allowance(0.5, 1024),
    ),
    "no limit, v1": (
        ("v1", "/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}),
        Allowance(INF, INF),
    ),
    "an ancestor's, v1": (
        (
            "v1",
            "/a/b/c",
            {
                "cpu/a/cpu.cfs_quota_us": "300000",
                "cpu/a/cpu.cfs_period_us": "100000",
                "cpu/a/b/c/cpu.cfs_quota_us": "-1",
                "cpu/a/b/c/cpu.cfs_period_us": "100000",
                "memory/a/b/memory.limit_in_bytes": f"{GIB}",
                "memory/a/b/c/memory.limit_in_bytes": "9223372036854771712",
            },
        ),
        Allowance(3, 1024),
    ),
    "a quota and a limit of v1, hybrid": (
        (
            "hybrid",
            "/docker/abc",
            {
                "cpu/docker/abc/cpu.cfs_quota_us": "150000",
                "cpu/docker/abc/cpu.cfs_period_us": "100000",
                "memory/docker/abc/memory.limit_in_bytes": f"{GIB}",
                "unified/docker/abc/cgroup.controllers": "",
            },
        ),
        Allowance(1.5, 1024),
    ),
    "a quota of v2 and a limit of v1, hybrid": (
        (
            "hybrid",
            "/a/b",
            {
                "unified/a/cpu.max": "50000 100000",
                "unified/a/b/cpu.max": "max 100000",
                "memory/a/memory.limit_in_bytes": f"{2 * GIB}",
                "memory/a/b/memory.limit_in_bytes": f"{GIB}",
            },
        ),
        Allowance(0.5, 1024),
    ),
    "no limit, hybrid": (
        (
            "hybrid",
            "/",
            {
                "cpu/cpu.cfs_quota_us": "-1",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "unified/cgroup.controllers": "",
            },
        ),
        Allowance(INF, INF),
    ),
    "outside of what the namespace shows": (
        ("v2", "/../../other", {"unified/cpu.max": "100000 100000"}),
        Allowance(1, INF),
    ),
    "files that are empty or odd": (
        ("v2", "/", {"unified/cpu.max": "0 0", "unified/memory.max": ""}),
        Allowance(INF, INF),
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_the_least_limit_on_the_path_counts(tree: Callable[..., str], name: str) -> None:
    arguments, expected = TREES[name]
    found = allowance(tree(*arguments))
    assert found.cores == expected.cores
    assert found.memory_mb == min(expected.memory_mb, found.memory_mb)
    assert found.memory_mb == expected.memory_mb or found.memory_mb > 2**40


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert allowance(str(tmp_path)) == (INF, INF)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine of so many cores, under a quota and a memory limit."""

    def make(number: int, quota: float = INF, memory_mb: float = INF, name: str = "host") -> None:
        monkeypatch.setattr(cores, "bindable_cores", lambda: list(range(number)))
        monkeypatch.setattr(cores, "allowance", lambda: Allowance(quota, memory_mb))
        monkeypatch.setattr(cores.platform, "node", lambda: name)

    return make


@pytest.mark.parametrize(
    ("quota", "number"), [(0.5, 1), (1.0, 1), (1.9, 1), (2.0, 2), (3.5, 3), (4.0, 4), (INF, 4)]
)
def test_a_quota_is_rounded_down_to_whole_cores(
    machine: Callable[..., None], quota: float, number: int
) -> None:
    machine(4, quota)
    assert len(cores.usable_cores()) == number
    assert len(slots(Config(cores=1))) == number
    assert cores.usable_cores() == cores.usable_cores()


def test_containers_of_one_host_do_not_all_take_the_first_cores(
    machine: Callable[..., None],
) -> None:
    taken = set()
    for n in range(20):
        machine(8, 2.0, name=f"container-{n}")
        taken.update(cores.usable_cores())
    assert taken == set(range(8))


def test_half_a_core_is_not_two_slots(machine: Callable[..., None]) -> None:
    machine(2, 0.5)
    with pytest.raises(ConfigError, match=r"offers 1 \(its CPU quota is 0.5\)"):
        slots(Config(cores=2))
    with pytest.raises(ConfigError, match=r"this machine's 1 \(its CPU quota is 0.5\)"):
        slots(Config(cores=1, parallel=2))


def test_a_memory_limit_is_the_machines_memory(machine: Callable[..., None]) -> None:
    machine(2, memory_mb=3000.5)
    assert cores.usable_memory_mb() == 3000
    LocalDispatcher.check(Config(cores=1, memory=1500))
    with pytest.raises(ConfigError, match="more than this machine's 3000; set 'memory' to 1500"):
        LocalDispatcher.check(Config(cores=1, memory=1501))


@pytest.mark.parametrize(
    ("quota", "level", "words"),
    [
        (0.5, "warning", "a CPU quota of 0.5 cores counts as 1, which is given less time"),
        (1.5, "warning", "a CPU quota of 1.5 cores counts as 1"),
        (2.0, "ok", "a CPU quota of 2 cores counts as 2"),
    ],
)
def test_doctor_names_the_quota(
    machine: Callable[..., None], quota: float, level: str, words: str
) -> None:
    machine(4, quota, memory_mb=2500)
    first, second = check_machine(Config(cores=1, memory=100))
    assert (first.level, words in first.message) == (level, True), first
    assert f"{max(1, int(quota))} cores and 2500 MiB" in second.message


INSIDE = """
import json, sys
for folder in json.loads(sys.argv[1]):
    with open(folder + "/cgroup.procs", "w") as file: file.write("0")
from benchmark.compute.local.local import slots
from benchmark.config.loading import Config
from benchmark.execution.machine.cores import cpu_quota, usable_memory_mb
print(cpu_quota(), len(slots(Config(cores=1))), usable_memory_mb())
"""


@pytest.mark.integration
def test_a_real_quota_and_a_real_limit() -> None:
    """Half a core and 400 MB, in a group below one of its own."""
    name = f"{PREFIX}test-{secrets.token_hex(4)}"
    made: list[Path] = []
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    files = {"cpu": {"cpu.cfs_quota_us": "50000"}, "memory": {"memory.limit_in_bytes": "419430400"}}
    if unified:
        files = {"": {"cpu.max": "50000 100000", "memory.max": "419430400"}}
    try:
        try:
            for controller, limits in files.items():
                outer = Path("/sys/fs/cgroup", controller, name)
                for folder in (outer, outer / "inner"):
                    folder.mkdir()
                    made.append(folder)
                for file, text in limits.items():
                    (outer / file).write_text(text)
        except OSError as error:
            pytest.skip(f"control groups with a quota cannot be made here: {error}")
        inner = [str(folder) for folder in made if folder.name == "inner"]
        done = subprocess.run(
            [sys.executable, "-c", INSIDE, json.dumps(inner)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.stdout.split() == ["0.5", "1", "400"], done.stdout + done.stderr
    finally:
        for folder in reversed(made):
            folder.rmdir()
