"""Downloads over HTTP: each faulty answer ends in the right file or in one sentence."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.data import download as module
from benchmark.data.download import download
from benchmark.errors import DataError

CONTENT = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(2000))
TAG = '"one"'


class Server(ThreadingHTTPServer):
    """Serves CONTENT; each of `plan` is what goes wrong with the next answer."""

    plan: list[str]
    content = CONTENT


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        fault = self.server.plan.pop(0) if self.server.plan else ""
        if fault.startswith("head"):
            rest = {"head": b"Content-Ty", "head length": b"Content-Length: "}[fault]
            self.wfile.write(b"HTTP/1.1 200 OK\r\nServer: s\r\n" + rest)
            return
        if fault.startswith("redirect"):
            # Each time elsewhere, or again and again the same.
            place = self.path if fault == "redirects" else "/elsewhere.csv"
            self.server.plan += ["redirects"] if fault == "redirects" else []
            self._send(302, b"", Location=place)
            return
        body = self.server.content
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers["If-Range"] == TAG else None
        headers = {"ETag": TAG}
        if start is not None:
            said = 0 if fault == "other range" else start
            size = start // 2 if fault == "other size" else len(body)
            headers["Content-Range"] = f"bytes {said}-{len(body) - 1}/{size}"
            body = body[said:]
        if fault in ("gzip", "damaged gzip", "br"):
            headers["Content-Encoding"] = fault.rpartition(" ")[2]
            body = gzip.compress(body)
            body = body[:-9] if fault.startswith("damaged") else body
        if fault in ("page", "packed page"):
            body = b"\n<!DOCTYPE html><html>Checking your browser</html>"
        if fault == "packed page":
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        if fault.startswith("named "):
            headers["Content-Encoding"] = fault.removeprefix("named ")
        self._send(200 if start is None else 206, body, is_cut=fault == "cut", **headers)

    def _send(self, status: int, body: bytes, *, is_cut: bool = False, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    with Server(("127.0.0.1", 0), Handler) as started:
        started.plan = []
        threading.Thread(target=started.serve_forever, args=(0.01,), daemon=True).start()
        yield started
        started.shutdown()


def fetched(server: Server, folder: Path, name: str = "a.csv") -> bytes:
    return download(f"http://127.0.0.1:{server.server_port}/{name}", folder).read_bytes()


@pytest.mark.parametrize(
    "plan",
    [
        ["head"],
        ["head length"],
        ["cut", "head", "cut", "head length"],
        ["cut", "other range"],
        ["cut", "other size"],
        ["cut", "gzip"],
        ["gzip"],
        ["damaged gzip", "damaged gzip"],
        ["redirect", "cut", "redirect"],
    ],
    ids=", ".join,
)
def test_the_file_is_right_in_the_end(server: Server, tmp_path: Path, plan: list[str]) -> None:
    server.plan = plan
    assert fetched(server, tmp_path) == CONTENT
    assert plan == []
    kept = sorted(path.name for path in tmp_path.glob("*/*") if path.parent.name != ".locks")
    assert kept == [".notes.json", "a.csv"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("page", r"/a\.csv is a web page, not the file; check the URL\."),
        ("packed page", r"/a\.csv is a web page, not the file; check the URL\."),
        ("br", r"/a\.csv is encoded by 'br', not the file; check the URL\."),
        (
            "redirects",
            r"/a\.csv cannot be downloaded: the server answers 302 a redirect in a circle;",
        ),
    ],
)
def test_what_is_not_the_file_is_refused_and_not_kept(
    server: Server, tmp_path: Path, fault: str, said: str
) -> None:
    server.plan = [fault]
    with pytest.raises(DataError, match=said) as raised:
        fetched(server, tmp_path)
    assert "\n" not in str(raised.value)
    server.plan = []
    assert fetched(server, tmp_path) == CONTENT


def test_a_compressed_file_stays_compressed_whatever_its_encoding_is_called(
    server: Server, tmp_path: Path
) -> None:
    server.plan = ["gzip"]
    assert gzip.decompress(fetched(server, tmp_path, "a.csv.gz")) == CONTENT


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("a.csv.bz2", "x-bzip2"),
        ("a.csv.zst", "zstd"),
        ("a.csv.Z", "x-compress"),
        ("a.csv", "utf-8"),
        ("a.csv", "aws-chunked"),
        ("a.csv", "identity"),
    ],
)
def test_an_encoding_that_changes_nothing_is_no_fault(
    server: Server, tmp_path: Path, name: str, encoding: str
) -> None:
    """Of a compressed file servers name its compression, and of others what they like."""
    server.plan = [f"named {encoding}"]
    assert fetched(server, tmp_path, name) == CONTENT
