"""OpenML's studies, tasks and data sets through the client, as data sets of this program or files.

Only the fetcher's process imports this. Files are read from the client's cache by our own readers,
because the client's frames lose types (whole numbers become uint8, levels an order).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.data import exact
from benchmark.data.datasets import Dataset, natural_type
from benchmark.data.folds import TEST, FoldKey, Folds
from benchmark.data.formats.arff import read_arff
from benchmark.data.formats.parquet import read_parquet
from benchmark.data.openml.file import OpenMLFile, without_ignored
from benchmark.errors import DataError

if TYPE_CHECKING:
    from openml.datasets import OpenMLDataset
    from openml.tasks import OpenMLSupervisedTask, OpenMLTask

# OpenML's codes: no qualities, a data set that is not processed yet, or that could not be.
_NOT_COUNTED = (362, 363, 364)
_TYPES = {1: "classification", 2: "regression"}


def members(study: str) -> dict[str, Any]:
    """The tasks of a study, or the data sets of one that has no tasks.

    Raises:
        DataError: it is a study of runs, or is empty.
    """
    import openml

    try:
        suite = openml.study.get_suite(study)
    except ValueError as error:
        if "entity type" not in str(error):
            raise
        raise DataError(
            f"Study {study} is a study of runs; name a suite of tasks or data sets."
        ) from None
    tasks, data = suite.tasks or [], suite.data or []
    if not tasks and not data:
        raise DataError(f"Study {study} has no tasks and no data sets.")
    names = [f"task-{number}" for number in tasks] or [f"openml-{number}" for number in data]
    return {"members": list(dict.fromkeys(names)), "title": suite.name}


def other_type(kind: str, number: int, wanted: str | None) -> str | None:
    """The type of a task or data set if it is not the wanted one; its data are not fetched."""
    import openml

    if wanted is None:
        return None
    if kind == "task":
        has = _type_of(openml.tasks.get_task(number), number)
    else:
        data = openml.datasets.get_dataset(number, download_features_meta_data=True)
        target = data.default_target_attribute
        features = {feature.name: feature.data_type for feature in data.features.values()}
        if target not in features:
            return None  # Its errors are reported when it is read.
        has = "regression" if features[target] in ("numeric", "date") else "classification"
    return None if has == wanted else has


def data_id(kind: str, number: int) -> int:
    """The data set of a task, or the number itself."""
    if kind != "task":
        return number
    from xml.parsers.expat import ExpatError

    from openml.tasks.functions import _get_task_description

    # Private in openml 0.15: get_task reads and writes the files of the data set too, which another
    # task of that data set may be doing, and which is known only then.
    try:
        return int(_get_task_description(number).dataset_id)
    except (ExpatError, KeyError, UnicodeDecodeError):
        # An error page, or what a process that was killed while writing left.
        _client_file(number, "task.xml").unlink(missing_ok=True)
        return int(_get_task_description(number).dataset_id)


def dataset(name: str, kind: str, number: int) -> Dataset:
    """The data set of a task with its target and folds; or a data set with its default target.

    Raises:
        DataError: it has no target, or cannot be used.
    """
    import openml

    if kind == "task":
        task: Any = openml.tasks.get_task(number)
        data = _with_file(int(task.dataset_id))
        target, wanted = str(task.target_name), _type_of(task, number)
    else:
        data = _with_file(number)
        target, wanted = str(data.default_target_attribute or ""), None
        if not target:
            raise DataError(
                f"OpenML data set {number} names no target; declare one in a file of 'datasets', "
                f'with "openml: {number}" and "target".'
            )
    text = {target} if wanted == "classification" else set()
    table = without_ignored(_table(data, target, text), _ignored(data), {target})
    if wanted is None:
        wanted = natural_type(table, target)
    folds = _folds(task, table.num_rows, name) if kind == "task" else None
    facts = {
        "source": f"OpenML data set {data.dataset_id}",
        "openml": data.dataset_id,
        "task": number if kind == "task" else None,
        "title": f"{data.name}, version {data.version}",
        "licence": str(data.licence) if data.licence else None,
        "md5": data.md5_checksum,
        "notes": _status_notes(data),
    }
    return Dataset.of(name, wanted, target, table, facts, folds)


def file(number: int) -> OpenMLFile:
    """The file of a data set, which need not have a default target."""
    data = _with_file(number)
    is_parquet = _parquet(data) is not None
    path = Path(str(data.parquet_file)) if is_parquet else _arff(data)
    return OpenMLFile.of(number, path.absolute(), _ignored(data), _status_notes(data))


def _type_of(task: OpenMLTask, number: int) -> str:
    kind = _TYPES.get(task.task_type_id.value)
    if kind is None:
        raise DataError(f"OpenML task {number} is for {task.task_type}; it cannot be benchmarked.")
    return kind


def _with_file(number: int) -> OpenMLDataset:
    """The data set with a complete file in the client's cache; fetches an incomplete one again.

    The client checks what it downloads but never what is cached.
    """
    import openml

    data = openml.datasets.get_dataset(number, download_data=True)
    path = Path(str(data.parquet_file or data.data_file))
    if _is_whole(path, data):
        return data
    path.unlink()
    data = openml.datasets.get_dataset(number, download_data=True)
    path = Path(str(data.parquet_file or data.data_file))
    if not data.parquet_file and not _is_whole(path, data):
        raise openml.exceptions.OpenMLHashException(f"The file of data set {number} is damaged.")
    return data


def _is_whole(path: Path, data: OpenMLDataset) -> bool:
    if path.suffix == ".pq":
        try:
            pq.read_metadata(path)
        except pa.ArrowException:
            return False
        except OSError as error:
            if error.errno is not None:  # The file itself may be intact.
                raise
            return False
        return True
    if not data.md5_checksum:
        return _has_all_rows(path, data)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == data.md5_checksum


def _has_all_rows(path: Path, data: OpenMLDataset) -> bool:
    """Whether an ARFF without a checksum has as many rows as OpenML counted, where it has counted.

    A file that was cut at the end of a line is valid ARFF.
    """
    import openml

    try:
        rows = (data.qualities or {}).get("NumberOfInstances", math.nan)
    except openml.exceptions.OpenMLServerException as error:
        if error.code not in _NOT_COUNTED:
            raise
        return True
    if math.isnan(rows):
        return True
    try:
        return bool(read_arff(path).num_rows == int(rows))
    except (DataError, UnicodeDecodeError):
        return True  # It is named where the table is read.


def _table(data: OpenMLDataset, target: str, text: set[str]) -> pa.Table:
    """The table of the parquet file, or of the ARFF if there is no readable parquet."""
    table = _parquet(data, {target})
    if table is not None:
        return table
    path = _arff(data)
    try:
        return read_arff(path, text=text)
    except (DataError, UnicodeDecodeError) as error:
        named = f"OpenML data set {data.dataset_id}"
        raise DataError(str(error).replace(path.name, named)) from None


def _parquet(data: OpenMLDataset, named: Collection[str] = ()) -> pa.Table | None:
    """The table of the parquet file; None if it cannot be read, and the file is removed."""
    if not data.parquet_file:
        return None
    try:
        return read_parquet(Path(data.parquet_file), named)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # A disk that cannot be read does not mean a bad file.
        Path(data.parquet_file).unlink()
        return None


def _arff(data: OpenMLDataset) -> Path:
    # In openml 0.15; the public way to the ARFF is a variable for the whole process.
    from openml.datasets.functions import _get_dataset_arff

    path = Path(str(data.data_file or _get_dataset_arff(data)))
    if not _is_whole(path, data):
        path.unlink()
        raise DataError(
            f"The file of OpenML data set {data.dataset_id} is damaged; start the command again "
            "to fetch it again."
        )
    return path


def _status_notes(data: OpenMLDataset) -> list[str]:
    """A note if OpenML has deactivated a data set; the client has no field for its status."""
    import openml

    folder = Path(openml.config.get_cache_directory()) / "datasets" / str(data.dataset_id)
    described = (folder / "description.xml").read_text(encoding="utf-8")
    status = re.search(r"<oml:status>\s*([^<\s]*)", described)
    if status is None or status[1] == "active":
        return []
    return [f"OpenML's status of data set {data.dataset_id} is {status[1]}"]


def _ignored(data: OpenMLDataset) -> list[str]:
    """The row id and the columns that OpenML ignores."""
    return [str(name) for name in (data.row_id_attribute, *(data.ignore_attribute or [])) if name]


def _folds(task: OpenMLSupervisedTask, rows: int, name: str) -> Folds | None:
    """The task's own folds; None for one without a split file."""
    url = str((task.estimation_procedure or {}).get("data_splits_url") or "")
    if not url.startswith(("http://", "https://")):
        return None
    try:
        return _read_folds(task, rows, name)
    except (DataError, UnicodeDecodeError):
        # A process that was killed while writing leaves a part of the file.
        _client_file(task.task_id, "datasplits.arff").unlink(missing_ok=True)
        return _read_folds(task, rows, name)


