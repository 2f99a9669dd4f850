"""Rows of the HPO service under load and beside others: hostile connections, a shared store."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import time

from benchmark.hpo import Client
from prove.rest import watched_slowness
from prove.rows import NotShownError, Stage, check, row
from prove.server import Server
from prove.service_kills import TUNABLES

FILES, IDLE, SLOW, LARGE = 256, 400, 100, 50
MOST_LOG, END_S = 100_000, 10


@row(1, f"HPO service with {FILES} open files: {IDLE} idle connections, slow and endless heads")
def service_connections(stage: Stage) -> str:
    if shutil.which("prlimit") is None:
        raise NotShownError("prlimit (util-linux) is not installed")
    server = Server(stage.folder, "--no-grpc", before=("prlimit", f"--nofile={FILES}"))
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.end)
        address = ("127.0.0.1", server.port)

        def connect(sent: bytes = b"") -> None:
            one = stack.enter_context(socket.create_connection(address, timeout=120))
            with contextlib.suppress(OSError):  # the server may have closed it by now
                one.sendall(sent)

        experiment = Client(server.url).create("e", direction="minimize", tunables=TUNABLES)
        for _ in range(IDLE):
            connect()
        for _ in range(SLOW):
            connect(b"GET /health HT")
        for _ in range(LARGE):
            connect(b"GET /health HTTP/1.1\r\nlong: " + b"a" * 100_000)
        for number in range(20):
            (trial,) = experiment.ask()
            check(trial.tell(float(number)), f"trial {number} was not told")
        check(len(server.said) < MOST_LOG, f"the log has {len(server.said):,} bytes")
        stream = http.client.HTTPConnection(*address, timeout=300)
        stack.callback(stream.close)
        stream.request("GET", "/v1/experiments/e/events")
        stream.getresponse().readline()
        assert server.process is not None
        with watched_slowness() as samples:
            asked = time.monotonic()
            code = server.kill(signal.SIGTERM)
            took = time.monotonic() - asked
        check(code == 0, f"SIGTERM with an open stream: exit {code}")
        most_s = END_S * max(samples)
        check(took < most_s, f"SIGTERM with an open stream: {took:.1f} s, more than {most_s:.1f}")
    return (
        f"{IDLE + SLOW + LARGE} connections held: 20 rounds answered, {len(server.said):,} bytes "
        "of log; SIGTERM with an open stream ended it"
    )


@row(1, "HPO service on a store of which another server drives one experiment")
def service_elsewhere(stage: Stage) -> str:
    one, other = (Server(stage.folder, "--no-grpc") for _ in range(2))
    with contextlib.ExitStack() as stack:
        for server in (one, other):
            server.start()
            stack.callback(server.end)
        for server, name in ((one, "theirs"), (other, "ours")):
            client = Client(server.url)
            client.create(name, direction="minimize", tunables=TUNABLES, trials=3)
            client.experiment(name).ask()
        connection = http.client.HTTPConnection("127.0.0.1", other.port, timeout=300)
        stack.callback(connection.close)
        connection.request("GET", "/v1/experiments?details=true")
        answer = connection.getresponse()
        text = answer.read().decode()
        check(answer.status == 200, f"the list answers {answer.status}: {text[:200]}")
        check('"state":"driven elsewhere"' in text, f"no row says so: {text[:300]}")
        check('"state":"running"' in text, f"the own experiment is not shown: {text[:300]}")
    return "the list answers 200: theirs 'driven elsewhere', ours running"
