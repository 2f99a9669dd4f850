"""AWS as an eventually consistent system: what was just made is not known everywhere.

    with eventually(monkeypatch): ...

It hooks into every call of the SDK in this process. After each creation, other operations that name
what was created behave for some calls as if it were not there: a description is empty, and what
refers to it is refused with the service's own error. Objects in S3 are consistent on AWS, and here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

_CREATES = re.compile(r"Create(?!Fleet$|Tags$)|Register|RunInstances")
_READS = re.compile(r"(Describe|Get|List|Head)")
# The code of each service for what it does not know; of EC2 by what is asked for.
_UNKNOWN = {
    "iam": ("NoSuchEntity", 404),
    "s3": ("404", 404),
    "ecr": ("RepositoryNotFoundException", 400),
    "sqs": ("AWS.SimpleQueueService.NonExistentQueue", 400),
    "batch": ("ClientException", 400),
    "ec2": ("InvalidLaunchTemplateName.NotFoundException", 400),
}
# These are answered at once on AWS: by S3, which is consistent, and by the making of a token.
_CONSISTENT = {("s3", "PutObject"), ("s3", "GetObject"), ("s3", "ListObjectsV2")}


class Eventually:
    """`seen` are the operations that met something that was not known yet, `made` what was made."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.made: set[tuple[str, str]] = set()
        self.seen: Counter[str] = Counter()
        self._met: Counter[tuple[str, str]] = Counter()

    def answer(self, client: Any, operation: str, asked: dict[str, Any], ask: Any) -> Any:
        from botocore.exceptions import ClientError

        service = client.meta.service_model.service_name
        unknown = self._unknown(service, operation, asked)
        if unknown and (service, operation) not in _CONSISTENT:
            self._met[operation, unknown] += 1
            self.seen[f"{service}:{operation}"] += 1
            code, status = _UNKNOWN[service]
            if _READS.match(operation) and _is_by_filter(service, operation):
                return _emptied(ask(client, operation, asked))
            told = {
                "Error": {"Code": code, "Message": f"{unknown} does not exist"},
                "ResponseMetadata": {"HTTPStatusCode": status},
            }
            raise ClientError(told, operation)
        answer = ask(client, operation, asked)
        if _CREATES.match(operation):
            self.made |= {(service, asked[key]) for key in _own_names(asked)}
            self.made |= {("", text) for text in _ids(answer)}
        return answer

    def _unknown(self, service: str, operation: str, asked: dict[str, Any]) -> str | None:
        """What the request names and this operation has met too few times since it was made.

        A name is one of its service, and one that is given to what is being made is none yet.
        """
        own = _own_names(asked) if _CREATES.match(operation) else ()
        named = {key: value for key, value in asked.items() if key not in own}
        for text in _texts(named):
            made = {("", text), (service, text)} & self.made
            if made and self._met[operation, text] < self.times:
                return text
        return None


def eventually(patch: pytest.MonkeyPatch, times: int = 2) -> Eventually:
    from botocore.client import BaseClient

    state, ask = Eventually(times), BaseClient._make_api_call

    def call(self: Any, operation: str, asked: dict[str, Any]) -> Any:
        return state.answer(self, operation, asked, ask)

    patch.setattr(BaseClient, "_make_api_call", call)
    return state


def _is_by_filter(service: str, operation: str) -> bool:
    """Whether it answers with an empty list, and not with an error."""
    if service in ("batch", "sqs") and operation.startswith(("Describe", "List")):
        return True
    return service == "ec2" and "LaunchTemplate" not in operation


def _emptied(answer: Any) -> Any:
    return {key: [] if isinstance(value, list) else value for key, value in answer.items()}


def _own_names(asked: dict[str, Any]) -> list[str]:
    found = [key for key, value in asked.items() if isinstance(value, str)]
    return [key for key in found if re.search(r"(Name|name|Bucket)$", key)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            if not key.lower().startswith("tag"):
                yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


def _ids(answer: Any) -> Iterator[str]:
    """What an answer calls the new thing: its ARN, id or URL."""
    for key, value in answer.items():
        if isinstance(value, dict) and key != "ResponseMetadata":
            yield from _ids(value)
        elif isinstance(value, str) and re.search(r"(Arn|Id|Url|arn)$", key):
            yield value
