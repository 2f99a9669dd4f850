"""Commands that only read a run: status, fetch-results."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmark.cli.output import report
from benchmark.cli.progress import NOT_NEEDED, counted, outcomes, successes
from benchmark.cli.runs.question import lines as answer_lines
from benchmark.cli.session import chosen, configuration, is_narrowed, stored
from benchmark.compute.local.local import slots
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records.layout import shown
from benchmark.records.results import Cause
from benchmark.records.tasks import Run
from benchmark.runs.plan import Plan
from benchmark.runs.status import Status, status

FILES = {"classic": "compiled_results.csv", "amlb": "results.csv"}


def show_status(options: argparse.Namespace) -> int:
    if options.watch and options.json:
        raise BenchmarkError("--watch shows progress live and has no JSON; omit --watch or --json.")
    if options.jobs:
        return _show_jobs(options)
    config, plan = chosen(options)
    if options.watch:
        from benchmark.cli.runs.watch import watch

        watch(plan)
        return 0
    found = status(plan.run, plan.tasks)
    facts = asdict(found) | {"failed": found.failed, "without_result": found.without_result}
    lines = [*_lines(found, config), *answer_lines(plan.run.manifest, found.answers)]
    report(options, facts | {"until": plan.run.manifest.until}, lines)
    return 0


def _show_jobs(options: argparse.Namespace) -> int:
    """List the jobs of a run or a study (--run studies/NAME)."""
    from collections import Counter

    from benchmark.runs.job_states import STATES, job_states

    if is_narrowed(options) or options.cause:
        config, plan = chosen(options)
        states, keys = job_states(plan.run), {task.key for task in plan.tasks}
        states = {key: state for key, state in states.items() if key in keys}
    else:
        config = configuration(options)
        states = job_states(Run.open(stored(config), config.run))
    counts = Counter(states.values())
    width = max(map(len, STATES))
    lines = [f"{state:{width}}  {shown(key)}" for key, state in states.items()]
    lines += [f"{counts[state]} {state}" for state in STATES if counts[state]]
    report(options, {"run": config.run, "states": states, "counts": dict(counts)}, lines)
    return 0


def fetch_results(options: argparse.Namespace) -> int:
    _, plan = chosen(options)
    path = Path(options.output or FILES[options.format])
    if not plan.tasks:
        raise BenchmarkError(
            f"No task of run '{plan.run.name}' is selected; {path} was not written."
        )
    counts = write_results(plan, path, options.format)
    words = (
        f"{path}: {successes(counts['success'])}, {counts['failure']} failed, "
        f"{counts['']} without result, of {counted(sum(counts.values()), 'task')}"
    )
    facts = {
        "file": str(path),
        "run": plan.run.name,
        "store": plan.run.store.url,
        "tasks": sum(counts.values()),
        "success": counts["success"],
        "failure": counts["failure"],
        "without_result": counts[""],
    }
    report(options, facts, [words])
    return 0


def write_results(plan: Plan, path: Path, form: str = "classic") -> dict[str, int]:
    """Write the rows of the plan's tasks to a file; return the number of tasks per status.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    from benchmark.runs.amlb import write_amlb
    from benchmark.runs.compiled import compile_results

    write = write_amlb if form == "amlb" else compile_results
    try:
        return write(plan.run, path, {task.key for task in plan.tasks})
    except OSError as error:
        raise BenchmarkError(
            f"{path} cannot be written: {error.strerror}; write another file with fetch-results "
            "--output FILE, for run-analysis --results FILE."
        ) from error


def _lines(found: Status, config: Config) -> Iterator[str]:
    yield f"Run '{found.run}' in {found.store} ({_state(found)})"
    yield (
        f"  {counted(found.tasks, 'task')}: {successes(found.success)}, {found.failed} failed, "
        f"{found.without_result} without result"
    )
    if found.causes:
        yield f"  {outcomes(0, found.causes).partition(', ')[2]}"
    if found.running or found.waiting:
        yield f"  {found.running} running, {found.waiting} waiting"
    if found.left_in_engines:
        yield f"  {found.left_in_engines} left in jobs of a cluster; resume-compute follows them"
    yield from (f"  {sentence}" for sentence in found.waits)
    parallel = _parallel(config)
    if found.mean_s is not None and found.left and parallel:
        left = found.mean_s * found.left / parallel
        mean = f"{found.mean_s:.1f} s a task on average"
        yield f"  about {left:.0f} s left: {mean}, {parallel} at a time"
    if found.spent is not None:
        ahead = f", about {found.forecast:.2f} USD when all is done" if found.forecast else ""
        limit = f" ('max_cost' is {config.max_cost:g})" if config.max_cost else ""
        yield f"  {found.spent:.2f} USD spent{ahead}{limit}"
    width = max((len(name) for name in found.by_framework), default=0)
    for name, counts in found.by_framework.items():
        named = {NOT_NEEDED if word == Cause.RETIRED else word: n for word, n in counts.items()}
        words = ", ".join(f"{number} {word}" for word, number in sorted(named.items()))
        yield f"  {name:{width}}  {words}"


def _state(found: Status) -> str:
    if found.running_now:
        return "running"
    if found.left_in_engines:
        return "no driver"
    return "not running" if found.left else "complete"


def _parallel(config: Config) -> int:
    """How many tasks run at once, as far as known; 0 where this machine could not run one."""
    if set((config.compute or {}).values()) - {"local"}:
        return config.parallel or 0
    try:
        return len(slots(config))
    except ConfigError:
        return 0
