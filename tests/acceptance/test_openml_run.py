"""A run of OpenML studies from a server on localhost, as a user would; then without the server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.config.cache import cache_folder
from tests.support.openml_server import OpenMLServer

KEY = "7planted8key9of0another1test"
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_from_download_data_to_the_leaderboard_and_again_offline(
    program: Program, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    config = {
        "studies": [[135, "classification"], [130, "regression"]],
        "frameworks": ["constant"],
        "seeds": 2,
        "split": "openml",
        "cores": 1,
        "memory": 1500,
        "runtime": 5,
        "hard_limit": 60,
        "parallel": 1,
        "openml_api_key": KEY,
    }
    (work / "batch.config").write_text(json.dumps(config))
    # Environments are shared with the other tests; the data of this one are its own.
    (tmp_path / "cache").mkdir()
    environments = cache_folder() / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / "environments").symlink_to(environments)
    with OpenMLServer() as server:
        server.key = KEY
        for number in (61, 561, 42585):
            server.add_recording(number)
        server.add_task(59, 61, "class")
        server.add_task(60, 42585, "kind")
        server.add_task(61, 561, "class", "regression")
        server.add_suite(135, "tasks", tasks=[59, 60, 61])
        server.add_suite(130, "data", data=[561])
        variables = server.configure(tmp_path)
        fetched = program("download-data", "--check", **variables)
        assert fetched.returncode == 1
        assert "task-59: classification" in fetched.stdout
        assert "openml-561: regression" in fetched.stdout
        assert 'no column "kind"' in fetched.stderr
        assert "task-61: left out, as it is for regression" in fetched.stderr
        assert (work / "study_regression_info.csv").read_text().startswith("DATASET_ID,")
        assert any(f"api_key={KEY}" in path for path in server.asked)
    ran = program("execute-compute", **variables)
    assert ran.returncode == 1
    assert "task-60" in ran.stderr
    assert "4 successes" in ran.stderr
    records = {
        path.relative_to(work / "runs/default/out").as_posix(): json.loads(path.read_bytes())
        for path in (work / "runs/default/out").rglob("*.json")
    }
    assert sorted(records) == [
        *("constant/openml-561/0.json", "constant/openml-561/1.json"),
        *("constant/task-59/0.json", "constant/task-59/1.json"),
    ]
    record = records["constant/task-59/1.json"]
    assert record["labels"]["openml_task"] == 59
    assert record["labels"]["fold"] == 1
    manifest = json.loads((work / "runs/default/manifest.json").read_bytes())
    assert record["dataset_hash"] == manifest["datasets"]["task-59"]["hash"]
    assert record["split_hash"] != records["constant/task-59/0.json"]["split_hash"]
    assert manifest["datasets"]["task-59"]["folds"] == 10
    assert program("fetch-results", **variables).returncode == 0
    assert len((work / "compiled_results.csv").read_text().splitlines()) == 5
    again = program("execute-compute", "--run", "offline", **variables)
    assert "4 successes" in again.stderr
    offline = json.loads((work / "runs/offline/out/constant/task-59/1.json").read_bytes())
    assert offline["split_hash"] == record["split_hash"]
    assert offline["metrics"] == record["metrics"]
    told = [result.stdout + result.stderr for result in (fetched, ran, again)]
    assert KEY not in "".join(told)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.name for path in kept if KEY.encode() in path.read_bytes()] == ["batch.config"]
