"""The classic workflow on a folder, as a user types it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = {
    "studies": ["starter"],
    "frameworks": [
        "constant",
        {"name": "random-forest", "as": "small", "params": {"n_estimators": 10}},
    ],
    "seeds": [75],
    "cores": 1,
    "memory": 1000,
    "runtime": 5,
    "hard_limit": 60,
    "compute": {"*": "local"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("classic")
    (made / "batch.config").write_text(json.dumps(CONFIG))
    return made


def main(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "main.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def rows(folder: Path) -> list[dict[str, str]]:
    main(folder, "fetch-results")
    with (folder / "compiled_results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_whole_sequence(folder: Path) -> None:
    assert "penguins" in main(folder, "download_data")
    only = ("--dataset", "penguins", "--dataset", "cpu")
    main(folder, "execute_compute", *only)
    first = rows(folder)
    assert [row["STATUS"] for row in first] == ["success"] * 4

    main(folder, "export_failures", "left")
    assert lines(folder / "left") == []

    one = {"framework": "small", "dataset": "cpu", "type": "regression", "seed": 75}
    (folder / "one").write_text(json.dumps(one) + "\n")
    assert "say --yes" in main(folder, "delete-runs", "one", code=2)
    assert [row["STATUS"] for row in rows(folder)] == ["success"] * 4
    assert "1 task" in main(folder, "delete_runs", "one", "--yes")
    gone = rows(folder)
    assert [row["STATUS"] for row in gone].count("") == 1
    assert not list((folder / "runs/default/predictions/small").glob("cpu/*"))

    main(folder, "export-failures", "left")
    assert lines(folder / "left") == [one]
    main(folder, "file_compute", "left")
    again = rows(folder)
    scores = ("MODEL", "DATASET_ID", "SEED", "MSE", "F1_SCORE", "SPLIT_HASH")
    assert [[r[c] for c in scores] for r in again] == [[r[c] for c in scores] for r in first]
    assert "nothing to run" in main(folder, "file-compute", "left")

    assert "4 logs" in main(folder, "get_logs")
    assert len(list((folder / "log").rglob("*.log"))) == 4
    assert "no framework 'stranger'" in main(folder, "get-logs", "--framework", "stranger", code=2)
    main(folder, "perform_analysis")
    assert (folder / "figures" / "RawDataBoxPlotMSE.pdf").stat().st_size > 1000
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["file-compute", "nowhere"], "nowhere cannot be read"),
        (["delete-runs", "nowhere", "--yes"], "nowhere cannot be read"),
        (["export-failures", "x", "--cause", "bad-luck"], "no cause 'bad-luck'"),
        (["export-failures", "no/such/folder/x"], "cannot be written"),
        (["export-failures", "x", "--run", "none"], "no run 'none'"),
    ],
)
def test_wrong_use(folder: Path, arguments: list[str], words: str) -> None:
    assert words in main(folder, *arguments, code=2)
    assert not (folder / "x").exists()
