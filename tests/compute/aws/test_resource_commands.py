"""init-compute --create and --destroy as commands, and a run between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws_account import Account


@pytest.mark.integration
def test_the_command_makes_sends_and_removes(
    account: Account, program: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "work/batch.config").write_text(
        '{"s3_bucket_root": "my-results", "studies": ["starter"], "frameworks": ["constant"],'
        ' "compute": {"*": "baremetal"}, "instance_types": ["c5.large"], "cores": 1,'
        ' "memory": 1500, "ec2_ssh_key": "~/.ssh/id"}'
    )
    made = program("init-compute", "--create")
    assert made.returncode == 0, made.stderr
    assert "launch template automl-benchmark-machines: made" in made.stderr
    assert "'ec2_ssh_key' is set and not used" in made.stderr
    assert '"ec2_template": "lt-' in made.stderr
    assert "data sets in the store" in made.stdout
    again = program("refresh-compute")
    assert "(up to date)" in again.stdout
    assert "data sets" not in again.stdout
    assert program("init-compute", "--destroy").returncode == 2
    gone = program("init-compute", "--destroy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert "bucket my-results: kept: it is not empty" in gone.stderr
    assert "launch template automl-benchmark-machines: removed" in gone.stderr
    assert "KEY" not in "".join(path.name for path in (tmp_path / "work").iterdir())


@pytest.mark.slow
def test_a_run_from_the_making_of_its_bucket_to_its_removal(
    account: Account, typed: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "batch.config").write_text(
        '{"s3_bucket_root": "my-results", "studies": ["starter"], "frameworks": ["constant"],'
        ' "seeds": [75], "compute": {"*": "local"}, "cores": 1, "memory": 1500, "runtime": 5,'
        ' "hard_limit": 60}'
    )

    def told(*words: str) -> dict[str, Any]:
        done = typed(tmp_path, *words, "--json")
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    assert told("init-compute", "--create")["made"][0]["done"] == "made"
    assert told("estimate", "--dataset", "cpu")["tasks"] == 1
    assert told("execute-compute", "--dataset", "cpu")["success"] == 1
    assert told("status", "--dataset", "cpu")["success"] == 1
    told("fetch-results")
    assert "cpu" in (tmp_path / "compiled_results.csv").read_text()
    told("clean-s3", "--yes")
    told("init-compute", "--destroy", "--yes")
    assert account.client("s3").list_buckets()["Buckets"] == []
