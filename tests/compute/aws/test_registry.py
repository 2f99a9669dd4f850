"""The login for ECR, and what a registry that refuses leads to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.compute.aws.clients import registry_login
from benchmark.compute.images import builds, engine
from benchmark.errors import BenchmarkError
from tests.support.aws_double import KEYS, REGION, AwsDouble

ECR = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/bench"


class Registry(AwsDouble):
    """ECR as AWS answers: the token is `user:password` in base 64, and a password may have colons.

    `regions` are those whose registry was asked for.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.regions: list[str] = []

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        self.regions.append(environ["HTTP_AUTHORIZATION"].split("/")[2])
        return super()._serve(environ, start)

    def _getauthorizationtoken(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked == {}
        token = base64.b64encode(b"AWS:pass:word").decode()
        place = f"https://{ECR.partition('/')[0]}"
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": place}]}


def test_the_login_is_asked_of_the_repository_s_own_region(
    tmp_path: Path, aws: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        aws.setenv(name, value)
    with Registry(tmp_path) as double:
        aws.setenv("AWS_ENDPOINT_URL_ECR", double.endpoint)
        assert registry_login(ECR) == {"username": "AWS", "password": "pass:word"}
        assert registry_login(ECR.replace(REGION, "us-west-2")) == registry_login(ECR)
        assert double.regions == [REGION, "us-west-2", REGION]
        assert registry_login("registry.example/bench") is None
        double.fault = lambda name, _: (400, "AccessDeniedException")
        with pytest.raises(BenchmarkError, match="denies ecr:GetAuthorizationToken"):
            registry_login(ECR)


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("denied: User arn:x is not authorized to perform: ecr:InitiateLayerUpload", True),
        ("denied: Your authorization token has expired. Reauthenticate and try again.", True),
        ("no basic auth credentials", True),
        ("unauthorized: authentication required", True),
        ("received unexpected HTTP status: 500 Internal Server Error", False),
    ],
)
def test_a_push_that_is_refused_is_one_sentence(said: str, mend: bool) -> None:
    def push(*_: object, **options: Any) -> list[dict[str, str]]:
        assert options["auth_config"] == {"username": "AWS", "password": "x"}
        return [{"status": "Preparing"}, {"error": said}]

    made = SimpleNamespace(tag=lambda *_: True)
    client = SimpleNamespace(images=SimpleNamespace(get=lambda _: made, push=push))
    docker = engine.Engine(client, Path("docker"), "unix:///docker.sock")
    image = cast("Callable[..., Any]", SimpleNamespace)(tag="constant-0f")
    with pytest.raises(BenchmarkError) as raised:
        builds.push(docker, image, ECR, {"username": "AWS", "password": "x"})
    told = str(raised.value)
    assert told.startswith(f"{ECR}:constant-0f cannot be pushed: {said.strip('. ')}")
    assert ("docker login" in told) == mend
    assert "\n" not in told
