"""What deploys the service says what the program, Kubernetes and its own parts know."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes import client as kubernetes
from starlette.testclient import TestClient

from benchmark.cli.parser import parse
from benchmark.cli.studies.service_client import address_of
from benchmark.errors import BenchmarkError
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.store import MemoryBackend
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.server import Options, check
from benchmark.hpo.service.web.guard import Guard, Right
from tests.support.deployments import (
    DOCKERFILE,
    FOLDER,
    ROOT,
    compose,
    entrypoint,
    health_check,
    instructions,
)
from tests.support.deployments import manifests as read_manifests

DEFAULTS = parse(["serve"])
PORTS = {DEFAULTS.port, DEFAULTS.grpc_port}
VARIABLE = re.compile(r"\$\{(\w+)[^}]*\}")


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return read_manifests()


def accepted(*arguments: str) -> Options:
    """The options of the entry point with these arguments, which the server would not refuse."""
    program, *words = [*entrypoint(), *arguments]
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    told = parse(words)
    options = Options(
        host=told.host,
        port=told.port,
        grpc_port=told.grpc_port,
        storage=told.storage,
        token_file=Path(told.token_file) if told.token_file else None,
        insecure=told.insecure,
    )
    assert told.command == "serve"
    assert not told.no_grpc
    check(options)
    return options


def shown(words: list[str]) -> tuple[str, int, str]:
    """Host, port and storage in a command line of the dashboard."""
    told = parse(words[1:])
    assert (words[0], told.command, told.study) == ("automl-benchmark", "dashboard", None)
    return told.host, told.port, told.storage


def is_taken(words: list[str]) -> None:
    """The dashboard takes the command line: it comes to the database, which is not there."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *words[1:]],
        env=os.environ | {"PGHOSTADDR": "127.0.0.1", "PGPORT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 2
    assert "Connection refused" in ended.stderr, ended.stderr


def is_of(url: str, host: str, database: dict[str, str]) -> None:
    """The URL is that of the database, and has no password, which a command line would show."""
    parts = urlsplit(url)
    assert parts.scheme in ("postgresql", "postgresql+psycopg")
    assert parts.hostname == host
    assert (parts.port or 5432) == 5432
    assert parts.username == database["POSTGRES_USER"]
    assert parts.path == f"/{database['POSTGRES_DB']}"
    assert parts.password is None


def test_the_image() -> None:
    assert {int(port) for port in instructions("EXPOSE")[0].split()} == PORTS
    for line in instructions("RUN"):
        for source in re.findall(r"type=bind,source=([^,\s]+)", line):
            assert (ROOT / source).exists(), source
    (extras,) = re.findall(
        r"install\.py service\s+([\w\s]+)$", "\n".join(instructions("RUN")), re.M
    )
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"service", "postgres", "dashboard"} <= set(extras.split()) <= known.keys()
    given = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in given
    for line in given:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line
    (user,) = instructions("USER")
    assert user != "root"


def test_the_image_alone_refuses() -> None:
    with pytest.raises(BenchmarkError, match="--token-file"):
        accepted()
    assert accepted("--insecure").token_file is None


def test_health_is_told_without_a_token(objects: list[dict[str, Any]]) -> None:
    (container,) = containers(objects, "hpo")
    probe = container["readinessProbe"]["httpGet"]
    (url,) = re.findall(r"http://[^']+", " ".join(health_check()))
    assert (urlsplit(url).hostname, urlsplit(url).port) == ("127.0.0.1", DEFAULTS.port)
    assert probe["port"] == DEFAULTS.port == container["livenessProbe"]["tcpSocket"]["port"]
    app = Guard(make_app(Service(MemoryBackend())), {b"of nobody": Right("write")})
    with TestClient(app) as client:
        for path in (probe["path"], urlsplit(url).path):
            assert client.get(path).text == "OK"


