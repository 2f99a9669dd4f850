"""What the data cost: loading from cache, fetching in parallel, memory of tasks side by side.

    .venv/bin/python perf/data.py

Loading is of census-income (32,561 rows, 14 columns), beside pandas reading the same table as CSV.
Fetching is of the 16 embedded sets as generated ARFF from a server on localhost that answers after
100 ms and sends 1 MB/s a connection, through the unmodified client, one by one and several at once.
Memory is of real tasks in the sandbox, each of which reads every cell of a table of 1,000,000 x 50
floats and waits until all have done so; sampled is the sum over all processes of what each holds
(PSS: a page that n processes share counts 1/n in each).
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.config.loading import Config  # noqa: E402
from benchmark.data import Dataset, embedded_names, load  # noqa: E402
from benchmark.data.cache import DataCache  # noqa: E402
from benchmark.data.openml.fetch import PARALLEL, Job, fetch  # noqa: E402
from benchmark.execution.worker.trees import descendants  # noqa: E402
from benchmark.runs.plan import draft, plan  # noqa: E402
from benchmark.store import open_store  # noqa: E402
from tests.support.openml_server import OpenMLServer  # noqa: E402

TOML = """
name = "reader"
description = "reads every cell and waits for the others"
python = ">=3.11,<3.14"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""
ADAPTER = """
import pathlib, time, uuid

def fit(train, problem, limits):
    total = sum(float(train[name].sum()) for name in train.columns)
    folder = pathlib.Path(problem.params["meeting"])
    (folder / uuid.uuid4().hex).touch()
    while len(list(folder.iterdir())) < problem.params["tasks"]:
        time.sleep(0.05)
    time.sleep(1.0)
    return float(train[problem.target].mean())

def predict(model, frame, problem):
    return {"predictions": [model] * len(frame), "probabilities": None, "classes": None}

def describe(model):
    return {"models": 1, "leaderboard": None, "version": "1"}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("load", "fetch", "memory"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perf-data-") as folder:
        os.environ["AUTOML_BENCHMARK_CACHE"] = f"{folder}/cache"
        if options.only in (None, "load"):
            loading(Path(folder))
        if options.only in (None, "fetch"):
            fetching(Path(folder))
        if options.only in (None, "memory"):
            memory(Path(folder), options.rows)


def loading(folder: Path) -> None:
    dataset = load("census-income")
    cache = DataCache(folder / "sets")
    cache.put(dataset)
    entry = cache.entry(dataset.name)
    assert entry is not None
    frame = dataset.table.to_pandas()
    text = frame.to_csv(index=False)
    cached_s = median(entry.load)
    to_frame_s = cached_s + median(entry.load().table.to_pandas)
    csv_s = median(lambda: pd.read_csv(io.StringIO(text)))
    sizes = [len(content) for content in entry.objects().values()]
    print(f"load census-income     from cache {cached_s * 1e3:6.1f} ms", end="")
    print(f"   as frame {to_frame_s * 1e3:6.1f} ms   CSV {csv_s * 1e3:6.1f} ms", end="")
    print(f"   ratio {csv_s / cached_s:4.1f}   bytes {sum(sizes)} : {len(text)}")
    peer = {"peer": "pandas.read_csv", "peer_value": csv_s * 1e3}
    figure("load census-income from cache", cached_s * 1e3, "ms", **peer)


def fetching(folder: Path) -> None:
    with OpenMLServer() as server:
        names = []
        for number, name in enumerate(embedded_names(), 1):
            dataset = load(name)
            server.add_generated(number, arff(dataset), dataset.target.replace(" ", "_"))
            names.append(f"openml-{number}")
        server.delay_s, server.bytes_per_s = 0.1, 1e6
        took = {}
        for parallel in (1, PARALLEL):
            os.environ.update(server.configure(folder / f"fetch{parallel}"))
            start = time.perf_counter()
            fetched = fetch([Job(name) for name in names], parallel=parallel)
            took[parallel] = time.perf_counter() - start
            assert not fetched.faults, fetched.faults
        start = time.perf_counter()
        fetch([Job(name) for name in names])
        again = time.perf_counter() - start
    one, many = took[1], took[PARALLEL]
    print(
        f"fetch 16 sets          one by one {one:5.1f} s   {PARALLEL} at once {many:5.1f} s", end=""
    )
    print(f"   ratio {one / many:4.1f}   asked again {again:4.1f} s (the client's import)")
    figure("fetch 16 data sets", many, "s", peer="one by one", peer_value=one)


def memory(folder: Path, rows: int) -> None:
    store, framework = folder / "store", folder / "frameworks" / "reader"
    framework.mkdir(parents=True)
    (framework / "framework.toml").write_text(TOML)
    (framework / "adapter.py").write_text(ADAPTER)
    generator = np.random.RandomState(0)
    table = pa.table({f"x{n}": generator.random_sample(rows) for n in range(50)})
    table = table.append_column("y", pa.array(generator.random_sample(rows)))
    dataset = Dataset.of("large", "regression", "y", table)
    source = folder / "own"
    source.mkdir()
    pq.write_table(dataset.table, source / "large.parquet")
    (source / "large.yaml").write_text("file: large.parquet\ntarget: y\n")
    del table, dataset
    print(f"memory of tasks on {rows} x 50 floats ({rows * 400 / 2**20:.0f} MB)")
    print(f"{'':24}{'all, MB':>10}{'own, MB':>10}{'mapped, MB':>12}{'ratio':>8}")
    one = None
    for label, seeds in (
        ("1 task", [0]),
        ("4 tasks, one split", [0] * 4),
        ("4 tasks, four", range(4)),
    ):
        total, own, mapped = measured(folder, store, list(seeds))
        one = one or total
        print(f"{label:24}{total:10.0f}{own:10.0f}{mapped:12.0f}{total / one:8.2f}")
        figure(f"memory on {rows * 400 / 2**20:.0f} MB, {label}", total, "MB")


def measured(folder: Path, store: Path, seeds: list[int]) -> tuple[float, float, float]:
    """The peak of tasks side by side on these seeds: all, of their own, mapped from files; MB."""
    run = f"run{len(list(folder.glob('meeting*')))}"
    meeting = folder / f"meeting-{run}"
    meeting.mkdir()
    params = {"meeting": str(meeting), "tasks": len(seeds)}
    frameworks = [{"name": "reader", "as": f"r{n}", "params": params} for n in range(len(seeds))]
    config = Config(
        studies=[],
        datasets=[str(folder / "own" / "large.yaml")],
        frameworks=frameworks,
        frameworks_path=[str(folder / "frameworks")],
        seeds=sorted(set(seeds)),
        cores=1,
        memory=4000,
        runtime=120,
        hard_limit=240,
        s3_bucket_root=str(store),
        run=run,
    )
    plan(open_store(str(store)), draft(config))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmark.execution", str(store), run, f"r{n}/large/{seed}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n, seed in enumerate(seeds)
    ]
    peak = (0.0, 0.0, 0.0)
    while any(process.poll() is None for process in processes):
        if len(list(meeting.iterdir())) == len(seeds):
            peak = max(peak, held([process.pid for process in processes]))
        time.sleep(0.1)
    for process in processes:
        output, _ = process.communicate()
        assert '"status": "success"' in output, output
    return peak


def held(roots: list[int]) -> tuple[float, float, float]:
    pids = [*roots, *(pid for root in roots for pid in descendants(root))]
    total = own = mapped = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        values = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
        total += values["Pss:"]
        own += values["Pss_Anon:"] + values["Pss_Shmem:"]
        mapped += values["Pss_File:"]
    return total / 1024, own / 1024, mapped / 1024


def arff(dataset: Dataset) -> str:
    """A data set as ARFF, plain enough for any reader."""
    lines = [f"@relation {dataset.name}"]
    frame = dataset.table.to_pandas()
    for name in frame.columns:
        column, plain = frame[name], name.replace(" ", "_").replace("%", "")
        if column.dtype == "category":
            column = column.cat.rename_categories(
                [f"v{n}" for n in range(len(column.cat.categories))]
            )
            kind = "{" + ",".join(column.cat.categories) + "}"
        else:
            kind = "numeric"
        frame[name] = column
        lines.append(f"@attribute {plain} {kind}")
    body = frame.to_csv(index=False, header=False, na_rep="?")
    return "\n".join([*lines, "@data", body])


def median(call: Callable[[], object]) -> float:
    """Seconds of a call, after one to warm up."""
    call()
    times = []
    for _ in range(11):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
