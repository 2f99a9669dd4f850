"""A framework's answer: its predictions as the worker saved them, beside the truth."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from benchmark.data import Dataset, Split, exact
from benchmark.execution.metric_values import UnusablePredictions, evaluate
from benchmark.execution.task_files import TaskFileError, read_left, read_object
from benchmark.execution.work import Outcome
from benchmark.execution.worker.inference import BATCHES, TIMING
from benchmark.execution.worker.task import PREDICTIONS

# Of a file of predictions: at least, and more for every row (a label may be long).
_PREDICTIONS_BYTES, _ROW_BYTES = 2**26, 2**12
_TIMING_BYTES = 2**16
_LONGEST_S = 1e9


@dataclass(frozen=True)
class Answer:
    """n predictions and truths; `probabilities` n x k for the labels `names`, or None.

    `table` is what the worker saved, `true_column` the truth as a column, `rows` are the places
    in the data set.
    """

    problem_type: str
    classes: list[str] | None
    truth: NDArray[Any]
    predictions: NDArray[Any]
    probabilities: NDArray[np.float64] | None
    names: list[str] | None
    table: pyarrow.Table
    true_column: pyarrow.ChunkedArray
    rows: NDArray[np.int64]

    def measured(self) -> dict[str, float | None]:
        """All built-in metrics.

        Raises:
            UnusablePredictions: the length, the values, the labels or the sums are wrong.
        """
        return evaluate(
            self.problem_type,
            self.classes,
            self.truth,
            self.predictions,
            self.probabilities,
            self.names,
        )

    def to_parquet(self) -> bytes:
        """Predictions, probabilities, truth and row, for the store."""
        import pyarrow.parquet

        named = ["prediction", *[f"probability:{name}" for name in self.names or []]]
        table = self.table.rename_columns(named)
        table = table.append_column("truth", self.true_column)
        table = table.append_column("row", exact.row_numbers(self.rows))
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink, compression="zstd")
        return sink.getvalue()


def read_answer(dataset: Dataset, split: Split, outcome: Outcome) -> Answer:
    """What the task saved.

    Raises:
        UnusablePredictions: it cannot be read.
    """
    import numpy as np
    import pyarrow

    names = outcome.said.get("classes")
    most = _PREDICTIONS_BYTES + len(split.test) * (_ROW_BYTES + 16 * len(names or ()))
    try:
        data = read_left(outcome.folder / PREDICTIONS, most)
        if data is None:
            raise UnusablePredictions("It left no predictions.")
        table = pyarrow.ipc.open_file(pyarrow.BufferReader(data)).read_all()
        table.validate(full=True)
    except (OSError, MemoryError, pyarrow.ArrowException, TaskFileError) as error:
        raise UnusablePredictions(f"The predictions cannot be read: {error}") from error
    _check_form(table, len(names or ()))
    probabilities = None
    if names is not None:
        columns = [_values(table.column(f"p{n}")) for n in range(len(names))]
        probabilities = np.column_stack(columns)
    truth = dataset.table.column(dataset.target).take(exact.row_numbers(split.test))
    if dataset.classes is not None:
        truth = truth.cast(pyarrow.string())
    return Answer(
        dataset.problem_type,
        dataset.classes,
        _values(truth),
        _values(table.column("prediction")),
        probabilities,
        names,
        table,
        truth,
        split.test,
    )


def _values(column: pyarrow.ChunkedArray) -> NDArray[Any]:
    """A column without missing values, text as an array of objects."""
    import numpy as np
    from pyarrow import types

    if types.is_string(column.type) or types.is_boolean(column.type):
        return np.array(column.to_pylist(), dtype=object if types.is_string(column.type) else bool)
    return exact.to_numpy(exact.combined(column))


def _check_form(table: pyarrow.Table, classes: int) -> None:
    """That the table is what the worker writes: a prediction and the probabilities, none missing.

    Raises:
        UnusablePredictions: it is not.
    """
    from pyarrow import types

    if table.column_names != ["prediction", *(f"p{n}" for n in range(classes))]:
        raise UnusablePredictions("The predictions' file has other columns than it names.")
    for field, column in zip(table.schema, table.columns, strict=True):
        form = field.type
        usual = types.is_float64(form)
        if field.name == "prediction":
            numeric = types.is_floating(form) or types.is_integer(form) or types.is_boolean(form)
            usual = numeric or types.is_string(form)
        if column.null_count and field.name == "prediction":
            row = column.is_valid().to_pylist().index(False)
            raise UnusablePredictions(f"The predictions hold a missing value in row {row}.")
        if not usual or column.null_count:
            raise UnusablePredictions(
                f"The predictions' column {field.name} is of type {form} with {column.null_count} "
                "values missing."
            )


@dataclass(frozen=True)
class InferenceTimes:
    """Seconds per row by batch size, seconds of the timing in all, and what cut it ("")."""

    s_per_row: dict[str, float]
    total_s: float | None
    cut: str


def read_inference(outcome: Outcome) -> InferenceTimes:
    """The inference times that the worker had measured by the time it ended."""
    try:
        timing = read_object(outcome.folder / TIMING, _TIMING_BYTES)
        if timing is None:
            return InferenceTimes({}, None, outcome.afterwards)
        since = float(timing["since"])
        found = {str(size): timing["s_per_row"].get(str(size)) for size in BATCHES}
    except (TaskFileError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return InferenceTimes({}, None, "Its times cannot be read.")
    times = {size: float(s) for size, s in found.items() if is_time(s)}
    if is_time(timing.get("total_s")):
        return InferenceTimes(times, float(timing["total_s"]), "")
    cut = str(timing.get("cut") or outcome.afterwards)
    return InferenceTimes(times, max(0.0, outcome.gone - since), cut)


def is_time(value: Any) -> bool:
    """Whether it is a number of seconds."""
    return type(value) in (int, float) and 0 <= value < _LONGEST_S
