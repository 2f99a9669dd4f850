"""compiled_results.csv: a row for every task, its record or how its last attempt ended."""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.execution.metrics import chosen
from benchmark.execution.worker.inference import BATCHES
from benchmark.outputs import place_of
from benchmark.runs.forks import beside, processes
from benchmark.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from benchmark.execution.metrics import Metric
    from benchmark.results import Record
    from benchmark.tasks import Cell, Run

CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
SHAPE = ("ROWS", "FEATURES", "CLASSES")
CONDITIONS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY", "SPLIT")
MOST_POINTS = 50
MANY = 5_000
MOST_PROCESSES = 4
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
    places = {
        cell.key: place
        for place, cell in enumerate(run.manifest.cells)
        if keys is None or cell.key in keys
    }
    pieces = _pieces(run, places)
    index = results.attempt_index(run) if len(pieces) > 1 else None
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.ExitStack() as held:
        parts = [held.enter_context(_Part(run, piece, index, path.parent)) for piece in pieces]
        own, *others = parts
        answers = [held.enter_context(beside(other.filled)) for other in others]
        own.fill()
        for other, answer in zip(others, answers, strict=True):
            other.take(answer())
        try:
            with staged.open("wb") as file:
                file.write((",".join(COLUMNS) + "\n").encode())
                for part in parts:
                    file.writelines(part.lines())
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
    return {result: sum(part.counts[result] for part in parts) for result in own.counts}


def _pieces(run: Run, places: dict[str, int]) -> list[dict[str, int]]:
    """The tasks in pieces of one length, one for each process that is worth its while.

    A client of S3 has threads, and its packs are read once for all.
    """
    several = len(places) >= MANY and isinstance(run.store, FolderStore)
    count = min(processes(), MOST_PROCESSES) if several else 1
    length = max(1, -(-len(places) // count))
    items = iter(places.items())
    return [dict(itertools.islice(items, length)) for _ in range(count)]


class _Part:
    """Rows of some tasks, in a file that has no name and in the order of their outcomes.

    Rows stand in the order of the manifest in the end. Until then they are not in memory, so that
    a run of any size takes little of it, trajectories and all.
    """

    def __init__(
        self, run: Run, places: dict[str, int], index: results.AttemptIndex | None, folder: Path
    ) -> None:
        self.counts = {"success": 0, "failure": 0, "": 0}
        self._run = run
        self._places = places
        self._index = index
        self._spans: dict[int, tuple[int, int]] = {}
        self._spool = tempfile.TemporaryFile(dir=folder, buffering=_BUFFER)  # noqa: SIM115

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def fill(self) -> None:
        """Write the rows."""
        line, rows, end = _Line(), _Rows(self._run), 0
        writer = csv.writer(line, lineterminator="\n")
        cells = self._run.manifest.cells

        def keep(place: int, record: Record | None) -> None:
            nonlocal end
            self.counts[record.status if record and record.is_result else ""] += 1
            writer.writerow(rows.row(place, cells[place], record))
            written = self._spool.write(line.text.encode())
            self._spans[place] = (end, written)
            end += written

        for key, record in results.outcomes(self._run, self._places, self._index):
            told = record or results.failure(key, results.Cause.INFRASTRUCTURE, results.NO_TRACE)
            keep(self._places[key], told)
        for place in self._places.values():
            if place not in self._spans:
                keep(place, None)
        self._spool.flush()

    def filled(self) -> bytes:
        """Write the rows in another process; what `take` needs there to read them here."""
        self.fill()
        spans = [span for place in self._places.values() for span in self._spans[place]]
        return json.dumps([self.counts, spans]).encode()

    def take(self, told: bytes | None) -> None:
        """What another process wrote; where it could not, the rows are written now."""
        if told is None:
            self._spool.truncate(0)
            self._spool.seek(0)
            self.fill()
            return
        self.counts, spans = json.loads(told)
        pairs = zip(spans[::2], spans[1::2], strict=True)
        self._spans = dict(zip(self._places.values(), pairs, strict=True))

    def lines(self) -> Iterator[bytes]:
        """In the order of the manifest."""
        for place in self._places.values():
            offset, length = self._spans[place]
            yield os.pread(self._spool.fileno(), length, offset)


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
