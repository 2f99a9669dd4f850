"""Rows of limits and of failures that are told."""

from __future__ import annotations

import csv
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import get_args

from benchmark.errors import SetupError
from benchmark.execution.sandbox.sandbox import Means, Sandbox
from benchmark.execution.work import Limits, Work
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.store import open_store
from perf.limits import NASTY, TREE, lateness, peak_mb
from prove.processes import with_mark
from prove.program import SIDE_BY_SIDE, configure, run_main
from prove.rows import BrokenError, Stage, check, row
from prove.villains import villains

HARD_LIMIT_S, MEMORY_MB = 40, 500
COUNTED = {"framework": 3, "memory": 1, "timeout": 1}


def records_of(folder: Path) -> dict[str, Record]:
    """The records of a folder's run, by their tasks."""
    run = Run.open(open_store(str(folder / "runs")), "default")
    return {record.task: record for record in results.records(run)}


@row(2, "A tree of a child, a setsid child and a daemon, deaf to SIGTERM; two that take 2 GB each")
def limits_of_a_run(stage: Stage) -> str:
    mark = secrets.token_hex(8)
    own = villains(stage.folder, "tree", "eat", nasty=str(NASTY), mark=mark)
    limits = {"runtime": 2, "hard_limit": HARD_LIMIT_S, "memory": MEMORY_MB, **SIDE_BY_SIDE}
    folder = configure(stage.folder / "run", **own, **limits)
    done = run_main(folder, "execute-compute", "--dataset", "cpu", "--dataset", "penguins")
    check(done.returncode == 0, f"the run ended with {done.returncode}: {done.stderr[-300:]}")
    left = with_mark(mark)
    check(not left, f"{len(left)} processes are left")
    found = records_of(folder)
    causes = {task.partition("/")[0]: record.cause for task, record in found.items()}
    check(len(found) == 4, f"4 tasks, {len(found)} records")
    check(causes == {"tree": "timeout", "eat": "memory"}, f"the causes are {causes}")
    peak = max(r.peak_memory_mb or 0 for t, r in found.items() if t.startswith("eat"))
    check(peak <= 1.5 * MEMORY_MB, f"{peak:.0f} MB were taken of {MEMORY_MB}")
    longest = max(r.total_s or 0 for t, r in found.items() if t.startswith("tree"))
    means = next(iter(found.values())).sandbox
    return (
        f"by {means}: no process left; of {HARD_LIMIT_S} s and {MEMORY_MB} MB allowed at most "
        f"{longest:.2f} s and {peak:.0f} MB; causes timeout and memory"
    )


@row(2, "The same tree, and a program that takes 4 GB, on each means that the machine has")
def limits_by_means(stage: Stage) -> str:
    told = []
    for means in get_args(Means):
        try:
            with Sandbox([0], means) as sandbox:
                late, peak = lateness(sandbox), peak_mb(sandbox)
        except SetupError as error:
            told.append(f"{means}: not here ({error})")
            continue
        except SystemExit as error:
            raise BrokenError(f"{means}: {error}") from None
        told.append(
            f"{means}: {TREE} processes gone {late:.3f} s after the limit, {peak:.0f} MB of 300"
        )
    return "; ".join(told)


WRITES = {
    "a memfd": "import os; f = open(os.memfd_create('prove'), 'wb')",
    "a file in /dev/shm": "import os; f = open('/dev/shm/MARK', 'wb'); os.unlink(f.name)",
}


@row(2, "2 GB in a memfd and in a file of /dev/shm, mapped nowhere, on each means that there is")
def shared_memory_by_means(stage: Stage) -> str:
    told = []
    for means in get_args(Means):
        peaks = []
        try:
            with Sandbox([0], means) as sandbox:
                for what, begin in WRITES.items():
                    code = begin.replace("MARK", secrets.token_hex(8))
                    code += "\nfor _ in range(2000): f.write(bytes([1]) * 2**20)"
                    entry = {"argv": [sys.executable, "-c", code]}
                    limits = Limits(300, MEMORY_MB, 1)
                    outcome = sandbox.run(Work(Path(sys.executable), entry, limits))
                    over = outcome.cause is Cause.MEMORY
                    check(over, f"{means}: 2 GB in {what} ended as {outcome.cause}")
                    peaks.append(outcome.peak_memory_mb or 0.0)
        except SetupError as error:
            told.append(f"{means}: not here ({error})")
            continue
        least = min(peaks)
        check(least >= MEMORY_MB, f"{means}: a peak of {least:.0f} MB under {MEMORY_MB}")
        told.append(f"{means}: ended at most at {max(peaks):.0f} MB of {MEMORY_MB}")
    return "; ".join(told)


