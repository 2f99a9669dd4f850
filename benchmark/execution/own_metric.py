"""A metric of the user's own: tried when a run is planned, called in the sandbox for each task.

The function comes from a file, whose text goes into the manifest, so that every machine calls the
same one, or from a module that is installed wherever tasks end. A function that has changed is
another metric: its hash is among the run's conditions.

The call has a process, a time limit and a memory limit of its own, so that one that hangs or
crashes ends a task and not the program.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import ConfigError
from benchmark.execution.metrics import METRICS
from benchmark.execution.work import Limits, Outcome, Work
from benchmark.files.input_files import expanded, read_input
from benchmark.records.results import Cause

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.data import Dataset
    from benchmark.execution.answer import Answer

LIMIT_S = 60.0
LARGEST_SOURCE = 256 * 1024
# pyarrow imports pandas when it makes an array of NumPy's.
_TRIED_WITH = ("numpy", "pandas", "pyarrow")
_CALLED_WITH = (*_TRIED_WITH, "sklearn.metrics")
_NOT_IN_JSON = ("nan", "inf", "-inf")
_SAMPLE = 1000


@dataclass(frozen=True)
class Value:
    """What the function gave: a number, None where it is undefined (NaN), or why there is none.

    `message` is a sentence where `number` is None; `cause` is None where it is merely undefined.
    """

    number: float | None
    message: str = ""
    cause: Cause | None = None


def conditions(
    entries: Mapping[Any, Any], datasets: Iterable[Dataset], memory_mb: float
) -> dict[str, Any]:
    """The configured metrics as the manifest holds them; a function of the user's is tried.

    Args:
        entries: by problem type the name of a built-in metric, or the configuration's OwnMetric.
        datasets: the run's; the function is tried on the truth of one of its type, shuffled.
        memory_mb: what the function may take.

    Raises:
        ConfigError: a name is unknown, or the function is missing, raises or gives no number.
    """
    if all(isinstance(entry, str) for entry in entries.values()):
        check_names(entries)
        return dict(entries)
    from benchmark.execution.sandbox.sandbox import Sandbox

    check_names(entries)
    sets = list(datasets)
    with Sandbox() as sandbox:
        return {
            problem: entry
            if isinstance(entry, str)
            else _tried(problem, entry, sets, memory_mb, sandbox.run)
            for problem, entry in entries.items()
        }


def call(
    own: Mapping[str, Any], answer: Answer, memory_mb: float, run: Callable[[Work], Outcome]
) -> Value:
    """The function's value on a task's predictions."""
    from benchmark.execution.metric_values import aligned_probabilities

    table = None
    if answer.probabilities is not None:
        table = bounded(
            aligned_probabilities(
                answer.probabilities, answer.names, answer.classes or (), len(answer.truth)
            )
        )
    import numpy as np

    if answer.classes is None:
        predictions = np.asarray(answer.predictions, dtype=np.float64)
    else:
        predictions = np.array([str(one) for one in answer.predictions.tolist()], dtype=object)
    data = (answer.truth, predictions, table, answer.classes)
    return _called(own, data, memory_mb, run, _CALLED_WITH)[0]


def bounded(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that scikit-learn's functions accept: within 0…1, sums off by rounding only.

    Rows that already sum to 1 within ROUNDING stay as they are, so that ties stay ties.
    """
    from benchmark.execution.metric_values import ROUNDING

    inside = table.clip(0.0, 1.0)
    sums = inside.sum(axis=1, keepdims=True)
    sums[abs(sums - 1) <= ROUNDING] = 1.0
    scaled: NDArray[np.float64] = inside / sums
    return scaled


def brief(conditions: Any) -> Any:
    """The condition without the functions' text, for people."""
    if not isinstance(conditions, dict):
        return conditions
    return {
        key: brief(value)[:12] if key == "hash" and value else brief(value)
        for key, value in conditions.items()
        if key != "source"
    }


def check_names(entries: Mapping[Any, Any]) -> None:
    """Refuse names that are unknown, taken, or of two minds.

    Raises:
        ConfigError: says which.
    """
    directions: dict[str, str] = {}
    for problem, entry in entries.items():
        known = [m.name for m in METRICS.values() if problem in m.problem_types]
        if isinstance(entry, str):
            if entry not in known:
                raise ConfigError(
                    f"'metric' names \"{entry}\" for {problem}, which does not exist; there are "
                    f"{', '.join(known)}."
                )
        elif entry.name in METRICS:
            raise ConfigError(
                f"'metric' names a function of yours \"{entry.name}\" for {problem}, which is the "
                "name of a built-in metric; choose another."
            )
        elif entry.name.lower().startswith("neg_"):
            raise ConfigError(
                f'\'metric\' names a function of yours "{entry.name}" for {problem}, and "neg_" '
                "marks a loss with its sign turned in AMLB's form; return the loss, minimize it, "
                f'and name it without "{entry.name[:4]}".'
            )
        elif _is_reversed(entry):
            raise ConfigError(
                f"'metric' names a function of yours \"{entry.name}\" for {problem}, to be "
                f"{entry.direction}d, and {entry.name.lower()} is to be "
                f"{METRICS[entry.name.lower()].direction}d; choose another name."
            )
        elif directions.setdefault(entry.name, entry.direction) != entry.direction:
            raise ConfigError(
                f"'metric' says that \"{entry.name}\" is to be maximized and minimized; give one "
                "of the two another name."
            )


