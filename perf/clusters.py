"""What a task costs beside itself on a cluster: array, pilot, Metaflow, and plain sbatch beside.

    sudo .venv/bin/python perf/clusters.py --tasks 40

Starts a Slurm of three nodes on this host (Debian's slurm-wlm and munge, root) and runs the same
study over each method: trials that do nothing. Printed is the wall time of the whole study, from
the first trial to the last, times the places, over the trials; and of `sbatch --array` of `true`.
What starts once (an allocation, zygotes, a flow) is in it, so more tasks give less.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from figures import figure  # noqa: E402
from slurm_cluster import SMALL_CLUSTER, SlurmCluster, missing  # noqa: E402

from benchmark.compute import discovery  # noqa: E402
from benchmark.compute.dispatcher import Dispatcher  # noqa: E402
from benchmark.config import Config  # noqa: E402
from benchmark.hpo.study import Study  # noqa: E402
from benchmark.hpo.study_file import define  # noqa: E402
from benchmark.store import open_store  # noqa: E402

PLACES = 6
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


def measured(method: str, folder: Path, count: int) -> str:
    values = STUDY | {"name": method, "trials": count, "parallel": count}
    study = Study.begin(open_store(str(folder / "runs")), define(values, folder))
    config = Config(cores=1, memory=300, hard_limit=60, runtime=60, slurm=SMALL_CLUSTER)
    with discovery.load_method(method)(study.run, config) as dispatcher:
        first, rest = carried(dispatcher, study, count)
    each = 1000 * rest / max(1, count - 1)
    figure(f"{method}, a task every", each, "ms", aim=AIMS_MS.get(method))
    return f"{method:9} first after {first:5.1f} s, then a task every {each:7.1f} ms"


def plain(cluster: SlurmCluster, count: int) -> str:
    begun = time.monotonic()
    wait = ("--wait", "-o/dev/null", "-n1", f"--array=0-{count - 1}", "--wrap=true")
    cluster.call("sbatch", *wait)
    took = time.monotonic() - begun
    figure("sbatch of `true`, a task every", 1000 * took / count, "ms")
    return f"sbatch    of `true`: {took:5.1f} s, a task every {1000 * took / count:7.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--method", action="append", choices=("slurm", "pilot", "metaflow"))
    options = parser.parse_args()
    if missing():
        print(f"No cluster can be started here: {missing()}")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        with SlurmCluster(folder / "lab") as cluster:
            os.environ |= cluster.variables
            print(plain(cluster, options.tasks), flush=True)
            for method in options.method or ("pilot", "metaflow", "slurm"):
                try:
                    print(measured(method, folder, options.tasks), flush=True)
                except (ImportError, subprocess.SubprocessError) as error:
                    print(f"{method}: not measured: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
