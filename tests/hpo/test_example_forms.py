"""The examples tree and nn in each form of a run: blocking, awaited, handed on, resumed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.hpo import HPORunner

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("name", ["tree", "nn"])]
Program = Callable[..., subprocess.CompletedProcess[str]]
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_from_python(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(s3_bucket_root=str(tmp_path / "store"), compute={"*": "local"})

    def runner(*objective: Path, **settings: Any) -> HPORunner:
        return HPORunner(*objective, config=config, **settings)

    first = runner(EXAMPLES / name, trials=1).run()
    assert (first.name, [record.status for record in first.records]) == (name, ["success"])

    turned = threading.Event()

    async def awaited() -> tuple[int, list[str]]:
        turns = 0
        study = runner(
            EXAMPLES / name,
            name=f"{name}/awaited",
            trials=1,
            on_record=lambda _: turned.wait(600),
        )
        task = asyncio.create_task(study.run_async())
        while not task.done():
            turns += 1
            if turns > 5:
                turned.set()
            await asyncio.sleep(0.01)
        return turns, [record.message for record in (await task).records]

    turns, messages = asyncio.run(awaited())
    assert messages == [""]
    assert turns > 5

    resumed = runner(trials=2).resume(name)
    assert resumed.records[0] == first.records[0]
    assert [record.status for record in resumed.records] == ["success"] * 2
    assert resumed.best_value == max(record.labels["values"][0] for record in resumed.records)
    again = asyncio.run(runner(trials=2).resume_async(name))
    assert again.records == resumed.records


def test_from_the_command_line(name: str, program: Program, tmp_path: Path) -> None:
    study, work = str(EXAMPLES / name), tmp_path / "work"
    awaited = program("tune", study, "-m", "2", "--name", "awaited", "--trials", "1", "--json")
    assert awaited.returncode == 0, awaited.stderr
    assert json.loads(awaited.stdout)["success"] == 1

    handed_on = program("tune", study, "-m", "3", "--trials", "1", "--json")
    assert handed_on.returncode == 0, handed_on.stderr
    told = json.loads(handed_on.stdout)
    # It is no child of ours: tail ends when it has.
    subprocess.run(["tail", f"--pid={told['pid']}", "-f", "/dev/null"], timeout=900, check=True)
    log = (work / told["log"]).read_text()
    assert f"{name}: 1 of 1 trials: 1 success," in log
    records = work / "runs" / "studies" / name / "out"
    before = {path.name: path.read_bytes() for path in records.iterdir()}
    assert len(before) == 1

    resumed = program("tune", "-r", name, "--trials", "2", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["success"] == 2
    after = {path.name: path.read_bytes() for path in records.iterdir()}
    assert len(after) == 2
    assert after.items() >= before.items()
