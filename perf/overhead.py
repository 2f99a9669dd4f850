"""The harness's own share of a task: wall time without the framework's, warm and cold.

    .venv/bin/python perf/overhead.py --tasks 40

Measured from outside, on one core, limits on: the time around `Runner.execute(task)` less the
record's `fit_s`, `predict_s` and `inference_s` (the timing of batches). The first two tasks of a
framework pay for its zygote and are left out. Beside it a process of its own for each task, as a
dispatcher without a living runner would start it.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from figures import figure, heading  # noqa: E402

from benchmark.config.loading import Config  # noqa: E402
from benchmark.execution.runner import Runner  # noqa: E402
from benchmark.frameworks import environments, registry  # noqa: E402
from benchmark.records.tasks import Task  # noqa: E402
from benchmark.runs.plan import Plan, draft, plan  # noqa: E402
from benchmark.store import open_store  # noqa: E402

DATASETS = ("credit-g", "concrete")
FRAMEWORKS = (
    {"name": "constant"},
    {"name": "random-forest", "params": {"n_estimators": 100}},
)
WARM_UP = 2
COLD = 5


@dataclass(frozen=True)
class Share:
    """One task's overhead, the part of it that the worker calls setup, and beside it the timing
    of batches. Seconds."""

    overhead_s: float
    setup_s: float
    inference_s: float
    sandbox: str


def planned(folder: str, tasks: int) -> Plan:
    seeds = -(-(tasks + WARM_UP + COLD) // len(DATASETS))
    config = Config(
        frameworks=FRAMEWORKS,  # type: ignore[arg-type]
        seeds=list(range(seeds)),
        cores=1,
        memory=1500,
        runtime=60,
        hard_limit=120,
    )
    return plan(open_store(folder), draft(config, datasets=DATASETS))


def warm(runner: Runner, tasks: Sequence[Task]) -> list[Share]:
    shares = []
    for task in tasks:
        started = time.perf_counter()
        record = runner.execute(task)
        wall = time.perf_counter() - started
        if record.fit_s is None or record.predict_s is None or record.setup_s is None:
            raise SystemExit(f"{record.task} failed, {record.cause}: {record.message}")
        inference = record.inference_s or 0.0
        own = wall - record.fit_s - record.predict_s - inference
        shares.append(Share(own, record.setup_s, inference, str(record.sandbox)))
    return shares


def cold(folder: str, run: str, core: int, tasks: Sequence[Task]) -> list[float]:
    seconds = []
    for task in tasks:
        command = [sys.executable, "-m", "benchmark.execution", folder, run, task.key]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--cores", str(core)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            check=True,
        )
        wall = time.perf_counter() - started
        record = json.loads(done.stdout)
        framework = record["fit_s"] + record["predict_s"] + (record["inference_s"] or 0.0)
        seconds.append(wall - framework)
    return seconds


def p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


def of_framework(name: str, made: Plan, folder: str, tasks: int, core: int, *, show: bool) -> None:
    own = [task for task in made.tasks if task.labels["framework"] == name]
    with Runner(made.run, [core]) as runner:
        warm(runner, own[:WARM_UP])
        profile = cProfile.Profile()
        if show:
            profile.enable()
        shares = warm(runner, own[WARM_UP : WARM_UP + tasks])
        profile.disable()
    starts = cold(folder, made.run.name, core, own[-COLD:])
    overhead = [share.overhead_s for share in shares]
    middle, start = statistics.median(overhead), statistics.median(starts)
    setup = statistics.median(share.setup_s for share in shares)
    rest = statistics.median(share.overhead_s - share.setup_s for share in shares)
    inference = statistics.median(share.inference_s for share in shares)
    means = "/".join(sorted({share.sandbox for share in shares}))
    print(
        f"{name:14} {middle:8.3f} {p95(overhead):8.3f} {len(shares):4d} {setup:9.3f} {rest:8.3f}"
        f" {inference:9.3f} {start:9.3f} {len(starts):4d} {start / middle:6.1f}  {means}"
    )
    peer = {"peer": "a process each", "peer_value": start}
    figure(f"overhead of a task, {name}", middle, "s", aim=0.1, **peer)
    figure(f"overhead of a task, {name}, p95", p95(overhead), "s")
    if show:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(40)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=40, help="a framework (default: 40)")
    parser.add_argument("--profile", action="store_true", help="show where the runner's time goes")
    options = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [core])
    names = [str(entry["name"]) for entry in FRAMEWORKS]
    for name in names:
        environments.ensure(registry.get(name), print)
    print(f"{heading()}; seconds, median of n tasks")
    print(
        f"{'':14} {'overhead':>8} {'p95':>8} {'n':>4} {'in setup':>9} {'the rest':>8}"
        f" {'inference':>9} {'cold':>9} {'n':>4} {'ratio':>6}  sandbox"
    )
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        made = planned(folder, options.tasks)
        for name in names:
            of_framework(name, made, folder, options.tasks, core, show=options.profile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
