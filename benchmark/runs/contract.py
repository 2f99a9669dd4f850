"""The contract test of a framework: small real data through the real sandbox, check by check.

for check in contract(framework):
    print(check.state, check.name, check.message)
"""

from __future__ import annotations

import ast
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmark.config.extras import program
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, SetupError
from benchmark.execution import metrics
from benchmark.files.input_files import read_input
from benchmark.frameworks import Framework, locks
from benchmark.frameworks.environments import canonical, ensure, verify
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from benchmark.runs.execute import execute
from benchmark.runs.plan import draft, plan
from benchmark.store import open_store

if TYPE_CHECKING:
    import pyarrow


State = Literal["ok", "note", "wrong"]
DATASETS = {
    "titanic": "two classes, categories, missing values",
    "penguins": "three classes, missing values",
    "cpu": "regression: a numeric target",
}
FIRST, SECOND = "first", "second"
BUDGET_S = 10.0
MEMORY_MB = 3000


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. A `note` is worth knowing and breaks nothing."""

    state: State
    name: str
    message: str


def contract(framework: Framework) -> Iterator[Check]:
    """All checks, in order; those that need what failed before are left out."""
    yield Check("ok", "framework.toml", f"{framework.name}, Python {framework.python}")
    yield _requirements(framework)
    adapter = _adapter(framework)
    yield adapter
    environment = _environment(framework)
    yield environment
    if "wrong" in (adapter.state, environment.state):
        return
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-check-") as folder:
        yield from _runs(framework, folder)


def _requirements(framework: Framework) -> Check:
    name = "requirements.lock"
    try:
        wanted = _names(locks.requirements_of(framework))
        known = locks.versions(framework.lock.read_text(encoding="utf-8"))
    except (SetupError, OSError) as error:
        return Check("note", name, str(error))
    missing = sorted(wanted - known.keys())
    fix = f"run `{program()} frameworks lock {framework.environment_folder}`"
    if missing:
        return Check("wrong", name, f"it lacks {missing[0]}, which requirements.in names; {fix}")
    if canonical(framework.version_of) not in known:
        return Check("wrong", name, f"it lacks {framework.version_of}, which 'version_of' names")
    return Check("ok", name, f"{len(known)} packages")


def _names(requirements: str) -> set[str]:
    """The packages that are always needed: those without a marker."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = set()
    for line in requirements.splitlines():
        try:
            requirement = Requirement(line.partition(" #")[0])
        except InvalidRequirement:
            continue  # An option or a comment.
        if requirement.marker is None:
            found.add(canonical(requirement.name))
    return found


def _adapter(framework: Framework) -> Check:
    name = "adapter.py"
    try:
        tree = ast.parse(read_input(framework.adapter))
    except SyntaxError as error:
        return Check("wrong", name, f"it is no Python at line {error.lineno}: {error.msg}")
    except (OSError, ValueError) as error:
        return Check("wrong", name, f"it cannot be read: {error}")
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    wanted = {"fit": 3, "predict": 3, "describe": 1}
    for function, number in wanted.items():
        if function not in defined:
            return Check("wrong", name, f"it has no function {function}()")
        arguments = defined[function].args
        if len(arguments.posonlyargs + arguments.args) != number:
            return Check("wrong", name, f"{function}() must take {number} arguments")
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    if any(re.match(r"benchmark(\.|$)", module) for module in imported):
        return Check("wrong", name, "it imports from benchmark, which is not in its environment")
    return Check("ok", name, "fit, predict and describe")


def _environment(framework: Framework) -> Check:
    try:
        built = ensure(framework)
        seconds = verify(framework, built)
    except SetupError as error:
        return Check("wrong", "environment", str(error))
    version = f"{framework.version_of} {built.version}"
    text = f"{version}, {built.size_mb:g} MB, preloaded in {seconds:.1f} s"
    return Check("ok", "environment", text)


