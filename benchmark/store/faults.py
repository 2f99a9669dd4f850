"""What a store's error means: whether it is transient, the reason in a sentence, and the fix.

obstore gives an error's class and a text with the request, the reply's XML and the internals. The
status and the code in it are read; the text itself is never shown, because a reply can repeat what
a request was signed with.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile"
_REGION = "set AWS_REGION to the bucket's region"
_BY_CODE = {
    "NoSuchBucket": ("there is no such bucket", "create it, or name another in 's3_bucket_root'"),
    "InvalidBucketName": ("that is not a valid name for a bucket", "correct 's3_bucket_root'"),
    "InvalidAccessKeyId": ("the access key is not known there", _KEYS),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _KEYS),
    "InvalidToken": ("the session token is not valid", "sign in again"),
    "ExpiredToken": ("the session token has expired", "sign in again"),
    "AccessDenied": (
        "the credentials do not allow it",
        "grant s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on it",
    ),
    "AllAccessDisabled": ("access to the bucket is disabled", "name another in 's3_bucket_root'"),
    "RequestTimeTooSkewed": (
        "this machine's clock differs too much from the server's",
        "set the clock",
    ),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION),
    "IllegalLocationConstraintException": ("the bucket is in another region", _REGION),
    "EntityTooLarge": ("the object is too large for it", "use a folder in 's3_bucket_root'"),
    "QuotaExceeded": ("the quota is used up", "free space there"),
}
# S3 answers 409 to creates that race each other, 400 with RequestTimeout to a slow body.
_PASSING_CODES = ("RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable")
_PASSING_STATUS = (408, 409, 429)
_BY_ERRNO = {
    errno.ENOSPC: "free space there, or choose another place with 's3_bucket_root'",
    errno.EDQUOT: "free space there, or choose another place with 's3_bucket_root'",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EACCES: "make it writable and readable for this user",
    errno.EPERM: "make it writable and readable for this user",
    errno.EROFS: "mount it writable, or choose another place with 's3_bucket_root'",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENAMETOOLONG: "choose shorter names",
    errno.ELOOP: "remove the link in the path; links are not followed",
    errno.EIO: "check the disk",
    errno.ESTALE: "mount it again",
}
_OTHER_OS = "check this place, or choose another with 's3_bucket_root'"


@dataclass(frozen=True)
class Fault:
    """`passing`: transient, worth a retry. `code` is S3's error code, if it gave one."""

    passing: bool
    reason: str
    fix: str
    code: str = ""


def diagnose(error: Exception) -> Fault:
    """Read an error of obstore, or of the operating system."""
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if found := re.search(r"^[^\n]*\(os error (\d+)\)", text):
        number = int(found.group(1))
    if number:
        return Fault(False, os.strerror(number), _BY_ERRNO.get(number, _OTHER_OS))
    if found := re.search(r"credential provider: (.*)", text):
        reason = found.group(1).removeprefix("StoreError: ").strip()
        return Fault(False, reason, _KEYS, "Credentials")
    if "Received redirect" in text:
        return Fault(False, *_BY_CODE["PermanentRedirect"], "PermanentRedirect")
    status = re.search(r"non-2xx status code: (\d{3})", text)
    if status or _code(text):
        return _of_reply(int(status.group(1)) if status else 200, text)
    if "HTTP error" in text:
        return _passing(_cut(text))
    return Fault(False, f"{type(error).__name__}: {_first_line(text)}", "check the store")


def _of_reply(status: int, text: str) -> Fault:
    code = _code(text)
    if code in _BY_CODE:
        reason, fix = _BY_CODE[code]
        return Fault(False, f"{reason} ({code})", fix, code)
    if status >= 500 or status in _PASSING_STATUS or code in _PASSING_CODES:
        return _passing(f"it answered {status}{f' {code}' if code else ''}", code)
    if status in (301, 307):
        return Fault(False, *_BY_CODE["PermanentRedirect"], "PermanentRedirect")
    if status in (401, 403):
        return Fault(False, *_BY_CODE["AccessDenied"], "AccessDenied")
    found = re.search(r"<Message>([^<]{1,200})", text)
    reason = f"it answered {status}{f' {code}' if code else ''}{f', {found[1]}' if found else ''}"
    return Fault(False, reason, "check the bucket and AWS_ENDPOINT_URL", code)


def _passing(reason: str, code: str = "") -> Fault:
    return Fault(True, reason, "check the network, the service and AWS_ENDPOINT_URL", code)


def _code(text: str) -> str:
    """S3's error code, from a reply or from the part on one object of a bulk deletion."""
    found = re.search(r"<Code>(\w+)</Code>|\(code: (\w+)\)", text)
    return (found[1] or found[2]) if found else ""


def _cut(text: str) -> str:
    """A transient fault: the reason for a broken connection, from the error's text."""
    if "dns error" in text:
        return "its name is not known"
    if "Connection refused" in text or "ConnectionRefused" in text:
        return "it refuses connections"
    if "ertificate" in text:
        return "its certificate is not trusted"
    if "TimedOut" in text or "Timeout" in text:
        return "it does not answer"
    return "the connection broke"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[0][:200]
