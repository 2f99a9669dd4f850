"""Docker as far as images of `init-compute` need it: nothing is built, and a push is noted in ECR.

A program `docker` that builds nothing, and an engine that has every image it is asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_PROGRAM = "#!/bin/sh\nexit 0\n"
_IMAGE = {"Id": "sha256:00ff", "Size": 1_000_000, "RepoTags": [], "Config": {"Labels": {}}}


@contextmanager
def docker_double(folder: Path, pushed: Callable[[str, str], None]) -> Iterator[dict[str, str]]:
    """The variables of a command that is to use it. `pushed` is given a repository and a tag."""

    class Engine(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self, facts: Any) -> None:
            data = json.dumps(facts).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            version = {"ApiVersion": "1.43", "MinAPIVersion": "1.24", "Version": "24.0"}
            self._answer("OK" if path == "/_ping" else version if "version" in path else _IMAGE)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = urlsplit(self.path)
            if asked.path.endswith("/push"):
                repository = unquote(asked.path.partition("/images/")[2]).removesuffix("/push")
                pushed(repository, parse_qs(asked.query)["tag"][0])
                self._answer({"aux": {"Digest": "sha256:00ff"}})
            else:
                self._answer({})

    folder.mkdir()
    (folder / "docker").write_text(_PROGRAM)
    (folder / "docker").chmod(0o755)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield {"DOCKER_HOST": f"tcp://127.0.0.1:{server.server_port}"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
