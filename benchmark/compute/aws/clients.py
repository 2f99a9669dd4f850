"""Calls to AWS, and what their faults mean: one that may pass, or one sentence.

Endpoint, region and credentials are found as the AWS SDK finds them.

    aws = Aws()
    aws.call("batch", "describe_jobs", jobs=[...])
"""

from __future__ import annotations

from typing import Any

from benchmark.compute.faults import PassingError
from benchmark.errors import BenchmarkError

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
# Prices are told by a few regions, for all.
_TOLD_IN = {"pricing": "us-east-1"}
CREDENTIALS_MEND = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class RefusedError(BenchmarkError):
    """AWS has refused a request for good. `code` is AWS's own."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class Aws:
    """The services of one region. Made anew after expired credentials, so that new ones are read.

    Raises:
        BenchmarkError: there are no credentials, or no region.
    """

    def __init__(self, region: str | None = None) -> None:
        self._asked = region
        self._clients: dict[tuple[str, bool], Any] = {}
        self.calls = 0
        self._open()

    def call(self, service: str, operation: str, *, once: bool = False, **arguments: Any) -> Any:
        """Call an operation. `once`: no try is repeated, for what must not be done twice.

        Raises:
            PassingError: throttled, expired or out of reach, after the SDK's own tries.
            RefusedError: anything that asking again does not mend.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        action = f"{service}:{''.join(part.title() for part in operation.split('_'))}"
        try:
            self.calls += 1
            return getattr(self._client(service, once), operation)(**arguments)
        except ClientError as error:
            raise self._refusal(error, action) from None
        except BotoCoreError as error:
            raise self._failure(error, action) from None

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
        self._clients.clear()

    def _client(self, service: str, once: bool) -> Any:
        from botocore.config import Config

        if (service, once) not in self._clients:
            tries = {"total_max_attempts": 1} if once else {"total_max_attempts": _TRIES}
            self._clients[service, once] = self._session.client(
                service,
                region_name=_TOLD_IN.get(service, self.region),
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
    import os

    region = os.environ.get("AWS_REGION") or session.region_name
    if not region:
        raise BenchmarkError(
            "No AWS region is set; set AWS_REGION, or `region` in the profile, to that of the job "
            "queue."
        )
    return str(region)


def _plain(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
