"""What a task costs beside itself on a cluster: array, pilot, Metaflow, Ray, and plain ways beside.

    sudo .venv/bin/python perf/clusters.py --tasks 40
    .venv/bin/python perf/clusters.py --tasks 200 --method metaflow
    .venv/bin/python perf/clusters.py --tasks 200 --method ray
    .venv/bin/python perf/clusters.py --method kubernetes

Runs the same study over each method: trials that only echo. For Slurm it starts a cluster of three
nodes with two places each on this host (Debian's slurm-wlm and munge, root); Metaflow has a place
for each core. Printed is the wall time from the first record to the last over the trials, and that
times the places: what one place was busy for. A trial itself is in it, as `local` shows on its one
place, and so is what starts once (zygotes, allocations), so more tasks give less. Beside the array
stands `sbatch --array` of `true`, from submission to the end, over the same six places. Ray has a
cluster of three nodes with a place each on this host; beside it stands a plain `ray.remote` that
runs `true`, on the same cluster. For Kubernetes the requests to a double of its API server are
counted, for 10,000 tasks of which each pod leaves a record after a second: looks at the engine and
at the store every 0.1 s stand for 10 s, and pods of 1 s for 100 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import optuna  # noqa: E402
from figures import figure  # noqa: E402
from jsonschema import Draft202012Validator  # noqa: E402

from benchmark.compute import discovery  # noqa: E402
from benchmark.compute.cluster import Pace  # noqa: E402
from benchmark.compute.dispatcher import Dispatcher  # noqa: E402
from benchmark.compute.jobs import job_path  # noqa: E402
from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher  # noqa: E402
from benchmark.config.loading import Config  # noqa: E402
from benchmark.hpo.spec.study_file import define  # noqa: E402
from benchmark.hpo.study.study import Study  # noqa: E402
from benchmark.records import results  # noqa: E402
from benchmark.records.record import Record  # noqa: E402
from benchmark.records.tasks import Run  # noqa: E402
from benchmark.runs.plan import Narrowing, draft, plan  # noqa: E402
from benchmark.store import open_store  # noqa: E402
from tests.support import kubernetes_double  # noqa: E402
from tests.support.kubernetes_double import CONFIGURATION, KubernetesDouble  # noqa: E402
from tests.support.ray_cluster import SMALL_RAY  # noqa: E402
from tests.support.ray_cluster import cluster as ray_nodes  # noqa: E402
from tests.support.slurm_cluster import SMALL_CLUSTER, SlurmCluster, missing  # noqa: E402

PLACES = {"slurm": 6, "pilot": 6, "ray": 3, "local": 1, "metaflow": len(os.sched_getaffinity(0))}
ON_A_CLUSTER = ("slurm", "pilot")
METHODS = ("local", "metaflow", "ray", "kubernetes", "pilot", "slurm")
POD_S, POD_TASKS = 1.0, 10_000
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
        ray=SMALL_RAY,
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


def over_ray(folder: Path, count: int) -> Iterator[str]:
    """Our tasks over a cluster of three nodes, and `true` by Ray alone."""
    with ray_nodes() as nodes:
        os.environ["RAY_ADDRESS"] = nodes.address
        import ray

        ours, line = measured("ray", folder, count)
        yield line
        ray.init(address=nodes.address, log_to_driver=False)
        try:
            task = ray.remote(num_cpus=1)(lambda: subprocess.run(["true"], check=True).returncode)
            ray.get(task.remote())
            begun = time.monotonic()
            ray.get([task.remote() for _ in range(count)])
            each = 1000 * (time.monotonic() - begun) / count
        finally:
            ray.shutdown()
    figure("ray.remote of `true`, a task every", each, "ms")
    yield f"ray.remote of `true`: a task every {each:7.1f} ms; ours / plain: {ours / each:.2f}"


class Pods(KubernetesDouble):
    """Pods that leave their records after a second, without a process; answers are not checked."""

    def __init__(self, folder: Path, run: Run) -> None:
        super().__init__(folder)
        self._run = run
        self._born: dict[str, float] = {}
        kubernetes_double.strict_schema = lambda *_: Draft202012Validator({})

    def _schedule(self) -> None:
        now = time.monotonic()
        for job, pods in self.pods.items():
            keys: list[str] = []
            for pod in pods:
                if pod.phase != "Pending":
                    continue
                name = pod.object["metadata"]["name"]
                if now - self._born.setdefault(name, now) < POD_S:
                    continue
                keys = keys or json.loads(
                    self._run.store.get(job_path(self._run.name, job)) or b"[]"
                )
                task = self._run.task(keys[pod.index])
                done = Record(task=task.key, status="success", labels=task.labels)
                results.settle(self._run, results.begin(self._run, task), done)
                pod.end(0)


def over_kubernetes(folder: Path) -> str:
    """The requests to the API server that 10,000 tasks take."""
    seeds = list(range(POD_TASKS // 2))
    values = {"studies": ["starter"], "frameworks": ["constant"], "seeds": seeds, "cores": 1}
    store = open_store("memory://")
    narrowing = Narrowing(datasets=("penguins", "cpu"))
    planned = plan(store, draft(Config(**values, memory=300), narrowing))
    config = Config(**values, memory=300, **CONFIGURATION)
    KubernetesDispatcher.pace = Pace(store_s=0.1, engine_s=0.1)
    with Pods(folder / "kubernetes", planned.run) as double:
        os.environ["KUBECONFIG"] = str(double.kubeconfig)
        begun = time.monotonic()
        with KubernetesDispatcher(planned.run, config) as dispatcher:
            dispatcher.submit(planned.tasks)
            told = 0
            while told < len(planned.tasks):
                told += len(dispatcher.completed(10.0))
        took = time.monotonic() - begun
        calls = double.calls.total()
    figure("kubernetes, API calls for 10,000 tasks", calls, "")
    kinds = ", ".join(f"{n} {' '.join(kind)}" for kind, n in double.calls.most_common())
    return f"kubernetes: {calls} API calls for {told} tasks in {took:.0f} s ({kinds})"


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
                if method == "kubernetes":
                    print(over_kubernetes(folder), flush=True)
                elif method == "ray":
                    for line in over_ray(folder, options.tasks):
                        print(line, flush=True)
                else:
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
