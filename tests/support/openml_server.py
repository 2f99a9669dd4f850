"""An OpenML server on localhost for tests: recordings that scikit-learn ships, generated suites.

    with OpenMLServer() as server:
        server.add_recording(61)                         # real data, with OpenML's own md5
        server.add_task(59, 61, "class", folds=10)       # the task and its folds are generated
        server.add_suite(135, "my-suite", tasks=[59])    # and so is the suite
        server.faults["/task/59"] = Fault("cut", times=1)

The unmodified client talks to it: `server.configure(folder)` writes its configuration file and
returns the variables that make the client read it. Whatever is generated says so in its name or
description.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import numpy as np

from prove.seaweed import free_ports

RECORDED = (3, 61, 561, 40675, 40945, 42585)
_NAMESPACE = 'xmlns:oml="http://openml.org/openml"'
_GENERATED = "generated for tests, not OpenML's own"


@dataclass
class Fault:
    """What goes wrong with a path that contains the key, the next `times` times.

    `kind`: "down" (an error page with 503), "cut" (the connection ends in the middle), "silent"
    (nothing comes for `seconds`), "slow" (the answer comes after `seconds`), "wrong" (other bytes),
    "busy" (429, come back after `seconds`), "refused" (412 with OpenML's error `code`; without a
    code a page instead).
    """

    kind: str
    times: int = 10**9
    seconds: float = 30.0
    code: int | None = None


class OpenMLServer:
    """What it serves, what shall go wrong, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.faults: dict[str, Fault] = {}
        self.key: str | None = None
        self.asked: list[str] = []
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self._rows: dict[int, int] = {}
        self._ending = threading.Event()
        self._http: ThreadingHTTPServer | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve; after a stop on the same port again."""
        self._ending.clear()
        if not self._port:
            (self._port,) = free_ports(1)
        handler = type("Handler", (_Handler,), {"server_of": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._ending.set()
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def configure(self, folder: Path, key: str | None = None) -> dict[str, str]:
        """Variables for a program whose client shall use this server, with caches in `folder`."""
        place = folder / "config" / "openml"
        place.mkdir(parents=True, exist_ok=True)
        lines = [f"server = {self.url}/api/v1/xml", f"apikey = {key}" if key else ""]
        (place / "config").write_text("\n".join(lines))
        return {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "AUTOML_BENCHMARK_CACHE": str(folder / "cache"),
        }

    def add_recording(self, number: int) -> None:
        """A data set as OpenML served it, from scikit-learn's recordings."""
        folder = resources.files("sklearn.datasets.tests.data.openml") / f"id_{number}"
        described = json.loads(
            gzip.decompress((folder / f"api-v1-jd-{number}.json.gz").read_bytes())
        )["data_set_description"]
        features = json.loads(
            gzip.decompress((folder / f"api-v1-jdf-{number}.json.gz").read_bytes())
        )["data_features"]["feature"]
        arff = next(f for f in folder.iterdir() if f.name.endswith(".arff.gz"))
        content = gzip.decompress(arff.read_bytes())
        assert hashlib.md5(content).hexdigest() == described["md5_checksum"]
        self._add(number, described, features, content)

    def add_generated(
        self,
        number: int,
        arff: str,
        target: str,
        *,
        parquet: bytes | None = None,
        rows: int | None = None,
        **description: Any,
    ) -> None:
        """A data set of the test's own, as ARFF, perhaps as parquet, too; OpenML counted `rows`."""
        content = arff.encode()
        described = {
            "id": number,
            "name": f"generated-{number}",
            "version": 1,
            "description": _GENERATED,
            "format": "Sparse_ARFF" if "\n{" in arff else "ARFF",
            "default_target_attribute": target,
            "md5_checksum": hashlib.md5(content).hexdigest(),
            "status": "active",
        } | description
        if parquet is not None:
            path = f"/datasets/{number}/dataset_{number}.pq"
            described["parquet_url"] = self.url + path
            self.answers[path] = parquet
        if rows is not None:
            counted = f"<oml:name>NumberOfInstances</oml:name><oml:value>{rows}.0</oml:value>"
            self.answers[f"/api/v1/xml/data/qualities/{number}"] = (
                f"<oml:data_qualities {_NAMESPACE}><oml:quality>{counted}</oml:quality>"
                "</oml:data_qualities>"
            ).encode()
        self._add(number, described, _features(arff), content)

    def _add(
        self, number: int, described: dict[str, Any], features: list[dict[str, Any]], content: bytes
    ) -> None:
        described = described | {"url": f"{self.url}/data/v1/download/{number}/data.arff"}
        self.answers[f"/data/v1/download/{number}/data.arff"] = content
        self.answers[f"/api/v1/xml/data/{number}"] = _xml("data_set_description", described)
        self.answers[f"/api/v1/xml/data/features/{number}"] = _features_xml(features)
        body = content.lower().partition(b"@data")[2].splitlines()[1:]
        lines = [line for line in body if line.strip() and not line.lstrip().startswith(b"%")]
        self._rows[number] = len(lines)

    def add_task(
        self,
        number: int,
        data: int,
        target: str,
        type: str = "classification",
        *,
        folds: int = 10,
        repeats: int = 1,
        splits: bool = True,
    ) -> None:
        """A task on a data set, with generated folds; `folds=1` is a holdout of a third."""
        kind = "crossvalidation" if folds > 1 else "holdout"
        path = f"/splits/{number}/Task_{number}_splits.arff"
        if splits:
            self.answers[path] = _splits(number, self._rows[data], folds, repeats)
        url = self.url + path if splits else ""
        number_of = {"classification": 1, "regression": 2, "clustering": 5}[type]
        self.answers[f"/api/v1/xml/task/{number}"] = f"""<?xml version="1.0"?>
<oml:task {_NAMESPACE}>
<oml:task_id>{number}</oml:task_id><oml:task_name>Task {number} ({_GENERATED})</oml:task_name>
<oml:task_type_id>{number_of}</oml:task_type_id>
<oml:task_type>{"Clustering" if type == "clustering" else f"Supervised {type}"}</oml:task_type>
<oml:input name="source_data"><oml:data_set><oml:data_set_id>{data}</oml:data_set_id>
<oml:target_feature>{escape(target)}</oml:target_feature></oml:data_set></oml:input>
<oml:input name="estimation_procedure"><oml:estimation_procedure><oml:id>1</oml:id>
<oml:type>{kind}</oml:type><oml:data_splits_url>{url}</oml:data_splits_url>
<oml:parameter name="number_repeats">{repeats}</oml:parameter>
<oml:parameter name="number_folds">{folds}</oml:parameter>
<oml:parameter name="percentage"></oml:parameter>
</oml:estimation_procedure></oml:input>
</oml:task>""".encode()

    def add_suite(
        self,
        number: int,
        alias: str,
        tasks: list[int] | None = None,
        data: list[int] | None = None,
        entity: str = "task",
    ) -> None:
        """A suite of tasks, or of data sets; by number and by alias."""
        parts = [
            f"<oml:{plural}>"
            + "".join(f"<oml:{name}_id>{n}</oml:{name}_id>" for n in numbers)
            + f"</oml:{plural}>"
            for plural, name, numbers in (("data", "data", data), ("tasks", "task", tasks))
            if numbers
        ]
        content = f"""<?xml version="1.0"?>
<oml:study {_NAMESPACE}>
<oml:id>{number}</oml:id><oml:alias>{alias}</oml:alias>
<oml:main_entity_type>{entity}</oml:main_entity_type>
<oml:name>{alias} ({_GENERATED})</oml:name><oml:description>{_GENERATED}</oml:description>
<oml:status>active</oml:status><oml:creation_date>2026-01-01 00:00:00</oml:creation_date>
<oml:creator>1</oml:creator>{"".join(parts)}</oml:study>""".encode()
        for name in (number, alias):
            self.answers[f"/api/v1/xml/study/{name}"] = content

    def fault_of(self, path: str) -> Fault | None:
        for part, fault in self.faults.items():
            if part in path and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def wait(self, seconds: float) -> None:
        """Hold an answer back, at most until the server ends."""
        self._ending.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    server_of: OpenMLServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        server = self.server_of
        url = urlsplit(self.path)
        server.asked.append(self.path)
        server.wait(server.delay_s)
        fault = server.fault_of(url.path)
        if fault and fault.kind in ("slow", "silent"):
            server.wait(fault.seconds)
        if fault and fault.kind == "silent":
            self.close_connection = True
            return
        if fault and fault.kind == "down":
            self._send(503, b"<html><body>Service Unavailable</body></html>", body=body)
            return
        if fault and fault.kind == "busy":
            self._send(429, b"<p>Too Many", body=body, retry_after=f"{fault.seconds:g}")
            return
        if fault and fault.kind == "refused":
            page = b"<p>Precondition" if fault.code is None else _error(fault.code, "Refused")
            self._send(412, page, body=body)
            return
        given = parse_qs(url.query).get("api_key", [None])[0]
        if given is not None and server.key is not None and given != server.key:
            self._send(412, _error(103, "Authentication failed"), body=body)
            return
        content = server.answers.get(url.path)
        if content is None:
            self._send(412, _unknown(url.path), body=body)
            return
        if fault and fault.kind == "wrong":
            content = content[:-20] + b"0" * 20
        self._send(200, content, body=body, cut=bool(fault and fault.kind == "cut"))

    def _send(
        self,
        status: int,
        content: bytes,
        *,
        body: bool,
        cut: bool = False,
        retry_after: str | None = None,
    ) -> None:
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if not body:
            return
        if cut:
            content = content[: len(content) // 2]
            self.close_connection = True
        rate = self.server_of.bytes_per_s
        try:
            if rate is None:
                self.wfile.write(content)
                return
            step = max(1, int(rate / 20))
            for start in range(0, len(content), step):
                self.wfile.write(content[start : start + step])
                time.sleep(1 / 20)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing of the tests' server in the tests' output."""


def _xml(name: str, values: dict[str, Any]) -> bytes:
    lines = []
    for key, value in values.items():
        many = value if isinstance(value, list) else [value]
        lines += [f"<oml:{key}>{escape(str(one))}</oml:{key}>" for one in many]
    text = "\n".join(lines)
    return f'<?xml version="1.0"?>\n<oml:{name} {_NAMESPACE}>\n{text}\n</oml:{name}>'.encode()


def _features_xml(features: list[dict[str, Any]]) -> bytes:
    parts = []
    for feature in features:
        levels = feature.get("nominal_value") or feature.get("nominal_values") or []
        if isinstance(levels, str):
            levels = json.loads(levels) if levels.startswith("[") else [levels]
        values = "".join(f"<oml:nominal_value>{escape(v)}</oml:nominal_value>" for v in levels)
        parts.append(
            f"<oml:feature><oml:index>{feature['index']}</oml:index>"
            f"<oml:name>{escape(feature['name'])}</oml:name>"
            f"<oml:data_type>{feature['data_type']}</oml:data_type>{values}"
            f"<oml:is_target>{feature.get('is_target', 'false')}</oml:is_target>"
            f"<oml:is_ignore>{feature.get('is_ignore', 'false')}</oml:is_ignore>"
            f"<oml:is_row_identifier>{feature.get('is_row_identifier', 'false')}"
            "</oml:is_row_identifier>"
            f"<oml:number_of_missing_values>{feature.get('number_of_missing_values', 0)}"
            "</oml:number_of_missing_values></oml:feature>"
        )
    head = f'<?xml version="1.0"?>\n<oml:data_features {_NAMESPACE}>\n'
    return "\n".join([head, *parts, "</oml:data_features>"]).encode()


def _features(arff: str) -> list[dict[str, Any]]:
    features = []
    for line in arff.splitlines():
        if not line.lower().startswith("@attribute"):
            continue
        _, name, kind = line.split(None, 2)
        feature: dict[str, Any] = {"index": len(features), "name": name.strip("'\"")}
        if kind.startswith("{"):
            feature["data_type"] = "nominal"
            feature["nominal_value"] = [v.strip(" '\"") for v in kind.strip("{}").split(",")]
        else:
            known = {"string": "string", "date": "date"}
            feature["data_type"] = known.get(kind.split()[0].lower(), "numeric")
        features.append(feature)
    return features


def _splits(number: int, rows: int, folds: int, repeats: int) -> bytes:
    lines = [
        f"@relation Task_{number}_splits",
        "@attribute type {TRAIN,TEST}",
        "@attribute rowid numeric",
        "@attribute repeat numeric",
        "@attribute fold numeric",
        "@data",
    ]
    for repeat in range(repeats):
        order = np.random.RandomState(number + repeat).permutation(rows)
        of_row = np.empty(rows, dtype=int)
        of_row[order] = np.arange(rows) % (folds if folds > 1 else 3)
        for fold in range(folds):
            lines += [
                f"{'TEST' if of_row[row] == fold else 'TRAIN'},{row},{repeat},{fold}"
                for row in range(rows)
            ]
    return "\n".join(lines).encode()


def _error(code: int, message: str) -> bytes:
    return (
        f'<?xml version="1.0"?><oml:error {_NAMESPACE}><oml:code>{code}</oml:code>'
        f"<oml:message>{message}</oml:message></oml:error>"
    ).encode()


def _unknown(path: str) -> bytes:
    if "/data/qualities/" in path:
        return _error(362, "No qualities found")
    codes = {"study": (601, "Unknown study"), "task": (151, "Unknown task")}
    kind = path.removeprefix("/api/v1/xml/").split("/")[0]
    return _error(*codes.get(kind, (111, "Unknown dataset")))
