"""Host, size, rate and token, in front of the application; and which addresses are served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.store import MemoryBackend
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.server import Options, check
from benchmark.hpo.service.web.guard import (
    LARGEST_BODY,
    Buckets,
    Guard,
    Right,
    TokenError,
    read_again,
    read_tokens,
)

READ, WRITE = "r" * 24, "w" * 24


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TestClient]:
    file = tmp_path / "tokens"
    file.write_text(f"# of the test\nread {READ}\n\nwrite {WRITE}\n")
    app = Guard(make_app(Service(MemoryBackend())), read_tokens(file))
    with TestClient(app) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_tokens_have_their_rights(guarded: TestClient) -> None:
    for path in ("/health", "/"):
        assert guarded.get(path).status_code == 200
    for path in (
        "/metrics",
        "/v1/experiments",
        "/listexperiments",
        "/openapi.json",
        "/experiment_trials",
    ):
        assert guarded.get(path).status_code == 401
        assert guarded.get(path, headers=bearer("x" * 24)).status_code == 401
    assert guarded.get("/v1/experiments", headers=bearer(READ)).status_code == 200
    body = {"operation": "EXP_DELETE", "experiment_name": "e"}
    refused = guarded.post("/experiment_trials", json=body, headers=bearer(READ))
    assert refused.status_code == 403
    found = guarded.post("/experiment_trials", json=body, headers=bearer(WRITE))
    assert (found.status_code, found.text) == (404, "Experiment not found!")


def test_head_is_get_and_options_may_be_read(guarded: TestClient) -> None:
    for path in ("/health", "/v1/experiments", "/metrics", "/openapi.json", "/docs"):
        found = guarded.head(path, headers=bearer(READ))
        assert found.status_code == 200
        wanted = guarded.get(path, headers=bearer(READ)).headers
        assert found.headers["content-type"] == wanted["content-type"]
    assert guarded.head("/v1/experiments").status_code == 401
    assert guarded.head("/v1/experiments/e", headers=bearer(READ)).status_code == 404
    assert guarded.options("/v1/experiments").status_code == 401
    assert guarded.options("/v1/experiments", headers=bearer(READ)).status_code == 204


def test_refusals_of_v1_are_json(guarded: TestClient) -> None:
    refused = guarded.get("/v1/experiments")
    assert (refused.status_code, refused.json()["error"]) == (401, "no_token")
    assert refused.headers["www-authenticate"] == "Bearer"
    refused = guarded.post("/v1/experiments", json={}, headers=bearer(READ))
    assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
    large = {"authorization": f"Bearer {WRITE}", "content-length": str(LARGEST_BODY + 1)}
    refused = guarded.post("/v1/experiments", content=b"{}", headers=large)
    assert (refused.status_code, refused.json()["error"]) == (413, "too_large")
    assert guarded.get("/listexperiments").headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no token"),
        ("write short", "fewer than 16"),
        ("admin " + WRITE, "line 1: write 'read TOKEN'"),
        (WRITE, "line 1: write 'read TOKEN'"),
    ],
)
def test_token_files_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(TokenError, match=said) as caught:
        read_tokens(file)
    assert WRITE not in str(caught.value)


def test_a_token_is_for_the_experiments_of_its_patterns(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"write {WRITE}\nwrite {'t' * 24} team/* mine\nread {READ} mine\n")
    team, reader = bearer("t" * 24), bearer(READ)
    app = Guard(make_app(Service(MemoryBackend())), read_tokens(file))
    tunables = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
    declared = {"direction": "minimize", "tunables": tunables, "algorithm": "random"}
    with TestClient(app) as http:
        for name in ("mine", "team/one", "secret/one"):
            answer = http.post(
                "/v1/experiments", json=declared | {"name": name}, headers=bearer(WRITE)
            )
            assert answer.status_code == 201
        study = answer.json()["study"]
        refused = http.post("/v1/experiments", json=declared | {"name": "other"}, headers=team)
        said = "This token is for other experiments than 'other': team/*, mine."
        assert refused.status_code == 403
        assert refused.json() == {"error": "forbidden", "message": said}
        for headers, names in ((team, ["mine", "team/one"]), (reader, ["mine"])):
            rows = http.get("/v1/experiments", headers=headers).json()
            assert ([row["name"] for row in rows["experiments"]], rows["total"]) == (
                names,
                len(names),
            )
            shown = http.get("/listexperiments", headers=headers).text
            assert ("mine" in shown, "secret" in shown) == (True, False), shown
            assert ("team" in shown) == ("team/one" in names), shown
        for verb, path in (("POST", "/ask"), ("GET", ""), ("DELETE", ""), ("GET", "/events")):
            for other in ("secret%2Fone", study):
                url = f"/v1/experiments/{other}{path}"
                body = {"json": {}} if verb == "POST" else {}
                assert http.request(verb, url, headers=team, **body).status_code == 403
        assert http.post("/v1/experiments/team%2Fone/ask", json={}, headers=team).json()["trials"]
        assert http.post("/v1/experiments/mine/ask", json={}, headers=reader).status_code == 403
        assert http.get("/v1/experiments", headers=bearer(WRITE)).json()["total"] == 3


def test_tokens_are_read_again_or_stay(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"read {READ}\nwrite {WRITE}\n")
    tokens = read_tokens(file)
    client = TestClient(Guard(make_app(Service(MemoryBackend())), tokens))
    file.write_text(f"read {WRITE}\nwrite {'n' * 24}\n")
    read_again(file, tokens)
    codes = [client.get("/v1/experiments", headers=bearer(t)).status_code for t in (READ, WRITE)]
    assert codes == [401, 200]
    assert client.post("/v1/experiments/e/stop", headers=bearer(WRITE)).status_code == 403
    assert client.post("/v1/experiments/e/stop", headers=bearer("n" * 24)).status_code == 404
    before = dict(tokens)
    file.write_text("nothing\n")
    with pytest.raises(TokenError):
        read_again(file, tokens)
    assert tokens == before


def test_a_byte_order_mark_is_no_part_of_a_right(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"read {READ}\n", encoding="utf-8-sig")
    assert list(read_tokens(file).values()) == [Right("read")]


def test_a_body_that_is_too_large(http: TestClient) -> None:
    client = TestClient(Guard(http.app))
    data = b" " * (LARGEST_BODY + 1)
    kind = {"content-type": "application/json"}
    assert client.post("/experiment_trials", content=data, headers=kind).status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(9):
            yield b" " * (LARGEST_BODY // 8)

    for path in ("/experiment_trials", "/v1/experiments", "/v1/experiments/e/ask"):
        answer = client.post(path, content=parts(), headers=kind)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("path", ["/v1/experiments/%ff", "/v1/experiments?after=%c3%28", "/%fe"])
def test_a_path_or_query_that_is_not_utf_8(http: TestClient, path: str) -> None:
    answer = TestClient(Guard(http.app)).get(path)
    assert answer.status_code == 400
    assert "is not UTF-8" in answer.text


def test_a_rate() -> None:
    now = 0.0
    buckets = Buckets(2.0, lambda: now)
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
    assert buckets.take("b")
    now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    granted = 0
    for _ in range(30):
        now += 0.4
        granted += buckets.take("a")
    assert granted == 24  # 2.5 a second where 2 may be


@pytest.mark.parametrize(
    ("host", "code"),
    [("localhost:8085", 200), ("127.0.0.1", 200), ("[::1]:1", 200), ("evil.example", 403)],
)
def test_a_local_server_answers_to_its_own_name(http: TestClient, host: str, code: int) -> None:
    client: Any = TestClient(Guard(http.app, local=True))
    assert client.get("/health", headers={"host": host}).status_code == code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 404),
        ({"origin": "http://localhost:8085"}, 404),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://[broken"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://proxy.example", "sec-fetch-site": "same-origin"}, 404),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    http: TestClient, guarded: TestClient, headers: dict[str, str], code: int
) -> None:
    named = headers | {"host": "localhost:8085"}
    for local in (True, False):
        client: Any = TestClient(Guard(http.app, local=local))
        assert client.post("/v1/experiments/e/stop", headers=named).status_code == code
        assert client.get("/health", headers=named).status_code == 200
    answer = guarded.post("/v1/experiments/e/stop", headers=named | bearer(WRITE))
    assert answer.status_code == 404


def test_no_open_server_by_accident(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(BenchmarkError, match="--token-file"):
            check(Options(host=host))
        check(Options(host=host, insecure=True))
        check(Options(host=host, token_file=tmp_path))
    for host in ("127.0.0.1", "localhost", "::1"):
        check(Options(host=host))
