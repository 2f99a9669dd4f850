"""Bad input, as a table: each ends with exit code 2 and one sentence, and nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest

from benchmark.analysis.report.page import write_page
from benchmark.compute.driving import driving
from benchmark.config.cache import settings_folder
from benchmark.errors import BenchmarkError
from benchmark.store import open_store
from tests.acceptance.conftest import CONFIG, Program, refused, run_main, tree

TASK = {"framework": "constant", "dataset": "penguins", "type": "classification", "seed": 75}
LOCAL = ("local", "constant", "penguins", "classification")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "batch.config").write_text(json.dumps(CONFIG))
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["local", "constnt", "penguins", "classification", "1"], ["constnt", "constant"]),
        (["local", "constant", "pengins", "classification", "1"], ["pengins", "penguins"]),
        (["local", "constant", "penguins", "regression", "1"], ["penguins", "regression"]),
        (["local", "constant", "penguins", "clustering", "1"], ["clustering", "classification"]),
        (["local", "constant@0.0.1", "cpu", "regression", "1"], ["constant@0.0.1"]),
        ([*LOCAL, "abc"], ["'abc'"]),
        ([*LOCAL, "-1"], ["-1"]),
        ([*LOCAL, str(2**40)], [str(2**40)]),
        (["resume-compute", "--framework", "stranger"], ["'stranger'", "constant"]),
        (["resume-compute", "--dataset", "stranger"], ["'stranger'", "penguins"]),
        (["resume-compute", "--seed", "76"], ["'76'", "75"]),
        (["resume-compute", "--cause", "bad-luck"], ["'bad-luck'", "timeout"]),
        (["resume-compute", "--set", 'frameworks=["constnt"]'], ["constnt", "constant"]),
        (["resume-compute", "--set", 'frameworks=["constant@0.0.1"]'], ["constant@0.0.1"]),
        (["resume-compute", "--set", 'studies=[[1,"clustering"]]'], ["clustering", "studies"]),
        (["resume-compute", "--set", "runtme=3"], ["'runtme'", "'runtime'"]),
        (["resume-compute", "--set", "runtime"], ["'runtime'", "KEY=VALUE"]),
        (["resume-compute", "--set", "hard_limit=1"], ["'hard_limit'", "'runtime'"]),
        (["resume-compute", "--parallel", "0"], ["'parallel'", "0"]),
        (["resume-compute", "--parallel", "many"], ["'many'"]),
        (
            ["resume-compute", "--paralel", "2"],
            ["--paralel 2", "did you mean --parallel?", "main.py resume-compute --help"],
        ),
        (["resume-compute", "--config", "."], ["configuration file", "is a folder"]),
        (["resume-compute", "--set", 'frameworks=[{"nam": "x"}]'], ["frameworks", "has no 'name'"]),
        (["serve", "--port", "99999"], ["--port", "'99999'", "0 to 65535"]),
        (["tune", "--trials", "-1", "study.yaml"], ["--trials", "'-1'", "1 or more"]),
        (["studies", "import", "s", "f.csv", "--map", "x=a", "--map", "x=b"], ["a name twice"]),
        (["tune", "nowhere.yaml"], ["nowhere.yaml", "name a file that is there"]),
        (["resume-compute", "--run", "../up"], ["'run'", "../up"]),
        (["resume-compute", "--run", "a/../b"], ["'run'", "a/../b"]),
        (["resume-compute", "--config", "nowhere"], ["nowhere", "batch.config.default"]),
        (["estimate", "--set", 'studies=["dta"]'], ["dta"]),
        (["estimate", "--past", "nosuch"], ["no run 'nosuch'", "runs"]),
        (["status"], ["'default'", "runs", "execute-compute"]),
        (["fetch-results"], ["'default'", "execute-compute"]),
        (["get-logs"], ["'default'", "execute-compute"]),
        (["export-failures", "left"], ["'default'", "execute-compute"]),
        (["clean-s3", "--yes"], ["runs", "s3_bucket_root"]),
        (["run-analysis"], ["compiled_results.csv", "execute-compute"]),
        (["run-analysis", "--results", "nowhere.csv"], ["nowhere.csv"]),
        (["setup", "constnt"], ["constnt", "constant"]),
        (["setup", "constant", "--to", "/proc/x"], ["/proc/x of --to", "name another one"]),
        (["setup", "constant", "--to", "/proc/x/y.tar"], ["/proc/x of --to"]),
        (["setup", "constant", "--to", "batch.config"], ["batch.config of --to", "Not a dir"]),
        (["statsu"], ["'statsu'", "status"]),
        (["resume-compute", "--sed", "1"], ["--sed"]),
    ],
    ids=lambda value: " ".join(value)[:40] if value and isinstance(value[0], str) else None,
)
def test_what_is_typed(typed: Program, work: Path, arguments: list[str], words: list[str]) -> None:
    before = tree(work)
    refused(typed(work, *arguments), *words)
    assert tree(work) == before
    assert not (work / "runs").exists()


def broken_task_files(folder: Path) -> dict[str, tuple[Path, list[str]]]:
    """By name: a file that is no task file, and words of the sentence about it."""
    line = json.dumps(TASK)
    contents: dict[str, tuple[bytes, list[str]]] = {
        "truncated": (f"{line}\n{line[:30]}".encode(), ["line 2"]),
        "no object": (b'{"framework": "constant"}\n', ["line 1", "dataset"]),
        "a list": (b'{"a": 1}\n[1, 2]\n', ["line 1"]),
        "deep": (b'{"a":' + b"[" * 100_000, ["line 1"]),
        "seed in words": (json.dumps(TASK | {"seed": "75"}).encode(), ["task 1", "seed"]),
        "stranger": (json.dumps(TASK | {"dataset": "stranger"}).encode(), ["stranger"]),
        "seed too large": (json.dumps(TASK | {"seed": 2**40}).encode(), [str(2**40)]),
        "long name": (json.dumps(TASK | {"framework": "x" * 10**6}).encode(), ["xxx"]),
        "long line": (b'{"framework": "' + b"x" * 100_000_000, ["line 1"]),
        "long word": (b"x" * 100_000_000, ["neither"]),
        "binary": (random.Random(1).randbytes(1000), ["neither"]),
        "call": (pickle.dumps([Call()]), ["neither", "STACK_GLOBAL"]),
        "old call": (b"cos\nsystem\n(S'touch hacked'\ntR.", ["neither", "GLOBAL"]),
        "no tasks": (pickle.dumps([1, 2]), ["list of [id, model, dataset, type, seed]"]),
        "a dict": (pickle.dumps({"a": 1}), ["neither"]),
        "cut pickle": (pickle.dumps([[0, "constant", "penguins", "c", 75]])[:-5], ["neither"]),
    }
    files = {}
    for name, (content, words) in contents.items():
        path = folder / name.replace(" ", "-")
        path.write_bytes(content)
        files[name] = (path, words)
    directory, pipe = folder / "directory", folder / "pipe"
    directory.mkdir()
    os.mkfifo(pipe)
    files |= {"directory": (directory, ["directory"]), "pipe": (pipe, ["regular file"])}
    files |= {"device": (Path("/dev/zero"), ["/dev/zero", "regular file"])}
    files |= {"missing": (folder / "nowhere", ["nowhere", "No such file"])}
    return files


class Call:
    """Runs a command when a careless reader loads it."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch hacked",)


