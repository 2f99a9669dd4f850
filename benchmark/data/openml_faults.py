"""What went wrong with OpenML, in a sentence without URLs, and whether it may pass by itself."""

from __future__ import annotations

import errno
import os
import re
from urllib.parse import urlsplit

_CODES = {
    103: "does not accept the API key; check 'openml_api_key'",
    111: "has no data set {id}; check the id",
    112: "grants no access to {name}; an API key of its owner is needed ('openml_api_key')",
    151: "has no task {id}; check the id",
    601: "has no study {id}; check the id or alias",
}
# The server has lost its database for a moment; every other code is an answer.
_PASSING_CODES = frozenset((107,))
_PASSING_STATUS = frozenset((408, 425, 429))
# The client's errors that are answers too: the first two stand for codes that it takes away.
_PRIVATE = ("OpenMLPrivateDatasetError", "OpenMLNotAuthorizedError")
_DAMAGED = "OpenMLHashException"
_SAID = 160
# What a disk answers, and no network.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


def is_passing(error: BaseException) -> bool:
    """Whether trying again may help: unless OpenML has answered, or its file is not its own."""
    code, status = getattr(error, "code", None), _status(error)
    if code is not None:
        return code in _PASSING_CODES
    if status is not None and 400 <= status < 500:
        return status in _PASSING_STATUS
    if type(error).__name__ in (*_PRIVATE, _DAMAGED):
        return False
    if isinstance(error, OSError) and error.errno in _DISK:
        return False
    return not isinstance(error, (NotImplementedError, AssertionError, TypeError))


def explained(error: BaseException, name: str, server: str) -> str:
    """One sentence with the value, the place and the fix."""
    place = urlsplit(server).netloc or server
    code = getattr(error, "code", None)
    if type(error).__name__ in _PRIVATE:
        code = 112
    if code in _CODES:
        return f"OpenML ({place}) {_CODES[code].format(id=name.partition('-')[2], name=name)}."
    if code is not None:
        return f"OpenML ({place}) refuses {name} with code {code}: {_said(error)}."
    return _without_code(error, name, place)


def _status(error: BaseException) -> int | None:
    """The HTTP status that the client keeps in its message."""
    found = re.search(r"Status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def _said(error: BaseException) -> str:
    """The error's own words, without addresses."""
    words = re.sub(r"\S*://\S*", "…", str(getattr(error, "message", None) or error))
    return " ".join(words.split())[:_SAID].rstrip(".") or "no reason is given"


def _without_code(error: BaseException, name: str, place: str) -> str:
    kind = type(error).__name__
    status = _status(error)
    sentence = f"{name} cannot be had from OpenML ({place}): {_said(error)}."
    if kind == _DAMAGED:
        sentence = (
            f"What OpenML ({place}) sends for {name} is damaged or does not match its own "
            "checksum; try again later, or tell OpenML."
        )
    elif isinstance(error, NotImplementedError):
        sentence = f"{name} is a task of a kind that is neither classification nor regression."
    elif status is not None and 400 <= status < 500:
        sentence = f"OpenML ({place}) refuses {name} with the HTTP status {status}; check the id."
    elif kind in ("OpenMLServerError", "ExpatError", "KeyError"):
        # The client takes any XML for its own, an error page too, and misses what it expects.
        sentence = f"OpenML ({place}) answered {name} with an error page; try again later."
    elif isinstance(error, TimeoutError) or "Timeout" in kind or "timed out" in str(error):
        sentence = f"OpenML ({place}) went silent while sending {name}; try again later."
    elif isinstance(error, OSError) and error.errno in _DISK:
        file = f" ({error.filename})" if error.filename else ""
        reason = os.strerror(error.errno or 0)
        sentence = f"{name} cannot be kept or read in the cache{file}: {reason}; fix that there."
    elif isinstance(error, OSError):
        reason = _deepest(error)
        sentence = f"OpenML ({place}) cannot be reached for {name} ({reason}); try again later."
    return sentence


def _deepest(error: BaseException) -> str:
    """The operating system's words below the layers that name the whole URL."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = seen.__cause__ or seen.__context__
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else inner
    return "the connection broke off"
