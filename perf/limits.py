"""How fast and how exactly limits bind, by each means of the sandbox, and the naive way beside it.

    .venv/bin/python perf/limits.py --tries 10

The tree is tests/support/nasty.py: a child, a setsid child, a daemon and their parent, all deaf
to SIGTERM. `late` is how long after the deadline the last of them was seen in /proc, from outside;
the clock starts when the sandbox is asked, so the start of the task is in it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmark.errors import SetupError  # noqa: E402
from benchmark.execution.sandbox.sandbox import Means, Sandbox  # noqa: E402
from benchmark.execution.work import Limits, Work  # noqa: E402
from benchmark.records.results import Cause  # noqa: E402
from perf.figures import figure, heading  # noqa: E402
from prove.processes import with_mark  # noqa: E402

NASTY = ROOT / "tests" / "support" / "nasty.py"
TREE = 4
HARD_LIMIT_S = 1.5
MEMORY_MB = 300
GREEDY = "a = bytearray(4_000_000_000)"


class Watch(threading.Thread):
    """Looks for the mark until told to stop; when it was seen last, and how many at most."""

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self._mark = mark
        self._over = threading.Event()
        self.most = 0
        self.last_seen = 0.0

    def run(self) -> None:
        while True:
            over = self._over.is_set()
            number = len(with_mark(self._mark))
            if number:
                self.last_seen = time.perf_counter()
                self.most = max(self.most, number)
            elif over:
                return

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextlib.contextmanager
def watched(mark: str) -> Iterator[Watch]:
    watch = Watch(mark)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def command(argv: Sequence[str], hard_limit_s: float, memory_mb: float) -> Work:
    entry = {"argv": [sys.executable, *argv]}
    return Work(Path(sys.executable), entry, Limits(hard_limit_s, memory_mb, 1))


def lateness(sandbox: Sandbox) -> float:
    """Seconds from the deadline until the last process of the tree was seen.

    On a busy machine the whole tree may not have started by the deadline; then it gets a later one.
    """
    for factor in (1, 4, 16, 64):
        limit_s, mark = factor * HARD_LIMIT_S, uuid.uuid4().hex
        with watched(mark) as watch:
            asked = time.perf_counter()
            outcome = sandbox.run(command([str(NASTY), mark], limit_s, 500))
        if outcome.cause is not Cause.TIMEOUT or watch.most >= TREE:
            break
    if outcome.cause is not Cause.TIMEOUT or watch.most < TREE:
        raise SystemExit(f"The tree did not run as it should: {outcome.message} ({watch.most})")
    return watch.last_seen - asked - limit_s


def peak_mb(sandbox: Sandbox) -> float:
    outcome = sandbox.run(command(["-c", GREEDY], 60, MEMORY_MB))
    if outcome.cause is not Cause.MEMORY or outcome.peak_memory_mb is None:
        raise SystemExit(f"The memory limit did not bind: {outcome.message}")
    return outcome.peak_memory_mb


def sandboxed(means: Means, tries: int) -> None:
    with Sandbox([min(os.sched_getaffinity(0))], means) as sandbox:
        try:
            sandbox.run(Work(Path(sys.executable), {"argv": ["/bin/true"]}, Limits(60, 500, 1)))
        except SetupError as error:
            print(f"{means:22} {error}")
            return
        late = [lateness(sandbox) for _ in range(tries)]
        peaks = [peak_mb(sandbox) for _ in range(tries)]
    print(
        f"{means:22} {statistics.median(late):8.3f} {max(late):8.3f} {0:6d}"
        f" {statistics.median(peaks):8.0f} {max(peaks):8.0f}"
    )
    figure(f"end after the deadline, {means}", statistics.median(late), "s")
    figure(f"largest peak under {MEMORY_MB} MB, {means}", max(peaks), "MB")


def naive(tries: int) -> None:
    """subprocess.run(timeout=…): what it leaves is counted, and then ended by its ids."""
    left = []
    for _ in range(tries):
        mark = uuid.uuid4().hex
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, NASTY, mark],
                stdout=subprocess.DEVNULL,
                timeout=HARD_LIMIT_S,
                check=False,
            )
        survivors = with_mark(mark)
        left.append(len(survivors))
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while with_mark(mark):
            pass
    subprocess.run([sys.executable, "-c", GREEDY], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    name = "subprocess.run(timeout)"
    print(
        f"{name:22} {'never':>7} {'never':>8} {statistics.median(left):6.0f}"
        f" {peak:8.0f} {peak:8.0f}"
    )
    figure(f"processes left, {name}", statistics.median(left), "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=10)
    options = parser.parse_args()
    print(f"{heading()}; n={options.tries}")
    print(f"the deadline is {HARD_LIMIT_S:g} s, the memory limit {MEMORY_MB} MB")
    print(f"{'':22} {'late, s':>8} {'max':>8} {'left':>6} {'peak, MB':>8} {'max':>8}")
    for means in get_args(Means):
        sandboxed(means, options.tries)
    naive(options.tries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
