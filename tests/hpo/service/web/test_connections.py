"""What a connection may take before anything about its client is known."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmark.hpo.service.server import Seldom
from benchmark.hpo.service.web import connections
from benchmark.hpo.service.web.connections import Limits, Server, most_connections

POST = b"POST / HTTP/1.1\r\nhost: localhost\r\n"
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
Connect = Callable[[], socket.socket]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer when the body is whole, with its size."""
    more, size = True, 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"size", b"%d" % size)]})
    await send({"type": "http.response.body", "body": b"whole"})


# For what is to happen at once, on a machine that is ever so busy.
PATIENCE_S = 300.0


@contextlib.contextmanager
def serving(limits: Limits) -> Iterator[Connect]:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:
        # A client that is refused has to come to its reading before the server hangs up.
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(connections, "_LINGER_S", PATIENCE_S)
        address = listening.getsockname()
        server = Server(echo, limits, lambda: None, lifespan="off", log_config=None)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        yield lambda: stack.enter_context(socket.create_connection(address, timeout=PATIENCE_S))


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


def status(connection: socket.socket) -> int:
    return int(answer(connection).split()[1])


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    with serving(Limits(head_bytes=2000, head_s=PATIENCE_S, body_s=PATIENCE_S)) as found:
        yield found


def test_a_wish_for_another_protocol_is_ignored(connect: Connect) -> None:
    """As Java's client sends it with its first request."""
    connection = connect()
    upgrade = (
        b"connection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n"
    )
    connection.sendall(POST + upgrade + b"content-length: 20\r\n\r\n\r\nupgrade: as a body")
    said = answer(connection)
    assert said.startswith(b"HTTP/1.1 200")
    assert b"\r\nsize: 20\r\n" in said


@pytest.mark.parametrize(
    "sent",
    [
        GET + b"long: " + b"a" * 2000 + b"\r\n\r\n",
        GET + b"".join(b"x%d: a\r\n" % number for number in range(1000)) + b"\r\n",
        GET + b"endless: " + b"a" * 400_000,
        b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        POST
        + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        + b"trailer: more\r\n" * 1000
        + b"\r\n",
    ],
    ids=["one", "many", "endless", "path", "trailers"],
)
def test_a_head_that_is_too_large_is_431(connect: Connect, sent: bytes) -> None:
    connection = connect()
    connection.sendall(sent)
    assert status(connection) == 431


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", GET])
def test_a_head_that_does_not_come_is_408(sent: bytes) -> None:
    with serving(Limits(head_s=0.05)) as connect:
        connection = connect()
        connection.sendall(sent)
        assert b"408 Request Timeout" in answer(connection)


@pytest.mark.parametrize("how", [b"content-length: 9", b"transfer-encoding: chunked"])
def test_a_body_that_does_not_come_is_408(how: bytes) -> None:
    with serving(Limits(head_s=PATIENCE_S, body_s=0.05)) as connect:
        connection = connect()
        connection.sendall(POST + how + b"\r\n\r\n1\r\na\r\n")
        found = answer(connection)
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"body took longer" in found


def test_requests_in_time_share_a_connection(connect: Connect) -> None:
    connection = connect()
    body = POST + b"content-length: 3\r\n\r\nabc"
    connection.sendall(GET + b"\r\n" + body + GET + b"\r\n")
    connection.sendall(body + GET + b"connection: close\r\n\r\n")
    assert answer(connection).count(b"200 OK") == 5


def test_the_connection_that_rests_longest_makes_room() -> None:
    with serving(Limits(most=3, head_s=PATIENCE_S)) as connect:
        resting = [connect() for _ in range(20)]
        last = connect()
        last.sendall(GET + b"connection: close\r\n\r\n")
        assert status(last) == 200
        assert answer(resting[0]) == b""


def test_where_none_rests_one_more_is_503() -> None:
    with serving(Limits(most=2, head_s=PATIENCE_S, body_s=PATIENCE_S)) as connect:
        busy = [connect() for _ in range(2)]
        for one in busy:
            one.sendall(POST + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\n")
            assert b"100 Continue" in one.recv(1000)  # its body is awaited
        refused = answer(connect())
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refused
        busy[0].sendall(b"a")
        assert b"200 OK" in busy[0].recv(1000)
        last = connect()
        last.sendall(GET + b"connection: close\r\n\r\n")
        assert status(last) == 200


@pytest.mark.parametrize(
    ("soft", "hard", "wires", "most"),
    [
        (256, 256, 1, 64),
        (256, 256, 2, 32),
        (64, 64, 2, 16),
        (1024, 1024, 2, 416),
        (1024, 1_000_000, 2, 4096),
        (1024, resource.RLIM_INFINITY, 1, 4096),
    ],
)
def test_connections_leave_descriptors_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wires: int, most: int
) -> None:
    limits = [soft]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limits[0], hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(0, new[0]))
    assert most_connections(wires) == most
    assert limits[0] >= soft
    assert limits[0] >= min(hard, wires * most) or hard == resource.RLIM_INFINITY


def test_the_log_has_few_lines_about_the_same_fault() -> None:
    now = 0.0
    seldom = Seldom(most=2, each_s=10.0, clock=lambda: now)

    def passed(text: str, line: int = 1) -> str | None:
        record = logging.LogRecord("asyncio", logging.ERROR, "f", line, text, (), None)
        return record.getMessage() if seldom.filter(record) else None

    fault = "socket.accept() out of system resource\nsocket 1"
    assert [passed(fault) for _ in range(1000)] == [fault] * 2 + [None] * 998
    assert passed("another") == "another"
    assert passed(fault, line=2) == fault
    now = 11.0
    assert passed("no more of this") == "no more of this"
    assert str(passed(fault)).endswith("; 998 more like it before")
    assert passed(fault) == fault


def test_a_head_leaves_with_its_body_and_a_streams_head_at_once() -> None:
    class Transport:
        def __init__(self) -> None:
            self.written: list[bytes] = []
            self.closed = False

        def write(self, data: bytes) -> None:
            self.written.append(data)

        def close(self) -> None:
            self.closed = True

    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    for parts, written in (
        ([whole, b"{}"], [whole + b"{}"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", whole, b"{", b"}"], None),
        ([whole, b""], [whole]),
        ([stream, b"1\r\nx\r\n"], [stream, b"1\r\nx\r\n"]),
        ([whole], [whole]),
    ):
        transport: Any = Transport()
        joined = connections._Joined(transport)
        for part in parts:
            joined.write(part)
        joined.close()
        expected = [parts[0], whole + b"{", b"}"] if written is None else written
        assert (transport.written, transport.closed) == (expected, True)
