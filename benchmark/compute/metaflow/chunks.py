"""What the flows' steps do: cut a list of tasks, run a chunk of it, sum up the run.

A chunk runs in one runner that lives on, so that Metaflow's half second is for the chunk, and its
end is the end of all that it has started.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmark.compute.jobs import job_path
from benchmark.compute.serving import RunnerProcess, serving
from benchmark.errors import BenchmarkError
from benchmark.execution.machine.cores import claimed, usable_cores
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.tasks import Run
from benchmark.store import open_store

EVERYTHING = "all"


def chunks(url: str, name: str, job: str, size: int) -> list[list[str]]:
    """The keys of the list in chunks; `all` is what has no result in the run.

    Raises:
        BenchmarkError: there is no such run or list.
    """
    run = Run.open(open_store(url), name)
    if job == EVERYTHING:
        keys = [task.key for task in record_reader.without_result(run)]
    else:
        data = run.store.get(job_path(name, job))
        if data is None:
            raise BenchmarkError(f"There is no list of tasks {job_path(name, job)} in {url}.")
        keys = json.loads(data)
    return [keys[start : start + size] for start in range(0, len(keys), size)]


def run_chunk(url: str, name: str, keys: Sequence[str]) -> list[str]:
    """Run the tasks, one after the other; how each ended: a status or a cause.

    A runner that ends while it has a task is replaced, so that the other tasks are not lost.

    Raises:
        BenchmarkError: two in a row have ended.
    """
    if not keys:
        return []
    cores = Run.open(open_store(url), name).task(keys[0]).resources.cores
    words: list[str] = []
    ended = 0
    with claimed(cores, usable_cores()) as own:
        while len(words) < len(keys):
            before = len(words)
            words += _run_until_its_end(url, name, own, keys[before:])
            if len(words) == len(keys):
                break
            ended = 1 if len(words) > before else ended + 1
            if ended > 1:
                raise BenchmarkError(f"The runner ended while it had the task {keys[len(words)]}.")
            words.append("infrastructure")
    return words


def _run_until_its_end(
    url: str, name: str, cores: Sequence[int], keys: Sequence[str]
) -> Iterator[str]:
    """How tasks ended that one runner has run: all, unless it ends."""
    runner = RunnerProcess(serving(url, name, cores), _variables())
    try:
        for key in keys:
            runner.give(key)
            line = runner.answers.readline()
            if not line.endswith(b"\n"):
                return
            record = json.loads(line).get("record") or {"cause": "infrastructure"}
            yield str(record["cause"] or record["status"])
    finally:
        runner.close(None)


def run_workers(url: str, study: str) -> int:
    """Be a worker of a study until no trial is left; the number of its trials.

    A worker ends after the study's `trials_per_task`; then another takes its place.

    Raises:
        BenchmarkError: the worker could not work, or left trials without a result.
    """
    done = 0
    while True:
        ended = subprocess.run(
            [sys.executable, "-m", "benchmark.hpo.driver.worker", url, study],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_variables(),
            check=False,
        )
        sys.stderr.write(ended.stderr)
        ran = ended.stdout.count("\n")
        if ended.returncode:
            said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
            raise BenchmarkError(f"A worker of the study '{study}' failed: {''.join(said)[:600]}")
        if not ran:
            return done
        done += ran


def summary(url: str, name: str) -> tuple[str, list[str], list[list[str]]]:
    """The card: title, headers and rows. A study's best trials, or a run's frameworks."""
    run = Run.open(open_store(url), name)
    found = list(results.records(run))
    if "study" in run.manifest.conditions:
        ranked = sorted(found, key=_score, reverse=_is_maximized(run))
        best = [record for record in ranked if record.status == "success"][:10]
        rows = [[record.task, f"{_score(record):g}", _params(record)] for record in best]
        return f"Study {name}: {len(found)} trials", ["trial", "value", "configuration"], rows
    frameworks = dict.fromkeys(str(record.labels.get("framework")) for record in found)
    rows = []
    for label in frameworks:
        own = [record for record in found if record.labels.get("framework") == label]
        good = [record for record in own if record.status == "success"]
        metrics = dict.fromkeys(record.metric for record in good)
        means = [
            f"{metric} {statistics.fmean(_score(r) for r in good if r.metric == metric):.4g}"
            for metric in metrics
        ]
        rows.append([label, str(len(own)), str(len(own) - len(good)), ", ".join(means)])
    headers = ["framework", "tasks", "failures", "means"]
    return f"Run {name}: {len(found)} results", headers, sorted(rows)


def _variables() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _score(record: results.Record) -> float:
    value = record.metrics.get(str(record.metric))
    return float("nan") if value is None else value


def _is_maximized(run: Run) -> bool:
    study = run.manifest.conditions["study"]
    directions = study.get("directions") or {}
    first = next(iter(directions.values()), None) if isinstance(directions, dict) else None
    return str(study.get("direction") or first or "minimize") == "maximize"


def _params(record: results.Record) -> str:
    return ", ".join(f"{k}={v}" for k, v in (record.labels.get("params") or {}).items())
