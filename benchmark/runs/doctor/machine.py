"""Check this machine: sandbox, cores, memory, disks, Java, and what compute methods need."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.compute.local.local import slots
from benchmark.config.cache import CACHE_VARIABLE, cache_folder
from benchmark.config.extras import ROOT
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, SetupError
from benchmark.execution.machine.cores import cpu_quota, usable_cores, usable_memory_mb
from benchmark.execution.sandbox.sandbox import DEFAULT
from benchmark.execution.sandbox.scratch import Scratch, left_behind
from benchmark.execution.worker.linux import read_text
from benchmark.frameworks.framework import FOLDER, Framework
from benchmark.runs.doctor.finding import Finding, fault, ok, warning
from benchmark.runs.doctor.storage import folder_of, is_remote, nearest

SANDBOX, MACHINE, JAVA = "sandbox", "machine", "java"
START_S = 10.0
_MOST_LEFT = 3
_GIB = 2**30
# Free GiB that a place needs so that a run does not fill the disk: a fault below the first.
CACHE, SCRATCH, STORE = "disk of the cache", "disk of the scratch", "disk of the store"
NEEDED_GIB = {CACHE: (0.5, 5.0), STORE: (0.1, 1.0), SCRATCH: (0.2, 2.0)}


def check_sandbox(config: Config) -> Iterator[Finding]:
    """Try which sandbox is available, and report how to get a better one."""
    try:
        yield from _left_behind()
        with Scratch() as scratch:
            if DEFAULT == "process-group":
                yield _process_group()
                return
            group = scratch.group(config.memory, usable_cores()[:1])
            if group:
                group.remove()
    except SetupError as error:
        yield fault(SANDBOX, str(error))
        return
    except OSError as error:
        yield fault(
            SANDBOX,
            f"no scratch folder can be created in {tempfile.gettempdir()}: "
            f"{error.strerror or error}",
            "set TMPDIR to a folder that you can write",
        )
        return
    namespace = _namespace_works()
    if group:
        inside = "in a PID namespace of its own" if namespace else "without a PID namespace"
        yield ok(SANDBOX, f"control group v{group.version}, {inside}")
        return
    better = (
        "for a control group run as root, or under `systemd-run --user --scope -p Delegate=yes`; "
        "in a container mount /sys/fs/cgroup writable"
    )
    if namespace:
        yield warning(SANDBOX, "PID namespace, and a watchdog for memory every 20 ms", better)
        return
    yield warning(
        SANDBOX,
        "a subreaper, and a watchdog for memory every 20 ms",
        f"{better}; for a PID namespace allow user namespaces{_why_no_namespace()}",
    )


def _left_behind() -> Iterator[Finding]:
    """Report what tasks and killed runners have left and no run can remove."""
    left = left_behind()
    if left:
        more = f" and {len(left) - _MOST_LEFT} more" if len(left) > _MOST_LEFT else ""
        yield warning(
            SANDBOX,
            f"leftovers that cannot be removed: {'; '.join(left[:_MOST_LEFT])}{more}",
            "check and remove them by hand (unmount, chattr -i, or as their owner)",
        )


def _process_group() -> Finding:
    """The last fallback, on systems other than Linux."""
    if not shutil.which("ps"):
        return fault(SANDBOX, "a task's processes cannot be found without `ps`", "install ps")
    return warning(
        SANDBOX,
        "process groups, and a watchdog by `ps` every 0.1 s; memory counts what processes share in "
        "each, cores are not bound, and processes that hide from `ps` are not ended",
        "for comparable results run on Linux",
    )


def _namespace_works() -> bool:
    """Try it in a separate process, because it forks and this process has threads."""
    program = (
        "from benchmark.execution.worker.linux import namespace_works as works; print(works())"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "True"


def _why_no_namespace() -> str:
    """The kernel setting that prevents it, if there is one."""
    for path, blocked, wanted in (
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user/max_user_namespaces", "0", "10000"),
    ):
        if read_text(f"/proc/sys/{path}").strip() == blocked:
            return f" (`sysctl -w {path.replace('/', '.')}={wanted}`)"
    return ""


def check_machine(config: Config) -> Iterator[Finding]:
    """Check cores and memory against `parallel` tasks at once."""
    yield from _check_quota()
    cores = len(usable_cores())
    memory_mb = usable_memory_mb()
    free_mb = _available_mb()
    try:
        parallel = len(slots(config))
    except ConfigError:
        return  # The configuration's own check reports it.
    asked_mb = parallel * config.memory
    text = (
        f"{cores} cores and {memory_mb} MiB, {free_mb} of them free; a run takes "
        f"{parallel * config.cores} cores and up to {asked_mb} MiB ({parallel} at a time)"
    )
    if asked_mb > memory_mb:
        yield warning(MACHINE, text, f"set 'memory' to {memory_mb // parallel} or 'parallel' lower")
    elif asked_mb > free_mb:
        yield warning(MACHINE, text, "end other programs, or set 'parallel' or 'memory' lower")
    else:
        yield ok(MACHINE, text)


def _check_quota() -> Iterator[Finding]:
    """Check for a quota that is not a whole number of cores."""
    quota = cpu_quota()
    if quota is None:
        return
    whole = len(usable_cores())
    text = f"a CPU quota of {quota:g} cores counts as {whole}"
    if quota < 1:
        fix = "give the container at least one core; times measured here are not comparable"
        yield warning(MACHINE, f"{text}, which is given less time than a core has", fix)
    elif quota != whole:
        yield warning(MACHINE, text, "give the container a whole number of cores")
    else:
        yield ok(MACHINE, text)


def _available_mb() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", read_text("/proc/meminfo"), re.MULTILINE)
    usable = usable_memory_mb()
    return min(int(found[1]) // 1024, usable) if found else usable


def check_disks(config: Config) -> Iterator[Finding]:
    """Check the disk space for environments, results and scratch."""
    places = {CACHE: cache_folder(), SCRATCH: Path(tempfile.gettempdir())}
    if not is_remote(config.store_url):
        places[STORE] = folder_of(config.store_url)
    for name, folder in places.items():
        above = nearest(folder)
        least, good = NEEDED_GIB[name]
        try:
            free = shutil.disk_usage(above).free / _GIB
        except OSError as error:
            yield fault(name, f"{folder} cannot be checked: {error.strerror}")
            continue
        text = f"{folder} has {free:.1f} GiB free"
        if not os.access(above, os.W_OK | os.X_OK):
            yield fault(name, f"{folder} cannot be written", _elsewhere(name, "make it writable"))
        elif free < least:
            yield fault(name, f"{text}, which a run fills", _elsewhere(name))
        elif free < good:
            yield warning(name, text, _elsewhere(name))
        else:
            yield ok(name, text)


def _elsewhere(name: str, fix: str = "free disk space") -> str:
    keys = {CACHE: CACHE_VARIABLE, SCRATCH: "TMPDIR", STORE: "'s3_bucket_root'"}
    return f"{fix}, or name another folder with {keys[name]}"


def check_java(frameworks: Mapping[str, Framework]) -> Iterator[Finding]:
    """Check Java, if a framework needs it."""
    needing = [label for label, framework in frameworks.items() if needs_java(framework)]
    if not needing:
        return
    search = java_search()
    path, text = search.find()
    if path is None:
        yield fault(JAVA, f"{', '.join(needing)} needs {text}", search.MEND)
    else:
        yield ok(JAVA, f"{text}, {path}, for {', '.join(needing)}")


def java_search() -> Any:
    """The module by which H2O's adapter finds its Java."""
    place = FOLDER / "h2o" / "java.py"
    spec = importlib.util.spec_from_file_location("benchmark_h2o_java", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs_java(framework: Framework) -> bool:
    return bool(getattr(framework, "java", framework.name == "h2o"))


def check_methods(used: Iterable[str]) -> Iterator[Finding]:
    """Check the programs of the configured methods only."""
    methods = set(used)
    if methods & {"batch", "baremetal"}:
        path = shutil.which("docker")
        fix = "needed only to build images; install docker.io"
        yield ok("docker", path) if path else warning("docker", "docker is not on PATH", fix)