@pytest.mark.slow
def test_broken_and_hostile_task_files(typed: Program, finished: Path, tmp_path: Path) -> None:
    before = tree(finished)
    for name, (path, words) in broken_task_files(tmp_path).items():
        ended = typed(finished, "delete-runs", path, "--yes")
        try:
            refused(ended, str(path), *words)
        except AssertionError as error:
            raise AssertionError(f"{name}: {ended}") from error
    assert "regular file" in typed(finished, "file-compute", tmp_path / "pipe").stderr
    assert tree(finished) == before
    assert not (finished / "hacked").exists()


@pytest.mark.slow
def test_no_permission(work: Path) -> None:
    """For a task file, for the store's place, and for a store that may only be read."""
    file = work / "closed"
    file.write_text(json.dumps(TASK))
    file.chmod(0)
    refused(
        run_main(work, "delete-runs", "closed", "--yes", as_root=False),
        *("closed cannot be read", "Permission denied"),
    )
    (work / "place").mkdir(mode=0)
    place = f"s3_bucket_root={work}/place/x"
    for command in ("resume-compute", "status"):
        ended = run_main(work, command, "--set", place, as_root=False)
        refused(ended, f"{work}/place/x", "Permission denied", "s3_bucket_root")
    told = json.loads(run_main(work, "doctor", "--json", "--set", place, as_root=False).stdout)
    wrong = [one["subject"] for one in told["findings"] if one["level"] == "fault"]
    assert (told["exit_code"], wrong) == (1, ["disk of the store", "store"])
    (work / "place").chmod(0o700)


