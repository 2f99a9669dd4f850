"""Data sets in the store: by content, so that no run ends another's tasks; old places are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import api
from benchmark.config.loading import Config
from benchmark.data import load
from benchmark.data.packed import pack
from benchmark.errors import DataError
from benchmark.execution.evaluation import BenchmarkEvaluation
from benchmark.execution.published import publish
from benchmark.files.removal import remove_tree
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.layout import dataset_path
from benchmark.records.record import Record
from benchmark.records.tasks import Run
from benchmark.runs.clean import find
from benchmark.runs.plan import Plan, draft, plan
from benchmark.runs.status import status
from benchmark.store import Store

CSV = "a,b,y\n" + "".join(f"{n},{n % 3},{n % 2 + n}.5\n" for n in range(30))
# Written by version 0.1.0 before predictions had attempts and data sets their hash in the name.
MANIFEST = {
    "version": 1,
    "created": "2026-11-28T19:56:17.439+00:00",
    "harness": "0.1.0",
    "conditions": {
        "runtime": 5.0,
        "hard_limit": 60.0,
        "cores": 1,
        "memory": 1500,
        "split": "holdout",
        "metric": {},
    },
    "frameworks": {
        "tpot (3600)": {"name": "constant", "params": {}, "environment": "bb022c02a8970eaa"}
    },
    "datasets": {
        "cpu": {
            "type": "regression",
            "problem": "regression",
            "target": "class",
            "rows": 209,
            "features": 7,
            "classes": None,
            "hash": "893ccdfe34de6b7e",
            "openml": 561,
        }
    },
    "tasks": [["tpot (3600)", "cpu", 75], ["tpot (3600)", "cpu", 76]],
}
RECORD = (
    '{"task": "tpot%20%283600%29/cpu/75", "status": "success", "cause": null, "message": "", '
    '"metric": "rmse", "metrics": {"rmse": 0.5}, "labels": {"framework": "tpot (3600)", '
    '"dataset": "cpu", "type": "regression", "seed": 75}, "import_s": null, "setup_s": null, '
    '"fit_s": null, "predict_s": null, "total_s": 1.5, "overhead_s": null, "inference_s": null, '
    '"inference_s_per_row": {}, "overrun_s": null, "peak_memory_mb": null, '
    '"baseline_memory_mb": null, "models": null, "leaderboard": null, "objective": null, '
    '"trajectory": null, "version": null, "environment_hash": null, "dataset_hash": null, '
    '"split_hash": null, "sandbox": null, "host": {}, "cost": null, "attempt": 1, "log": null, '
    '"begun": "2026-11-28T19:56:17.439+00:00", "ended": "2026-11-28T19:56:19.439+00:00"}'
)


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No table that another test of this machine shares."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Declares `mine` with this content."""
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))

    def declare(content: str) -> Path:
        (tmp_path / "mine.csv").write_text(content)
        declaration = tmp_path / "mine.yaml"
        declaration.write_text("file: mine.csv\ntarget: y\n")
        return declaration

    return declare


def data_of(run: Run) -> str:
    """The hash of the data that the run's first task is given."""
    evaluation = BenchmarkEvaluation()
    try:
        return evaluation._dataset(run.tasks[0], run).hash
    finally:
        evaluation.close()


def test_planning_another_run_leaves_the_data_of_the_first(
    folder_store: Store, make_config: Callable[..., Config], own: Callable[[str], Path]
) -> None:
    runs: list[Plan] = []
    for name, content in (("a", CSV), ("b", CSV + "9,9,9.5\n"), ("c", CSV.replace("b", "c"))):
        config = make_config(run=name, datasets=[str(own(content))], studies=[])
        runs.append(plan(folder_store, draft(config)))
    hashes = [data_of(planned.run) for planned in runs]
    assert hashes == [planned.run.manifest.datasets["mine"]["hash"] for planned in runs]
    assert len(set(hashes)) == 3
    found = find(folder_store)
    assert found.left == []
    # Description and table of each, and the last table by its name alone.
    assert len(found.datasets) == 7
    assert folder_store.get(f"{dataset_path('mine')}.parquet") == folder_store.get(
        dataset_path("mine", hashes[-1]) + ".parquet"
    )


def test_what_is_published_is_not_written_again(
    folder_store: Store, make_plan: Callable[..., Plan]
) -> None:
    make_plan(folder_store, ("cpu",))
    path = dataset_path("cpu", "893ccdfe34de6b7e") + ".json"
    folder_store.put(path, folder_store.get(path) + b" ")
    before = dict(folder_store.get_many(folder_store.list("datasets")))
    make_plan(folder_store, ("cpu",), run="second")
    assert dict(folder_store.get_many(folder_store.list("datasets"))) == before


def damaged(content: bytes, how: str) -> bytes:
    middle = len(content) // 10
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return {"cut": content[:-9], "empty": b"", "flipped": flipped, "other": b"PAR1"}[how]


