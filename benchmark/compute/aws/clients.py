"""Calls to AWS, and what their faults mean: one that may pass, or one sentence.

Endpoint, region and credentials are found as the AWS SDK finds them.

    aws = Aws()
    aws.call("batch", "describe_jobs", jobs=[...])
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from benchmark.compute.faults import PassingError
from benchmark.errors import BenchmarkError

_T = TypeVar("_T")
# In seconds; a control plane that is silent for longer is asked again.
_CONNECT_S, _READ_S = 5, 30
_TRIES = 6
_THROTTLED = frozenset(
    (
        *("Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException"),
        *("RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown"),
        *("BandwidthLimitExceeded", "PriorRequestNotComplete", "LimitExceededException"),
    )
)
_EXPIRED = frozenset(("ExpiredToken", "ExpiredTokenException", "RequestExpired"))
_DENIED = frozenset(
    ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
)
_UNKNOWN_KEYS = frozenset(
    (
        *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"),
        *("SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId"),
    )
)
# A few regions serve the prices of all.
_SERVED_IN = {"pricing": "us-east-1"}
# How long AWS may take to know everywhere what was made, and how it says that it does not.
_SPREAD_S = 120.0
_MAKING = ("create_", "register_")
_REMOVING = ("delete_", "deregister_", "detach_", "remove_", "terminate_")
_ECR_HOST = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_ABSENT = re.compile(r"not ?found|non-?exist|no ?such|does ?not ?exist|missing", re.IGNORECASE)
CREDENTIALS_MEND = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class RefusedError(BenchmarkError):
    """AWS has refused a request for good. `code` is AWS's own."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class NotYetError(RefusedError, PassingError):
    """A refusal because AWS does not know everywhere what this process has just made."""

    def __init__(self, sentence: str, code: str) -> None:
        PassingError.__init__(self, sentence)
        self.code = code


class Aws:
    """The services of one region. Made again after expired credentials, so that new ones are read.

    Raises:
        BenchmarkError: there are no credentials, or no region.
    """

    def __init__(self, region: str | None = None) -> None:
        self._asked = region
        self._clients: dict[tuple[str, bool], Any] = {}
        # Names are those of a service; ids and ARNs ("") stand for themselves in requests to all.
        self._made: dict[tuple[str, str], float] = {}
        self.calls = 0
        self._open()

    def call(self, service: str, operation: str, *, once: bool = False, **arguments: Any) -> Any:
        """Call an operation. `once`: no try is repeated, for what must not be done twice.

        Raises:
            PassingError: throttled, expired or out of reach, after the SDK's own tries; or it names
                what this process made less than two minutes ago, which is not known yet.
            RefusedError: anything that asking again does not fix.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        action = f"{service}:{''.join(part.title() for part in operation.split('_'))}"
        try:
            self.calls += 1
            answer = getattr(self._client(service, once), operation)(**arguments)
        except ClientError as error:
            refusal = self._refusal(error, action)
            if isinstance(refusal, RefusedError) and self._is_new(refusal, service, arguments):
                raise NotYetError(str(refusal), refusal.code) from None
            raise refusal from None
        except BotoCoreError as error:
            raise self._failure(error, action) from None
        if operation.startswith(_MAKING):
            named = ("name", "bucket")
            names = {(service, v) for k, v in arguments.items() if k.lower().endswith(named)}
            ids = {("", text) for text in _ids(answer)}
            self._made |= dict.fromkeys(names | ids, time.monotonic())
        elif operation.startswith(_REMOVING):
            for text in _texts(arguments):
                self._made.pop((service, text), None)
                self._made.pop(("", text), None)
        return answer

    def items(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        """What stands under `key` on all pages of an answer."""
        while True:
            page = self.call(service, operation, **arguments)
            yield from page.get(key, ())
            token = next((name for name in ("NextToken", "nextToken") if page.get(name)), None)
            if token is None:
                return
            arguments[token] = page[token]

    def _is_new(self, refusal: RefusedError, service: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a request that named what was made a moment ago is refused as if it were not
        there: AWS is eventually consistent."""
        if not _ABSENT.search(f"{refusal.code} {refusal}"):
            return False
        since = time.monotonic() - _SPREAD_S
        named = ((place, text) for text in _texts(arguments) for place in (service, ""))
        return any(self._made.get(one, since) > since for one in named)

    def _open(self) -> None:
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            self._session = boto3.Session()
            credentials = self._session.get_credentials()
        except BotoCoreError as error:
            raise BenchmarkError(f"AWS cannot be used: {_plain(error)}; correct it.") from None
        if credentials is None:
            raise BenchmarkError(f"There are no AWS credentials; {CREDENTIALS_MEND}.")
        self.region = self._asked or _region(self._session)
        self.partition = _partition(self._session, self.region)
        self._clients.clear()

    def _client(self, service: str, once: bool) -> Any:
        from botocore.config import Config

        if (service, once) not in self._clients:
            tries = {"total_max_attempts": 1} if once else {"total_max_attempts": _TRIES}
            self._clients[service, once] = self._session.client(
                service,
                region_name=_SERVED_IN.get(service, self.region),
                config=Config(
                    retries={"mode": "adaptive", **tries},
                    connect_timeout=_CONNECT_S,
                    read_timeout=_READ_S,
                ),
            )
        return self._clients[service, once]

    def _refusal(self, error: Any, action: str) -> BenchmarkError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _THROTTLED or status == 429:
            return PassingError(f"AWS throttles {action} ({code}).", perhaps_done=False)
        if code in _EXPIRED:
            self._open()
            return PassingError(
                f"The AWS credentials have expired ({action}); renew them.", perhaps_done=False
            )
        if code in _DENIED or (status == 403 and code not in _UNKNOWN_KEYS):
            return RefusedError(
                f"AWS denies {action} to these credentials; allow it in their policy ({message}).",
                code,
            )
        if code in _UNKNOWN_KEYS:
            return RefusedError(
                f"AWS does not know these credentials ({code}); {CREDENTIALS_MEND}.", code
            )
        if status >= 500:
            return PassingError(f"AWS failed at {action} ({status} {code}).", perhaps_done=True)
        return RefusedError(f"AWS refuses {action}: {message or code}.", code)

    def _failure(self, error: Exception, action: str) -> BenchmarkError:
        """A fault on this side of the wire."""
        from botocore import exceptions

        if isinstance(
            error,
            exceptions.NoCredentialsError
            | exceptions.PartialCredentialsError
            | exceptions.ParamValidationError,
        ):
            return RefusedError(f"{action} cannot be asked: {_plain(error)}.", "Client")
        if isinstance(
            error,
            exceptions.CredentialRetrievalError
            | exceptions.SSOTokenLoadError
            | exceptions.UnauthorizedSSOTokenError
            | exceptions.TokenRetrievalError,
        ):
            return PassingError(
                "The AWS credentials have expired or cannot be had; renew them.", perhaps_done=False
            )
        never_sent = isinstance(
            error, exceptions.EndpointConnectionError | exceptions.ConnectTimeoutError
        )
        return PassingError(
            f"AWS cannot be reached for {action}: {_plain(error)}.", perhaps_done=not never_sent
        )


