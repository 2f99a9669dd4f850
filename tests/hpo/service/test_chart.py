"""The Helm chart of the service, rendered by Helm and checked by Kubernetes' strict schemas."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from tests.support.deployments import FOLDER, manifests, rendered
from tests.support.kubernetes_double import strict_schema

pytestmark = pytest.mark.integration
OWN = "postgres.enabled=false"
URL = "postgres.url=postgresql://me@db.example/hpo"


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def test_its_defaults_are_the_manifest(helm: str) -> None:
    assert by_name(rendered(helm)) == by_name(manifests())


@pytest.mark.parametrize(
    "values",
    [
        (),
        (OWN, URL, "service.insecure=true", "dashboard.enabled=false"),
        ("secret=other", "service.args={--rate=100}", "clients.role=tuner"),
        ("service.env[0].name=OTEL_SERVICE_NAME", "service.env[0].value=hpo"),
    ],
)
def test_kubernetes_takes_what_it_renders(helm: str, values: tuple[str, ...]) -> None:
    objects = rendered(helm, *values, release="team")
    assert all(one["metadata"]["name"].split("-")[0] == "team" for one in objects)
    for one in objects:
        # networking.k8s.io/v1 is networking-v1 in the names of the schemas.
        version = re.sub(r"[.][^/]*", "", one["apiVersion"]).replace("/", "-")
        schema = strict_schema(one["kind"].lower(), version)
        assert [fault.message for fault in schema.iter_errors(one)] == []


def test_values_are_used(helm: str) -> None:
    found = by_name(
        rendered(
            helm,
            *(OWN, URL, "service.insecure=true", "dashboard.enabled=false", "secret=other"),
            *("service.args={--rate=100}", "clients.role=tuner", "image=registry.example/hpo:1"),
        )
    )
    assert {kind for kind, _ in found} == {"Deployment", "Service", "NetworkPolicy"}
    (container,) = found["Deployment", "hpo"]["spec"]["template"]["spec"]["containers"]
    storage = "--storage=postgresql://me@db.example/hpo"
    assert container["args"] == [storage, "--insecure", "--rate=100"]
    assert container["image"] == "registry.example/hpo:1"
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "other"
    (source,) = found["NetworkPolicy", "hpo"]["spec"]["ingress"][0]["from"]
    assert source["podSelector"]["matchLabels"] == {"hpo-client": "true", "role": "tuner"}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (OWN, "url"),
        ("postgres.url=postgresql://me:secret@db/hpo", "url"),
        ("service.replicas=0", "replicas"),
        ("sevice.replicas=1", "sevice"),
    ],
)
def test_values_that_are_wrong_are_refused(helm: str, value: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        rendered(helm, value)


def test_helm_finds_no_fault(helm: str) -> None:
    command = [helm, "lint", "--strict", str(FOLDER / "chart")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