def _runs(framework: Framework, folder: str) -> Iterator[Check]:
    """The data sets twice with the same seed, and what the records say."""
    config = _config(framework)
    try:
        planned = plan(open_store(folder), draft(config, datasets=list(DATASETS)))
    except BenchmarkError as error:
        yield Check("wrong", "plan", str(error))
        return
    summary = execute(planned.run, config, planned.tasks)
    found = {(r.labels["framework"], r.labels["dataset"]): r for r in summary.records.values()}
    said: set[str] = set()
    for dataset in DATASETS:
        for check in _record(planned.run, dataset, found.get((FIRST, dataset))):
            # What fails before the data is the same on all of them.
            reason = check.message.partition("\n")[0]
            if check.state != "wrong" or reason not in said:
                yield check
            said.add(reason)
    if [record.status for record in found.values()] == ["success"] * 2 * len(DATASETS):
        yield _repeated(planned.run, found)


def _config(framework: Framework) -> Config:
    budget = max(BUDGET_S, framework.minimum_runtime)
    return Config.model_validate(
        {
            "frameworks": [{"name": framework.name, "as": label} for label in (FIRST, SECOND)],
            "frameworks_path": [str(framework.folder)],
            "seeds": [75],
            "cores": 1,
            "parallel": 1,
            "memory": MEMORY_MB,
            "runtime": budget,
            "hard_limit": 3 * budget + 60,
            "compute": {"*": "local"},
            "max_attempts": 1,
        }
    )


def _record(run: Run, dataset: str, record: Record | None) -> Iterator[Check]:
    name = f"{dataset} ({DATASETS[dataset]})"
    if record is None:
        yield Check("wrong", name, "it was interrupted")
        return
    if record.status != "success":
        log = (run.store.get(record.log) if record.log else None) or b""
        # Marks below a line of code are in the wrong place once it is wrapped.
        lines = [line for line in log.decode(errors="replace").splitlines() if line.strip(" ^~")]
        tail = "\n".join(lines[-12:])
        yield Check("wrong", name, f"{record.cause}: {record.message}\n{tail}".rstrip())
        return
    metric = str(record.metric)
    score, least = record.metrics[metric], _constant(run, record, dataset)[metric]
    seconds = f"fit {record.fit_s or 0:.1f} s, predict {record.predict_s or 0:.2f} s"
    yield Check("ok", name, f"{metric} {_shown(score)}, {seconds}, {record.peak_memory_mb:.0f} MiB")
    larger = metrics.METRICS[metric].direction == "maximize"
    if score is not None and least is not None and (score <= least if larger else score >= least):
        yield Check("note", name, f"no better than a constant, which has {metric} {_shown(least)}")
    if record.fit_s is not None and record.fit_s > run.manifest.conditions["runtime"]:
        text = f"fit took longer than its budget of {run.manifest.conditions['runtime']:g} s"
        yield Check("note", name, text)
    if not record.version:
        yield Check("note", name, "describe() gives no version")


def _constant(run: Run, record: Record, dataset: str) -> dict[str, float | None]:
    """The metrics of the class frequencies, or of the mean."""
    import numpy as np

    from benchmark.execution.metric_values import evaluate

    truth = _predictions(run, record).column("truth").to_numpy(zero_copy_only=False)
    problem = run.manifest.datasets[dataset]["problem"]
    if problem == "regression":
        return evaluate(problem, None, truth, np.full(len(truth), truth.mean()))
    classes, counts = np.unique(truth.astype(str), return_counts=True)
    table = np.tile(counts / counts.sum(), (len(truth), 1))
    labels = [str(name) for name in classes]
    most = np.full(len(truth), labels[int(counts.argmax())], dtype=object)
    return evaluate(problem, labels, truth, most, table, labels)


def _repeated(run: Run, found: dict[tuple[Any, Any], Record]) -> Check:
    one, other = (
        [_predictions(run, found[label, dataset]) for dataset in DATASETS]
        for label in (FIRST, SECOND)
    )
    if one == other:
        return Check("ok", "same seed", "the same predictions twice")
    return Check("note", "same seed", "other predictions the second time: it is not repeatable")


def _predictions(run: Run, record: Record) -> Any:
    import pyarrow.parquet

    data = results.predictions(run, record) or b""
    table: pyarrow.Table = pyarrow.parquet.read_table(io.BytesIO(data))
    return table


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
