"""Lists of tasks for arrays: an index means the same task always, and the entry point runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.compute.jobs import INDEX_VARIABLE, job_path, own_key, write_job
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.store import open_store

ENTRY = Path(__file__).parents[2] / "docker/entrypoint.py"


def run_entry(*arguments, index=None):
    variables = {k: v for k, v in os.environ.items() if k != INDEX_VARIABLE}
    variables["PYTHONPATH"] = str(ENTRY.parents[1])
    if index is not None:
        variables[INDEX_VARIABLE] = index
    return subprocess.run(
        [sys.executable, ENTRY, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_each_child_of_an_array_has_its_own_task():
    store = open_store("memory://")
    write_job(store, "studies/a", "h2o 1", ["x/y/1", "x/y/2"])
    assert [own_key(store, "studies/a", "h2o 1", {INDEX_VARIABLE: n}) for n in "01"] == [
        "x/y/1",
        "x/y/2",
    ]


def test_a_list_never_changes():
    store = open_store("memory://")
    write_job(store, "a", "j", ["x/y/1"])
    write_job(store, "a", "j", ["x/y/1"])
    with pytest.raises(BenchmarkError, match="lists other tasks"):
        write_job(store, "a", "j", ["x/y/2"])
    assert own_key(store, "a", "j", {}) == "x/y/1"


@pytest.mark.parametrize(
    ("content", "index", "words"),
    [
        (None, "0", "no list of tasks a/jobs/j.json"),
        (b"{}", "0", "no JSON list"),
        (b"[1]", "0", "no JSON list"),
        (b"[", "0", "no JSON list"),
        (b'["k", "l"]', "2", "'2'.*lists 2 tasks"),
        (b'["k", "l"]', "-1", "'-1'"),
        (b'["k", "l"]', "", "''"),
        (b'["k", "l"]', None, f"{INDEX_VARIABLE} is not set"),
    ],
)
def test_a_wrong_index_or_list_is_a_sentence(content, index, words):
    store = open_store("memory://")
    if content is not None:
        store.put(job_path("a", "j"), content)
    with pytest.raises(BenchmarkError, match=words):
        own_key(store, "a", "j", {} if index is None else {INDEX_VARIABLE: index})


@pytest.mark.slow
def test_the_entry_point_runs_the_task_at_the_index(folder_store, make_plan):
    run = make_plan(folder_store, runtime=5).run
    keys = [task.key for task in run.tasks]
    write_job(folder_store, run.name, "pair", keys)
    done = run_entry(folder_store.url, run.name, "--job", "pair", index="1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == keys[1]
    assert [record.task for record in results.records(run)] == [keys[1]]


def test_the_entry_point_runs_a_named_task(folder_store, make_plan):
    run = make_plan(folder_store, datasets=("cpu",)).run
    done = run_entry(folder_store.url, run.name, run.tasks[0].key)
    assert done.returncode == 0, done.stderr
    assert [record.status for record in results.records(run)] == ["success"]


@pytest.mark.parametrize("arguments", [(), ("x/y/1", "--job", "j")])
def test_the_entry_point_takes_one_task_or_one_job(tmp_path, arguments):
    done = run_entry(str(tmp_path), "a", *arguments)
    assert done.returncode == 2
    assert "either a TASK or --job" in done.stderr


def test_the_entry_point_says_what_is_missing(tmp_path):
    done = run_entry(str(tmp_path), "a", "--job", "j", index="0")
    assert done.returncode == 2
    assert done.stderr.startswith("There is no list of tasks a/jobs/j.json")
