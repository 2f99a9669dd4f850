"""An S3 endpoint with faults: passes requests on to a real one, unless told what to do to them.

with FaultyProxy(endpoint) as proxy:
    proxy.fault = lambda request, number: "503" if number < 4 else None
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

XML = '<?xml version="1.0"?><Error><Code>{}</Code><Message>said so</Message><Sign>{}</Sign></Error>'


class FaultyProxy:
    """`fault(request, number)` answers what to do to a request, such as "PUT /bench/a".

    None passes it on. "500", "503 SlowDown", "403 AccessDenied": that status and code, unpassed.
    "cut": the connection ends before the request is passed on; "lost": after it, so that only the
    reply is lost; "half": in the midst of the reply's body. "hang": no reply until the proxy ends.
    "slow": the reply comes in small pieces.
    """

    def __init__(self, endpoint: str) -> None:
        self.seen: list[str] = []
        self.fault: Callable[[str, int], str | None] = lambda request, number: None
        self.over = threading.Event()
        self._host = urlsplit(endpoint).netloc
        self._guard = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                proxy._handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail_first(self, *faults: str) -> None:
        """Do these to the requests that come next, one each, and pass the others on."""
        with self._guard:
            left = list(faults)
        self.fault = lambda request, number: left.pop(0) if left else None

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._guard:
            number = len(self.seen)
            request = f"{handler.command} {handler.path}"
            self.seen.append(request)
            fault = self.fault(request, number)
        if fault == "hang":
            self.over.wait(60)
        if fault in ("cut", "hang"):
            _cut(handler)
        elif fault and fault[0].isdigit():
            status, _, code = fault.partition(" ")
            signed = handler.headers.get("Authorization", "")
            _answer(handler, int(status), {}, XML.format(code, signed).encode() if code else b"")
        else:
            status, headers, data = self._pass_on(handler, body)
            if fault == "lost":
                _cut(handler)
            elif fault == "half":
                _answer(handler, status, headers, data, data[: len(data) // 2])
                _cut(handler)
            elif fault == "slow":
                self._answer_slowly(handler, status, headers, data)
            else:
                _answer(handler, status, headers, data)

    def _pass_on(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers.items()))
            reply = connection.getresponse()
            kept = ("ETag", "Last-Modified", "Content-Type", "Content-Range")
            headers = {name: reply.headers[name] for name in kept if reply.headers[name]}
            return reply.status, headers, reply.read()
        finally:
            connection.close()

    def _answer_slowly(
        self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], data: bytes
    ) -> None:
        _answer(handler, status, headers, data, b"")
        step = max(1, len(data) // 10)
        for start in range(0, len(data), step):
            self.over.wait(0.1)
            handler.wfile.write(data[start : start + step])


def _answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    data: bytes,
    sent: bytes | None = None,
) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data if sent is None else sent)


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)
