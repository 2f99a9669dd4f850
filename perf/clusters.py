"""What a task costs beside itself on a cluster: array, pilot, Metaflow, and plain sbatch beside.

    sudo .venv/bin/python perf/clusters.py --tasks 40
    .venv/bin/python perf/clusters.py --tasks 200 --method metaflow

Runs the same study over each method: trials that only echo. For Slurm it starts a cluster of three
nodes with two places each on this host (Debian's slurm-wlm and munge, root); Metaflow has a place
for each core. Printed is the wall time from the first record to the last over the trials, and that
times the places: what one place was busy for. A trial itself is in it, as `local` shows on its one
place, and so is what starts once (zygotes, allocations), so more tasks give less. Beside the array
stands `sbatch --array` of `true`, from submission to the end, over the same six places.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import optuna  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.compute import discovery  # noqa: E402
from benchmark.compute.dispatcher import Dispatcher  # noqa: E402
from benchmark.config import Config  # noqa: E402
from benchmark.hpo.study import Study  # noqa: E402
from benchmark.hpo.study_file import define  # noqa: E402
from benchmark.store import open_store  # noqa: E402
from tests.support.slurm_cluster import SMALL_CLUSTER, SlurmCluster, missing  # noqa: E402

PLACES = {"slurm": 6, "pilot": 6, "local": 1, "metaflow": len(os.sched_getaffinity(0))}
ON_A_CLUSTER = ("slurm", "pilot")
METHODS = ("local", "metaflow", "pilot", "slurm")
STUDY = {
    "direction": "maximize",
    "algorithm": "random",
    "tunables": [
        {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
    ],
    "limits": {"time": 60, "memory": 300, "cores": 1},
    "objective": {"command": "echo {x}"},
}


AIMS_MS = {"pilot": 50, "metaflow": 60}


def carried(dispatcher: Dispatcher, study: Study, count: int) -> tuple[float, float]:
    """Seconds until the first record, and from it to the last."""
    begun = time.monotonic()
    tasks = study.ask(count)
    dispatcher.submit(tasks)
    told, first = 0, 0.0
    while told < count:
        found = dispatcher.completed(10.0)
        told += len(found)
        first = first or (time.monotonic() - begun if found else 0.0)
    return first, time.monotonic() - begun - first


def measured(method: str, folder: Path, count: int) -> tuple[float, str]:
    """Milliseconds of wall time a task, and the line that says so."""
    values = STUDY | {"name": method, "trials": count, "parallel": count}
    study = Study.begin(open_store(str(folder / "runs")), define(values, folder))
    places = PLACES[method]
    config = Config(
        cores=1,
        memory=300,
        hard_limit=60,
        runtime=60,
        parallel=None if method in ON_A_CLUSTER else places,
        slurm=SMALL_CLUSTER,
    )
    with discovery.load_method(method)(study.run, config) as dispatcher:
        first, rest = carried(dispatcher, study, count)
    each = 1000 * rest / max(1, count - 1)
    figure(f"{method}, a task every", each, "ms", aim=AIMS_MS.get(method))
    return each, (
        f"{method:9} first after {first:5.1f} s, then a task every {each:7.1f} ms; "
        f"{places * each:7.1f} ms of a place"
    )


def plain(cluster: SlurmCluster, count: int) -> tuple[float, str]:
    """The same for `sbatch --array` of `true`."""
    begun = time.monotonic()
    wait = ("--wait", "-o/dev/null", "-n1", f"--array=0-{count - 1}", "--wrap=true")
    cluster.call("sbatch", *wait)
    took = time.monotonic() - begun
    each = 1000 * took / count
    figure("sbatch of `true`, a task every", each, "ms")
    return each, (
        f"sbatch    of `true`: {took:5.1f} s, a task every {each:7.1f} ms; "
        f"{PLACES['slurm'] * each:7.1f} ms of a place"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--method", action="append", choices=METHODS)
    options = parser.parse_args()
    chosen = options.method or METHODS
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        for method in [one for one in chosen if one not in ON_A_CLUSTER]:
            try:
                print(measured(method, folder, options.tasks)[1], flush=True)
            except ImportError as error:
                print(f"{method}: not measured: {error}")
        on_a_cluster = [one for one in chosen if one in ON_A_CLUSTER]
        if on_a_cluster and missing():
            print(f"No cluster can be started here: {missing()}")
            return 1
        if on_a_cluster:
            with SlurmCluster(folder / "lab") as cluster:
                os.environ |= cluster.variables
                each: dict[str, float] = {}
                each["sbatch"], line = plain(cluster, options.tasks)
                print(line, flush=True)
                for method in on_a_cluster:
                    each[method], line = measured(method, folder, options.tasks)
                    print(line, flush=True)
                if "slurm" in each:
                    print(f"slurm / sbatch: {each['slurm'] / each['sbatch']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
