"""The access log: a line for each request, refused ones too, and no secret in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.store import MemoryBackend
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web.guard import Guard, read_tokens
from benchmark.hpo.service.web.metrics import AccessLog

TOKEN = "w" * 24


def test_requests_are_logged_without_secrets(tmp_path: Path) -> None:
    tokens, file = tmp_path / "tokens", tmp_path / "access.log"
    tokens.write_text(f"write {TOKEN}\n")
    app = AccessLog(Guard(make_app(Service(MemoryBackend())), read_tokens(tokens)), file)
    with TestClient(app) as http:
        http.get("/v1/experiments?search=secret")
        http.headers["authorization"] = f"Bearer {TOKEN}"
        http.get("/v1/experiments/team%2Fone%0A")
        file.rename(tmp_path / "access.log.1")
        http.post("/v1/experiments", json={"name": "secret"})
    text = (tmp_path / "access.log.1").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    mine = hashlib.sha256(TOKEN.encode()).hexdigest()[:8]
    assert [(one["status"], one["token"]) for one in found] == [(401, None), (404, mine)]
    assert found[0]["path"] == "/v1/experiments"
    assert found[0]["client"] == "testclient"
    (last,) = map(json.loads, file.read_text().splitlines())
    assert (last["method"], last["status"], last["token"]) == ("POST", 422, mine)
    for secret in (TOKEN, "secret", "Bearer"):
        assert secret not in text + file.read_text()


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot be written: Is a directory"):
        AccessLog(None, tmp_path)