def _region(session: Any) -> str:
    region = os.environ.get("AWS_REGION") or session.region_name
    if not region:
        raise BenchmarkError(
            "No AWS region is set; set AWS_REGION, or `region` in the profile, to that of the job "
            "queue."
        )
    return str(region)


def _partition(session: Any, region: str) -> str:
    """aws, or that of China or GovCloud; ARNs and a few host names differ by it."""
    from botocore.exceptions import BotoCoreError

    try:
        return str(session.get_partition_for_region(region))
    except BotoCoreError:  # A region that is newer than the SDK.
        return "aws"


def _plain(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _texts(value: Any) -> Iterator[str]:
    """Every text in the arguments of a request."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _ids(answer: Any) -> Iterator[str]:
    """What an answer calls the new thing: ARNs, ids and URLs."""
    for key, value in answer.items():
        if isinstance(value, dict) and key != "ResponseMetadata":
            yield from _ids(value)
        elif isinstance(value, str) and key.lower().endswith(("arn", "id", "url")):
            yield value


def bucket_variables(region: str | None = None) -> dict[str, str]:
    """What a process elsewhere needs to reach the bucket of this one, credentials excepted."""
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    found = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL_S3": endpoint}
    return {name: value for name, value in found.items() if value}


def batches(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    """The items by as many as a request takes."""
    for start in range(0, len(items), most):
        yield items[start : start + most]


def registry_login(repository: str) -> dict[str, str] | None:
    """User and password for the registry, from its own region; None where it is none of ECR's.

    They are kept nowhere, and asked for before each push: building many images can outlast them.
    """
    found = _ECR_HOST.fullmatch(repository.partition("/")[0])
    if found is None:
        return None
    authorization = Aws(found[1]).call("ecr", "get_authorization_token")["authorizationData"][0]
    user, _, password = (
        base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    )
    return {"username": user, "password": password}