def test_compose() -> None:
    declared = compose()
    services = declared["services"]
    database = services["postgres"]["environment"]
    text = (FOLDER / "compose.yaml").read_text()
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    for name in VARIABLE.findall(text):
        assert name in comment

    service = services["service"]
    options = accepted(*service["command"])
    (secret,) = service["secrets"]
    assert options.token_file == Path("/run/secrets", secret)
    assert declared["secrets"][secret]["file"] in comment
    is_of(str(options.storage), "postgres", database)

    dashboard = services["dashboard"]
    host, port, storage = shown(dashboard["entrypoint"] + dashboard["command"])
    assert host == "0.0.0.0"
    is_of(storage, "postgres", database)
    (asked,) = re.findall(r"http://[^']+", dashboard["healthcheck"]["test"][-1])
    assert (urlsplit(asked).hostname, urlsplit(asked).port) == ("127.0.0.1", port)
    published = [mapping.split(":") for mapping in service["ports"] + dashboard["ports"]]
    # Tokens go over it in the clear, and the dashboard asks for none.
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    assert {int(inner) for _, _, inner in published} == {options.port, options.grpc_port, port}

    for one in (service, dashboard):
        context = FOLDER / one["build"]["context"]
        assert (context / one["build"]["dockerfile"]).samefile(DOCKERFILE)
        assert one["environment"]["PGPASSWORD"] == database["POSTGRES_PASSWORD"]
        for needed, how in one["depends_on"].items():
            assert how["condition"] == "service_healthy"
            assert services[needed]["healthcheck"]["test"]
    (records,) = [mount.split(":") for mount in service["volumes"]]
    assert records[1] == instructions("WORKDIR")[0]
    named = {mount.split(":")[0] for one in services.values() for mount in one.get("volumes", ())}
    assert named == declared["volumes"].keys()


def containers(objects: list[dict[str, Any]], app: str) -> list[dict[str, Any]]:
    """The containers of the pods with this label."""
    return [
        container
        for one in objects
        if (template := one["spec"].get("template"))
        and template["metadata"]["labels"]["app"] == app
        for container in template["spec"]["containers"]
    ]


