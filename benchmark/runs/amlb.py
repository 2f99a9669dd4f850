"""A run as AMLB's `results.csv`: a row for every task that was attempted, result or not.

    write_amlb(run, Path("results.csv"))     # {"success": 180, "failure": 20, "": 40}

The columns are those of AMLB's scoreboard: the fixed ones, the metrics, then the times of batches.
AMLB's conventions: a result is larger where it is better, so a loss stands as `neg_logloss` with
its sign turned; a failure has no result, and `info` says why, the cause first. A fold is the task's
seed, which is OpenML's fold in a run with `"split": "openml"`.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any, TextIO

from benchmark.analysis.results.amlb_form import (
    COLUMNS,
    DIRECTION,
    LONGEST_INFO,
    MEASURES,
    address,
    constraint,
    direction,
    name,
    parameters,
)
from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import DEFAULT_METRIC, chosen
from benchmark.execution.worker.inference import BATCHES
from benchmark.files.output_files import place_of, staged
from benchmark.files.safe_text import safe_row
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Cell, Run


def write_amlb(run: Run, path: Path, keys: Collection[str] | None = None) -> dict[str, int]:
    """Write the table, whole or not at all; returns how many tasks have which status.

    `keys` are the tasks whose rows are wanted; without it all. One record is held at a time, and
    rows are in no order. A task that was never started has no row, as in AMLB; it is counted under
    "".

    Raises:
        BenchmarkError: the file cannot be written.
        NewerRecordError: a later version wrote a record; the table has the other tasks.
    """
    place = place_of(path)
    try:
        with staged(place) as table, table.open("w", encoding="utf-8", newline="") as file:
            counts, newer = _write(run, file, keys)
    except OSError as error:
        raise BenchmarkError(
            f"The table cannot be written to {path}: {error.strerror}; choose another path."
        ) from None
    results.refuse_newer(newer, place)
    return counts


def _write(
    run: Run, file: TextIO, keys: Collection[str] | None
) -> tuple[dict[str, int], dict[str, str]]:
    """How many tasks have which status, and those whose record a later version wrote."""
    writer = csv.writer(file, lineterminator="\n")
    signs = _signs(run)
    ways = {problem: direction(*one) for problem, one in signs.items()}
    has_ways = any(ways.values())

    def write(cell: Cell, record: Record) -> None:
        way = [ways[run.manifest.datasets[cell.dataset]["problem"]]] if has_ways else []
        writer.writerow(safe_row([*_row(run, cell, record, signs), *way]))

    writer.writerow([*COLUMNS, *([DIRECTION] if has_ways else [])])
    meant = run.manifest.cells
    cells = {cell.key: cell for cell in meant if keys is None or cell.key in keys}
    counts = {"success": 0, "failure": 0, "": 0}
    newer: dict[str, str] = {}
    for key, record in results.outcomes(run, cells, newer=newer):
        ended = record or results.failure(key, results.Cause.INFRASTRUCTURE, results.NO_TRACE)
        cell = cells[key]
        if ended.is_result:
            counts[ended.status] += 1
        write(cell, ended)
    newer = {key: reason for key, reason in newer.items() if key in cells}
    for key, reason in newer.items():
        ended = results.failure(key, results.Cause.INFRASTRUCTURE, reason)
        write(cells[key], ended)
    counts[""] = len(cells) - sum(counts.values())
    return counts, newer


def _signs(run: Run) -> dict[str, tuple[str, int]]:
    """By problem, the metric that ranks and 1, or -1 where AMLB turns its sign."""
    found = {}
    for problem in DEFAULT_METRIC:
        metric = chosen(run.manifest.conditions, problem)
        found[problem] = (metric.name, -1 if metric.direction == "minimize" else 1)
    return found


def _row(run: Run, cell: Cell, record: Record, signs: dict[str, tuple[str, int]]) -> list[Any]:
    manifest = run.manifest
    problem = manifest.datasets[cell.dataset]["problem"]
    metric, sign = signs[problem]
    score = record.metrics.get(metric) if record.status == "success" else None
    failed = record.status != "success"
    return [
        address(cell.dataset),
        cell.dataset,
        cell.framework,
        constraint(manifest.conditions["runtime"], manifest.conditions["cores"]),
        cell.seed,
        problem,
        _number(None if score is None else sign * score),
        name(metric, sign),
        "",
        record.version or "",
        parameters(manifest.frameworks[cell.framework]),
        manifest.harness,
        (record.ended or "")[:19],
        *(_number(value) for value in (record.total_s, record.fit_s, record.predict_s)),
        _number(record.models),
        cell.seed,
        f"{record.cause}: {' '.join(record.message.split())}"[:LONGEST_INFO] if failed else "",
        *(_number(_measure(record, amlb, problem)) for amlb in MEASURES),
        *(_number(_batch(record, size)) for size in BATCHES),
    ]


def _measure(record: Record, amlb: str, problem: str) -> float | None:
    """AMLB's `auc` is of two classes only."""
    if record.status != "success" or (amlb == "auc" and problem != "binary"):
        return None
    return record.metrics.get(MEASURES[amlb])


def _batch(record: Record, size: int) -> float | None:
    """Seconds of a whole batch; the record has seconds per row."""
    per_row = record.inference_s_per_row.get(str(size))
    return None if per_row is None else per_row * size


def _number(value: float | None) -> str:
    """Every digit of a number, and nothing for none."""
    return "" if value is None else repr(value)
