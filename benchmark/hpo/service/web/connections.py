"""The bounds of an HTTP connection, which hold before anything about its client is known.

uvicorn bounds how long a connection may rest between two requests. Beyond that, a connection here

    sends a request's head within `head_s` and `head_bytes`, else 408 or 431
    sends its body within `body_s`, else 408
    takes its answer within `send_s` of a full buffer, else it is cut
    is one of `most`; at that number the one that has rested longest makes room, else 503

Written for uvicorn 0.54, of which it extends the protocol over httptools.
"""

from __future__ import annotations

import asyncio
import http
import re
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmark.hpo.service.core.service import MOST_OPEN

# Sockets that wait to be accepted; asyncio accepts so many before it looks at the first of them.
WAITING, _AT_ONCE = 2048, 16
# An open experiment holds its lock; beside these the log, the storage, and what is being accepted.
_OTHER_FILES = MOST_OPEN + 64
_FEWEST, _MOST = 16, 4096
_LINGER_S = 1.0
_LENGTH = b"\r\ncontent-length: "
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """`most` connections at once; sizes in bytes, times in seconds."""

    most: int = _MOST
    head_bytes: int = 32 << 10
    head_s: float = 10.0
    body_s: float = 60.0
    send_s: float = 60.0
    rest_s: float = 75.0


def most_connections(wires: int) -> int:
    """How many connections each of so many wires may have, by the descriptors there are.

    The soft limit on descriptors is raised to the hard one first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OTHER_FILES + wires * _MOST
    files = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(_FEWEST, min(_MOST, (files - _OTHER_FILES) // wires))


class Server(uvicorn.Server):
    """Serves an ASGI application within limits; `on_end` is called by the first signal to end.

    It accepts few connections at a time, of a long queue.
    """

    def __init__(
        self, app: Any, limits: Limits, on_end: Callable[[], None], **options: Any
    ) -> None:
        protocol = type("Bounded", (_Bounded,), {"limits": limits})
        rest_s = int(limits.rest_s)
        super().__init__(
            uvicorn.Config(
                app, http=protocol, backlog=_AT_ONCE, timeout_keep_alive=rest_s, **options
            )
        )
        self._on_end = on_end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._on_end()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(WAITING)


def _without_upgrade(data: bytes) -> bytes:
    """A request's head without the wish to go on with another protocol, which a server may ignore.

    uvicorn reads no body behind it, and Java's client sends it with its first request (RFC 9110,
    section 7.8).
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + end + rest


class _Joined:
    """A transport for one answer: its head leaves with its body, in one call of the system.

    Only where the head tells the body's length: a stream's head leaves at once.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(b"HTTP/1.1 ") and _LENGTH in data:
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def close(self) -> None:
        """Close; a head whose body never came is still sent."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class _TooLargeError(Exception):
    """Raised through the parser, which gives up."""


class _Bounded(HttpToolsProtocol):
    limits: ClassVar[Limits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._head = self._named = 0
        self._rests_since: float | None = self.loop.time()
        self._refused = False
        self.transport = transport
        if len(self.connections) >= self.limits.most and not self._make_room():
            self._refuse(503, "Too many connections; try again in a while.")
            transport.close()
            return
        super().connection_made(transport)
        self._wait(self.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._sending is not None:
            self._sending.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._rests_since is not None and self._timer is None:
            self._wait(self.limits.head_s)
        if self._rests_since is not None:
            data = _without_upgrade(data)
        super().data_received(data)
        # Of a head that has not ended the parser keeps every byte.
        if self._rests_since is not None:
            self._head += len(data)
            if self._head > self.limits.head_bytes:
                self._refuse(431, self._head_said())

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the head, or a trailer behind the body."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        self._rests_since = None
        self._head = 0
        self._wait(self.limits.body_s)
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            # Its task has not started.
            self.cycle.transport = _Joined(self.transport)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        self._named = 0
        self._stop_waiting()
        super().on_message_complete()
        if self.cycle.response_complete:
            # It was refused before its body had come, and nothing else waits for what follows.
            self._rests_since = self.loop.time()
            self._wait(self.limits.head_s)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Of a request that was sent ahead the cycle is under way already.
        if self.cycle.response_complete and self._timer is None:
            self._rests_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses; also what was raised through it."""
        if self._named > self.limits.head_bytes:
            self._refuse(431, self._head_said())
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(self.limits.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _count(self, size: int) -> None:
        self._named += size
        if self._named > self.limits.head_bytes:
            raise _TooLargeError

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        what = "body" if self._rests_since is None else "head"
        limit = self.limits.body_s if what == "body" else self.limits.head_s
        self._refuse(408, f"The request's {what} took longer than {limit:g} s.")

    def _head_said(self) -> str:
        return f"The request's head is larger than {self.limits.head_bytes} bytes."

    def _make_room(self) -> bool:
        """Close the connection that has rested longest, if one rests."""
        resting = [one for one in self.connections if one._rests_since is not None]  # type: ignore[union-attr]
        if not resting:
            return False
        longest: Any = min(resting, key=lambda one: one._rests_since)  # type: ignore[union-attr]
        self.connections.discard(longest)
        longest.transport.close()
        return True

    def _refuse(self, status: int, text: str) -> None:
        """Answer, unless an answer is under way, and close once the client has seen it."""
        self._stop_waiting()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()
            return
        if cycle is not None and not cycle.response_complete:
            # What the application answers from now on goes nowhere.
            cycle.disconnected = True
            cycle.message_event.set()
        body = text.encode()
        lines = [
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(body)}",
            "connection: close",
        ]
        head = "\r\n".join([*lines, *(["retry-after: 1"] if status == 503 else []), "", ""])
        self.transport.write(head.encode() + body)
        # Closed at once, with bytes of the client's unread, the answer would be lost to a reset.
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_S, self.transport.close)
