"""What went wrong with OpenML, in a sentence without URLs, and whether it may pass by itself."""

from __future__ import annotations

from urllib.parse import urlsplit

_CODES = {
    103: "does not accept the API key; check 'openml_api_key'",
    111: "has no data set {id}; check the id",
    112: "grants no access to {name}; an API key of its owner is needed ('openml_api_key')",
    151: "has no task {id}; check the id",
    601: "has no study {id}; check the id or alias",
}
_FINAL = frozenset((*_CODES, 110, 113, 150, 152, 180, 181, 270, 271, 600))
_SAID = 160


def is_passing(error: BaseException) -> bool:
    """Whether trying again may help: whatever OpenML did not answer by a final code of its own."""
    if getattr(error, "code", None) in _FINAL:
        return False
    return not isinstance(error, (NotImplementedError, AssertionError, TypeError))


def explained(error: BaseException, name: str, server: str) -> str:
    """One sentence with the value, the place and the mend."""
    place = urlsplit(server).netloc or server
    code = getattr(error, "code", None)
    if code in _CODES:
        return f"OpenML ({place}) {_CODES[code].format(id=name.partition('-')[2], name=name)}."
    if code is not None:
        said = " ".join(str(getattr(error, "message", "")).split())[:_SAID]
        return f"OpenML ({place}) refuses {name} with code {code}: {said}."
    return _without_code(error, name, place)


def _without_code(error: BaseException, name: str, place: str) -> str:
    kind = type(error).__name__
    sentence = f"{name} cannot be had from OpenML ({place}): {kind}."
    if kind == "OpenMLHashException":
        sentence = (
            f"What OpenML ({place}) sends for {name} is damaged or does not match its own "
            "checksum; try again later, or tell OpenML."
        )
    elif isinstance(error, NotImplementedError):
        sentence = f"{name} is a task of a kind that is neither classification nor regression."
    elif kind in ("OpenMLServerError", "ExpatError", "KeyError"):
        # The client takes any XML for its own, an error page too, and misses what it expects.
        sentence = f"OpenML ({place}) answered {name} with an error page; try again later."
    elif isinstance(error, TimeoutError) or "Timeout" in kind or "timed out" in str(error):
        sentence = f"OpenML ({place}) went silent while sending {name}; try again later."
    elif isinstance(error, PermissionError):
        sentence = f"{name} cannot be kept: {error.filename} cannot be written."
    elif isinstance(error, OSError):
        reason = _deepest(error)
        sentence = f"OpenML ({place}) cannot be reached for {name} ({reason}); try again later."
    return sentence


def _deepest(error: BaseException) -> str:
    """The operating system's words below the layers that name the whole URL."""
    seen: BaseException | None = error
    words = type(error).__name__
    for _ in range(10):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = seen.__cause__ or seen.__context__
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else inner
    return words
