"""A bucket of S3, or of an S3-compatible service, as the store.

Endpoint, region and credentials are found as the AWS SDK finds them: variables, profiles in the
shared files, single sign-on, the role of a container or an instance.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmark.errors import StoreError
from benchmark.files.input_files import expanded, read_bytes
from benchmark.store.lease import LeasedStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

PATIENCE_S = 75.0
SILENCE_S = 30.0
_CONNECT_S, _REQUEST_S = 5, 600
# The SDK renews credentials that expire within ten minutes; obstore asks five minutes before the
# time that it is given.
_KNOWN_FOR = timedelta(minutes=10)
_FIX = (
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a folder in "
    "'s3_bucket_root'"
)


class BucketStore(LeasedStore):
    """Objects below a prefix of a bucket."""

    def replace(
        self, path: str, data: bytes, e_tag: str | None, patience_s: float | None = None
    ) -> str | None:
        """Overwrite exactly that state of the object; the new ETag, or None if it has changed."""
        import obstore
        from obstore.exceptions import PreconditionError

        def write(again: bool) -> str | None:
            try:
                return obstore.put(self._backend, path, data, mode={"e_tag": e_tag})["e_tag"]
            except (PreconditionError, FileNotFoundError) as error:
                self._bucket_is_there(error)
                found = self.stored(path) if again else None
                return found.e_tag if found and found.data == data else None

        return self._persist("write", path, write, patience_s)


def open_bucket(
    url: str, patience_s: float = PATIENCE_S, silence_s: float = SILENCE_S
) -> BucketStore:
    """The store at `s3://bucket/prefix`.

    Args:
        url: bucket and prefix.
        patience_s: how long transient faults are retried.
        silence_s: after which a request without any data is given up.

    Raises:
        StoreError: there are no credentials, or the URL holds some.
    """
    import botocore.session
    from botocore.exceptions import BotoCoreError
    from obstore.store import S3Store

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if "@" in bucket or not bucket:
        shown = url.rpartition("@")[2] if "@" in bucket else url
        raise StoreError(
            f"'{shown}' is not of the form s3://bucket/folder/; credentials belong in "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in a profile."
        )
    session = botocore.session.Session()
    try:
        credentials = session.get_credentials()
        endpoint = _endpoint(session)
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
        authority = session.get_config_variable("ca_bundle")
    except BotoCoreError as error:
        raise StoreError(
            f"The store {url} cannot be opened: {_first_line(error)}; {_FIX}."
        ) from error
    if credentials is None:
        raise StoreError(f"There are no AWS credentials for the store {url}; {_FIX}.")
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "read_timeout": timedelta(seconds=silence_s),
        "timeout": timedelta(seconds=_REQUEST_S),
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }
    if authority:
        options["root_certificate"] = _certificates(authority)
    service: S3Config = {
        "region": region or "us-east-1",
        "virtual_hosted_style_request": not endpoint and "." not in bucket,
    }
    if endpoint:
        service["endpoint"] = service["aws_endpoint_url_s3"] = endpoint
    backend = S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        config=service,
        client_options=options,
        retry_config={"max_retries": 0},
        credential_provider=_provider(credentials),
    )
    return BucketStore(url, backend, patience_s)


def _provider(credentials: Any) -> Callable[[], S3Credential]:
    from botocore.exceptions import BotoCoreError

    def current() -> S3Credential:
        try:
            frozen = credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise StoreError(_first_line(error)) from None
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _KNOWN_FOR,
        }

    return current


def _endpoint(session: Any) -> str | None:
    """The endpoint for S3 by the SDK's rules: variables before files, the service before all."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    service = services.get("s3", {})
    found = (
        os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or (service.get("endpoint_url") if isinstance(service, dict) else None)
        or profile.get("endpoint_url")
    )
    if not found:
        return None
    parts = urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise StoreError(
            f"The endpoint of S3 is '{parts.netloc.rpartition('@')[2] or found}'; write it as "
            "https://host:port in AWS_ENDPOINT_URL, without a user."
        )
    return found.rstrip("/")


def _certificates(path: str) -> bytes:
    try:
        return read_bytes(expanded(path))
    except OSError as error:
        raise StoreError(
            f"The certificates in '{path}' cannot be read: {error.strerror}; correct AWS_CA_BUNDLE."
        ) from error


def _first_line(error: Exception) -> str:
    """The SDK's message; not the output of a user's credential program, which may be secret."""
    if type(error).__name__ == "CredentialRetrievalError":
        return "the credentials could not be retrieved"
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
