"""What a study leaves: a row for each trial, and the best configuration."""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.hpo.objective import plain

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.tasks import Run


def trial_records(run: Run) -> list[Record]:
    """The records of the trials in their order."""
    return sorted(results.records(run), key=lambda record: int(record.task))


def is_feasible(record: Record) -> bool:
    """Whether every constraint is kept."""
    return all(value <= 0 for value in record.labels.get("constraints") or ())


def best(run: Run, definition: StudyDefinition) -> list[Record]:
    """The best successful trial that keeps the constraints; of several directions the front."""
    signs = [1.0 if d == "minimize" else -1.0 for d in definition.directions.values()]
    good = [r for r in trial_records(run) if r.status == "success" and is_feasible(r)]
    scores = [tuple(s * v for s, v in zip(signs, r.labels["values"], strict=True)) for r in good]
    front = [
        record
        for record, score in zip(good, scores, strict=True)
        if not any(_dominates(other, score) for other in scores)
    ]
    return front[:1] if len(signs) == 1 else front


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def table(run: Run, definition: StudyDefinition) -> str:
    """experiment-data.csv: trial, state, values, tunables, metrics, seconds, cause, message."""
    records = trial_records(run)
    directions = list(definition.directions)
    names = definition.space.names
    metrics = list(dict.fromkeys(name for r in records for name in r.metrics))
    metrics = [name for name in metrics if name not in directions]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    head = ["trial", "state", *directions, *names, *metrics]
    writer.writerow([*head, "feasible", "seconds", "cause", "message"])
    for record in records:
        params = record.labels.get("params") or {}
        row: list[Any] = [record.task, record.status]
        row += [_cell(record.metrics.get(name)) for name in directions]
        row += [plain(params.get(name)) for name in names]
        row += [_cell(record.metrics.get(name)) for name in metrics]
        row += [plain(is_feasible(record)), _cell(record.total_s)]
        writer.writerow([*row, record.cause or "", " ".join(record.message.split())])
    return sink.getvalue()


def configuration(record: Record) -> dict[str, Any]:
    """A trial as JSON: number, values, tunables."""
    return {
        "trial": int(record.task),
        "values": record.labels.get("values"),
        "params": record.labels.get("params"),
    }


def as_files(run: Run, definition: StudyDefinition) -> dict[str, str]:
    """The files of an export by name; those of the best only where one trial is."""
    files = {"experiment-data.csv": table(run, definition)}
    found = best(run, definition)
    if found:
        told: Any = [configuration(record) for record in found]
        only = len(definition.directions) == 1
        files["best.json"] = json.dumps(told[0] if only else told, indent=2) + "\n"
        if only:
            params = found[0].labels.get("params") or {}
            pairs = [f"{name}={shlex.quote(plain(value))}" for name, value in params.items()]
            files["best.env"] = "".join(f"{pair}\n" for pair in pairs)
    return files


def _cell(value: float | None) -> str:
    """A number in its full precision."""
    return "" if value is None else repr(value)
