"""HPORunner and directories with config.json: blocking, awaited, triggered, resumed."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import optuna
import pytest
from nbclient import NotebookClient

from benchmark.compute.driving import stoppable
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.hpo import HPORunner
from benchmark.hpo.driver.loop import Tuned
from benchmark.hpo.formats.project import read_project
from benchmark.store import open_store
from tests.support.objectives import squared

Program = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., HPORunner]
ROOT = Path(__file__).parents[2]
SPACE = {
    "x": optuna.distributions.FloatDistribution(-4, 4, step=0.5),
    "n": optuna.distributions.IntDistribution(1, 64, log=True),
    "kind": optuna.distributions.CategoricalDistribution(["a", None]),
}
PROJECT = """
import optuna
from beside import square

def objective(trial):
    x = trial.suggest_float("x", -5, 5)
    return square(x), trial.suggest_int("n", 1, 3)
"""


@pytest.fixture
def cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """An HPORunner over a store of this test's."""
    monkeypatch.chdir(tmp_path)
    config = Config(s3_bucket_root=str(tmp_path / "store"), compute={"*": "local"}, parallel=1)

    def make(objective: Any = None, space: Any = None, **more: Any) -> HPORunner:
        limits = {"time": 60, "memory": 500}
        settings = {"trials": 4, "seed": 1, "limits": limits} if objective else {}
        return HPORunner(objective, space, config=config, **{**settings, **more})

    return make


