"""The images' repository in ECR: where it is, and a login for it that lasts twelve hours."""

from __future__ import annotations

import base64
import re

from benchmark.compute.aws.clients import Aws

_HOST = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")


def login(repository: str) -> dict[str, str] | None:
    """User and password for the registry, from its own region; None where it is none of ECR's.

    They are kept nowhere, and asked for before each push: building many images can outlast them.
    """
    found = _HOST.fullmatch(repository.partition("/")[0])
    if found is None:
        return None
    told = Aws(found[1]).call("ecr", "get_authorization_token")["authorizationData"][0]
    user, _, password = base64.b64decode(told["authorizationToken"]).decode().partition(":")
    return {"username": user, "password": password}
