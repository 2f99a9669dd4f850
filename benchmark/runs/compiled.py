"""compiled_results.csv: a row for every task, its record or how its last attempt ended."""

from __future__ import annotations

import csv
import functools
import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.execution.metrics import chosen
from benchmark.execution.worker.inference import BATCHES
from benchmark.outputs import place_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from benchmark.execution.metrics import Metric
    from benchmark.results import Record
    from benchmark.tasks import Cell, Run

CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
SHAPE = ("ROWS", "FEATURES", "CLASSES")
CONDITIONS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY", "SPLIT")
MOST_POINTS = 50
_BUFFER = 1 << 20
_BATCHES = tuple(str(size) for size in BATCHES)
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
        rows = _Rows(run)
        writer = csv.writer(line, lineterminator="\n")

        end = 0

        def keep(place: int, record: Record | None) -> None:
            nonlocal end
            counts[record.status if record and record.is_result else ""] += 1
            writer.writerow(rows.row(place, cells[place], record))
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


@dataclass(frozen=True)
class _Shared:
    type: str
    problem: str
    metric: Metric
    tail: list[Any]


class _Rows:
    """Rows of a run's table; what all tasks of a data set share is looked up once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._shared: dict[str, _Shared] = {}

    def row(self, number: int, cell: Cell, record: Record | None) -> list[Any]:
        """By the columns; csv writes every digit of a number, and nothing for None."""
        shared = self._shared.get(cell.dataset)
        if shared is None:
            shared = self._shared[cell.dataset] = self._look_up(cell.dataset)
        head = [number, cell.framework, cell.dataset, shared.type, cell.seed]
        if record is None:
            return head + [""] * (len(COLUMNS) - len(head) - len(shared.tail)) + shared.tail
        values, host = record.metrics, record.host
        return [
            *head,
            *map(values.get, ("mse", "r2", "log_loss", "f1_weighted")),
            shared.problem,
            record.status,
            record.cause or "",
            _one_line(record.message),
            shared.metric.name,
            shared.metric.direction,
            values.get(shared.metric.name),
            *map(values.get, ("auc", "balanced_accuracy", "accuracy", "rmse", "mae")),
            record.setup_s,
            record.fit_s,
            record.predict_s,
            record.inference_s,
            record.total_s,
            record.overhead_s,
            record.overrun_s,
            record.peak_memory_mb,
            record.models,
            record.version,
            record.environment_hash,
            record.dataset_hash,
            record.split_hash,
            record.sandbox,
            host.get("name"),
            record.attempt or "",
            record.log,
            record.begun,
            record.ended,
            *map(record.inference_s_per_row.get, _BATCHES),
            _trajectory(record.trajectory),
            host.get("instance_type"),
            host.get("lifecycle"),
            host.get("price_per_hour"),
            record.cost,
            record.objective,
            *shared.tail,
        ]

    def _look_up(self, name: str) -> _Shared:
        conditions = self._run.manifest.conditions
        dataset = self._run.manifest.datasets[name]
        tail = [
            *(dataset.get(column.lower()) for column in SHAPE),
            self._run.name,
            *(conditions[column.lower()] for column in CONDITIONS),
        ]
        problem = dataset["problem"]
        return _Shared(dataset["type"], problem, chosen(conditions, problem), tail)


def _trajectory(points: list[list[float]] | None) -> str:
    """`[[seconds,score],...]` as compact JSON, of many points an even choice, six digits each."""
    if not points:
        return ""
    if len(points) > MOST_POINTS:
        points = [points[place] for place in _choice(len(points))]
    flat = tuple(itertools.chain.from_iterable(points))
    return _form(len(points)) % flat


@functools.cache
def _choice(count: int) -> tuple[int, ...]:
    step = (count - 1) / (MOST_POINTS - 1)
    return tuple(round(step * number) for number in range(MOST_POINTS))


@functools.cache
def _form(count: int) -> str:
    return f"[{','.join(['[%.6g,%.6g]'] * count)}]"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