@pytest.mark.slow
def test_a_store_that_may_only_be_read(finished: Path) -> None:
    runs = finished / "runs"
    folders = [runs, *(path for path in runs.rglob("*") if path.is_dir())]
    before = tree(runs)
    for folder in folders:
        folder.chmod(0o500)
    try:
        assert run_main(finished, "status", as_root=False).returncode == 0
        for arguments in (["resume-compute", "--run", "other"], ["clean-s3", "--yes"]):
            ended = run_main(finished, *arguments, as_root=False)
            refused(ended, str(runs), "Permission denied", "make it writable")
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert tree(runs) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch-results", "--output", "no/such/folder/t.csv"], ["no/such/folder/t.csv"]),
        (["fetch-results", "--format", "amlb", "--output", "no/such/t.csv"], ["no/such/t.csv"]),
        (["export-failures", "no/such/folder/t"], ["no/such/folder/t"]),
        (["get-logs", "--output", "batch.config/logs"], ["batch.config"]),
        (["status", "--run", "nowhere"], ["'nowhere'", "default"]),
        (["status", "--framework", "stranger"], ["'stranger'", "constant"]),
        (["get-logs", "--dataset", "stranger"], ["'stranger'", "penguins"]),
        (["fetch-results", "--seed", "76"], ["'76'", "75"]),
        (["export-failures", "left", "--cause", "bad-luck"], ["'bad-luck'"]),
        (["execute-compute", "--dataset", "cpu"], ["'default'", "--run", "--overwrite"]),
        (["resume-compute", "--set", "runtime=6"], ["'runtime'", "--run"]),
        (["clean-s3"], ["--yes"]),
        (["clean-s3", "--run", "nowhere", "--yes"], ["'nowhere'"]),
    ],
    ids=" ".join,
)
def test_on_a_finished_run(
    typed: Program, finished: Path, arguments: list[str], words: list[str]
) -> None:
    runs = tree(finished / "runs")
    refused(typed(finished, *arguments), *words)
    assert tree(finished / "runs") == runs
    assert not (finished / "left").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fetch-results", "--output"],
        ["fetch-results", "--format", "amlb", "--output"],
        ["export-failures"],
    ],
    ids=" ".join,
)
def test_what_is_no_file_is_not_replaced(
    typed: Program, finished: Path, tmp_path: Path, arguments: list[str]
) -> None:
    """A pipe, as /dev/stdout may be one, and a folder; a link leads to its file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(typed(finished, *arguments, pipe), str(pipe), "not a regular file")
    refused(typed(finished, *arguments, "."), ". is a folder")
    with pytest.raises(BenchmarkError, match="not a regular file"):
        write_page("page", pipe)
    assert [(path.name, path.is_fifo()) for path in tmp_path.iterdir()] == [("pipe", True)]
    link, file = tmp_path / "link", tmp_path / "file"
    file.write_text("old")
    link.symlink_to(file)
    assert typed(finished, *arguments, link).returncode == 0
    assert link.is_symlink()
    assert file.read_text() != "old"


@pytest.mark.parametrize("command", ["resume-compute", "status", "clean-s3"])
def test_a_store_that_is_a_file(typed: Program, work: Path, command: str) -> None:
    (work / "runs").write_text("in the way")
    refused(typed(work, command), "runs", "s3_bucket_root")
    assert (work / "runs").read_text() == "in the way"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty", "batch.config.default"]),
        (" \n", ["empty"]),
        ('{"cores": 1', ["not JSON"]),
        ("[]", ["JSON object"]),
        ('{"cors": 1}', ["'cors'", "'cores'"]),
        ('{"cores": 1, "cores": 2}', ["twice"]),
        ('{"cores": "two"}', ["'cores'", "two"]),
        ('{"run": "../x"}', ["'run'", "../x"]),
    ],
    ids=["empty", "blank", "cut", "list", "unknown", "twice", "type", "run"],
)
def test_a_broken_configuration(typed: Program, work: Path, content: str, words: list[str]) -> None:
    (work / "batch.config").write_text(content)
    refused(typed(work, "status"), "batch.config", *words)
    assert [path.name for path in work.iterdir()] == ["batch.config"]


def test_a_second_driver_says_so(typed: Program, finished: Path) -> None:
    (finished / "one").write_text(json.dumps(TASK))
    before = tree(finished / "runs")
    with driving(open_store(str(finished / "runs")), "default"):
        for arguments in (
            ["resume-compute"],
            ["execute-compute", "--overwrite"],
            ["file-compute", "one"],
            ["delete-runs", "one", "--yes"],
            ["clean-s3", "--yes"],
        ):
            refused(typed(finished, *arguments), "drives", "default", "wait for it or end it")
        assert json.loads(typed(finished, "status", "--json").stdout)["running_now"]
    assert tree(finished / "runs") == before


@pytest.mark.slow
def test_a_second_driver_on_s3_says_so(typed: Program, work: Path, s3: str) -> None:
    bucket, _, folder = s3.removeprefix("s3://").partition("/")
    place = ["--set", f"s3_bucket_root={bucket}", "--set", f"s3_folder={folder}"]
    with driving(open_store(s3), "default"):
        refused(typed(work, "resume-compute", *place), "drives", "default", s3)
    assert open_store(s3).list() == []


@pytest.mark.parametrize("command", ["resume-compute", "status", "clean-s3"])
def test_a_bucket_that_is_not_there(typed: Program, work: Path, s3: str, command: str) -> None:
    refused(typed(work, command, "--set", "s3_bucket_root=nowhere"), "nowhere", "no such bucket")
    assert [path.name for path in work.iterdir()] == ["batch.config"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--set", "s3_bucket_root=~nosuch/x"],
        ["resume-compute", "--set", 'frameworks_path=["~nosuch/x"]'],
        ["frameworks", "check", "~nosuch/x"],
    ],
    ids=" ".join,
)
def test_a_home_of_nobody(typed: Program, work: Path, arguments: list[str]) -> None:
    refused(typed(work, *arguments), "home directory in ~nosuch/x", "write the whole path")


def test_without_a_home(typed: Program, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no entry: what needs a home says so, the rest runs."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("AUTOML_BENCHMARK_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    refused(typed(work, "frameworks"), "~/.cache", "AUTOML_BENCHMARK_CACHE", "HOME")
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(work / "cache"))
    ended = typed(work, "frameworks")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert settings_folder() == Path("~/.config")
    assert typed(work, "estimate", "--dataset", "penguins").returncode == 0
