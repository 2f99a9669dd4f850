"""The command that Metaflow compiles for Kubernetes, in an image of this program."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.metaflow.flows import FLOW, asking, on_machines
from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.support.services import free_ports

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
VALUES = {"store_url": "s3://bench/results/", "run_name": "default", "job": "all", "chunk": 20}


@pytest.fixture
def account(aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A bucket of a double's; the variables of the driver and of a pod."""
    import boto3
    from moto.moto_api._internal.models import moto_api_backend
    from moto.server import ThreadedMotoServer

    moto_api_backend.reset()
    (port,) = free_ports(1)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "METAFLOW_S3_ENDPOINT_URL": url,
    }
    try:
        for name, value in variables.items():
            aws.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bench")
        yield variables
    finally:
        server.stop()


def compiled(folder: Path, image: str) -> dict[str, Any]:
    """The template of the first step for Argo Workflows."""
    decorators = on_machines([asking(1, 1500), f"kubernetes:image={image}"])
    arguments = [word for one in decorators for word in ("--with", one)]
    done = subprocess.run(
        [sys.executable, FLOW, *arguments, "argo-workflows", "create", "--only-json"],
        env=os.environ
        | {
            "METAFLOW_HOME": str(folder / "metaflow"),
            "METAFLOW_USER": "ann",
            "METAFLOW_DEFAULT_DATASTORE": "s3",
            "METAFLOW_DATASTORE_SYSROOT_S3": "s3://bench/metaflow",
            "PYTHONPATH": str(ROOT),
        },
        cwd=folder,
        capture_output=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    templates = json.loads(done.stdout)["spec"]["templates"]
    return next(dict(one) for one in templates if one["name"] == "start")


def filled(text: str) -> str:
    """As Argo fills its placeholders."""
    for name, value in VALUES.items():
        told = base64.b64encode(json.dumps(value).encode()).decode()
        text = text.replace(f"{{{{=toBase64(workflow.parameters['{name}'])}}}}", told)
    for name, value in (("workflow.name", "w1"), ("workflow.creationTimestamp", "1")):
        text = text.replace(f"{{{{{name}}}}}", value)
    return text.replace("{{retries}}", "0")


def test_the_compiled_command_runs_a_step_in_the_image(
    docker: Any,
    image: Callable[[str], str],
    account: dict[str, str],
    make_plan: Callable[..., Plan],
    tmp_path: Path,
) -> None:
    pytest.importorskip("metaflow")
    make_plan(open_store(VALUES["store_url"]))
    name = image("constant")
    template = compiled(tmp_path, name)
    assert template["retryStrategy"]["limit"] == 2
    container = template["container"]
    # What Kubernetes fills from the pod's own fields has no value yet.
    variables = {one["name"]: filled(one["value"] or "of-the-pod") for one in container["env"]}
    shell, option, command = container["command"]
    out = docker.client.containers.run(
        name,
        entrypoint=[shell, option, filled(command)],
        environment=variables | account,
        network_mode="host",
        tmpfs={"/mnt/out": "mode=777", "/metaflow_temp": "mode=777"},
        remove=True,
        stdout=True,
        stderr=True,
    ).decode()
    assert "Task is starting." in out
    assert "pip" not in out
    written = json.dumps(open_store("s3://bench/metaflow/").list("AutomlBenchmarkTasks"))
    assert "argo-w1/start/" in written
    assert ".DONE.lock" in written
