"""compiled_results.csv: a row for every task, its record or how its last attempt ended."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.execution.metrics import DEFAULT_METRIC

if TYPE_CHECKING:
    from benchmark.results import Record
    from benchmark.tasks import Cell, Run

CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
CONDITIONS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY", "SPLIT")
COLUMNS = (
    *CLASSIC,
    "PROBLEM",
    "STATUS",
    "CAUSE",
    "MESSAGE",
    "METRIC",
    "SCORE",
    "AUC",
    "BALANCED_ACCURACY",
    "ACCURACY",
    "RMSE",
    "MAE",
    "SETUP_S",
    "FIT_S",
    "PREDICT_S",
    "TOTAL_S",
    "OVERHEAD_S",
    "PEAK_MEMORY_MB",
    "MODELS",
    "VERSION",
    "ENVIRONMENT_HASH",
    "DATASET_HASH",
    "SPLIT_HASH",
    "SANDBOX",
    "HOST",
    "ATTEMPT",
    "LOG",
    "BEGUN",
    "ENDED",
    "RUN",
    *CONDITIONS,
)


def compile_results(run: Run, path: Path) -> dict[str, int]:
    """Write the table, whole or not at all; returns how many tasks have which status.

    A task without a result has an empty STATUS where it was never begun, and `failure` with the
    cause of its last attempt where it was.
    """
    found = {record.task: record for record in results.records(run)}
    missing = [cell.key for cell in run.manifest.cells if cell.key not in found]
    ended = results.last_attempts(run, missing)
    counts = {"success": 0, "failure": 0, "": 0}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, cell in enumerate(run.manifest.cells):
        record = found.get(cell.key) or ended.get(cell.key)
        if record is None and cell.key in ended:
            record = results.failure(
                cell.key,
                results.Cause.INFRASTRUCTURE,
                "The attempt was begun and left no trace of its end.",
            )
        counts[record.status if record else ""] += 1
        writer.writerow(_row(run, number, cell, record))
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_text(text.getvalue(), encoding="utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    return counts


def _row(run: Run, number: int, cell: Cell, record: Record | None) -> list[Any]:
    dataset = run.manifest.datasets[cell.dataset]
    metric = run.manifest.conditions["metric"].get(dataset["problem"])
    metric = metric or DEFAULT_METRIC[dataset["problem"]]
    head = [number, cell.framework, cell.dataset, dataset["type"], cell.seed]
    conditions = run.manifest.conditions
    tail = [run.name, *(conditions[name.lower()] for name in CONDITIONS)]
    if record is None:
        return head + [""] * (len(COLUMNS) - len(head) - len(tail)) + tail
    values = record.metrics
    return [
        *head,
        *(_cell(values.get(name)) for name in ("mse", "r2", "log_loss", "f1_weighted")),
        dataset["problem"],
        record.status,
        record.cause or "",
        _one_line(record.message),
        metric,
        _cell(values.get(metric)),
        *(_cell(values.get(n)) for n in ("auc", "balanced_accuracy", "accuracy", "rmse", "mae")),
        *(_cell(value) for value in (record.setup_s, record.fit_s, record.predict_s)),
        _cell(record.total_s),
        _cell(record.overhead_s),
        _cell(record.peak_memory_mb),
        _cell(record.models),
        record.version or "",
        record.environment_hash or "",
        record.dataset_hash or "",
        record.split_hash or "",
        record.sandbox or "",
        record.host.get("name", ""),
        record.attempt or "",
        record.log or "",
        record.begun or "",
        record.ended or "",
        *tail,
    ]


def _cell(value: float | None) -> str:
    """Every digit of a number, and nothing for none."""
    return "" if value is None else repr(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
