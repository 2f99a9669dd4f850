"""OpenML's errors as sentences without URLs, and whether they are transient."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

_CODES = {
    103: "does not accept the API key; check 'openml_api_key'",
    111: "has no data set {id}; check the id",
    112: "grants no access to {name}; an API key of its owner is needed ('openml_api_key')",
    151: "has no task {id}; check the id",
    601: "has no study {id}; check the id or alias",
}
# The server has briefly lost its database; every other code is an answer.
_PASSING_CODES = frozenset((107,))
_PASSING_STATUS = frozenset((408, 425, 429))
# The client's errors that are answers too: the first two replace codes that it removes.
_PRIVATE = ("OpenMLPrivateDatasetError", "OpenMLNotAuthorizedError")
_DAMAGED = "OpenMLHashException"
_SAID = 160
EMBEDDED = 'use the embedded data sets, which need none: "studies": ["starter"] or ["embedded"]'
# Errors of a disk, not of the network.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


def is_passing(error: BaseException) -> bool:
    """Whether a retry may help: not if OpenML has answered or its file has a wrong checksum."""
    code, status = _code(error), _status(error)
    if code is not None:
        return code in _PASSING_CODES
    if status is not None and 400 <= status < 500:
        return status in _PASSING_STATUS
    if type(error).__name__ in (*_PRIVATE, _DAMAGED):
        return False
    if isinstance(error, OSError) and error.errno in _DISK:
        return False
    return not isinstance(error, (NotImplementedError, AssertionError, TypeError))


def is_unresolved(error: BaseException) -> bool:
    """Whether the server's name was not resolved, which is what a machine without network sees."""
    return any(isinstance(layer, socket.gaierror) for layer in _layers(error))


def explained(error: BaseException, name: str, server: str) -> str:
    """One sentence with the value, the place and the fix."""
    place = urlsplit(server).netloc or server
    code = _code(error)
    if type(error).__name__ in _PRIVATE:
        code = 112
    if code in _CODES:
        return f"OpenML ({place}) {_CODES[code].format(id=name.partition('-')[2], name=name)}."
    if code is not None:
        return f"OpenML ({place}) refuses {name} with code {code}: {_message(error)}."
    return _without_code(error, name, place)


def _code(error: BaseException) -> int | None:
    """OpenML's own code; the errors of other libraries have codes of theirs."""
    return getattr(error, "code", None) if type(error).__name__.startswith("OpenML") else None


def _status(error: BaseException) -> int | None:
    """The HTTP status that the client keeps in its message."""
    found = re.search(r"Status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def _message(error: BaseException) -> str:
    """The error's own message, without addresses."""
    words = re.sub(r"\S*://\S*", "…", str(getattr(error, "message", None) or error))
    return " ".join(words.split())[:_SAID].rstrip(".") or "no reason given"


def _without_code(error: BaseException, name: str, place: str) -> str:
    kind = type(error).__name__
    status = _status(error)
    sentence = f"{name} is unavailable from OpenML ({place}): {_message(error)}."
    if kind == _DAMAGED:
        sentence = (
            f"What OpenML ({place}) sends for {name} is damaged or does not match its own "
            "checksum; try again later, or report it to OpenML."
        )
    elif isinstance(error, NotImplementedError):
        sentence = f"{name} is a task of a kind that is neither classification nor regression."
    elif status is not None and 400 <= status < 500:
        sentence = f"OpenML ({place}) refuses {name} with the HTTP status {status}; check the id."
    elif kind in ("OpenMLServerError", "ExpatError", "KeyError"):
        # The client parses any XML, also an error page, and fails on missing elements.
        sentence = f"OpenML ({place}) answered {name} with an error page; try again later."
    elif isinstance(error, TimeoutError) or "Timeout" in kind or "timed out" in str(error):
        sentence = f"OpenML ({place}) stopped sending {name}; try again later."
    elif isinstance(error, OSError) and error.errno in _DISK:
        file = f" ({error.filename})" if error.filename else ""
        reason = os.strerror(error.errno or 0)
        sentence = f"{name} cannot be kept or read in the cache{file}: {reason}; fix that there."
    elif isinstance(error, OSError):
        reason = _deepest(error)
        fix = f"check the network, or {EMBEDDED}" if is_unresolved(error) else "try again later"
        sentence = f"OpenML ({place}) cannot be reached for {name} ({reason}); {fix}."
    return sentence


def _deepest(error: BaseException) -> str:
    """The operating system's message, below the layers that contain the whole URL."""
    reasons = (e.strerror for e in _layers(error) if isinstance(e, OSError) and e.strerror)
    return next(reasons, "the connection was interrupted")


def _layers(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it wraps, the outermost first."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        inner = seen.__cause__ or seen.__context__
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else inner
