"""The access and audit log: a line of JSON for each request that was answered, or refused.

    {"time": "…", "client": "10.0.0.7", "token": "5f0c2a91", "method": "POST",
     "path": "/v1/experiments/mine/ask", "status": 200, "ms": 3.1}

`token` is the beginning of the token's SHA-256, so that it shows who changed what without the
token. Bodies, queries and headers are not logged. A file that is renamed or removed is opened
again under its name, as logrotate expects.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.web.metrics import Observer
from benchmark.records.results import utc_now


class AccessLog(Observer):
    """Logs requests to a file, `-` for stderr."""

    def __init__(self, app: Any, file: Path) -> None:
        super().__init__(app)
        try:
            handler = (
                logging.StreamHandler(sys.stderr)
                if str(file) == "-"
                else WatchedFileHandler(file, encoding="utf-8")
            )
        except OSError as error:
            raise BenchmarkError(
                f"The access log {file} cannot be written: {error.strerror}."
            ) from None
        self._log = logging.Logger("access")
        self._log.addHandler(handler)

    def ended(self, scope: Any, status: int, took_s: float) -> None:
        line = {
            "time": utc_now(),
            "client": (scope.get("client") or ("",))[0],
            "token": _shown(dict(scope["headers"]).get(b"authorization", b"")),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(1e3 * took_s, 1),
        }
        self._log.info(json.dumps(line))


def _shown(authorization: bytes) -> str | None:
    """The beginning of a token's hash; None without a token."""
    _, _, token = authorization.partition(b" ")
    return hashlib.sha256(token.strip()).hexdigest()[:8] if token.strip() else None
