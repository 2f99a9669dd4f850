"""OpenML through its unmodified client, against a server on localhost.

The data sets are recordings with OpenML's own md5; tasks, folds and suites are generated.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import Catalogue, load, split
from benchmark.data.datasets import EARLIER_HASH
from benchmark.data.openml.fetch import Fetched, Job, fetch, openml_cache
from benchmark.errors import ConfigError, DataError
from benchmark.execution.worker.trees import descendants
from tests.support.openml_server import Fault, OpenMLServer
from tests.support.openml_stock import KEY, TASKS


def quickly(*names: str, key: str | None = KEY, kind: str | None = None) -> Fetched:
    """What a fetch finds where the server answers; a busy machine may take its time."""
    return fetch([Job(name, kind) for name in names], key, patience_s=60.0, silence_s=30.0)


def test_from_suites_to_folds(place: OpenMLServer, tmp_path: Path) -> None:
    tasks = [f"task-{number}" for number in TASKS]
    found = quickly(
        *("study-135", "study-mixed-tasks", "study-130", "study-1", "study-99"),
        *(
            *tasks,
            "openml-3",
            "openml-61",
            "openml-900",
            "openml-901",
            "openml-902",
            "openml-903",
            "openml-12",
        ),
    )
    assert found.members["study-135"]["members"] == ["task-59", "task-60", "task-8"]
    assert found.members["study-mixed-tasks"] == found.members["study-135"]
    assert found.members["study-130"]["members"] == ["openml-61", "openml-561"]
    assert found.done == {
        *("task-59", "task-60", "task-8", "task-9"),
        *("openml-3", "openml-61", "openml-900"),
    }, found.faults
    for name, words in {
        "study-1": "study of runs",
        "study-99": "no study 99",
        "task-10": 'no column "colour"',
        "task-7": "Clustering",
        "openml-12": "no data set 12",
        "openml-901": 'names 2 targets ("colour,label")',
        "openml-903": "OpenML data set 903 is not valid ARFF",
        "openml-902": "names no target",
    }.items():
        assert words in found.faults[name]
    iris, chess, cpu, words = (load(n) for n in ("task-59", "openml-3", "task-60", "openml-900"))
    assert (iris.type, iris.target, iris.table.num_rows, iris.classes) == (
        *("classification", "class", 150),
        ["Iris-setosa", "Iris-versicolor", "Iris-virginica"],
    )
    assert iris.description["openml"] == 61
    assert iris.description["task"] == 59
    # OpenML's header declares the levels in another order, which the hash covers.
    assert chess.description[EARLIER_HASH] == load("kr-vs-kp").hash
    assert words.table.column("count").to_pylist() == [1.5, 0.0, 2.0, 3.0]
    assert words.table.column("colour").to_pylist() == ["red", "green", "red", "red"]
    assert words.table.column("label").to_pylist() == ["no", "yes", "yes", "no"]
    assert cpu.folds is not None
    assert (cpu.folds.count, cpu.folds.per_repeat) == (6, 3)
    assert load("openml-61").folds is None
    assert load("openml-61").hash != iris.hash
    assert load("task-9").folds is None
    tested = [split(cpu, "openml", fold).test for fold in range(6)]
    assert sorted(row for rows in tested[3:] for row in rows) == list(range(209))
    theirs = (openml_splits(tmp_path, 60)).splitlines()[5:]
    wanted = {line for line in theirs if line.startswith("TEST") and line.endswith(",1,2")}
    assert {f"TEST,{row},1,2" for row in tested[5]} == wanted
    with pytest.raises(DataError, match=r"folds 0 to 5 and no fold 6"):
        split(cpu, "openml", 6)


def openml_splits(folder: Path, task: int) -> str:
    return next(folder.rglob(f"tasks/{task}/datasplits.arff")).read_text()


@pytest.mark.slow
def test_what_passes_is_survived_and_what_stays_is_told(place: OpenMLServer) -> None:
    place.faults.update(
        {
            "/task/59": Fault("down", times=1),
            "/download/3/": Fault("cut", times=1),
            "/download/42585/": Fault("silent", times=1, seconds=20),
            "/splits/60/": Fault("slow", times=1, seconds=0.3),
            "/download/561/": Fault("cut", times=1),
            "/download/40945/": Fault("wrong"),
            "/data/40675": Fault("down"),
        }
    )
    events = []
    passing = [Job(n) for n in ("task-59", "openml-3", "openml-42585", "task-60")]
    found = fetch(passing, KEY, events.append, patience_s=60.0, silence_s=3.0)
    assert found.faults == {}
    assert found.done == {"task-59", "openml-3", "openml-42585", "task-60"}
    stays = fetch([Job("openml-40945"), Job("openml-40675")], KEY, patience_s=2.0)
    assert "is damaged or does not match its own checksum" in stays.faults["openml-40945"]
    assert "answered openml-40675 with an error page" in stays.faults["openml-40675"]
    received = [e["bytes"] for e in events if e["name"] == "openml-3" and "bytes" in e]
    assert received[-1] > 489_987 + 200_000


def test_parts_that_a_killed_process_left_are_fetched_again(
    place: OpenMLServer, tmp_path: Path
) -> None:
    assert quickly("task-59").done
    before = load("task-59").hash
    openml_cache().drop("task-59")
    for name in ("dataset.arff", "datasplits.arff", "task.xml"):
        path = next(tmp_path.rglob(name))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    # Earlier versions left one, which the client reads before the file itself.
    path.with_name("datasplits.pkl.py3").write_bytes(b"\x80\x02}q")
    assert quickly("task-59").faults == {}
    assert load("task-59").hash == before


def test_without_the_server_the_cache_serves(place: OpenMLServer, tmp_path: Path) -> None:
    studies = [[135, "classification"], [130, "regression"]]
    first = Catalogue(studies, key=KEY)
    entries = first.ready(first.names(refresh=True))
    assert list(entries) == ["task-59", "task-8", "openml-561"]
    assert first.left_out == {"task-60": "regression", "openml-61": "classification"}
    # What is for something else is not downloaded to find that out.
    assert not any("/splits/60" in path for path in place.asked)
    place.stop()
    try:
        again = Catalogue(studies, key=KEY)
        assert {n: e.description["hash"] for n, e in again.ready(again.names()).items()} == {
            n: e.description["hash"] for n, e in entries.items()
        }
        assert (again.faults, again.left_out) == ({}, first.left_out)
        refreshed = Catalogue(studies, key=KEY)
        assert set(refreshed.names(refresh=True)) == {*entries, *first.left_out}
        assert len(refreshed.notes) == 2
        assert "Connection refused" in refreshed.notes[0]
        stranger = fetch([Job("task-11")], KEY, patience_s=0.0)
        assert "cannot be reached for task-11 (Connection refused)" in stranger.faults["task-11"]
    finally:
        place.start()


def test_without_a_network_it_gives_up_and_names_the_embedded_sets(
    place: OpenMLServer, tmp_path: Path
) -> None:
    """The patience is for a server that is down; a name that is not resolved ends the retries."""
    config = tmp_path / "config" / "openml" / "config"
    config.write_text("server = http://openml.invalid/api/v1/xml\n")
    events: list[dict] = []
    found = fetch(
        [Job("task-59"), Job("study-135")],
        None,
        events.append,
        patience_s=1e6,
        unresolved_s=0.0,
    )
    assert events[0] == {"name": "task-59 and 1 more", "asked": "openml.invalid"}
    for name in ("task-59", "study-135"):
        assert f"OpenML (openml.invalid) cannot be reached for {name} (" in found.faults[name]
        assert '"studies": ["starter"] or ["embedded"]' in found.faults[name]


def test_names_are_checked_before_the_network(place: OpenMLServer, make_config) -> None:
    from benchmark.runs.plan import Narrowing, draft

    config = make_config(studies=[[135, "classification"]], openml_api_key=KEY)
    with pytest.raises(ConfigError, match="no data set 'titanik'; did you mean titanic"):
        draft(config, Narrowing(datasets=["titanik"]))
    with pytest.raises(ConfigError, match="The run has no framework 'h2o'"):
        draft(config, Narrowing(frameworks=["h2o"]))
    assert place.asked == []


def test_an_embedded_suite_by_type() -> None:
    names = Catalogue([["starter", "regression"]])
    assert list(names.ready(names.names())) == [
        *("diabetes-progression", "cpu", "auto-mpg", "concrete"),
    ]


def test_the_key_is_nowhere(place: OpenMLServer, tmp_path: Path) -> None:
    wrong = KEY + "not"
    place.faults["/task/59"] = Fault("down", times=1)
    events: list[dict] = []
    found = fetch(
        [Job("task-59"), Job("study-135"), Job("openml-12")], wrong, events.append, patience_s=60.0
    )
    assert set(found.faults) == {"task-59", "study-135", "openml-12"}
    assert "does not accept the API key; check 'openml_api_key'" in found.faults["study-135"]
    fetched = fetch([Job("task-59")], KEY, events.append, patience_s=60.0)
    assert fetched.done == {"task-59"}
    assert any(f"api_key={KEY}" in path for path in place.asked)
    place.stop()
    try:
        down = fetch([Job("task-60")], KEY, events.append, patience_s=0.0)
    finally:
        place.start()
    told = json.dumps(events) + repr((found, fetched, down))
    assert KEY not in told
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if KEY.encode() in path.read_bytes()] == []


def test_two_programs_at_once_fetch_once(place: OpenMLServer) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: quickly("openml-3", "task-59"), range(2)))
    assert [one.done for one in found] == [{"openml-3", "task-59"}] * 2
    assert sum("/download/3/" in path for path in place.asked) == 1
    assert sum("/splits/59/" in path for path in place.asked) == 1


@pytest.mark.slow
def test_nothing_is_fetched_for_a_program_that_was_killed(place: OpenMLServer) -> None:
    place.faults["/task/59"] = Fault("silent", seconds=60)
    code = "from benchmark.data.openml.fetch import *; fetch([Job('task-59')])"
    program = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    try:
        until(lambda: any("/task/59" in path for path in place.asked))
        (fetcher,) = descendants(program.pid)
    finally:
        program.kill()
        program.wait()
    until(lambda: not Path(f"/proc/{fetcher}").exists() or "Z" in state_of(fetcher))


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process does, at most a minute."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_parquet_is_taken_where_it_is_there_and_its_types_are_kept(place: OpenMLServer) -> None:
    table = pa.table(
        {
            "n": pa.array([1, 2, 300], pa.int16()),
            "flag": [True, None, False],
            "id": [7, 8, 9],
            "word": pa.array(["x", None, "y"]).dictionary_encode(),
            "label": pa.array(["u", "v", "u"]).dictionary_encode(),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    header = "@relation r\n@attribute label {u,v}\n@data\nu\nv\nu\n"
    place.add_generated(905, header, "label", parquet=sink.getvalue(), row_id_attribute="id")
    assert quickly("openml-905").faults == {}
    dataset = load("openml-905")
    assert dataset.features == ["n", "flag", "word"]
    assert dataset.table.schema.field("n").type == pa.int16()
    assert dataset.table.column("word").to_pylist() == ["x", None, "y"]
    assert not any("/download/905" in path for path in place.asked)


def test_final_answers_are_asked_once_and_a_busy_server_is_left_alone(place: OpenMLServer) -> None:
    finals = {
        "/data/561": Fault("refused", code=112),
        "/task/60": Fault("refused", code=412),
        "/data/3": Fault("refused"),
        "/download/40945/": Fault("wrong"),
    }
    place.faults.update(finals)
    place.faults["/data/61"] = Fault("busy", times=1, seconds=1.5)
    jobs = ["openml-561", "task-60", "openml-3", "openml-40945", "openml-12", "openml-61"]
    began = time.monotonic()
    found = fetch([Job(name) for name in jobs], KEY, patience_s=60.0)
    assert time.monotonic() - began >= 1.5
    assert found.done == {"openml-61"}
    for name, words in {
        "openml-561": "grants no access to openml-561",
        "task-60": "refuses task-60 with code 412",
        "openml-3": "refuses openml-3 with the HTTP status 412",
        "openml-40945": "does not match its own checksum",
        "openml-12": "has no data set 12",
    }.items():
        assert words in found.faults[name]
        assert "OpenMLServer" not in found.faults[name]
    paths = [path.partition("?")[0] for path in place.asked]
    for part in ("/data/561", "/task/60", "/data/3", "/download/40945/data.arff", "/data/12"):
        assert sum(path.endswith(part) for path in paths) == 1, part
    assert sum(path.endswith("/data/61") for path in paths) == 2


def test_a_server_that_is_busy_for_longer_is_not_asked_again(place: OpenMLServer) -> None:
    place.faults["/data/61"] = Fault("busy", seconds=3600)
    assert "openml-61" in quickly("openml-61").faults
    assert sum(path.partition("?")[0].endswith("/data/61") for path in place.asked) == 1


INTEGERS = """@relation r
@attribute id integer
@attribute zone {1,2}
@attribute label numeric
@data
9007199254740993,1,01
2,2,1
3,1,1.0
"""


def test_openml_data_are_read_as_peoples_files_are(place: OpenMLServer) -> None:
    import pandas as pd

    broken = io.BytesIO()
    whole = pd.DataFrame({"a": range(5000), "label": pd.Categorical([1, 2, 3, 1, 2] * 1000)})
    whole.set_axis(pd.Index(range(5000, 0, -1)), axis=0).to_parquet(broken)
    content = broken.getvalue()
    half = bytearray(content)
    half[40:4000] = bytes(3960)
    place.add_generated(910, INTEGERS, "label")
    place.add_task(910, 910, "label", splits=False)
    place.add_generated(911, INTEGERS, "label", parquet=content, status="deactivated")
    place.add_generated(912, INTEGERS, "label", parquet=bytes(half))
    found = quickly("task-910", "openml-911", "openml-912", "openml-904")
    assert found.faults == {}
    labels = load("task-910")
    assert labels.table.column("label").to_pylist() == ["01", "1", "1.0"]
    assert labels.table.column("id").to_pylist()[0] == 2**53 + 1
    coded = load("openml-911")
    assert (coded.type, coded.classes, coded.features) == ("classification", ["1", "2", "3"], ["a"])
    assert "OpenML's status of data set 911 is deactivated" in coded.description["notes"]
    # Where the parquet cannot be read the ARFF is.
    assert load("openml-912").table.num_rows == 3
    assert load("openml-904").table.column("label").to_pylist() == ["no", "yes", "yes", "no"]


def test_one_data_set_by_its_id(place: OpenMLServer) -> None:
    assert Catalogue([], key=KEY).find("561", "regression").name == "cpu"
    assert place.asked == []
    entry = Catalogue([], key=KEY).find("40675", "classification")
    assert (entry.name, entry.description["type"]) == ("openml-40675", "classification")
    with pytest.raises(DataError, match="is for classification, not for regression"):
        Catalogue([], key=KEY).find("40675", "regression")


def test_a_study_without_any_of_the_type(place: OpenMLServer, make_config) -> None:
    from benchmark.runs.plan import draft

    config = make_config(studies=[["task-59", "regression"]], openml_api_key=KEY)
    with pytest.raises(DataError, match="task-59 is for classification"):
        draft(config)


def test_folds_that_are_not_there_are_left_out(place: OpenMLServer, make_config) -> None:
    from benchmark.runs.plan import draft

    studies = ["task-59", "task-8"]
    config = make_config(studies=studies, seeds=3, split="openml", openml_api_key=KEY)
    wanted = draft(config)
    assert sorted(cell.key for cell in wanted.manifest.cells) == [
        *("constant/task-59/0", "constant/task-59/1", "constant/task-59/2", "constant/task-8/0"),
    ]
    assert "task-8 has 1 fold" in wanted.notes[0]
    assert KEY.encode() not in wanted.manifest.to_bytes()
    with pytest.raises(ConfigError, match="No seed names a fold"):
        draft(make_config(studies=["task-8"], seeds=[7], split="openml"))
