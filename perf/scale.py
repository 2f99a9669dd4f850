"""Planning, resuming and compiling 100,000 tasks, and a fetch against one-by-one boto3.

    .venv/bin/python perf/scale.py                    # in a folder
    .venv/bin/python perf/scale.py --s3               # on a SeaweedFS server of its own
    .venv/bin/python perf/scale.py --s3 --tasks 5000 --stages fetch

Each stage runs in a process of its own, so that its peak memory is its own. The run is a real one
(625 names of a framework x 16 data sets x 10 seeds, planned by the program); its records and
attempts are written by this script, because running 100,000 tasks is not what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from figures import figure  # noqa: E402

from benchmark.config.loading import Config  # noqa: E402
from benchmark.parallel import record_reader  # noqa: E402
from benchmark.records import packed_records, results  # noqa: E402
from benchmark.records.results import Record, utc_now  # noqa: E402
from benchmark.records.tasks import Cell, Run  # noqa: E402
from benchmark.runs.compiled import compile_results  # noqa: E402
from benchmark.runs.plan import Plan, draft, existing, plan  # noqa: E402
from benchmark.runs.status import status  # noqa: E402
from benchmark.runs.watch import Watch  # noqa: E402
from benchmark.store import Store, open_store  # noqa: E402
from tests.support import services  # noqa: E402

SETS = 16
SEEDS = 10
AIMS_S = {"folder": 10, "s3": 60}
MEMORY_AIM_MB = 500
FULL = 100_000
FETCHED = 5000


def configured(tasks: int) -> Config:
    """A grid of `tasks` tasks, rounded up to whole frameworks."""
    names = -(-tasks // (SETS * SEEDS))
    return Config(
        studies=["embedded"],
        frameworks=[{"name": "constant", "as": f"constant-{n:04d}"} for n in range(names)],  # type: ignore[list-item]
        seeds=SEEDS,
        run="scale",
    )


def record_of(cell: Cell, number: int) -> Record:
    """A record as a real task of credit-g leaves it, about 3 kB."""
    return Record(
        task=cell.key,
        status="success",
        metric="auc",
        metrics={
            "auc": 0.5 + number % 1000 / 3000,
            "log_loss": 0.6,
            "f1_weighted": 0.7,
            "balanced_accuracy": 0.6,
            "accuracy": 0.7,
        },
        labels={"framework": cell.framework, "dataset": cell.dataset, "seed": cell.seed},
        setup_s=0.1,
        fit_s=10.0 + number % 7,
        predict_s=0.01,
        total_s=11.0,
        overhead_s=0.06,
        inference_s_per_row={"1": 1e-3, "10": 1e-4, "100": 1e-5, "1000": 1e-6, "10000": 1e-6},
        peak_memory_mb=210.5,
        baseline_memory_mb=90.1,
        models=12,
        leaderboard=[{"model": f"lightgbm-{n}", "score": 0.7, "fit_s": 0.3} for n in range(8)],
        trajectory=[[0.1 * n, 0.5 + n / 1000] for n in range(60)],
        version="1.0",
        environment_hash="0123456789abcdef",
        dataset_hash="0123456789abcdef",
        split_hash="0123456789abcdef",
        sandbox="cgroup",
        host=results.host_facts(),
        attempt=1,
        log=f"scale/logs/pass/{cell.key}/1.log",
        begun=utc_now(),
        ended=utc_now(),
    )


def fill(run: Run) -> None:
    """A record and an ended attempt for each task, written side by side."""

    def one(item: tuple[int, Cell]) -> None:
        number, cell = item
        data = record_of(cell, number).to_bytes()
        for path in (run.out_path(cell.key), f"{run.attempts_path(cell.key)}/0001.json"):
            write(run.store, path, data)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, enumerate(run.manifest.cells)))


def write(store: Store, path: str, data: bytes) -> None:
    """Without the syncs of a real record: these are made up, and 200,000 of them."""
    if "://" in store.url:
        store.put(path, data)
        return
    file = Path(store.url) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def perform(stage: str, url: str, tasks: int, folder: Path) -> int:
    """One stage; returns how many tasks it handled."""
    config = configured(tasks)
    store = open_store(url)
    if stage == "plan":
        return len(plan(store, draft(config)).tasks)
    planned = existing(config, store)
    if stage in ("fill", "pack"):
        (fill if stage == "fill" else packed_records.write)(planned.run)
        return tasks
    if stage == "naive":
        return boto3_loop(planned.run)
    if stage == "resume":
        left = record_reader.without_result(planned.run, planned.tasks)
        return len(planned.tasks) - len(left)
    if stage in ("status", "watch"):
        return counted(stage, planned)
    return compile_results(planned.run, folder / "compiled_results.csv")["success"]


def counted(stage: str, planned: Plan) -> int:
    """By status, or by two looks of status --watch, of which the second finds nothing new."""
    if stage == "status":
        return status(planned.run, planned.tasks).success
    watch = Watch(planned.run, planned.tasks)
    watch.look()
    return watch.look().words["success"]


def boto3_loop(run: Run) -> int:
    """The records one after the other, as the original system fetched them."""
    import boto3

    bucket, _, prefix = run.store.url.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    got = 0
    for path in run.store.list(f"{run.name}/out"):
        body = client.get_object(Bucket=bucket, Key=prefix + path)["Body"].read()
        got += json.loads(body)["status"] == "success"
    return got


def measured(stage: str, url: str, tasks: int, folder: Path) -> dict[str, float]:
    """A stage in a process of its own: seconds without the imports, peak MB, tasks handled."""
    command = [sys.executable, __file__, "--stage", stage, "--url", url, "--tasks", str(tasks)]
    done = subprocess.run(
        [*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def report(url: str, kind: str, tasks: int, folder: Path) -> None:
    print(f"{tasks} tasks in {'a folder' if kind == 'folder' else 'an S3 server'}")
    print(f"{'stage':18} {'seconds':>8} {'aim':>5} {'peak MB':>8} {'aim':>5}")
    stages = [(stage, "") for stage in ("plan", "fill", "resume", "status", "watch", "compile")]
    if kind == "s3":  # as they are read where a driver of this program has packed them
        stages += [
            ("pack", ""),
            *((stage, ", packed") for stage in ("resume", "status", "compile")),
        ]
    for stage, how in stages:
        found = measured(stage, url, tasks, folder)
        if found["handled"] != tasks:
            raise SystemExit(f"{stage} handled {found['handled']:g} of {tasks} tasks")
        if stage not in ("fill", "pack"):
            show(f"{stage}{how}", kind, tasks, found)


def show(what: str, kind: str, tasks: int, found: dict[str, float]) -> None:
    aim = AIMS_S[kind]
    print(
        f"{what:18} {found['seconds']:8.2f} {aim:5} {found['peak_mb']:8.0f} {MEMORY_AIM_MB:5}",
        flush=True,
    )
    where = f"{what} of {tasks:,} tasks, {kind}"
    aimed = tasks == FULL and what.partition(",")[0] in ("plan", "resume", "compile")
    figure(where, found["seconds"], "s", aim=aim if aimed else None)
    figure(f"{where}, peak", found["peak_mb"], "MB", aim=MEMORY_AIM_MB)


def fetched(url: str, folder: Path) -> None:
    """fetch-results against the loop, on the same records, alternating."""
    for stage in ("plan", "fill"):
        measured(stage, url, FETCHED, folder)
    runs = [
        (
            measured("compile", url, FETCHED, folder)["seconds"],
            measured("naive", url, FETCHED, folder)["seconds"],
        )
        for _ in range(3)
    ]
    ours, loop = (sorted(column)[1] for column in zip(*runs, strict=True))
    print(f"fetch of {FETCHED} records, median of 3 (aim 5 times as fast):")
    print(f"  fetch-results       {ours:6.2f} s  {FETCHED / ours:6.0f} records/s")
    print(f"  boto3, one by one   {loop:6.2f} s  {FETCHED / loop:6.0f} records/s")
    print(f"  ratio               {loop / ours:6.1f}")
    what = f"fetch of {FETCHED:,} records, s3"
    beside = {"aim": 5 * FETCHED / loop, "peer": "boto3", "peer_value": FETCHED / loop}
    figure(what, FETCHED / ours, "/s", at_least=True, **beside)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=FULL)
    parser.add_argument("--s3", action="store_true", help="on a SeaweedFS server of its own")
    parser.add_argument("--only-fetch", action="store_true", help="the comparison with boto3 alone")
    for name in ("--stage", "--url", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tasks = -(-options.tasks // (SETS * SEEDS)) * SETS * SEEDS
    if options.stage:
        started = time.perf_counter()
        handled = perform(options.stage, options.url, options.tasks, Path(options.folder))
        seconds = time.perf_counter() - started
        # Of forks the largest is counted on top, though it shares much with this process.
        everybody = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        peak = sum(resource.getrusage(who).ru_maxrss for who in everybody) / 1024
        print(json.dumps({"seconds": seconds, "peak_mb": peak, "handled": handled}))
        return
    with tempfile.TemporaryDirectory(prefix="perf-scale-") as name:
        folder = Path(name)
        if options.s3:
            with services.serving(folder) as server:
                os.environ.update(services.variables(server))
                bucket = f"s3://{services.BUCKET}/"
                if not options.only_fetch:
                    report(f"{bucket}scale/", "s3", tasks, folder)
                fetched(f"{bucket}fetch/", folder)
        else:
            report(str(folder / "runs"), "folder", tasks, folder)


if __name__ == "__main__":
    main()