def faults(value: Any, kind: str, place: str) -> list[str]:
    """Where a value is not what Kubernetes' own model of this kind has."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [
            fault for n, one in enumerate(value) for fault in faults(one, found[1], f"{place}[{n}]")
        ]
    if found := re.fullmatch(r"dict\(str, (.+)\)", kind) or re.fullmatch(
        r"dict\[str, (.+)\]", kind
    ):
        return [fault for key in value for fault in faults(value[key], found[1], f"{place}.{key}")]
    if not kind.startswith("V"):
        plain = {"str": str, "int": int, "bool": bool}.get(kind)
        return [] if plain is None or type(value) is plain else [f"{place} is {value!r}: no {kind}"]
    model = getattr(kubernetes, kind)
    names = {known: name for name, known in model.attribute_map.items()}
    told = [f"{place}.{key} is unknown" for key in value if key not in names]
    given = {names[key]: value[key] for key in value if key in names}
    model(**given)  # It raises where one that must be given is not.
    for name, one in given.items():
        told += faults(one, model.openapi_types[name], f"{place}.{model.attribute_map[name]}")
    return told


def test_kubernetes_knows_each_object(objects: list[dict[str, Any]]) -> None:
    kinds = {"v1": "V1", "apps/v1": "V1", "networking.k8s.io/v1": "V1"}
    for one in objects:
        kind = f"{kinds[one['apiVersion']]}{one['kind']}"
        assert faults(one, kind, f"{one['kind']} {one['metadata']['name']}") == []
    with pytest.raises(ValueError, match="containers"):
        faults({"container": []}, "V1PodSpec", "pod")
    assert faults({"containers": [], "volume": 1, "hostIPC": "no"}, "V1PodSpec", "pod") == [
        "pod.volume is unknown",
        "pod.hostIPC is 'no': no bool",
    ]


@pytest.mark.slow
def test_kubernetes_commands(objects: list[dict[str, Any]]) -> None:
    (postgres,) = containers(objects, "hpo-postgres")
    database = {one["name"]: one.get("value", "") for one in postgres["env"]}
    (service,) = containers(objects, "hpo")
    options = accepted(*service["args"])
    is_of(str(options.storage), "hpo-postgres", database)
    assert {port["containerPort"] for port in service["ports"]} == PORTS
    assert {options.port, options.grpc_port} == PORTS
    (dashboard,) = containers(objects, "hpo-dashboard")
    host, port, storage = shown(dashboard["command"] + dashboard["args"])
    is_taken(dashboard["command"] + dashboard["args"])
    is_of(storage, "hpo-postgres", database)
    # It knows no tokens: nobody but who may forward a port of the pod.
    assert host == "127.0.0.1"
    text = (FOLDER / "kubernetes.yaml").read_text()
    assert f"kubectl port-forward deployment/hpo-dashboard {port}" in text

    (secret,) = re.findall(r"^#   kubectl create secret generic (.+)$", text, flags=re.MULTILINE)
    name, *given = secret.split()
    keys = {re.split("[/=]", one.removeprefix("--from-"))[1] for one in given}
    asked = [entry["valueFrom"]["secretKeyRef"] for entry in postgres["env"][-1:] + service["env"]]
    assert [entry["name"] for entry in asked] == [name] * 2
    assert asked[0] == asked[1] == dashboard["env"][0]["valueFrom"]["secretKeyRef"]
    mounts = {mount["name"]: mount["mountPath"] for mount in service["volumeMounts"]}
    assert options.token_file is not None
    assert str(options.token_file.parent) == mounts["secrets"]
    assert {asked[0]["key"], options.token_file.name} == keys
    assert mounts["records"] == instructions("WORKDIR")[0]


def test_kubernetes_parts_meet(objects: list[dict[str, Any]]) -> None:
    pods = {}
    for one in objects:
        if "template" in one["spec"]:
            labels = one["spec"]["template"]["metadata"]["labels"]
            assert one["spec"]["selector"]["matchLabels"] == labels
            pods[labels["app"]] = one["spec"]["template"]["spec"]
            volumes = {volume["name"] for volume in pods[labels["app"]].get("volumes", ())}
            claims = one["spec"].get("volumeClaimTemplates", ())
            volumes |= {claim["metadata"]["name"] for claim in claims}
            for container in pods[labels["app"]]["containers"]:
                assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes
    guarded = set()
    for one in objects:
        spec = one["spec"]
        if one["kind"] == "Service":
            (container,) = pods[spec["selector"]["app"]]["containers"]
            served = {port["containerPort"] for port in container["ports"]}
            assert {port["port"] for port in spec["ports"]} == served
        if one["kind"] == "NetworkPolicy":
            app = spec["podSelector"]["matchLabels"]["app"]
            guarded.add(app)
            (container,) = pods[app]["containers"]
            served = {port["containerPort"] for port in container["ports"]}
            assert {port["port"] for port in spec["ingress"][0]["ports"]} == served
    assert guarded == {"hpo", "hpo-postgres"}


def test_the_variables_that_kubernetes_makes_mislead_no_client(
    objects: list[dict[str, Any]],
) -> None:
    made = {}
    for one in objects:
        if one["kind"] == "Service":
            name = one["metadata"]["name"].upper().replace("-", "_")
            port = one["spec"]["ports"][0]["port"]
            made |= {f"{name}_PORT": f"tcp://10.0.0.9:{port}", f"{name}_SERVICE_HOST": "10.0.0.9"}
    assert address_of(made) == "localhost:50051"
    assert address_of(made | {"HPO_HOST": "hpo"}) == "hpo:50051"
    assert address_of({"HPO_HOST": "hpo", "HPO_PORT": "9"}) == "hpo:9"
