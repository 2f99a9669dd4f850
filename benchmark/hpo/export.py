"""What a study leaves: a row for each trial, what each printed, and the best configuration."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
import shlex
from typing import TYPE_CHECKING, Any

from benchmark import results
from benchmark.hpo.objective import plain, told_apart

if TYPE_CHECKING:
    from pathlib import Path

    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.tasks import Run

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def trial_records(run: Run) -> list[Record]:
    """The records of the trials in their order; repeats that confirm the best are none."""
    trials = (record for record in results.records(run) if record.task.isdigit())
    return sorted(trials, key=lambda record: int(record.task))


def is_feasible(record: Record) -> bool:
    """Whether every constraint is kept."""
    return all(value <= 0 for value in record.labels.get("constraints") or ())


def best(run: Run, definition: StudyDefinition) -> list[Record]:
    """The best successful trial that keeps the constraints; of several directions the front."""
    return best_of(trial_records(run), definition)


def best_of(records: list[Record], definition: StudyDefinition) -> list[Record]:
    """The same among records that were read already."""
    signs = [1.0 if d == "minimize" else -1.0 for d in definition.directions.values()]
    good = [r for r in records if r.status == "success" and is_feasible(r)]
    scores = [tuple(s * v for s, v in zip(signs, r.labels["values"], strict=True)) for r in good]
    front = [
        record
        for record, score in zip(good, scores, strict=True)
        if not any(dominates(other, score) for other in scores)
    ]
    return front[:1] if len(signs) == 1 else front


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether one is nowhere more than the other, and somewhere less."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def table(records: list[Record], definition: StudyDefinition) -> str:
    """experiment-data.csv: trial, state, values, tunables, metrics, steps, seconds, cause, message.

    A metric with the name of another column is headed `metric.NAME`. Of a trial without a success
    the metrics are those that it had measured. The column `steps` is there where trials reported.
    """
    directions = list(definition.directions)
    alike = choices(records, definition)
    names = tunable_names(records, definition)
    metrics = list(
        dict.fromkeys(name for r in records for name in (*r.metrics, *text_attributes(r)))
    )
    metrics = [name for name in metrics if name not in directions]
    steps = ["steps"] if any(record.labels.get("intermediate") for record in records) else []
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    head = ["trial", "state", *directions, *names]
    tail = ["feasible", "seconds", *steps, "cause", "message"]
    headed = [f"metric.{name}" if name in (*head, *tail) else name for name in metrics]
    writer.writerow([*head, *headed, *tail])
    for record in records:
        params, texts = record.labels.get("params") or {}, text_attributes(record)
        row: list[Any] = [record.task, record.status]
        row += [_cell(record.metrics.get(name)) for name in directions]
        row += [
            told_apart(params[name], alike.get(name, ())) if name in params else ""
            for name in names
        ]
        row += [_cell(record.metrics.get(name)) or texts.get(name, "") for name in metrics]
        row += [plain(is_feasible(record)), _cell(record.total_s)]
        row += [_steps(record) for _ in steps]
        writer.writerow([*row, record.cause or "", " ".join(record.message.split())])
    return sink.getvalue()


def _steps(record: Record) -> str:
    reported = record.labels.get("intermediate")
    finite = {
        step: value if math.isfinite(value) else str(value)
        for step, value in (reported or {}).items()
    }
    return json.dumps(finite, allow_nan=False) if finite else ""


def text_attributes(record: Record) -> dict[str, str]:
    """The attributes that a Python objective set and that are no metrics, as a cell has them."""
    attrs = record.labels.get("user_attrs") or {}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in attrs.items()
        if name not in record.metrics
    }


def tunable_names(records: list[Record], definition: StudyDefinition) -> list[str]:
    """The tunables as declared, then those that an objective named by itself."""
    found = (name for record in records for name in record.labels.get("params") or {})
    return list(dict.fromkeys([*definition.space.names, *found]))


def choices(records: list[Record], definition: StudyDefinition) -> dict[str, tuple[Any, ...]]:
    """The choices of each categorical tunable: those declared, or those that objectives asked."""
    found = {tunable.name: tunable.choices for tunable in definition.space.tunables}
    asked: dict[str, dict[tuple[type, Any], None]] = {}
    known: set[tuple[str, str]] = set()
    for record in records if definition.is_open else ():
        distributions = (record.labels.get("distributions") or {}).items()
        new = {(name, text) for name, text in distributions} - known
        known |= new
        for name, text in sorted(new):
            # The objective's process wrote it, and could have written anything.
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                own = json.loads(text)["attributes"].get("choices", ())
                asked.setdefault(name, {}).update(((type(one), one), None) for one in own)
    return found | {name: tuple(one for _, one in own) for name, own in asked.items()}


def configuration(record: Record) -> dict[str, Any]:
    """A trial as JSON: number, values, tunables."""
    return {
        "trial": int(record.task),
        "values": record.labels.get("values"),
        "params": record.labels.get("params"),
    }


def as_environment(record: Record) -> str:
    """A trial's tunables as lines NAME=value that a shell can read.

    A name that is no variable's, such as `thread-pool.size`, stands as it is: containers take it.
    """
    params = record.labels.get("params") or {}
    quoted = (
        f"{name}={shlex.quote(plain(value)) if _VARIABLE.fullmatch(name) else plain(value)}\n"
        for name, value in params.items()
    )
    return "".join(quoted)


def as_arguments(record: Record, definition: StudyDefinition) -> str:
    """A trial's tunables on one line, quoted for a shell: positional, or --name=value."""
    params = record.labels.get("params") or {}
    if definition.objective.positional:
        words = [plain(params.get(name)) for name in definition.space.names]
    else:
        words = [f"--{name}={plain(value)}" for name, value in params.items()]
    return shlex.join(words) + "\n"


def write(run: Run, definition: StudyDefinition, folder: Path) -> list[Path]:
    """Write the files of an export and return their paths; those of the best where one trial is.

    `output.txt` holds what the last trial printed, `total-output.txt` what all did, in their order.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = trial_records(run)
    texts = {"experiment-data.csv": table(records, definition)}
    found = best_of(records, definition)
    if found:
        told: Any = [configuration(record) for record in found]
        only = len(definition.directions) == 1
        texts["best.json"] = json.dumps(told[0] if only else told, indent=2) + "\n"
        if only:
            texts["best.env"] = as_environment(found[0])
            texts["best.args"] = as_arguments(found[0], definition)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    outputs = [folder / "output.txt", folder / "total-output.txt"]
    last = b""
    # One at a time: a thousand trials may have printed more than fits into memory.
    with outputs[1].open("wb") as total:
        for record in records:
            if record.log:
                last = run.store.get(record.log) or b""
                total.write(last)
    outputs[0].write_bytes(last)
    return [*(folder / name for name in texts), *outputs]


def _cell(value: float | None) -> str:
    """A number in its full precision."""
    return "" if value is None else repr(value)
