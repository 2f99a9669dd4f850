"""A Slurm cluster: commands, version, partitions, and whether a node has what a task needs."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import benchmark
from benchmark.compute.slurm import checks
from benchmark.compute.slurm.commands import Slurm, call
from benchmark.errors import BenchmarkError
from benchmark.runs.doctor.finding import Finding, fault, misconfigured, ok, warning
from benchmark.runs.doctor.storage import folder_of, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmark.config import Config

CLUSTER = "slurm"
FIRST_JOB_S = 45


def check_cluster(config: Config) -> Iterator[Finding]:
    """What is there, what the configuration asks of it, and one small job."""
    try:
        version = call("sinfo", "--version").strip()
        settings = Slurm(config.slurm).settings()
        partitions = checks.partitions()
    except BenchmarkError as error:
        message, _, mend = str(error).rstrip(".").partition("; ")
        yield fault(CLUSTER, message, mend or "ask whoever runs the cluster")
        return
    yield ok(CLUSTER, f"{version}, arrays of up to {settings.get('MaxArraySize', 'unknown')} tasks")
    for one in partitions:
        limit = "no time limit" if one.time_s is None else f"at most {one.time_s / 3600:g} h"
        default = ", the default" if one.is_default else ""
        size = f"{one.nodes} nodes of {one.cores} cores and {one.memory_mb} MB"
        say = ok if one.is_up else warning
        yield say(CLUSTER, f"partition {one.name}{default}: {size}, {limit}")
    if "none" in settings.get("AccountingStorageType", ""):
        yield ok(CLUSTER, "there is no accounting: ends are known while the controller keeps them")
    yield from _first_job(config)


def _first_job(config: Config) -> Iterator[Finding]:
    """A job of a moment: does it start, does it see the store, the program and Python?"""
    options = config.slurm
    python = options.python or sys.executable
    root = Path(benchmark.__file__).parents[1]
    looks = []
    if options.image:
        image = shlex.quote(str(Path(options.image).expanduser()))
        runs = f"apptainer exec {image} python -c 'import benchmark, obstore; print(\"yes\")'"
        looks.append(f"echo image $({runs})")
    else:
        looks.append(f"echo program $(test -d {shlex.quote(str(root))} && echo yes)")
        runs = f"{shlex.quote(python)} -c 'import obstore; print(\"yes\")'"
        looks.append(f"echo python $({runs})")
    if not is_remote(config.store_url):
        # The folder itself may not be there before the first run.
        folder = folder_of(config.store_url).absolute()
        seen = folder if folder.is_dir() else folder.parent
        looks.append(f"echo store $(test -w {shlex.quote(str(seen))} && echo yes)")
    named = [f"--{name}={value}" for name, value in Slurm(options).chosen().items()]
    small = ["--nodes=1", "--ntasks=1", "--mem=300M", "--time=1", f"--immediate={FIRST_JOB_S}"]
    script = "\n".join([*options.preamble, *looks])
    begun = time.monotonic()
    try:
        told = call("srun", "--quiet", *small, *named, *options.flags, "bash", "-c", script)
    except BenchmarkError as error:
        yield warning(
            CLUSTER,
            f"no job started within {FIRST_JOB_S} s ({str(error).rstrip('.')})",
            "the cluster may be full: look with squeue, or name another partition in 'slurm'",
        )
        return
    took = time.monotonic() - begun
    seen_there = {line.split()[0] for line in told.splitlines() if line.endswith(" yes")}
    yield ok(CLUSTER, f"a first job took {took:.1f} s from submission to its end")
    for name, what, mend in (
        ("program", f"this program's folder {root}", "install it on a shared disk"),
        ("store", f"the results' folder {config.store_url}", "name a shared one, or a bucket"),
        ("image", f"the image {options.image} and apptainer", "build it on a shared disk"),
        ("python", f"{python} with this program's packages", "set 'python' in 'slurm'"),
    ):
        if any(f"echo {name} " in look for look in looks):
            if name in seen_there:
                yield ok(CLUSTER, f"a node sees {what}")
            else:
                yield misconfigured(CLUSTER, f"a node does not see {what}", mend)
