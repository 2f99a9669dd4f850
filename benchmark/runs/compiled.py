"""compiled_results.csv: a row for every task, its record or how its last attempt ended."""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import os
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmark.analysis.results.amlb_form import parameters
from benchmark.execution.metrics import Metric, chosen
from benchmark.execution.worker.inference import BATCHES
from benchmark.files.output_files import place_of, staged
from benchmark.files.safe_text import safe_row
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Cell, Run
from benchmark.runs.early_stop import until as early_stop

CLASSIC = ("ID", "MODEL", "DATASET_ID", "TYPE", "SEED", "MSE", "R2_SCORE", "LOGLOSS", "F1_SCORE")
SHAPE = ("ROWS", "FEATURES", "CLASSES")
CONDITIONS = ("RUNTIME", "HARD_LIMIT", "CORES", "MEMORY", "SPLIT")
UNTIL = ("UNTIL", "ALPHA", "MARGIN", "DRAWN")
MOST_POINTS = 50
RESULTS = ("success", "failure", "")
_BUFFER = 1 << 20
_BATCHES = tuple(str(size) for size in BATCHES)
# Fields of a record, and of its host, that are columns under their own names.
_METRICS = ("auc", "balanced_accuracy", "accuracy", "rmse", "mae")
_MEASURED = (
    *("setup_s", "fit_s", "predict_s", "inference_s", "total_s", "overhead_s", "overrun_s"),
    *("peak_memory_mb", "models", "version", "environment_hash", "dataset_hash", "split_hash"),
    "sandbox",
)
_NOTED = ("log", "begun", "ended")
_MACHINE = ("instance_type", "lifecycle", "price_per_hour")
_measured, _noted = attrgetter(*_MEASURED), attrgetter(*_NOTED)
COLUMNS = (
    *CLASSIC,
    "PROBLEM",
    "STATUS",
    "CAUSE",
    "MESSAGE",
    "METRIC",
    "METRIC_DIRECTION",
    "SCORE",
    *map(str.upper, _METRICS),
    *map(str.upper, _MEASURED),
    "HOST",
    "ATTEMPT",
    *map(str.upper, _NOTED),
    *(f"INFERENCE_S_{size}" for size in BATCHES),
    "TRAJECTORY",
    *map(str.upper, _MACHINE),
    "COST",
    "OBJECTIVE",
    *SHAPE,
    "RUN",
    *CONDITIONS,
    "HARNESS",
    "PARAMS",
    *UNTIL,
)


def compile_results(run: Run, path: Path, keys: Collection[str] | None = None) -> dict[str, int]:
    """Write the table, whole or not at all; returns how many have which result, "" for none.

    `keys` are the tasks whose rows are wanted; without it all. An ID stays the task's position.
    A task without a result has an empty STATUS where it was never started; where it was, `not run`
    or `interrupted` with the cause of its last attempt. `failure` is the framework's alone. What
    the question of the run does not need is `not run` by the cause `retired`. DRAWN is the
    place of the data set, or of the data set and seed, in the random order, from 1.

    Raises:
        NewerRecordError: a later version wrote a record; the table has the other tasks.
    """
    path = place_of(path)
    places = {
        cell.key: place
        for place, cell in enumerate(run.manifest.cells)
        if keys is None or cell.key in keys
    }
    retired = _retired(run)
    # A question is about its whole grid.
    asked = len(places) == len(run.manifest.cells)
    with contextlib.ExitStack() as held:
        parts = [
            held.enter_context(_Part(piece, places, retired, path.parent, asked=asked))
            for piece in record_reader.pieces(run, places)
        ]
        counted = record_reader.folded(parts, _Part.filled)
        spans: dict[int, tuple[int, int, int]] = {}
        for part, (_, numbers, _) in zip(parts, counted, strict=True):
            spans.update(part.spans(numbers))
        with staged(path) as table, table.open("wb") as file:
            file.write((",".join(COLUMNS) + "\n").encode())
            # In the order of the manifest; a row is read by where it lies.
            file.writelines(os.pread(*spans[place]) for place in places.values())
    newer = {key: reason for _, _, found in counted for key, reason in found.items()}
    results.refuse_newer(newer, path)
    return {result: sum(counts[result] for counts, _, _ in counted) for result in RESULTS}


