"""Rows of resuming: nothing twice, nothing mixed, the same again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet

from benchmark.store import open_store
from prove.playground import Playground, untouched
from prove.program import ROOT, SIDE_BY_SIDE, configure, environment, run_main
from prove.rows import NotShownError, Stage, check, row, until

VERSION = '__version__ = "99.0.0"\n'


def ran(ground: Playground, *arguments: str, root: Path = ROOT, code: int = 0) -> str:
    """A command in the ground's folder, to the expected end; what it said."""
    done = run_main(ground.folder, *arguments, root=root)
    said = done.stdout + done.stderr
    check(done.returncode == code, f"{arguments[0]} ended with {done.returncode}: {said[-300:]}")
    return said


def state(folder: Path) -> dict[str, str]:
    """Every object of a store by its content's hash."""
    store = open_store(str(folder / "runs"))
    return {path: hashlib.sha256(store.get(path) or b"").hexdigest() for path in store.list()}


@row(3, "A finished run resumed; records deleted and torn in half; the run grown by a seed")
def only_what_is_missing(stage: Stage) -> str:
    dice = stage.dice("only-what-is-missing")
    ground = Playground(configure(stage.folder / "run", frameworks=["constant"], seeds=2))
    ran(ground, "execute-compute")
    before, tries = ground.finals(), ground.attempts()
    ran(ground, "resume-compute")
    untouched(ground, before, tries)
    check(ground.attempts() == tries, "a finished run was run again")
    hurt = dice.sample(sorted(before), 6)
    for number, path in enumerate(hurt):
        file = ground.folder / "runs" / path
        if number % 2:
            file.write_bytes(before[path][: dice.randrange(len(before[path]))])
        else:
            file.unlink()
    ran(ground, "resume-compute")
    whole = {path: data for path, data in before.items() if path not in hurt}
    untouched(ground, whole, tries)
    again = ground.attempts() - tries
    check(len(ground.finals()) == len(before), "a record that was hurt has not come back")
    check(again.total() == len(hurt), f"{len(hurt)} records were hurt, {again.total()} tasks ran")
    present, tries = ground.finals(), ground.attempts()
    ran(ground, "resume-compute", "--set", "seeds=3")
    untouched(ground, present, tries)
    grown = ground.attempts() - tries
    check(not ground.faults, "; ".join(ground.faults[:3]))
    check(grown.total() == 8, f"the run grew by 8 tasks, {grown.total()} ran")
    return (
        f"of {len(before)} tasks a resume ran 0; of 6 hurt records 6; of a new seed its "
        f"{grown.total()}; {len(ground.finals())} records, the whole ones untouched"
    )


@row(3, "Other limits, memory, cores, split, metric; data changed in one cell; an adapter changed")
def conditions_do_not_mix(stage: Stage) -> str:
    folder = configure(stage.folder / "run", frameworks=["constant"], datasets=["mine.json"])
    (folder / "mine.json").write_text('{"file": "mine.csv", "target": "y", "type": "regression"}')
    lines = ["a,y", *(f"{n},{n % 7}" for n in range(60))]
    (folder / "mine.csv").write_text("\n".join(lines))
    shutil.copytree(ROOT / "benchmark/frameworks/constant", folder / "own" / "mean")
    adapter = folder / "own/mean/adapter.py"
    toml = folder / "own/mean/framework.toml"
    text = toml.read_text().replace('name = "constant"', 'name = "mean"')
    toml.write_text("\n".join(one for one in text.splitlines() if not one.startswith("aliases")))
    configure(
        folder, studies=[], datasets=["mine.json"], frameworks=["mean"], frameworks_path=["own"]
    )
    ground = Playground(folder)
    ran(ground, "execute-compute")
    before = state(folder)
    changes = ("runtime=20", "hard_limit=40", "memory=1200", "cores=2", "split=cv")
    refused = [
        ran(ground, "resume-compute", "--set", change, code=2)
        for change in (*changes, 'metric={"regression": "mae"}')
    ]
    lines[30] = "29,6.5"
    (folder / "mine.csv").write_text("\n".join(lines))
    refused.append(ran(ground, "resume-compute", code=2))
    lines[30] = "29,1"
    (folder / "mine.csv").write_text("\n".join(lines))
    ran(ground, "resume-compute")
    adapter.write_text(adapter.read_text() + "\n# another version\n")
    refused.append(ran(ground, "resume-compute", code=2))
    wrong = [said for said in refused if "has other conditions" not in said or "Trace" in said]
    check(not wrong, f"not refused in a sentence: {wrong[:1]}")
    changed = {path for path, digest in state(folder).items() if before.get(path) != digest}
    changed -= {path for path in changed if path.endswith("manifest.json")}
    check(not changed, f"what was refused has changed {sorted(changed)[:2]}")
    return (
        f"{len(refused)} of {len(refused)} refused in one sentence, no object in the store changed"
    )


