"""compiled_results.csv: a row for every task, its record or how its last attempt ended."""

from __future__ import annotations

import csv
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.execution.metrics import chosen
from benchmark.execution.worker.inference import BATCHES
from benchmark.outputs import place_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from benchmark.results import Record
    from benchmark.tasks import Cell, Run

CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
SHAPE = ("ROWS", "FEATURES", "CLASSES")
CONDITIONS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY", "SPLIT")
MOST_POINTS = 50
_BUFFER = 1 << 20
COLUMNS = (
    *CLASSIC,
    "PROBLEM",
    "STATUS",
    "CAUSE",
    "MESSAGE",
    "METRIC",
    "METRIC_DIRECTION",
    "SCORE",
    "AUC",
    "BALANCED_ACCURACY",
    "ACCURACY",
    "RMSE",
    "MAE",
    "SETUP_S",
    "FIT_S",
    "PREDICT_S",
    "INFERENCE_S",
    "TOTAL_S",
    "OVERHEAD_S",
    "OVERRUN_S",
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
    *(f"INFERENCE_S_{size}" for size in BATCHES),
    "TRAJECTORY",
    "INSTANCE_TYPE",
    "LIFECYCLE",
    "PRICE_PER_HOUR",
    "COST",
    "OBJECTIVE",
    *SHAPE,
    "RUN",
    *CONDITIONS,
)


def compile_results(run: Run, path: Path, keys: Collection[str] | None = None) -> dict[str, int]:
    """Write the table, whole or not at all; returns how many have which result, "" for none.

    `keys` are the tasks whose rows are wanted; without it all. An ID stays the task's position.
    A task without a result has an empty STATUS where it was never begun, and `failure` with the
    cause of its last attempt where it was.
    """
    path = place_of(path)
    cells = run.manifest.cells
    places = {
        cell.key: place for place, cell in enumerate(cells) if keys is None or cell.key in keys
    }
    counts = {"success": 0, "failure": 0, "": 0}
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    # Outcomes come in the order of their keys and rows stand in that of the manifest. They wait in
    # a file, so that a run of any size takes little memory, trajectories and all.
    with tempfile.TemporaryFile(dir=path.parent, buffering=_BUFFER) as spool:
        spans: dict[int, tuple[int, int]] = {}
        line = _Line()
        writer = csv.writer(line, lineterminator="\n")

        end = 0

        def keep(place: int, record: Record | None) -> None:
            nonlocal end
            counts[record.status if record and record.is_result else ""] += 1
            writer.writerow(_row(run, place, cells[place], record))
            written = spool.write(line.text.encode())
            spans[place] = (end, written)
            end += written

        for key, record in results.outcomes(run, places):
            told = record or results.failure(key, results.Cause.INFRASTRUCTURE, results.NO_TRACE)
            keep(places[key], told)
        for place in places.values():
            if place not in spans:
                keep(place, None)
        spool.flush()
        try:
            with staged.open("wb") as file:
                file.write((",".join(COLUMNS) + "\n").encode())
                for place in places.values():
                    offset, length = spans[place]
                    file.write(os.pread(spool.fileno(), length, offset))
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
    return counts


class _Line:
    """The last line that a csv writer wrote."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _row(run: Run, number: int, cell: Cell, record: Record | None) -> list[Any]:
    dataset = run.manifest.datasets[cell.dataset]
    metric = chosen(run.manifest.conditions, dataset["problem"])
    head = [number, cell.framework, cell.dataset, dataset["type"], cell.seed]
    conditions = run.manifest.conditions
    shape = [_cell(dataset.get(name.lower())) for name in SHAPE]
    tail = [*shape, run.name, *(conditions[name.lower()] for name in CONDITIONS)]
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
        metric.name,
        metric.direction,
        _cell(values.get(metric.name)),
        *(_cell(values.get(n)) for n in ("auc", "balanced_accuracy", "accuracy", "rmse", "mae")),
        *(_cell(value) for value in (record.setup_s, record.fit_s, record.predict_s)),
        _cell(record.inference_s),
        _cell(record.total_s),
        _cell(record.overhead_s),
        _cell(record.overrun_s),
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
        *(_cell(record.inference_s_per_row.get(str(size))) for size in BATCHES),
        _trajectory(record.trajectory),
        record.host.get("instance_type", ""),
        record.host.get("lifecycle", ""),
        _cell(record.host.get("price_per_hour")),
        _cell(record.cost),
        record.objective or "",
        *tail,
    ]


def _trajectory(points: list[list[float]] | None) -> str:
    """`[[seconds,score],...]` as compact JSON, of many points an even choice, six digits each."""
    if not points:
        return ""
    if len(points) > MOST_POINTS:
        step = (len(points) - 1) / (MOST_POINTS - 1)
        points = [points[round(step * number)] for number in range(MOST_POINTS)]
    flat = tuple(itertools.chain.from_iterable(points))
    return f"[{','.join(['[%.6g,%.6g]'] * len(points))}]" % flat


def _cell(value: float | None) -> str:
    """Every digit of a number, and nothing for none."""
    return "" if value is None else repr(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