def _retired(run: Run) -> dict[str, str]:
    """Why tasks without a result need not be run, by key."""
    if not early_stop.is_asked(run.manifest):
        return {}
    from benchmark.runs.early_stop.tracking import tracked

    return tracked(run).retired()


class _Part:
    """Rows of some tasks in a file that has no name, in the order in which their outcomes came.

    So that a run of any size takes little memory, trajectories and all.
    """

    def __init__(
        self,
        piece: record_reader.Piece,
        places: dict[str, int],
        retired: dict[str, str],
        folder: Path,
        *,
        asked: bool,
    ) -> None:
        self._piece, self._asked = piece, asked
        self._retired = retired
        self._places = places
        self._spool = tempfile.TemporaryFile(dir=folder, buffering=_BUFFER)  # noqa: SIM115

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def filled(self) -> tuple[dict[str, int], list[int], dict[str, str]]:
        """Write the rows; how many have which result, of each its place and length, and `newer`."""
        counts = dict.fromkeys(RESULTS, 0)
        numbers: list[int] = []
        line, rows = _Line(), _Rows(self._piece.run, asked=self._asked)
        writer = csv.writer(line, lineterminator="\n")
        cells = self._piece.run.manifest.cells
        # Another process may have started, and it shares the file.
        self._spool.seek(0)

        def keep(key: str, record: Record | None) -> None:
            if key in self._retired:
                record = results.failure(key, Cause.RETIRED, self._retired[key])
            counts[record.status if record and record.is_result else ""] += 1
            place = self._places[key]
            writer.writerow(safe_row(rows.row(place, cells[place], record)))
            numbers.extend((place, self._spool.write(line.text.encode())))

        left = set(self._piece.keys)
        newer: dict[str, str] = {}
        for key, record in self._piece.outcomes(newer):
            left.discard(key)
            keep(key, record or results.failure(key, Cause.INFRASTRUCTURE, results.NO_TRACE))
        newer = {key: reason for key, reason in newer.items() if key in left}
        for key, reason in newer.items():
            keep(key, results.failure(key, Cause.INFRASTRUCTURE, reason))
        for key in left - newer.keys():
            keep(key, None)
        self._spool.flush()
        return counts, numbers, newer

    def spans(self, numbers: list[int]) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """Of each place the file, the length and the offset of its row."""
        lengths = numbers[1::2]
        offsets = itertools.accumulate(lengths, initial=0)
        for place, length, offset in zip(numbers[::2], lengths, offsets, strict=False):
            yield place, (self._spool.fileno(), length, offset)


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

    def __init__(self, run: Run, *, asked: bool) -> None:
        self._run = run
        self._until = early_stop.columns_of(run.manifest) if asked else None
        self._shared: dict[str, _Shared] = {}
        self._params = {name: parameters(entry) for name, entry in run.manifest.frameworks.items()}

    def row(self, number: int, cell: Cell, record: Record | None) -> list[Any]:
        """By the columns; csv writes every digit of a number, and nothing for None."""
        shared = self._shared.get(cell.dataset)
        if shared is None:
            shared = self._shared[cell.dataset] = self._look_up(cell.dataset)
        head = [number, cell.framework, cell.dataset, shared.type, cell.seed]
        until = self._until(cell) if self._until else [None] * len(UNTIL)
        tail = [*shared.tail, self._params[cell.framework], *until]
        if record is None:
            return head + [""] * (len(COLUMNS) - len(head) - len(tail)) + tail
        values, host = record.metrics, record.host
        return [
            *head,
            *map(values.get, ("mse", "r2", "log_loss", "f1_weighted")),
            shared.problem,
            record.outcome,
            record.cause or "",
            " ".join(record.message.split())[:500],
            shared.metric.name,
            shared.metric.direction,
            values.get(shared.metric.name),
            *map(values.get, _METRICS),
            *_measured(record),
            host.get("name"),
            record.attempt or "",
            *_noted(record),
            *map(record.inference_s_per_row.get, _BATCHES),
            _trajectory(record.trajectory),
            *map(host.get, _MACHINE),
            record.cost,
            record.objective,
            *tail,
        ]

    def _look_up(self, name: str) -> _Shared:
        conditions = self._run.manifest.conditions
        dataset = self._run.manifest.datasets[name]
        tail = [
            *(dataset.get(column.lower()) for column in SHAPE),
            self._run.name,
            *(conditions[column.lower()] for column in CONDITIONS),
            self._run.manifest.harness,
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