def _is_reversed(entry: Any) -> bool:
    """Whether it has a built-in metric's name in other letters, and the other direction."""
    known = METRICS.get(entry.name.lower())
    return known is not None and known.direction != entry.direction


def _tried(
    problem: str,
    entry: Any,
    datasets: Sequence[Dataset],
    memory_mb: float,
    run: Callable[[Work], Outcome],
) -> dict[str, Any]:
    place, _, name = entry.function.rpartition(":")
    source = None
    if place.endswith(".py"):
        source = _source(problem, expanded(place))
        place = Path(place).name
    own = {
        "name": entry.name,
        "function": f"{place}:{name}",
        "direction": entry.direction,
        "needs_probabilities": entry.needs_probabilities,
        "hash": None,
        "source": source,
    }
    of_type = [dataset for dataset in datasets if dataset.problem_type == problem]
    value, digest = _called(own, _sample(of_type[0]) if of_type else None, memory_mb, run)
    if value.message:
        raise ConfigError(f"'metric' for {problem}, tried: {value.message}")
    return own | {"hash": digest}


def _source(problem: str, path: Path) -> str:
    try:
        source = read_input(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "it is not UTF-8; save it as UTF-8"
        )
        raise ConfigError(
            f"'metric' for {problem} names the file {path}, which cannot be read ({reason}); "
            "give a path from the working directory or an absolute one."
        ) from None
    if len(source) > LARGEST_SOURCE:
        raise ConfigError(
            f"'metric' for {problem} names the file {path}, which has {len(source)} characters; "
            f"the file goes into the run's manifest, so keep it below {LARGEST_SOURCE}."
        )
    return source


def _sample(
    dataset: Dataset,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None, list[str] | None]:
    """True values of the data set, every class among them, and the same shuffled to predict."""
    import numpy as np

    random = np.random.RandomState(0)
    values = dataset.table.column(dataset.target).drop_null().to_numpy(zero_copy_only=False)
    if dataset.classes is None:
        truth = random.permutation(values.astype(np.float64))[:_SAMPLE]
        return truth, random.permutation(truth), None, None
    labels = np.array([str(value) for value in values], dtype=object)
    _, first = np.unique(labels, return_index=True)
    others = random.permutation(len(labels))[:_SAMPLE]
    truth = labels[np.unique(np.concatenate([first, others]))]
    predictions = random.permutation(truth)
    hit = predictions[:, None] == np.array(dataset.classes, dtype=object)
    table = 0.5 * hit + 0.5 / len(dataset.classes)
    return truth, predictions, table, list(dataset.classes)


def _called(
    own: Mapping[str, Any],
    data: Any,
    memory_mb: float,
    run: Callable[[Work], Outcome],
    preload: tuple[str, ...] = _TRIED_WITH,
) -> tuple[Value, str | None]:
    """The value, and the hash of the function's file; without data it is not called."""

    def inputs(folder: Path) -> dict[str, Any]:
        payload: dict[str, Any] = {"function": own["function"], "hash": own["hash"]}
        if own["source"] is not None:
            (folder / "own_metric.py").write_text(own["source"], encoding="utf-8")
            payload["source"] = str(folder / "own_metric.py")
        if data is not None:
            payload["classes"] = data[3]
            payload["data"] = str(folder / "data.arrow")
            _write_data(data, folder / "data.arrow")
        return payload

    outcome = run(
        Work(
            python=Path(sys.executable),
            preload=preload,
            entry={"metric": own["function"]},
            limits=Limits(LIMIT_S, memory_mb, 1),
            inputs=inputs,
        )
    )
    subject = f"The metric {own['name']} ({own['function']})"
    said = outcome.said
    if outcome.cause in (Cause.INTERRUPTED, Cause.INFRASTRUCTURE):
        return Value(None, f"{subject}: {outcome.message}", outcome.cause), None
    if outcome.cause is not None:
        return Value(None, f"{subject} failed: {outcome.message}", Cause.SETUP), None
    if said.get("status") != "success":
        fault = str(said.get("message", ""))
        return Value(None, f"{subject} {fault}; fix the function.", Cause.SETUP), None
    number = said.get("value")
    if number in _NOT_IN_JSON:
        number = float(number)
    if isinstance(number, float) and math.isnan(number):
        return Value(None, f"{subject} returned NaN."), None
    if number is not None and not isinstance(number, float):
        return Value(None, f"{subject} left {number!r:.80} as its value.", Cause.SETUP), None
    return Value(number), said.get("hash")


def _write_data(data: Any, path: Path) -> None:
    import pyarrow

    truth, predictions, table, _ = data
    columns = [truth, predictions, *(table.T if table is not None else ())]
    made = pyarrow.table(
        [pyarrow.array(column) for column in columns], [str(n) for n in range(len(columns))]
    )
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, made.schema) as writer:
        writer.write_table(made)
