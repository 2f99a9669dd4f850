"""The images' repository in ECR: where it is, and a login for it that lasts twelve hours."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.compute.aws.clients import Aws


def login(aws: Aws) -> dict[str, str]:
    """User and password for the account's registry; they are kept nowhere."""
    told = aws.call("ecr", "get_authorization_token")["authorizationData"][0]
    user, _, password = base64.b64decode(told["authorizationToken"]).decode().partition(":")
    return {"username": user, "password": password}


def is_ecr(repository: str) -> bool:
    host = repository.partition("/")[0]
    return ".dkr.ecr." in host
