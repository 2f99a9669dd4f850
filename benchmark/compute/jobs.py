"""Lists of tasks in the store, for engines that start a job by its number in an array.

`{run}/jobs/NAME.json` is a JSON list of task keys. It is created once and never changes, so the
number of an array's child means the same task however often the engine starts it.

    write_job(run.store, run.name, "h2o-1", [task.key for task in tasks])
    own_key(store, "default", "h2o-1", os.environ)      # in the child
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmark.errors import BenchmarkError
from benchmark.records.layout import segment
from benchmark.store import Store

# Set by AWS Batch for an array's child, and by Kubernetes for a pod of an Indexed Job.
INDEX_VARIABLE = "AWS_BATCH_JOB_ARRAY_INDEX"
INDEX_VARIABLES = (INDEX_VARIABLE, "JOB_COMPLETION_INDEX")


def job_path(run: str, name: str) -> str:
    """Where a list lies in the store."""
    return f"{run}/jobs/{segment(name)}.json"


def write_job(store: Store, run: str, name: str, keys: Sequence[str]) -> None:
    """Create the list; the same list once more is no error.

    Raises:
        BenchmarkError: there is another list of this name already.
    """
    path = job_path(run, name)
    data = json.dumps(list(keys), ensure_ascii=False).encode()
    if not store.create(path, data) and store.get(path) != data:
        raise BenchmarkError(f"{path} in {store.url} lists other tasks; give the job another name.")


def own_key(
    store: Store,
    run: str,
    name: str,
    variables: Mapping[str, str],
    index_variable: str | None = None,
) -> str:
    """The key of the task that this job runs: the one at the array's index, or a list's only one.

    Raises:
        BenchmarkError: there is no such list, or nothing at the index.
    """
    path = job_path(run, name)
    keys = _keys(store, path)
    if index_variable is None:
        found = [name for name in INDEX_VARIABLES if name in variables]
        index_variable = found[0] if found else INDEX_VARIABLE
    index = variables.get(index_variable)
    if index is None:
        if len(keys) == 1:
            return keys[0]
        raise BenchmarkError(
            f"{path} in {store.url} lists {len(keys)} tasks and {index_variable} is not set; start "
            "it as an array job, or name one TASK."
        )
    if not (index.isascii() and index.isdigit() and int(index) < len(keys)):
        raise BenchmarkError(
            f"{index_variable} is '{index}' and {path} in {store.url} lists {len(keys)} tasks; the "
            "array's size must be theirs."
        )
    return keys[int(index)]


def _keys(store: Store, path: str) -> list[str]:
    data = store.get(path)
    if data is None:
        raise BenchmarkError(f"There is no list of tasks {path} in {store.url}.")
    try:
        keys = json.loads(data)
    except ValueError:
        keys = None
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        raise BenchmarkError(f"{path} in {store.url} is no JSON list of task keys.")
    return keys
