"""AWS as the tests meet it: moto's server, counted, with faults, and mended by subclasses.

    with SomeDouble(folder) as double:
        os.environ["AWS_ENDPOINT_URL_BATCH"] = double.endpoint

An operation `SubmitJob` is answered by a method `_submitjob(asked)` where there is one, else by
moto. It returns a dict (JSON services) or the inside of an XML answer (EC2 and IAM).
"""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

REGION = "eu-central-1"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIADOUBLE",
    "AWS_SECRET_ACCESS_KEY": "no-secret-at-all",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


class RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


class AwsDouble:
    """`fault(operation, number)` may answer (status, code), done instead of the request, or
    "lost": done, and only the reply is lost. `calls` counts requests by operation (small letters).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: Counter[str] = Counter()
        self.fault: Callable[[str, int], tuple[Any, ...] | str | None] = lambda name, number: None
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *_: Any) -> None:
                pass

        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._serve, threaded=True, request_handler=Quiet
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._threads.append(threading.Thread(target=self._server.serve_forever, args=(0.05,)))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    def client(self, service: str = "batch") -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="AKIADOUBLE",
            aws_secret_access_key="none",
        )

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = io.BytesIO(body)
        operation, kind = _operation(environ, body)
        with self._lock:
            number = self.calls[operation]
            self.calls[operation] += 1
            fault = self.fault(operation, number)
        try:
            if isinstance(fault, tuple):
                raise RefusalError(*fault)
            mine = getattr(self, f"_{operation}", None) if kind else None
            if mine is None:
                return self._moto(environ, start)
            asked = dict(parse_qsl(body.decode())) if kind == "xml" else json.loads(body or b"{}")
            with self._lock:
                answer = mine(asked)
            if answer is None:
                return self._moto(environ, start)
            if fault == "lost":
                raise RefusalError(500, "ServerException")
            status, headers = "200 OK", []
        except RefusalError as refusal:
            answer = {"message": refusal.message, "__type": refusal.code}
            if kind == "xml":
                answer = (
                    f"<Errors><Error><Code>{refusal.code}</Code><Message>{refusal.message}"
                    "</Message></Error></Errors>"
                )
            status, headers = f"{refusal.status} X", [("x-amzn-errortype", refusal.code)]
        if isinstance(answer, str):
            name = "Response" if status != "200 OK" else f"{environ['double.name']}Response"
            data = f"<{name}>{answer}</{name}>".encode()
        else:
            data = json.dumps(answer).encode()
        of = "text/xml" if isinstance(answer, str) else "application/json"
        start(status, [*headers, ("Content-Type", of), ("Content-Length", str(len(data)))])
        return [data]


def _operation(environ: dict[str, Any], body: bytes) -> tuple[str, str]:
    """The operation in small letters, and how it is spoken: "json", "xml" or "" (not ours)."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rpartition(".")[2].lower(), "json"
    path = environ["PATH_INFO"].strip("/").split("/")
    if path[0] == "v1" and len(path) == 2:
        return path[1], "json"
    if environ["REQUEST_METHOD"] == "POST" and b"Action=" in body:
        name = dict(parse_qsl(body.decode()))["Action"]
        environ["double.name"] = name
        return name.lower(), "xml"
    return path[-1] or "other", ""