@row(1, "A framework that raises, crashes, answers nonsense, takes all memory, never ends")
def causes_are_told(stage: Stage) -> str:
    expected = {
        **{"raise": "framework", "crash": "framework", "nonsense": "framework"},
        **{"eat": "memory", "sleep": "timeout", "well": None},
    }
    own = villains(stage.folder, *expected)
    limits = {"runtime": 2, "hard_limit": HARD_LIMIT_S, "memory": MEMORY_MB, **SIDE_BY_SIDE}
    folder = configure(stage.folder / "run", **own, **limits)
    done = run_main(folder, "execute-compute", "--dataset", "penguins")
    check(done.returncode == 0, f"the run ended with {done.returncode}: {done.stderr[-300:]}")
    causes = {task.partition("/")[0]: record.cause for task, record in records_of(folder).items()}
    check(causes == expected, f"the causes are {causes}")
    for command in ("fetch-results", "run-analysis"):
        done = run_main(folder, command)
        check(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr[-300:]}")
    with (folder / "compiled_results.csv").open(newline="") as file:
        rows = {line["MODEL"]: line for line in csv.DictReader(file)}
    told = {name: line["CAUSE"] or None for name, line in rows.items()}
    check(told == expected, f"compiled_results.csv says {told}")
    check("no such luck" in rows["raise"]["MESSAGE"], "the message of the failure is not told")
    report = (folder / "report.html").read_text(encoding="utf-8")
    silent = [cause for cause in ("framework", "memory", "timeout") if cause not in report]
    check(not silent and "no such luck" in report, f"the report does not tell of {silent}")
    check("<b>today</b>" not in report, "the report has a framework's own HTML")
    causes_seen = json.loads(run_main(folder, "status", "--json").stdout)["causes"]
    check(causes_seen == COUNTED, f"status says {causes_seen}")
    return (
        f"{len(expected)} tasks, {len(rows)} rows, each with its cause in record, CSV, status "
        f"({', '.join(f'{n} {c}' for c, n in COUNTED.items())}) and report"
    )


@row(
    2, "Links, deep and closed folders, memory left behind, shared files emptied; links as the root"
)
def harm_to_others(stage: Stage) -> str:
    home, scratch, mark = stage.folder / "home", stage.folder / "tmp", secrets.token_hex(8)
    (home / "documents").mkdir(parents=True)
    (home / "documents" / "letter").write_text("dear")
    home.chmod(0o700)
    scratch.mkdir()
    own = villains(
        stage.folder, "plant", "damage", "well", nasty=str(NASTY), mark=mark, home=str(home)
    )
    folder = configure(stage.folder / "run", **own, max_attempts=1)
    command = ("execute-compute", "--dataset", "cpu", "--dataset", "penguins")
    done = run_main(folder, *command, TMPDIR=str(scratch))
    check(done.returncode in (0, 1), f"the run ended with {done.returncode}: {done.stderr[-300:]}")
    found = records_of(folder)
    check(len(found) == 6, f"6 tasks, {len(found)} records")
    apart = not any("were changed" in record.message for record in found.values())
    for task, record in found.items():
        blamed = record.cause == "framework" and not task.startswith("plant")
        check(not blamed, f"{task} is blamed: {record.message}")
        well = record.status == "success" or not task.startswith("well")
        check(well, f"{task} ended as {record.cause}: {record.message}")
    left = Path("/dev/shm", mark)
    if left.exists():
        left.unlink()
        check(not apart, "a task's file stays in /dev/shm")
    root = next(iter(scratch.glob("automl-benchmark-*")), None)
    stays = len(list(root.iterdir())) if root else 0
    check(not (apart and stays), f"{stays} files stay in the scratch root")
    if root:
        root.rename(scratch / "aside")
    (scratch / f"automl-benchmark-{os.getuid()}").symlink_to(home)
    done = run_main(folder, "execute-compute", "--run", "linked", TMPDIR=str(scratch))
    check("is a link" in done.stderr + done.stdout, f"a link as the root: {done.stderr[-300:]}")
    kept = sorted(path.name for path in home.rglob("*"))
    check(kept == ["documents", "letter"], f"the home folder has {kept}")
    means = "tasks set apart" if apart else "tasks not set apart, changes seen"
    return f"{means}: 6 tasks, 6 records, nobody blamed, the home folder as it was"


ENDLESS: dict[str, dict[str, object]] = {
    "metric": {"metrics": {"patterns": {"y": "((a+)+)$"}}},
    "rule": {"failure": {"patterns": ["(a|aa)+$"]}, "value": "1"},
    "value": {"value": "round(1, -999999999)"},
    "constraint": {"value": "1", "constraints": ["round(7, -999999999) <= 1"]},
    "steps": {"value": "x" + ".a" * 900},
}


@row(2, "Studies whose patterns and expressions would take for ever or all memory")
def endless_expressions(stage: Stage) -> str:
    folder = configure(stage.folder / "run")
    longest = 0.0
    for name, parts in ENDLESS.items():
        study = {
            "name": name,
            "direction": "minimize",
            "trials": 1,
            "limits": {"time": 20, "memory": 300},
            "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
            "objective": {"command": ["echo", "a" * 60 + "b"], **parts},
        }
        (folder / f"{name}.yaml").write_text(json.dumps(study))
        begin = time.monotonic()
        done = run_main(folder, "tune", f"{name}.yaml", timeout_s=300)
        longest = max(longest, time.monotonic() - begin)
        said = done.stdout + done.stderr
        check("Traceback" not in said, f"{name}: {said[-300:]}")
        check(name == "steps" or done.returncode != 2, f"{name} was refused: {said[-300:]}")
        check(name != "steps" or done.returncode == 2, f"{name} ended with {done.returncode}")
    return f"{len(ENDLESS)} studies, each ended with a sentence, the longest after {longest:.0f} s"