@pytest.fixture
def runner(cold: Make, warm: None) -> Make:
    """The same, in the sandbox that tests share."""
    return cold


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_an_exception(cold: Make, number: signal.Signals) -> None:
    def signalled(*_: Any, **__: Any) -> Tuned:
        stop = threading.Event()
        with stoppable(stop):
            signal.raise_signal(number)
        return Tuned(interrupted=stop.is_set())

    runner = cold(squared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.hpo.driver.launch.tune", signalled)
        with pytest.raises(KeyboardInterrupt, match=r"HPORunner\(\)\.resume\('squared'\)"):
            runner.run()
        with pytest.raises(KeyboardInterrupt, match="Study 'squared' was interrupted"):
            runner.resume()
    assert runner.found().records == []


def project(folder: Path, **more: Any) -> Path:
    folder.mkdir()
    (folder / "objective_fn.py").write_text(PROJECT)
    (folder / "beside.py").write_text("def square(x): return x * x\n")
    (folder / "obproject.toml").write_text("[project]\n")
    told = {"n_trials": 3, "max_parallelism": 2, "directions": ["minimize", "maximize"]}
    told |= {"compute_pool": "p", "environment": {"packages": {}}}
    (folder / "config.json").write_text(json.dumps(told | more))
    return folder


@pytest.mark.slow
def test_a_function_of_a_file_with_and_without_a_space(runner: Make) -> None:
    found = runner(squared, trials=2).run()
    assert found.name == "squared"
    assert [record.status for record in found.records] == ["success"] * 2
    assert found.best_value == min(record.labels["values"][0] for record in found.records)
    assert set(found.best_params) == {"x"}
    again = runner(squared, name="squared", trials=3).run()
    assert len(again.records) == 3

    declared = runner(squared, {"x": SPACE["x"]}, name="team/declared", trials=2).run()
    assert set(declared.best_params) == {"x"}
    assert list(declared.frame()["state"]) == ["success"] * 2


@pytest.mark.slow
def test_a_closure_goes_on_in_another_session(runner: Make) -> None:
    shift = 3.0

    def objective(trial: Any) -> float:
        assert trial.params["kind"] in ("a", None)
        return trial.params["x"] + shift + trial.params["n"]

    # Optuna hands out what is declared even where the objective does not ask; this one asks.
    def asking(trial: Any) -> float:
        trial.suggest_float("x", -4, 4, step=0.5)
        trial.suggest_int("n", 1, 64, log=True)
        trial.suggest_categorical("kind", ["a", None])
        return objective(trial)

    first = runner(asking, SPACE, trials=2).run()
    assert [record.message for record in first.records] == ["", ""]
    assert len(runner(asking, SPACE, trials=3).run().records) == 3
    resumed = runner().resume("asking")
    assert len(resumed.records) == 3


@pytest.mark.slow
def test_callbacks_as_of_study_optimize(runner: Make) -> None:
    seen: list[tuple[int, float | None, int]] = []

    def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        seen.append((trial.number, trial.value, len(study.get_trials())))

    most = optuna.study.MaxTrialsCallback(2, states=None)
    found = runner(squared, trials=5, callbacks=[note, most]).run()
    values = [record.labels["values"][0] for record in found.records]
    assert seen == [(0, values[0], 1), (1, values[1], 2)]
    assert found.why_stopped == "A callback stopped it after trial 1."
    assert len(runner(callbacks=[note]).resume("squared").records) == 5

    def ask(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        study.enqueue_trial(trial.params)

    with pytest.raises(RuntimeError, match="no effect within a callback; name points in"):
        runner(squared, name="asking", callbacks=[ask]).run()


@pytest.mark.slow
def test_awaited_beside_other_work_and_cancelled(cold: Make) -> None:
    turned = threading.Event()

    async def beside() -> tuple[int, int]:
        turns = 0
        study = cold(squared, name="awaited", trials=2, on_record=lambda _: turned.wait(300))
        task = asyncio.create_task(study.run_async())
        while not task.done():
            turns += 1
            if turns > 5:
                turned.set()
            await asyncio.sleep(0.01)
        return turns, len((await task).records)

    turns, count = asyncio.run(beside())
    assert count == 2
    assert turns > 5

    begun = asyncio.Event()

    async def cancelled() -> None:
        loop = asyncio.get_running_loop()
        patient = cold(
            squared,
            name="cancelled",
            trials=500,
            on_record=lambda _: loop.call_soon_threadsafe(begun.set),
        )
        task = asyncio.create_task(patient.run_async())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 1 <= len(patient.found().records) < 500

    asyncio.run(cancelled())


@pytest.mark.slow
def test_triggered_it_runs_on_without_us(runner: Make) -> None:
    triggered = runner(squared, name="team/triggered", trials=3).trigger()
    assert triggered.wait(600) == 0, triggered.log.read_text()
    found = runner().found("team/triggered")
    assert len(found.records) == 3
    assert "team/triggered: 3 of 3 trials" in triggered.log.read_text()


@pytest.mark.slow
def test_a_directory(runner: Make, tmp_path: Path) -> None:
    folder = project(tmp_path / "my study")
    first = runner(folder).run()
    assert first.name == "my-study/1"
    assert {len(record.labels["values"]) for record in first.records} == {2}
    assert first.definition.objective.files == ("beside.py",)
    assert runner(folder, trials=1).run().name == "my-study/2"


def test_a_directory_s_python_without_packages(tmp_path: Path) -> None:
    folder = project(tmp_path / "mine", environment={"python": "3.12"})
    store = open_store(str(tmp_path / "store"))
    definition = read_project(folder, store, {}).definition
    assert definition.environment == {"python": "==3.12.*", "packages": []}
    (tmp_path / "mine" / "config.json").write_text('{"environment": "3.12"}')
    with pytest.raises(BenchmarkError, match=r"'environment' is '3\.12'"):
        read_project(folder, store, {})


@pytest.mark.integration
def test_a_directory_as_a_user(program: Program, tmp_path: Path) -> None:
    folder = project(tmp_path / "work" / "mine", study_name="mine/a")
    ended = program("tune", "mine", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "Ignored keys in config.json: compute_pool" in ended.stderr
    more = program("tune", "mine", "--resume-study", "mine/a", "--trials", "4", "--json")
    assert json.loads(more.stdout)["told"] == 4
    other = program(
        "tune", str(folder), "--study-name", "b", "-n", "production", "-m", "2", "--json"
    )
    assert json.loads(other.stdout)["study"] == "b"
    refused = program("tune", "mine", "-r", "nothing")
    assert refused.returncode == 2
    assert "no study 'nothing'" in refused.stderr
    triggered = program("tune", "mine", "--study-name", "c", "-m", "3", "--json")
    driver = Path(f"/proc/{json.loads(triggered.stdout)['pid']}")
    end = time.monotonic() + 600
    while driver.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert json.loads(program("studies", "show", "c", "--json").stdout)["told"] == 3


@pytest.mark.integration
def test_a_new_directory_and_its_notebook(program: Program, tmp_path: Path) -> None:
    assert program("tune", "new", "first").returncode == 0
    folder = tmp_path / "work" / "first"
    assert program("tune", "new", "first").returncode == 2
    assert program("tune", "new").returncode == 2
    ended = program("tune", "first", "--trials", "3", "--json")
    assert json.loads(ended.stdout)["success"] == 3
    notebook = nbformat.read(folder / "study.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "first/notebook" in notebook.cells[1].source


@pytest.mark.integration
def test_the_notebook_runs(program: Program, tmp_path: Path) -> None:
    program("tune", "new", "first")
    folder = tmp_path / "work" / "first"
    notebook = nbformat.read(folder / "study.ipynb", as_version=4)
    notebook.cells.insert(
        0, nbformat.v4.new_code_cell(f"import sys; sys.path[:0] = [{str(ROOT)!r}]")
    )
    notebook.cells.append(
        nbformat.v4.new_code_cell(
            "SCALE = 2\n\ndef own(trial):\n    return SCALE * trial.suggest_float('y', 0, 1)\n\n"
            "(await HPORunner(own, trials=2).run_async()).best_params"
        )
    )
    edited = "\n\ndef own(trial):\n    return trial.suggest_float('y', 2, 3)\n\n"
    run = "found = await HPORunner(own, trials=1).run_async()\nfound.name"
    notebook.cells.append(nbformat.v4.new_code_cell(edited + run))
    wrong = nbformat.v4.new_code_cell("HPORunner(own, trials=0).run()")
    notebook.cells.append(wrong)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=900, resources=resources, allow_errors=True).execute()
    (fault,) = wrong.outputs
    assert "'trials' is 0" in fault["traceback"][0]
    assert len(fault["traceback"]) == 1
    code = [cell for cell in notebook.cells[2:-1] if cell.cell_type == "code"]
    shown = [[o["data"] for o in cell.outputs if "data" in o] for cell in code]
    # A line for each trial, and none of Optuna's.
    texts = "".join(o["text"] for cell in code for o in cell.outputs if "text" in o).splitlines()
    assert {line.partition(" ")[0] for line in texts} == {"trial", "The"}
    assert "'own-2'" in shown[4][0]["text/plain"]
    assert "'x'" in shown[0][0]["text/plain"]
    assert "image/png" in shown[2][0]
    assert "'y'" in shown[3][0]["text/plain"]


def test_what_is_wrong_is_said(runner: Make, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(BenchmarkError, match="no objective"):
        runner().run()
    with pytest.raises(BenchmarkError, match="Name the study"):
        runner().resume()
    with pytest.raises(BenchmarkError, match="no study 'nothing'"):
        runner().resume("nothing")
    with pytest.raises(BenchmarkError, match="'callbacks' is 'print'; give a list"):
        runner(squared, callbacks="print")
    with pytest.raises(BenchmarkError, match="in this process; use run, not trigger"):
        runner(squared, callbacks=[print]).trigger()
    with pytest.raises(BenchmarkError, match="cannot be packed"):
        runner(lambda trial, held=sys.stdout.buffer: 1.0, name="s").run()
    with pytest.raises(BenchmarkError, match="distribution of Optuna's"):
        runner(squared, {"x": 3}).run()
    (tmp_path / "broken.py").write_text("def objective(")
    with pytest.raises(BenchmarkError, match="is no Python"):
        runner(f"{tmp_path}/broken.py:objective").run()
    monkeypatch.setenv("HPO_TRIAL", "1")
    with pytest.raises(BenchmarkError, match="__main__"):
        runner(squared)
