"""The algorithm `gp` with its extra, which is not in the tests' environment: torch for the CPU."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmark.frameworks.uv import run_uv

ROOT = Path(__file__).parents[2]
TORCH = "torch==2.13.0+cpu"
# Where the CPU's builds are; PyPI has those with CUDA, of gigabytes.
PAGE = "https://download.pytorch.org/whl/cpu/torch/"
TRIALS = 13
PLAIN = """
import hashlib, json, sys, optuna
def objective(trial):
    x, n = trial.suggest_float("x", -2, 2), trial.suggest_int("n", 1, 16, log=True)
    return (x - 0.3) ** 2 + (n - 4) ** 2
study = optuna.create_study()
for number in range(int(sys.argv[1])):
    # What is drawn for a trial depends on the seed and its number.
    seed = int.from_bytes(hashlib.sha256(f"1/{number}".encode()).digest()[:4], "big")
    study.sampler = optuna.samplers.GPSampler(seed=seed)
    study.optimize(objective, n_trials=1)
print(json.dumps([trial.params for trial in study.trials]))
"""
LEARNING = """
import json, sys, warnings, optuna
warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.space.space_file import read_space
x = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
c = {"name": "c", "value_type": "categorical", "choices": ["a", "b", "c", "d"]}
space = read_space({"tunables": [x, c], "forbidden": ["x > 0.9"]})
storage = optuna.storages.InMemoryStorage()
optimizer = Optimizer(space, ["minimize"], "gp", 3, storage, "s")
for number in range(22):
    if number == 14 and sys.argv[1] == "resumed":
        optimizer = Optimizer(space, ["minimize"], "gp", 3, storage, "s")
    point = optimizer.ask().params
    value = point["x"] + "dcba".index(point["c"])
    # Some have two constraints, some one, some none.
    constraints = (-1.0, point["x"] - 0.5)[: number % 3]
    told = Told("failure") if point["c"] == "d" else Told("success", (value,), constraints)
    optimizer.tell(number, told)
print(json.dumps([trial.params for trial in optimizer.trials()]))
"""
STUDY = {
    "name": "gp",
    "direction": "minimize",
    "algorithm": "gp",
    "seed": 1,
    "trials": TRIALS,
    "objective": {"command": ["python", "-c", "print(({x} - 0.3) ** 2 + ({n} - 4) ** 2)"]},
    "limits": {"time": 60, "memory": 300},
    "tunables": [
        {"name": "x", "value_type": "double", "lower_bound": -2, "upper_bound": 2},
        {"name": "n", "value_type": "integer", "lower_bound": 1, "upper_bound": 16, "log": True},
    ],
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with the program's requirements and torch."""
    folder = tmp_path_factory.mktemp("gp")
    python = str(folder / "env" / "bin" / "python")
    pages = os.environ.get("PIP_FIND_LINKS", "").split() or [PAGE]
    links = [word for page in pages for word in ("--find-links", page)]
    packages = ["-r", str(ROOT / "requirements.txt"), TORCH, "greenlet"]
    fault = run_uv(["venv", "--python", "3.11", str(folder / "env")], folder)
    fault = fault or run_uv(["pip", "install", "--python", python, *links, *packages], folder)
    if fault:
        pytest.skip(f"torch for the CPU cannot be had here: {fault}")
    return python


@pytest.mark.integration
def test_its_points_are_those_of_plain_optuna(python: str, tmp_path: Path) -> None:
    (tmp_path / "gp.json").write_text(json.dumps(STUDY))
    tune = [python, str(ROOT / "main.py"), "tune", "gp.json"]
    ended = subprocess.run(tune, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(path.read_bytes()) for path in (tmp_path / "runs").rglob("out/*.json")]
    points = {int(record["task"]): record["labels"]["params"] for record in records}
    plain = [python, "-c", PLAIN, str(TRIALS)]
    told = subprocess.run(plain, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [points[number] for number in range(TRIALS)] == json.loads(told.stdout)


@pytest.mark.integration
def test_it_learns_from_failures_and_goes_on_as_it_was(python: str) -> None:
    """With forbidden points, and constraints that only some trials have."""
    found = []
    for way in ("whole", "resumed"):
        words = [python, "-c", LEARNING, way]
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        found.append(json.loads(ended.stdout))
    assert found[0] == found[1]
    assert sum(point["c"] == "d" for point in found[0][-10:]) <= 2


@pytest.mark.integration
def test_the_example_in_torch(python: str, tmp_path: Path) -> None:
    study = str(ROOT / "examples" / "nn" / "study_torch.yaml")
    line = [python, str(ROOT / "main.py"), "tune", study, "--trials", "2", "--json"]
    ended = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["told"], told["success"]) == (2, 2), ended.stderr
