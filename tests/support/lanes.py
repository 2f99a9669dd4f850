"""Run the integration tests in lanes, several at once: `python -m tests.support.lanes`.

A lane is one pytest process over some paths. It starts what its tests share (a Slurm, a Docker
engine) once, so tests that need the same service belong in the same lane. Each lane writes a log;
the log of a lane that fails is printed. At the end: a table of the lanes, what ran for real, and
what did not run and why.

    python -m tests.support.lanes                  all lanes
    python -m tests.support.lanes slurm docker     some
    python -m tests.support.lanes --jobs 1         one after the other
    python -m tests.support.lanes --tests          all lanes and, as one more, the default tests
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from benchmark.files.removal import remove_tree

ROOT = Path(__file__).parents[2]
# The longest first, so that none of them is left to run alone at the end.
LANES: dict[str, tuple[str, ...]] = {
    "faults": ("faults", "prove"),
    "slurm": (
        *("compute/slurm", "compute/test_dispatchers.py", "compute/test_until.py"),
        *("compute/test_losses.py", "compute/kubernetes", "compute/ray"),
    ),
    "documents": ("docs", "analysis", "hpo/service/web/test_page.py"),
    "docker": ("docker", "hpo/service/test_image.py", "hpo/test_container_example.py", "execution"),
    "service": (
        *("hpo/service/backends", "hpo/service/core", "hpo/service/test_fuzz.py"),
        *("hpo/service/test_chart.py", "hpo/service/web/test_traces.py"),
        *("hpo/service/test_server.py", "hpo/service/test_generated_client.py"),
        *("hpo/test_examples.py", "hpo/test_journal_database.py"),
    ),
    "studies": (
        *("hpo/test_example_forms.py", "hpo/test_first_failures.py", "hpo/test_flow.py"),
        *("hpo/test_gp.py", "hpo/test_optimizer.py", "hpo/test_prometheus.py"),
        *("hpo/test_runner.py", "hpo/test_shadow.py"),
        *("hpo/test_shared_storage.py", "compute/metaflow"),
    ),
    "s3": ("acceptance", "runs", "store", "data", "test_api.py"),
    "aws": (
        *("compute/aws", "compute/baremetal", "compute/batch"),
        *("compute/test_mixed_run.py", "compute/test_selection.py"),
    ),
    "frameworks": ("frameworks",),
}
# The lane of the default tests, which starts first, and its processes.
TESTS, PROCESSES = "tests", 2
SELECTED = "integration and not soak"
END_S = 120.0
# A lane that has not ended by then is interrupted, so that its log shows where it was.
DEADLINE_S = 4200.0


@dataclass
class Lane:
    """A pytest process, its log, and once it has ended its tests."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    seconds: float = 0.0
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    late: bool = False

    @property
    def broken(self) -> bool:
        """Something failed, or pytest itself did, or it was interrupted."""
        return self.process.returncode != 0 or bool(self.failed) or self.late

    def read(self) -> None:
        """Take the tests' outcomes from the report that pytest wrote beside the log."""
        self.seconds = time.monotonic() - self.started
        with suppress(FileNotFoundError, ElementTree.ParseError):
            for case in ElementTree.parse(self.log.with_suffix(".xml")).iter("testcase"):
                name = f"{case.get('classname')}.{case.get('name')}"
                left_out = case.find("skipped")
                if case.find("failure") is not None or case.find("error") is not None:
                    self.failed.append(name)
                elif left_out is not None:
                    self.skipped[name] = left_out.get("message", "")
                else:
                    self.passed.append(f"{name} ({float(case.get('time', 0)):.0f} s)")

    def counts(self) -> str:
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def start(name: str, logs: Path) -> Lane:
    log = logs / f"{name}.log"
    command = [sys.executable, "-m", "pytest", "--color=no"]
    if name == TESTS:
        command += ["-m", "not integration", "-n", str(PROCESSES)]
    else:
        # A test that hangs fails, and its lane goes on and ends what it started.
        command += ["-m", SELECTED, "-rA", "--timeout-method=signal"]
        command += ["-o", "faulthandler_timeout=0"]
        command += [str(Path("tests", path)) for path in LANES[name]]
    # Each lane has a folder of its own: pytest closes a shared one to other users as it starts,
    # also to the databases and daemons that another lane's tests started in it.
    command += ["-p", "no:cacheprovider", f"--basetemp={logs / name}"]
    command += [f"--junitxml={log.with_suffix('.xml')}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Lane(name, log, process, time.monotonic())


def signal_all(lanes: Sequence[Lane], number: int) -> None:
    for lane in lanes:
        with suppress(ProcessLookupError):
            os.killpg(lane.process.pid, number)


def interrupt_late(running: Sequence[Lane], waiting: list[str]) -> None:
    """Interrupt what runs, and kill what was interrupted before; start nothing more."""
    late = [lane for lane in running if lane.late]
    new = [lane for lane in running if not lane.late]
    signal_all(late, signal.SIGKILL)
    signal_all(new, signal.SIGINT)
    for lane in new:
        lane.late = True
    names = ", ".join([lane.name for lane in running] + [f"{name} (not run)" for name in waiting])
    print(f"\nNot ended in time, interrupted: {names}", flush=True)
    waiting.clear()


@contextmanager
def ended_with_us(running: Sequence[Lane]) -> Iterator[None]:
    """End the lanes that still run, their fixtures first, when this process is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            signal_all(running, number)
            for lane in running:
                with suppress(subprocess.TimeoutExpired):
                    lane.process.wait(END_S)


def run(names: Sequence[str], logs: Path, jobs: int) -> list[Lane]:
    """Run lanes, `jobs` at once; a line as each ends, and the log of each that fails.

    What still runs at the deadline fails, and what waits is not run.
    """
    waiting, running, done = list(names), [], []
    deadline = time.monotonic() + DEADLINE_S
    # A hundred thousand files take a minute, which other lanes use.
    with ThreadPoolExecutor(1) as removing, ended_with_us(running):
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(start(waiting.pop(0), logs))
            time.sleep(0.2)
            if time.monotonic() > deadline:
                interrupt_late(running, waiting)
                # Those that do not end what they started by then are killed.
                deadline = time.monotonic() + END_S
            for lane in [lane for lane in running if lane.process.poll() is not None]:
                running.remove(lane)
                done.append(lane)
                lane.read()
                if lane.broken:
                    print(f"\n{'=' * 20} lane {lane.name} failed {'=' * 20}", flush=True)
                    print(lane.log.read_text(encoding="utf-8", errors="replace"), flush=True)
                state = "FAILED" if lane.broken else "passed"
                print(f"{lane.name:11} {state} {lane.seconds:5.0f} s, {lane.counts()}", flush=True)
                removing.submit(remove_tree, logs / lane.name)
    return done


def summary(lanes: Sequence[Lane]) -> str:
    """What ran for real, what did not and why, and the closing line."""
    ran = [
        f"{lane.name}: {len(lane.passed) if lane.name == TESTS else ', '.join(lane.passed)}"
        for lane in lanes
        if lane.passed
    ]
    failed = [name for lane in lanes for name in lane.failed]
    failed += [f"lane {lane.name}" for lane in lanes if lane.broken and not lane.failed]
    absent = [f"{name} ({why})" for lane in lanes for name, why in lane.skipped.items()]
    passed = sum(len(lane.passed) for lane in lanes)
    return "\n".join(
        [
            *("Ran for real:", *ran),
            *("Did not run:", *(absent or ["nothing but the long proofs: make prove, make soak"])),
            *(["Failed:", *failed] if failed else []),
            f"{passed} passed, {len(failed)} failed, {len(absent)} skipped",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser("lanes", description=__doc__.partition("\n")[0])
    parser.add_argument("lanes", nargs="*", metavar="LANE", help=f"of {', '.join(LANES)}")
    parser.add_argument("--jobs", type=int, default=5, help="lanes at once (default: 5)")
    parser.add_argument("--tests", action="store_true", help="the default tests too")
    options = parser.parse_args()
    if strangers := set(options.lanes) - set(LANES):
        parser.error(f"no lane '{min(strangers)}'; the lanes are {', '.join(LANES)}")
    if options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}; pass 1 or more")
    folder = Path(tempfile.mkdtemp(prefix="lanes-"))
    try:
        names = [TESTS] * options.tests + (options.lanes or list(LANES))
        lanes = run(names, folder, options.jobs)
    finally:
        # Tests leave trees of any depth, which Python's own removal cannot handle.
        if why := remove_tree(folder):
            print(f"Left behind: {why}")
    print(summary(lanes))
    return int(any(lane.broken for lane in lanes))


if __name__ == "__main__":
    sys.exit(main())
