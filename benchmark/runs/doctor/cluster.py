"""Check a Slurm cluster: commands, version, partitions, and what a node has for a task."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.compute import methods
from benchmark.compute.job_script import home_expanded
from benchmark.compute.slurm import checks
from benchmark.compute.slurm.commands import Slurm, call
from benchmark.config.extras import ROOT
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.frameworks.framework import Framework
from benchmark.runs.doctor.finding import Finding, fault, misconfigured, ok, warning
from benchmark.runs.doctor.storage import folder_of, is_remote

CLUSTER = "slurm"
FIRST_JOB_S = 45
SEEN_S = 5.0


def check_cluster(config: Config) -> Iterator[Finding]:
    """Check what the cluster has, what the configuration needs, and run one small job."""
    try:
        checks.check_slurm_conf()
        version = call("sinfo", "--version").strip()
        settings = Slurm(config.slurm).settings()
        partitions = checks.partitions()
    except BenchmarkError as error:
        message, _, fix = str(error).rstrip(".").partition("; ")
        yield fault(CLUSTER, message, fix or "ask the cluster's administrator")
        return
    yield ok(CLUSTER, f"{version}, arrays of up to {settings.get('MaxArraySize', 'unknown')} tasks")
    for one in partitions:
        limit = "no time limit" if one.time_s is None else f"at most {_time(one.time_s)}"
        default = ", the default" if one.is_default else ""
        size = f"{one.nodes} nodes of {one.cores} cores and {one.memory_mb} MiB"
        finding = ok if one.is_up else warning
        yield finding(CLUSTER, f"partition {one.name}{default}: {size}, {limit}")
    if "none" in settings.get("AccountingStorageType", ""):
        yield ok(
            CLUSTER, "no accounting: ends of jobs are known only while the controller keeps them"
        )
    kept = home_expanded(config.slurm.cache or "")
    # A node's own variables, such as $TMPDIR, are not known here.
    if kept and "$" not in kept and not Path(kept).exists():
        yield warning(
            CLUSTER,
            f"the environments' place {kept} ('cache') does not exist on this machine",
            f"build it with `setup FRAMEWORK --to {kept}`, or correct 'cache'; otherwise nodes "
            "build there what they need",
        )
    yield from _first_job(config)


def caches(config: Config, frameworks: Mapping[str, Framework]) -> dict[str, str]:
    """From where the nodes take environments, of each framework that runs there; a place with a
    node's own variables is not known here."""
    kept = home_expanded(config.slurm.cache or "")
    if not kept or "$" in kept or config.slurm.image:
        return {}
    names = {label: framework.name for label, framework in frameworks.items()}
    with contextlib.suppress(BenchmarkError):  # The configuration's own check reports it.
        chosen = methods.methods_of(config, names).methods
        return {label: kept for label, method in chosen.items() if method in ("slurm", "pilot")}
    return {}


def _first_job(config: Config) -> Iterator[Finding]:
    """Run a very short job: does it start, and does it see the store, the program and Python?"""
    options = config.slurm
    python = home_expanded(options.python or sys.executable)
    looks = []
    token: Path | None = None
    if options.image:
        image = shlex.quote(home_expanded(options.image))
        runs = f"apptainer exec {image} python -c 'import benchmark, obstore; print(\"yes\")'"
        looks.append(f"echo image $({runs})")
    else:
        looks.append(f"echo program $(test -d {shlex.quote(str(ROOT))} && echo yes)")
        runs = f"{shlex.quote(python)} -c 'import obstore; print(\"yes\")'"
        looks.append(f"echo python $({runs})")
    if not is_remote(config.store_url):
        # The folder itself may not exist before the first run.
        folder = folder_of(config.store_url).absolute()
        seen = folder if folder.is_dir() else folder.parent
        token = seen / f".automl-benchmark-{secrets.token_hex(8)}"
        looks.append(f"echo store $({_exchange(token)} && echo yes)")
    named = [f"--{name}={value}" for name, value in Slurm(options).chosen().items()]
    small = ["--nodes=1", "--ntasks=1", "--mem=300M", "--time=1", f"--immediate={FIRST_JOB_S}"]
    script = "\n".join([*options.preamble, *looks])
    started = time.monotonic()
    try:
        with _left(token):
            answer = call("srun", "--quiet", *small, *named, *options.flags, "bash", "-c", script)
            is_shared = token is None or _is_answered(token)
    except OSError as error:
        yield misconfigured(
            CLUSTER,
            f"the results' folder {config.store_url} cannot be written ({error.strerror})",
            "correct its rights, or name another",
        )
        return
    except BenchmarkError as error:
        yield warning(
            CLUSTER,
            f"no job started within {FIRST_JOB_S} s ({str(error).rstrip('.')})"
            if time.monotonic() - started >= FIRST_JOB_S
            else f"no job could be started ({str(error).rstrip('.')})",
            "the cluster may be full: check with squeue, or name another partition in 'slurm'",
        )
        return
    took = time.monotonic() - started
    seen_there = {line.split()[0] for line in answer.splitlines() if line.endswith(" yes")}
    if not is_shared:  # A folder of that name, but not this one.
        seen_there.discard("store")
    yield ok(CLUSTER, f"a first job took {took:.1f} s from submission to its end")
    for name, what, fix in (
        ("program", f"this program's folder {ROOT}", "install it on a shared disk"),
        ("store", f"the results' folder {config.store_url}", "name a shared one, or a bucket"),
        ("image", f"the image {options.image} and apptainer", "build it on a shared disk"),
        ("python", f"{python} with this program's packages", "set 'python' in 'slurm'"),
    ):
        if any(f"echo {name} " in look for look in looks):
            if name in seen_there:
                yield ok(CLUSTER, f"a node sees {what}")
            else:
                yield misconfigured(CLUSTER, f"a node does not see {what}", fix)


def _exchange(token: Path) -> str:
    """What a node runs: read what was written here, and write the same for this side to read."""
    here, there = shlex.quote(str(token)), shlex.quote(f"{token}.node")
    return f'test "$(cat {here})" = {token.name} && cp {here} {there}'


@contextlib.contextmanager
def _left(token: Path | None) -> Iterator[None]:
    """The token is in the results' folder while the block lasts."""
    if token is None:
        yield
        return
    token.write_text(token.name, encoding="utf-8")
    try:
        yield
    finally:
        for file in (token, Path(f"{token}.node")):
            file.unlink(missing_ok=True)


def _is_answered(token: Path) -> bool:
    """Whether the node's copy is here; NFS may show a new file some seconds late."""
    end = time.monotonic() + SEEN_S
    while True:
        with contextlib.suppress(OSError):
            if Path(f"{token}.node").read_text(encoding="utf-8") == token.name:
                return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.2)


def _time(seconds: float) -> str:
    """As people write a partition's limit: '1 min', '12 h', '7 days'."""
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds <= 172_800 else f"{seconds / 86_400:.3g} days"
