"""The examples as they stand: each runs; those with a real server and a verdict are integration."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from benchmark.hpo.spec.study_file import read_study
from benchmark.hpo.study.study import Study
from benchmark.records.tasks import Ranks
from benchmark.store import open_store
from tests.support.services import scraping

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
SETTINGS = ("dirty_ratio", "dirty_background_ratio", "swappiness", "vfs_cache_pressure")
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_readme_and_a_default_for_each_tunable(name: str) -> None:
    definition = read_study(EXAMPLES / name / "study.yaml")
    assert definition.name == name
    assert definition.space.fault(definition.space.default() or {}) is None
    assert (EXAMPLES / name / "README.md").read_text().startswith("# ")


def test_ranks_of_an_allocation(tmp_path: Path) -> None:
    definition = read_study(EXAMPLES / "mpi" / "study_cluster.yaml")
    assert definition.space.names == read_study(EXAMPLES / "mpi" / "study.yaml").space.names
    study = Study.begin(open_store(str(tmp_path / "store")), definition)
    point = {"nodes": 2, "ranks_per_node": 4, "blocks": 16}
    (first,) = study.ask()
    assert first.resources.mpi is None
    assert study.adopt(point, "test").resources.mpi == Ranks(2, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "trials"), [("quarkus", 2), ("mpi", 2)])
def test_it_runs(program: Program, name: str, trials: int) -> None:
    ended = program("tune", str(EXAMPLES / name), "--trials", str(trials), "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["failure"] == 0, ended.stderr
    assert told["told"] == trials


def test_quarkus_has_the_study_s_31_tunables() -> None:
    assert len(read_study(EXAMPLES / "quarkus" / "study.yaml").space.tunables) == 31


@pytest.mark.integration
def test_the_framework_example(program: Program) -> None:
    ended = program("tune", str(EXAMPLES / "framework"), "--trials", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["success"] == 2, ended.stderr


@pytest.mark.integration
def test_some_networks_are_pruned(program: Program) -> None:
    ended = program("tune", str(EXAMPLES / "nn"), "--trials", "14", "--json")
    told = json.loads(ended.stdout)
    assert (told["failure"], told["told"]) == (0, 14), ended.stderr
    assert told["prune"] >= 1


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("pgbench") is None, reason="PostgreSQL is not installed")
def test_postgres_comes_to_a_verdict(program: Program) -> None:
    study = ("tune", str(EXAMPLES / "postgres"), "--trials", "12", "--confirm", "8", "--json")
    ended = program(*study)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["success"], told["failure"]) == (12, 0), ended.stderr
    # What the machine does besides decides which of the two: five seconds of load are noisy.
    print(told["verdict"])
    assert told["verdict"]["pairs"] == 8
    assert told["verdict"]["says"] in ("keep", "not proven")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "needs"),
    [("redis", ["redis-benchmark"]), ("jvm", ["javac"]), ("nginx", ["nginx", "wrk"])],
)
def test_a_real_program(program: Program, name: str, needs: list[str]) -> None:
    missing = [one for one in needs if shutil.which(one) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    ended = program("tune", str(EXAMPLES / name), "--trials", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    # Whether another point than the default keeps the limits depends on the machine.
    found = json.loads(ended.stdout)
    assert found["told"] == 2
    assert found["success"] >= 1, ended.stderr


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_a_service_that_prometheus_measures(program: Program, tmp_path: Path) -> None:
    server = ["prometheus", f"--config.file={EXAMPLES / 'prometheus' / 'prometheus.yml'}"]
    server += [f"--storage.tsdb.path={tmp_path / 'data'}", "--web.listen-address=127.0.0.1:19090"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(server, stdout=log, stderr=log)
    try:
        scraping("http://127.0.0.1:19090")
        ended = program("tune", str(EXAMPLES / "prometheus"), "--trials", "2", "--json")
    finally:
        process.terminate()
        process.wait()
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["success"] == 2, ended.stderr


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="kernel settings need root")
def test_kernel_settings_are_put_back(program: Program) -> None:
    before = [Path("/proc/sys/vm", name).read_text() for name in SETTINGS]
    if not os.access("/proc/sys/vm/swappiness", os.W_OK):
        pytest.skip("/proc/sys cannot be written here")
    ended = program("tune", str(EXAMPLES / "os"), "--trials", "3", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["success"] == 3, ended.stderr
    assert [Path("/proc/sys/vm", name).read_text() for name in SETTINGS] == before


@pytest.mark.integration
@pytest.mark.parametrize("name", ["tree", "nn"])
def test_the_notebook_runs(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    notebook = nbformat.read(folder / "study.ipynb", as_version=4)
    nbformat.validate(notebook)
    path = nbformat.v4.new_code_cell(f"import sys; sys.path[:0] = [{str(ROOT)!r}]")
    notebook.cells.insert(0, path)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    assert any("image/png" in output.get("data", {}) for output in notebook.cells[-1].outputs)


@pytest.mark.integration
def test_sqlite_example_as_a_user(program: Program, tmp_path: Path) -> None:
    ended = program("tune", str(EXAMPLES / "sqlite"), "--trials", "3", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["told"], told["success"]) == (3, 3)
    again = program("tune", "--resume", "sqlite", "--trials", "4", "--json")
    assert json.loads(again.stdout)["told"] == 4
    assert program("studies", "export", "sqlite", "--output", "out").returncode == 0
    with (tmp_path / "work" / "out" / "experiment-data.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["journal_mode"] == "DELETE"
    best = json.loads((tmp_path / "work" / "out" / "best.json").read_text())
    assert best["values"][0] == max(float(row["value"]) for row in rows)
    assert program("studies", "delete", "sqlite", "--yes").returncode == 0
    none = f"There are no studies in {tmp_path}/work/runs; start one with tune FILE.\n"
    assert program("studies").stdout == none


@pytest.mark.integration
def test_tree_example_as_a_user(program: Program) -> None:
    ended = program("tune", str(EXAMPLES / "tree"), "--trials", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["success"] == 2