@row(3, "Two versions of the code on one run: a newer one with another record field, in turn")
def two_versions(stage: Stage) -> str:
    newer = stage.folder / "newer"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "benchmark", newer / "benchmark", ignore=ignored)
    shutil.copy(ROOT / "main.py", newer)
    with (newer / "benchmark/__init__.py").open("a") as file:
        file.write(VERSION)
    module = newer / "benchmark/records/record.py"
    old = '    ended: str | None = None\n    """UTC."""\n'
    text = module.read_text()
    check(text.count(old) == 1, "the record's last field is not where it was")
    module.write_text(text.replace(old, old + '    novelty: str = "new"\n    """A new fact."""\n'))
    ground = Playground(configure(stage.folder / "run", frameworks=["constant"]))
    ran(ground, "execute-compute", "--dataset", "penguins", "--dataset", "cpu")
    for root in (newer, ROOT, newer):
        before, tries = ground.finals(), ground.attempts()
        ran(
            ground,
            "resume-compute",
            *(("--dataset", "concrete") if root is newer else ()),
            root=root,
        )
        untouched(ground, before, tries)
    ran(ground, "fetch-results")
    finals = ground.finals()
    check(not ground.faults, "; ".join(ground.faults[:3]))
    new = sum(b'"novelty"' in data for data in finals.values())
    check(new == 1, f"{new} records are the newer version's")
    check(len(finals) == 8, f"8 tasks, {len(finals)} records")
    ground.ran_once()
    return (
        f"8 tasks, {len(finals)} records, {new} of the newer version, read by both; none run again"
    )


@row(3, "Two drivers started on one run at the same moment, and a third while one drives")
def two_drivers(stage: Stage) -> str:
    ground = Playground(configure(stage.folder / "run", seeds=2, **SIDE_BY_SIDE))
    ran(ground, "resume-compute", "--dataset", "cpu", "--seed", "75")
    drivers = [ground.start(), ground.start()]
    until(lambda: len(ground.finals()) > 4 or all(d.poll() is not None for d in drivers), "records")
    third = run_main(ground.folder, "resume-compute")
    codes = [driver.wait(1800) for driver in drivers]
    check(0 in codes, f"the drivers ended with {codes}: {ground.said[-300:]}")
    for code in (*codes, third.returncode):
        check(code in (0, 2), f"a driver ended with {code}")
    said = ground.said + third.stderr
    refused = said.count("Another process drives")
    check(refused == (*codes, third.returncode).count(2), "a refusal has no sentence")
    check("Traceback" not in said, "a driver broke down")
    attempts = ground.attempts()
    check(len(ground.finals()) == len(attempts) == 32, f"{len(ground.finals())} records of 32")
    ground.ran_once()
    return f"{refused} of 3 refused in a sentence; 32 tasks, 32 records, 32 attempts"


@row(3, "The same seed again: another folder, side by side instead of one after the other")
def the_same_again(stage: Stage) -> str:
    found = []
    for parallel in (1, 2):
        folder = configure(stage.folder / f"run{parallel}", studies=["starter"], parallel=parallel)
        ground = Playground(folder)
        ran(ground, "execute-compute", "--dataset", "penguins", "--dataset", "concrete")
        files = sorted((folder / "runs/default/predictions").rglob("*.parquet"))
        found.append(
            {
                str(file.relative_to(folder)): pyarrow.parquet.read_table(file).to_pydict()
                for file in files
            }
        )
    first, second = found
    check(len(first) == 4, f"4 tasks, {len(first)} predictions")
    differing = [path for path in first if first[path] != second.get(path)]
    check(not differing, f"the predictions differ: {differing[:2]}")
    rows = sum(len(next(iter(table.values()))) for table in first.values())
    counted = Counter(path.split("/")[3] for path in first)
    return f"{rows} predictions of {', '.join(sorted(counted))} equal to the last bit"


@row(2, "A trial killed with the container of its driver; its restore hook is owed on this machine")
def restore_after_a_restart(stage: Stage) -> str:
    folder, log = configure(stage.folder / "run"), stage.folder / "log"
    apart = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], check=False).returncode:
        raise NotShownError("PID namespaces cannot be made here")
    measure = f"echo began >> {log}; test -e {stage.folder / 'go'} || sleep 600; echo 1"
    study = {
        "name": "s",
        "direction": "minimize",
        "trials": 1,
        "limits": {"time": 900, "memory": 300},
        "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
        "objective": {
            "command": ["sh", "-c", measure],
            "restore": ["sh", "-c", f"echo restored >> {log}"],
        },
    }
    (folder / "s.yaml").write_text(json.dumps(study))
    begun = lambda: log.read_text().split() if log.exists() else []  # noqa: E731
    with subprocess.Popen(
        [*apart, sys.executable, ROOT / "main.py", "tune", "s.yaml"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as container:
        try:
            until(lambda: begun() or container.poll() is not None, "the trial")
            check(begun() == ["began"], "the first driver ended before its trial began")
            done = run_main(folder, "tune", "s.yaml")
            check(done.returncode != 0, "a second driver was let in")
            check(begun() == ["began"], "the hook ran while its trial ran in another container")
        finally:
            os.kill(container.pid, signal.SIGKILL)
    (stage.folder / "go").touch()
    done = run_main(folder, "tune", "s.yaml")
    check(done.returncode == 0, f"the study ended with {done.returncode}: {done.stderr[-300:]}")
    check(begun() == ["began", "restored"] * 2, f"the hooks ran as {begun()}")
    return "not while the trial ran elsewhere, once before the next trial began, once after it"
