"""The classic workflow as a user types it, on a folder and on S3: the same results."""

from __future__ import annotations

import csv
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from benchmark.store import open_store
from tests.acceptance.conftest import CONFIG, run_main

ONLY = ("--dataset", "penguins", "--dataset", "cpu")
FRAMEWORKS = [
    "constant",
    {"name": "random-forest", "as": "small", "params": {"n_estimators": 10}},
]
ONE = {"framework": "small", "dataset": "cpu", "type": "regression", "seed": 75}
# What differs from store to store and from time to time.
PASSING = (
    *("SETUP_S", "FIT_S", "PREDICT_S", "TOTAL_S", "OVERHEAD_S", "OVERRUN_S", "PEAK_MEMORY_MB"),
    *("HOST", "BEGUN", "ENDED", "SANDBOX"),
)


def main(folder: Path, *arguments: str, code: int = 0) -> str:
    done = run_main(folder, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def told(folder: Path, *arguments: str) -> dict[str, Any]:
    """What the command says with --json, and nothing else on standard output."""
    done = run_main(folder, *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(folder: Path) -> list[dict[str, str]]:
    main(folder, "fetch-results")
    with (folder / "compiled_results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lasting(table: list[dict[str, str]]) -> list[dict[str, str]]:
    dropped = ("INFERENCE", *PASSING)
    return [{k: v for k, v in row.items() if not k.startswith(dropped)} for row in table]


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def sequence(folder: Path, url: str) -> list[dict[str, str]]:
    """The whole workflow in a folder, with its results in the store; returns the last table."""
    folder.mkdir()
    root, _, rest = url.removeprefix("s3://").partition("/") if "://" in url else (url, "", "")
    store = {"s3_bucket_root": root, "s3_folder": rest or None}
    (folder / "batch.config").write_text(json.dumps(CONFIG | store | {"frameworks": FRAMEWORKS}))

    assert "penguins" in main(folder, "download_data")
    ran = told(folder, "execute_compute", *ONLY)
    assert (ran["tasks"], ran["ran"], ran["exit_code"]) == (4, 4, 0)
    first = rows(folder)
    assert [row["MESSAGE"] for row in first] == [""] * 4
    assert ran["success"] == 4

    main(folder, "export_failures", "left")
    assert lines(folder / "left") == []
    assert "nothing to run" in main(folder, "file-compute", "left")

    (folder / "one").write_text(json.dumps(ONE) + "\n")
    assert "pass --yes" in main(folder, "delete-runs", "one", code=2)
    assert [row["STATUS"] for row in rows(folder)] == ["success"] * 4
    assert told(folder, "delete_runs", "one", "--yes", "--framework", "constant")["deleted"] == 0
    assert told(folder, "delete_runs", "one", "--yes")["deleted"] == 1
    gone = rows(folder)
    assert [row["STATUS"] for row in gone].count("") == 1
    kept = open_store(url)
    assert not [path for path in kept.list("default/predictions/small") if "/cpu/" in path]
    assert told(folder, "status", "--framework", "small")["by_framework"] == {
        "small": {"success": 1, "waiting": 1}
    }

    main(folder, "export-failures", "left")
    assert lines(folder / "left") == [ONE]
    assert told(folder, "file_compute", "left")["success"] == 1
    again = rows(folder)
    scores = ("MODEL", "DATASET_ID", "SEED", "MSE", "F1_SCORE", "SPLIT_HASH")
    assert [[r[c] for c in scores] for r in again] == [[r[c] for c in scores] for r in first]
    assert "nothing to run" in main(folder, "file-compute", "left")
    assert told(folder, "resume-compute", *ONLY)["had_results"] == 4

    assert told(folder, "get_logs")["logs"] == 4
    assert len(list((folder / "log").rglob("*.log"))) == 4
    assert told(folder, "fetch-results", "--format", "amlb")["success"] == 4
    assert (folder / "results.csv").read_text().count("\n") == 5
    analysed = told(folder, "perform_analysis")
    assert set(analysed["leaderboards"]) == {"classification", "regression"}
    assert (folder / "figures" / "RawDataBoxPlotMSE.pdf").stat().st_size > 1000
    assert (folder / "report.html").exists()
    assert told(folder, "clean-s3", "--yes")["left"] == []
    assert kept.list() == []
    return again


@pytest.mark.integration
def test_the_same_results_from_a_folder_and_from_s3(tmp_path: Path, s3: str) -> None:
    of_folder = sequence(tmp_path / "first", str(tmp_path / "store"))
    of_s3 = sequence(tmp_path / "second", f"{s3}{secrets.token_hex(4)}/")
    assert all(row["SCORE"] for row in of_folder)
    assert lasting(of_s3) == lasting(of_folder)