def _read_folds(task: OpenMLSupervisedTask, rows: int, name: str) -> Folds:
    folds = Folds.of_rows(rows, _rows_of(task, name), name)
    procedure = task.estimation_procedure or {}
    if procedure.get("type") != "crossvalidation":
        return folds
    declared = procedure.get("parameters") or {}
    shape = [str(declared.get(f"number_{one}") or "") for one in ("repeats", "folds")]
    found = (folds.count // folds.per_repeat, folds.per_repeat)
    fix = f"name its data set, openml-{task.dataset_id}, which is split by seeds"
    if all(one.isdigit() for one in shape) and tuple(map(int, shape)) != found:
        raise DataError(
            f"The splits of data set {name} are {found[0]} x {found[1]} folds, and OpenML declares "
            f"{' x '.join(shape)}; {fix}."
        )
    tests = (folds.parts == TEST).reshape(*found, rows).sum(axis=1)
    if not folds.parts.all() or (tests != 1).any():
        raise DataError(
            f"The splits of data set {name} leave rows out, or test one twice in a repeat; {fix}."
        )
    return folds


def _rows_of(task: OpenMLSupervisedTask, name: str) -> Iterator[tuple[FoldKey, Any, Any]]:
    """The rows of each fold; those of its last sample, which is the whole of a learning curve.

    The client's own reader takes minutes for a million rows, and keeps what it read as a pickle,
    which a killed process leaves in part.
    """
    path = _client_file(task.task_id, "datasplits.arff")
    task._download_split(path)  # Private in openml 0.15: only fetches.
    try:
        table = read_arff(path, text={"type"})
    except DataError as error:
        raise DataError(str(error).replace(path.name, f"The split file of {name}")) from None
    if lacking := {"type", "rowid", "repeat", "fold"} - set(table.column_names):
        raise DataError(f"The splits of data set {name} have no column {min(lacking)}.")
    parts = np.array(table.column("type").to_pylist())
    rowid, repeat, fold = (_numbers(table, one, name) for one in ("rowid", "repeat", "fold"))
    has_samples = "sample" in table.column_names
    sample = _numbers(table, "sample", name) if has_samples else np.zeros_like(fold)
    folds = int(fold.max()) + 1
    code = repeat * folds + fold
    order = np.argsort(code, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        own = rows[sample[rows] == sample[rows].max()]
        key = divmod(int(code[own[0]]), folds)
        yield key, rowid[own[parts[own] == "TRAIN"]], rowid[own[parts[own] == "TEST"]]


def _numbers(table: pa.Table, column: str, name: str) -> NDArray[np.int64]:
    values = exact.combined(table.column(column))
    found = None if values.null_count else exact.to_numpy(values)
    if found is None or found.min() < 0 or (found != np.floor(found)).any():
        raise DataError(
            f"The splits of data set {name} hold a value of {column} that is not a number from 0."
        )
    return found.astype(np.int64)


def _client_file(task: int | None, name: str) -> Path:
    """A file of a task in the client's cache."""
    import openml

    return Path(openml.config.get_cache_directory()) / "tasks" / str(task) / name
