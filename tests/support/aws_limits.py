"""AWS's limits on requests: what botocore's models say and its client does not check, and what only
AWS's documentation says. With them a double refuses what AWS refuses.

The client checks types, required members and lower bounds. The models also have upper bounds,
patterns and enumerations. Sources of the other limits: the API references of AWS Batch
(RegisterJobDefinition, SubmitJob, CreateComputeEnvironment), Amazon SQS (quotas), Amazon EC2
(CreateLaunchTemplate, CreateSecurityGroup, tag restrictions, user data).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

_BATCH_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
_PROPERTIES = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}
_TAGS_MOST = 50


def enforce(patch: pytest.MonkeyPatch) -> None:
    """Let every request of every client of the SDK be refused as AWS would."""
    from botocore.exceptions import ParamValidationError
    from botocore.validate import ParamValidator

    validate = ParamValidator.validate

    def strict(self: ParamValidator, params: Any, shape: Any) -> Any:
        report = validate(self, params, shape)
        if not report.has_errors():
            found = [*refusals(params, shape, shape.name), *_documented(params, shape.name)]
            if found:
                raise ParamValidationError(report="AWS refuses this: " + "; ".join(found))
        return report

    patch.setattr(ParamValidator, "validate", strict)


def refusals(value: Any, shape: Any, where: str) -> Iterator[str]:
    """What the model of a service does not allow, by botocore's shapes."""
    rules = shape.metadata
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if isinstance(value, Mapping) and value.get(name) is not None:
                yield from refusals(value[name], member, f"{where}.{name}")
    elif shape.type_name == "list":
        yield from _too_much(len(value), rules, where)
        for one in value:
            yield from refusals(one, shape.member, f"{where}[]")
    elif shape.type_name == "map":
        yield from _too_much(len(value), rules, where)
        for key, one in value.items():
            yield from refusals(key, shape.key, f"{where} key")
            yield from refusals(one, shape.value, f"{where}.{key}")
    elif shape.type_name == "string":
        yield from _too_much(len(value), rules, where)
        if rules.get("enum") and value not in rules["enum"]:
            yield f"{where} is {value!r}, and not one of {', '.join(rules['enum'][:20])}"
        if rules.get("pattern") and not _pattern(rules["pattern"]).fullmatch(value):
            yield f"{where} is {value[:80]!r}, which does not match {rules['pattern']}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _too_much(value, rules, where)


def _too_much(size: float, rules: Mapping[str, Any], where: str) -> Iterator[str]:
    if size > rules.get("max", float("inf")):
        yield f"{where} has {size}, at most {rules['max']}"


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of a model, whose classes of letters Python writes differently."""
    for theirs, ours in _PROPERTIES.items():
        text = text.replace(theirs, ours)
    return re.compile(text, re.DOTALL)


def _documented(params: Mapping[str, Any], operation: str) -> Iterator[str]:
    """Limits that no model has, by the name of the request's shape."""
    yield from _tags(params, operation)
    for check in _DOCUMENTED.get(operation, ()):
        yield from (f"{operation}: {fault}" for fault in check(params))