@pytest.mark.parametrize("ending", [".parquet", ".json", ".splits.parquet"])
@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "other"])
def test_data_damaged_in_the_store_is_made_again(
    folder_store: Store,
    make_config: Callable[..., Config],
    own: Callable[[str], Path],
    tmp_path: Path,
    how: str,
    ending: str,
) -> None:
    declaration = own(
        CSV.replace("y\n", "y,f\n").replace(".5\n", ".5,1\n", 15).replace(".5\n", ".5,2\n")
    )
    declaration.write_text("file: mine.csv\ntarget: y\nsplit_column: f\n")
    config = make_config(run="a", datasets=[str(declaration)], studies=[])
    run = plan(folder_store, draft(config)).run
    hash = run.manifest.datasets["mine"]["hash"]
    place = dataset_path("mine", hash)
    whole = dict(folder_store.get_many(folder_store.list("datasets")))
    broken = damaged(whole[place + ending], how)
    # By the task itself, from what this machine has read.
    folder_store.put(place + ending, broken)
    assert data_of(run) == hash
    assert dict(folder_store.get_many(folder_store.list("datasets"))) == whole
    # On a machine that has not read it, by the command that the message names.
    folder_store.put(place + ending, broken)
    assert remove_tree(tmp_path / "cache") is None
    with pytest.raises(DataError, match=r"mine/.*parquet in .* is damaged; run download-data"):
        data_of(run)
    api.download_data(datasets=config.datasets, studies=[], s3_bucket_root=folder_store.url)
    assert dict(folder_store.get_many(folder_store.list("datasets"))) == whole
    assert data_of(run) == hash


def test_data_damaged_in_the_store_that_ship_with_the_program(
    folder_store: Store, make_plan: Callable[..., Plan]
) -> None:
    run = make_plan(folder_store, ("cpu",)).run
    path = dataset_path("cpu", "893ccdfe34de6b7e") + ".parquet"
    folder_store.put(path, b"PAR1")
    assert data_of(run) == "893ccdfe34de6b7e"
    assert folder_store.get(path) != b"PAR1"


def test_damaged_data_whose_source_has_changed(
    folder_store: Store, make_config: Callable[..., Config], own: Callable[[str], Path]
) -> None:
    config = make_config(run="a", datasets=[str(own(CSV))], studies=[])
    first = plan(folder_store, draft(config)).run.manifest.datasets["mine"]["hash"]
    folder_store.put(dataset_path("mine", first) + ".parquet", b"PAR1")
    own(CSV + "9,9,9.5\n")
    entry = draft(config).datasets["mine"]
    publish(folder_store, "mine", entry)
    with pytest.raises(DataError, match=r"has changed since.* under another name"):
        publish(folder_store, "mine", entry, check=True)


@pytest.fixture
def earlier(folder_store: Store) -> Run:
    """A store as an earlier version wrote it."""
    folder_store.put("default/manifest.json", json.dumps(MANIFEST).encode())
    for ending, content in pack(load("cpu")).items():
        folder_store.put(f"datasets/cpu{ending}", content)
    folder_store.put("default/out/tpot%20%283600%29/cpu/75.json", RECORD.encode())
    folder_store.put("default/attempts/tpot%20%283600%29/cpu/75/0001.json", RECORD.encode())
    folder_store.put("default/predictions/tpot%20%283600%29/cpu/75.parquet", b"table")
    return Run.open(folder_store, "default")


def test_a_store_of_an_earlier_version_is_read(earlier: Run) -> None:
    (record,) = results.records(earlier)
    assert record == Record.from_bytes(RECORD.encode())
    assert (record.metrics, record.predictions) == ({"rmse": 0.5}, None)
    assert results.predictions(earlier, record) == b"table"
    assert [task.key for task in record_reader.without_result(earlier)] == [
        "tpot%20%283600%29/cpu/76"
    ]
    assert (status(earlier).success, status(earlier).waiting) == (1, 1)
    assert data_of(earlier) == "893ccdfe34de6b7e"
    found = find(earlier.store)
    assert found.left == []


def test_another_run_with_other_data_leaves_an_earlier_store_as_it_is(
    folder_store: Store, make_config: Callable[..., Config], own: Callable[[str], Path]
) -> None:
    first = draft(make_config(run="a", datasets=[str(own(CSV))], studies=[]))
    data = first.datasets["mine"].load()
    run = Run("a", folder_store, first.manifest)
    run.save()
    for ending, content in pack(data).items():
        folder_store.put(f"datasets/mine{ending}", content)
    before = dict(folder_store.get_many(folder_store.list()))
    config = make_config(run="b", datasets=[str(own(CSV + "9,9,9.5\n"))], studies=[])
    other = plan(folder_store, draft(config)).run
    after = dict(folder_store.get_many(folder_store.list()))
    assert {path: after[path] for path in before} == before
    assert (data_of(run), data_of(other) == data.hash) == (data.hash, False)


def test_a_run_of_an_earlier_version_grows(
    earlier: Run, make_config: Callable[..., Config]
) -> None:
    config = make_config(frameworks=[{"name": "constant", "as": "tpot (3600)"}], seeds=[75, 77])
    environment = draft(config, datasets=["cpu"]).manifest.frameworks["tpot (3600)"]["environment"]
    values = json.loads(json.dumps(MANIFEST).replace("bb022c02a8970eaa", environment))
    earlier.store.put("default/manifest.json", json.dumps(values).encode())
    grown = plan(earlier.store, draft(config, datasets=["cpu"]))
    assert [task.key for task in record_reader.without_result(grown.run)] == [
        "tpot%20%283600%29/cpu/76",
        "tpot%20%283600%29/cpu/77",
    ]
