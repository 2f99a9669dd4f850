"""`from benchmark import analysis, compute` at a prompt."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import analysis, compute
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records.results import Cause
from benchmark.records.tasks import Cell

ROOT = Path(__file__).parents[1]
CONFIG = {
    "studies": ["starter"],
    "frameworks": ["constant"],
    "seeds": 1,
    "cores": 1,
    "memory": 1500,
    "runtime": 5,
    "hard_limit": 60,
    "parallel": 1,
}
PENGUINS = ("constant", "penguins", 75)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a batch.config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch.config").write_text(json.dumps(CONFIG))
    return tmp_path


def test_what_the_design_names_is_there_and_said() -> None:
    assert set(dir(compute)) == {
        *("run_full", "resume", "execute_list", "export_failures", "file_compute"),
        *("fetch_results", "delete_runs", "get_logs", "AutoMLMethods", "Dispatcher"),
    }
    assert {"process", "generate_tests", "download_data", "analysis_suite"} <= set(dir(analysis))
    for module in (compute, analysis):
        for name in dir(module):
            found = getattr(module, name)
            assert inspect.getdoc(found), name
            if inspect.isfunction(found):
                assert all(p.annotation for p in inspect.signature(found).parameters.values())
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = module.nothing


def test_planning_writes_nothing(work: Path) -> None:
    tests = analysis.generate_tests(seeds=2, datasets=[])
    assert len(tests) == 16
    assert {task.labels["framework"] for task in tests} == {"constant"}
    assert [path.name for path in work.iterdir()] == ["batch.config"]


@pytest.mark.slow
def test_a_whole_session(work: Path, capfd: pytest.CaptureFixture[str], undrawn: None) -> None:
    summary = compute.execute_list([PENGUINS, [3, "constant", "cpu", "regression", 75]])
    assert summary.causes == {"success": 2}
    said = capfd.readouterr()
    assert said.out == ""
    assert "Compute: local" in said.err
    assert "[2/2]" in said.err

    left = compute.export_failures("left.jsonl")
    assert left == Path("left.jsonl")
    assert len(left.read_text().splitlines()) == 6
    assert compute.file_compute(left, quiet=True).causes == {"success": 6}
    assert compute.resume(quiet=True).records == {}
    assert capfd.readouterr() == ("", "")

    frame = compute.fetch_results()
    assert (frame["STATUS"] == "success").sum() == 8
    logs = compute.get_logs("logs")
    assert logs == Path("logs") / frame["RUN"].iloc[0]
    assert sorted(path.name for path in logs.rglob("*.log")) == ["1.log"] * 8

    Path("some.jsonl").write_text(
        json.dumps({"framework": "constant", "dataset": "cpu", "type": "regression", "seed": 75})
    )
    assert compute.delete_runs("some.jsonl") == 1
    assert compute.delete_runs("some.jsonl") == 0
    again = analysis.generate_tests()
    assert compute.execute_list(again, quiet=True).causes == {"success": 1}

    with pytest.raises(BenchmarkError, match="has results already"):
        compute.run_full(quiet=True)
    found = analysis.analysis_suite(figures="drawn", report="told.html")
    assert set(found.leaderboards) == {"classification", "regression"}
    assert Path("told.html").is_file()


@pytest.mark.integration
def test_from_scratch_and_again(work: Path) -> None:
    first = compute.run_full(quiet=True, run="one", frameworks=["constant"], seeds=[1])
    assert len(first.records) == 8
    second = compute.run_full(
        quiet=True, overwrite=True, run="one", frameworks=["constant"], seeds=[1]
    )
    assert set(second.records) == set(first.records)
    assert all(record.attempt > 1 for record in second.records.values())
    assert compute.resume(causes=[Cause.TIMEOUT], quiet=True, run="one", seeds=[1]).records == {}


def test_data_without_a_run(work: Path) -> None:
    found = analysis.download_data()
    assert len(found.hashes) == 8
    assert found.faults == {}
    assert list((work / "runs/datasets/penguins").glob("*.parquet"))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("constant/penguins/75", "is no task"),
        (("constant", "penguins"), "is no task"),
        (Cell("constant", "penguins", 3), "does not have"),
        (("constant", "nowhere", 75), "does not have"),
    ],
)
def test_what_is_no_task_is_one_sentence(work: Path, task: object, words: str) -> None:
    with pytest.raises(BenchmarkError, match=words):
        compute.execute_list([task], quiet=True)  # type: ignore[list-item]


def test_keys_are_checked_as_everywhere(work: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'runtime'"):
        compute.resume(runtimes=3)
    with pytest.raises(ConfigError, match=r"no configuration file other\.config"):
        analysis.generate_tests(config="other.config")


@pytest.mark.slow
def test_a_fresh_prompt_is_light_and_works(work: Path) -> None:
    program = (
        "import sys\n"
        "from benchmark import analysis, compute\n"
        "heavy = {'pandas', 'matplotlib', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(compute.execute_list([('constant', 'penguins', 75)], quiet=True).causes)\n"
        "from benchmark.compute import run_full\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "Counter({'success': 1})"
    assert ended.stderr == ""