def _tags(value: Any, where: str) -> Iterator[str]:
    """Tags anywhere in a request: at most 50, keys of 128 characters, values of 256, not aws:."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name.lower() == "tags":
                yield from _tag_list(one, f"{where}.{name}")
            else:
                yield from _tags(one, f"{where}.{name}")
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for one in value:
            yield from _tags(one, where)


def _tag_list(tags: Any, where: str) -> Iterator[str]:
    pairs = list(tags.items()) if isinstance(tags, Mapping) else []
    if not pairs and isinstance(tags, Sequence):
        pairs = [
            (one.get("Key", one.get("key", "")), one.get("Value", one.get("value", "")))
            for one in tags
        ]
    if len(pairs) > _TAGS_MOST:
        yield f"{where} has {len(pairs)} tags, at most {_TAGS_MOST}"
    for key, value in pairs:
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            yield f"{where} has the tag {key!r}={value!r}"


def _matches(name: str, pattern: str) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    def check(params: Mapping[str, Any]) -> Iterator[str]:
        if name in params and not re.fullmatch(pattern, params[name]):
            yield f"{name} is {params[name]!r}"

    return check


def _between(path: str, least: float, most: float) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    def check(params: Mapping[str, Any]) -> Iterator[str]:
        value: Any = params
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return
        size = len(value) if isinstance(value, (str, list)) else value
        if not least <= size <= most:
            yield f"{path} is or has {size}, between {least:g} and {most:g}"

    return check


def _payload(params: Mapping[str, Any]) -> Iterator[str]:
    """AWS Batch takes 30 KiB for a job."""
    size = len(json.dumps(params).encode())
    if size > 30 * 1024:
        yield f"the request has {size} bytes"


def _user_data(params: Mapping[str, Any]) -> Iterator[str]:
    data = base64.b64decode((params.get("LaunchTemplateData") or {}).get("UserData") or "")
    if len(data) > 16 * 1024:
        yield f"the user data have {len(data)} bytes"


def _messages(params: Mapping[str, Any]) -> Iterator[str]:
    entries = params["Entries"]
    if not 1 <= len(entries) <= 10:
        yield f"{len(entries)} entries"
    ids = [entry["Id"] for entry in entries]
    if len(set(ids)) < len(ids) or not all(re.fullmatch(r"[\w-]{1,80}", one) for one in ids):
        yield f"the ids {ids}"
    size = sum(len(entry.get("MessageBody", "").encode()) for entry in entries)
    if size > 256 * 1024:
        yield f"{size} bytes"


_NAMED_BY_BATCH = {
    "RegisterJobDefinitionRequest": "jobDefinitionName",
    "SubmitJobRequest": "jobName",
    "CreateComputeEnvironmentRequest": "computeEnvironmentName",
    "CreateJobQueueRequest": "jobQueueName",
}
_DOCUMENTED: dict[str, tuple[Callable[[Mapping[str, Any]], Iterator[str]], ...]] = {
    **{name: (_matches(key, _BATCH_NAME),) for name, key in _NAMED_BY_BATCH.items()},
    "RegisterJobDefinitionRequest": (
        _matches("jobDefinitionName", _BATCH_NAME),
        _between("retryStrategy.attempts", 1, 10),
        _between("retryStrategy.evaluateOnExit", 0, 5),
        _between("timeout.attemptDurationSeconds", 60, float("inf")),
    ),
    "SubmitJobRequest": (
        _matches("jobName", _BATCH_NAME),
        _between("arrayProperties.size", 2, 10_000),
        _between("retryStrategy.attempts", 1, 10),
        _between("retryStrategy.evaluateOnExit", 0, 5),
        _between("timeout.attemptDurationSeconds", 60, float("inf")),
        _between("dependsOn", 0, 20),
        _payload,
    ),
    "CreateJobQueueRequest": (
        _matches("jobQueueName", _BATCH_NAME),
        _between("computeEnvironmentOrder", 1, 3),
    ),
    "CreateQueueRequest": (_matches("QueueName", r"[A-Za-z0-9_-]{1,80}"),),
    "SendMessageBatchRequest": (_messages,),
    "DeleteMessageBatchRequest": (_messages,),
    "ChangeMessageVisibilityBatchRequest": (_messages,),
    "ReceiveMessageRequest": (
        _between("MaxNumberOfMessages", 1, 10),
        _between("WaitTimeSeconds", 0, 20),
    ),
    "ChangeMessageVisibilityRequest": (_between("VisibilityTimeout", 0, 43_200),),
    "CreateLaunchTemplateRequest": (
        _matches("LaunchTemplateName", r"[A-Za-z0-9().\-/_]{3,128}"),
        _user_data,
    ),
    "CreateLaunchTemplateVersionRequest": (_user_data,),
    "CreateSecurityGroupRequest": (
        _matches("GroupName", r"(?!sg-)[\w .:/()#,@\[\]+=&;{}!$*-]{1,255}"),
        _matches("Description", r"[\w .:/()#,@\[\]+=&;{}!$*-]{1,255}"),
    ),
}
