"""What every request passes before it is served: host, origin, size, rate, token.

A token file has a line for each token: its right (`read` or `write`), the token itself, and, if it
is for some experiments only, patterns of their names:

    write 0c4fa2…
    read 77b0e1… team-a/* mine
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import ipaddress
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from benchmark.errors import BenchmarkError
from benchmark.files.input_files import read_input
from benchmark.hpo.service.core.errors import TooLargeError
from benchmark.hpo.service.core.service import limited_to

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Refusal = tuple[int, str, list[tuple[bytes, bytes]]]

LARGEST_BODY = 4 << 20
RATE = 5000.0
_SHORTEST_TOKEN = 16
_MOST_CLIENTS = 10_000
# What tells nothing about any experiment.
_OPEN = re.compile(r"/|/health|/ready|/static/[a-z.]+")
_LOOKING = ("GET", "HEAD", "OPTIONS")
_CODES = {400: "invalid", 401: "no_token", 403: "forbidden", 413: "too_large", 429: "too_many"}
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
]


class Right(NamedTuple):
    """What a token permits; `patterns` of the experiments' names, of all where there are none."""

    kind: Literal["read", "write"]
    patterns: tuple[str, ...] = ()


class TokenError(BenchmarkError):
    """The token file cannot be used."""


def read_tokens(file: Path) -> dict[bytes, Right]:
    """The rights by the hashes of the tokens.

    Raises:
        TokenError: says the line, never what stands in it.
    """
    try:
        lines = read_input(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise TokenError(f"The token file {file} cannot be read: {reason}.") from None
    tokens: dict[bytes, Right] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2 or words[0] not in ("read", "write"):
            raise TokenError(
                f"{file}, line {number}: write 'read TOKEN' or 'write TOKEN', and behind it "
                "patterns of experiments' names if it is not for all."
            )
        if len(words[1]) < _SHORTEST_TOKEN:
            raise TokenError(
                f"{file}, line {number}: the token has fewer than {_SHORTEST_TOKEN} characters; "
                "make one with `openssl rand -hex 24`."
            )
        kind: Literal["read", "write"] = "write" if words[0] == "write" else "read"
        tokens[_hashed(words[1])] = Right(kind, tuple(words[2:]))
    if not tokens:
        raise TokenError(f"The token file {file} has no token; write a line 'write TOKEN'.")
    return tokens


def read_again(file: Path, tokens: dict[bytes, Right]) -> None:
    """Put the file's tokens in the place of these; at no moment a token of both is missing.

    Raises:
        TokenError: the file cannot be used, and the tokens stay as they are.
    """
    found = read_tokens(file)
    tokens.update(found)
    for gone in tokens.keys() - found.keys():
        del tokens[gone]


def right_of(tokens: dict[bytes, Right], header: str | None) -> Right | None:
    """The right of an `Authorization: Bearer TOKEN`, or None."""
    kind, _, token = (header or "").partition(" ")
    if kind.lower() != "bearer":
        return None
    mine = _hashed(token.strip())
    found: Right | None = None
    for hashed, right in list(tokens.items()):
        if hmac.compare_digest(mine, hashed):
            found = right
    return found


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether it is this machine's own address; asked for each request."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@dataclass
class Buckets:
    """A bucket of requests for each client, filled at `rate` a second to a second's worth.

    For many threads.
    """

    rate: float = RATE
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, tuple[float, float]] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def take(self, client: str) -> bool:
        """Whether the client may have one more request now."""
        with self._turn:
            now = self.clock()
            level, seen = self._kept.get(client, (self.rate, now))
            level = min(self.rate, level + (now - seen) * self.rate)
            if len(self._kept) > _MOST_CLIENTS:
                self._kept.clear()
            granted = level >= 1.0
            self._kept[client] = (level - granted, now)
            return granted


class Guard:
    """An ASGI application before another one."""

    def __init__(
        self,
        app: Any,
        tokens: dict[bytes, Right] | None = None,
        rate: float = RATE,
        *,
        local: bool = False,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._buckets = Buckets(rate)
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        token = headers.get(b"authorization", b"").decode("latin-1")
        right = None if self._tokens is None else right_of(self._tokens, token)
        refused = self._refusal(scope, headers) or self._without_right(scope, right)
        if refused is not None:
            await _answer(send, scope["path"], *refused)
            return
        size = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST_BODY:
                raise TooLargeError(_too_large()[1])
            return message

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        if scope["method"] == "HEAD":
            # The server leaves out the body of what it knows as HEAD.
            scope = {**scope, "method": "GET"}
        with limited_to(right.patterns if right else ()):
            await self._app(scope, counted, sent)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Refusal | None:
        if self._local and not _is_own(headers.get(b"host", b"")):
            # A page of another name that resolves to this machine must not reach the service.
            return 403, "This server answers to localhost only.", []
        if self._tokens is None and scope["method"] not in _LOOKING and _is_foreign(headers):
            # A page sends such a request without asking this server first.
            return 403, "This server takes no requests of other sites' pages without a token.", []
        for name in ("raw_path", "query_string"):
            if not _is_utf8(scope.get(name) or b""):
                part = "path" if name == "raw_path" else "query"
                return 400, f"The request's {part} is not UTF-8, percent-encoded.", []
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > LARGEST_BODY:
            return _too_large()
        client = scope.get("client") or ("",)
        if not self._buckets.take(client[0]):
            return 429, "Too many requests; try again in a second.", [(b"retry-after", b"1")]
        return None

    def _without_right(self, scope: Scope, right: Right | None) -> Refusal | None:
        if self._tokens is None or _OPEN.fullmatch(scope["path"]):
            return None
        if right is None:
            bearer = [(b"www-authenticate", b"Bearer")]
            return 401, "A token is needed: Authorization: Bearer TOKEN.", bearer
        if right.kind == "read" and scope["method"] not in _LOOKING:
            return 403, "This token may only read.", []
        return None


def _is_utf8(encoded: bytes) -> bool:
    try:
        unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_own(host: bytes) -> bool:
    name = host.decode("latin-1")
    name = name.rpartition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
    return is_loopback(name)


def _is_foreign(headers: dict[bytes, bytes]) -> bool:
    """Whether a page of another site sends it; what is no browser names no origin."""
    origin = headers.get(b"origin")
    if origin is None or headers.get(b"sec-fetch-site") == b"same-origin":
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get(b"host", b"").lower()
    except ValueError:
        return True


def _too_large() -> Refusal:
    return 413, f"The body is larger than {LARGEST_BODY} bytes.", [(b"connection", b"close")]


async def _answer(
    send: Send, path: str, status: int, text: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """The refusal in the words of the wire it is for: `/v1` has JSON, the classic routes text."""
    kind, body = b"text/plain; charset=utf-8", text
    if path.startswith("/v1"):
        kind, body = b"application/json", json.dumps({"error": _CODES[status], "message": text})
    named = [(b"content-type", kind), *headers, *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body.encode()})
