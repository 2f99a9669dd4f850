"""The method metaflow on this machine, and what it deploys."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from services import free_ports

from benchmark import results
from benchmark.compute.metaflow.chunks import chunks, run_chunk, summary
from benchmark.compute.metaflow.flows import FLOW
from benchmark.compute.metaflow.metaflow import MetaflowDispatcher
from benchmark.config import Config
from benchmark.errors import BenchmarkError
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store

ROOT = Path(__file__).parents[3]
PATIENCE_S = 400.0
needs_metaflow = pytest.mark.skipif(
    importlib.util.find_spec("metaflow") is None, reason="metaflow is not installed"
)


def test_a_chunk_is_run_and_summed_up(make_plan: Callable[..., Plan], folder_store: Store) -> None:
    plan = make_plan(folder_store)
    name, url = plan.run.name, folder_store.url
    first, second = chunks(url, name, "all", 1)
    assert run_chunk(url, name, first + second) == ["success", "success"]
    assert chunks(url, name, "all", 1) == []
    assert run_chunk(url, name, []) == []
    title, headers, rows = summary(url, name)
    assert title == "Run default: 2 results"
    assert len(headers) == len(rows[0])
    assert rows[0][:3] == ["constant", "2", "0"]
    with pytest.raises(BenchmarkError, match="no list of tasks"):
        chunks(url, name, "nothing", 1)


def test_results_that_other_machines_do_not_reach_are_refused(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BenchmarkError, match=r"requirements-metaflow\.txt"):
        MetaflowDispatcher.check(make_config())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    MetaflowDispatcher.check(make_config())
    monkeypatch.setenv("METAFLOW_DECOSPECS", "kubernetes:image=bench")
    with pytest.raises(BenchmarkError, match="may not reach"):
        MetaflowDispatcher.check(make_config())


@needs_metaflow
@pytest.mark.integration
def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    values = {
        "studies": ["starter"],
        "frameworks": ["constant"],
        "seeds": 3,
        "cores": 1,
        "memory": 1000,
        "runtime": 5,
        "hard_limit": 60,
        "compute": {"*": "metaflow"},
    }
    (tmp_path / "batch.config").write_text(json.dumps(values))
    command = [sys.executable, str(ROOT / "main.py"), "resume-compute"]
    log = (tmp_path / "log").open("ab")
    first = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    store = open_store(str(tmp_path / "runs"))
    end = time.monotonic() + PATIENCE_S
    while len(store.list("default/out")) < 3 and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=PATIENCE_S)  # noqa: PLW1510
    assert second.returncode == 0, second.stderr.decode()[-3000:]
    assert len(store.list("default/out")) == 24
    assert list(tmp_path.glob(".metaflow/mf.cards/**/*.html"))


@needs_metaflow
@pytest.mark.integration
def test_a_study_runs_in_flows(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "name: line\ndirection: maximize\nalgorithm: random\ntrials: 6\nparallel: 3\n"
        "tunables:\n  - {name: x, value_type: double, lower_bound: 0, upper_bound: 1}\n"
        "limits: {time: 60, memory: 500, cores: 1}\n"
        'objective: {command: "echo \'{\\"score\\": {x}}\'"}\n'
    )
    (tmp_path / "batch.config").write_text(json.dumps({"compute": {"*": "metaflow"}}))
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "tune", "study.yaml"],
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert len(open_store(str(tmp_path / "runs")).list("studies/line/out")) == 6


@needs_metaflow
@pytest.mark.integration
@pytest.mark.parametrize(
    ("deco", "words", "place"),
    [
        ("kubernetes", ("argo-workflows", "create"), ("spec", "templates")),
        ("batch", ("step-functions", "create"), ("States",)),
    ],
)
def test_the_deployed_documents_compile(
    aws: pytest.MonkeyPatch, tmp_path: Path, deco: str, words: tuple[str, ...], place: tuple[str]
) -> None:
    import boto3
    from moto.moto_api._internal.models import moto_api_backend
    from moto.server import ThreadedMotoServer

    moto_api_backend.reset()
    (port,) = free_ports(1)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        variables = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "METAFLOW_USER": "ann",
            "METAFLOW_S3_ENDPOINT_URL": url,
            "METAFLOW_DATASTORE_SYSROOT_S3": "s3://bench/metaflow",
            "METAFLOW_BATCH_JOB_QUEUE": "queue",
            "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": "arn:aws:iam::123456789012:role/steps",
            "METAFLOW_ECS_FARGATE_EXECUTION_ROLE": "arn:aws:iam::123456789012:role/flows",
            "METAFLOW_SFN_IAM_ROLE": "arn:aws:iam::123456789012:role/flows",
            "METAFLOW_SFN_DYNAMO_DB_TABLE": "table",
            "PYTHONPATH": str(ROOT),
        }
        for name, value in variables.items():
            aws.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bench")
        boto3.client("iam").create_role(RoleName="flows", AssumeRolePolicyDocument="{}")
        batch = boto3.client("batch")
        role = variables["METAFLOW_SFN_IAM_ROLE"]
        network = boto3.client("ec2")
        machines = batch.create_compute_environment(
            computeEnvironmentName="machines",
            type="MANAGED",
            state="ENABLED",
            serviceRole=role,
            computeResources={
                "type": "FARGATE",
                "maxvCpus": 4,
                "subnets": [network.describe_subnets()["Subnets"][0]["SubnetId"]],
                "securityGroupIds": [
                    network.describe_security_groups()["SecurityGroups"][0]["GroupId"]
                ],
            },
        )["computeEnvironmentArn"]
        order = [{"order": 1, "computeEnvironment": machines}]
        batch.create_job_queue(
            jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order
        )
        with_image = ("--with", f"{deco}:image=example/bench:1")
        done = subprocess.run(
            [sys.executable, FLOW, "--datastore=s3", *with_image, *words, "--only-json"],
            cwd=tmp_path,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = json.loads(done.stdout)
    for key in place:
        found = found[key]
    assert "work" in json.dumps(found)


@needs_metaflow
@pytest.mark.integration
def test_the_dispatcher_tells_every_task(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(folder_store)
    told = []
    with MetaflowDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        while len(told) < 2:
            told += dispatcher.completed(10.0)
    assert sorted(record.task for record in told) == sorted(task.key for task in plan.tasks)
    assert results.without_result(plan.run) == []
