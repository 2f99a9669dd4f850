"""What clients add and change later: queued points, budgets, attributes, exports, lists, ETags."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core.backend import Backend
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import ConflictError
from benchmark.hpo.service.core.service import Service
from benchmark.store import Store
from tests.hpo.service.conftest import TUNABLES

Http = TestClient
E = "/v1/experiments/e"
POINTS: list[dict[str, Any]] = [{"x": 0.25, "n": 3, "gc": "Z"}, {"x": 0.5, "n": 5, "gc": "G1"}]
BODY: dict[str, Any] = {"direction": "minimize", "tunables": TUNABLES, "algorithm": "random"}


def create(http: Http, name: str = "e", **changes: Any) -> None:
    answer = http.post("/v1/experiments", json={"name": name} | BODY | changes)
    assert answer.status_code == 201, answer.text


def ask(http: Http, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.post(f"{E}/ask", json={"count": count}).json()["trials"]
    return found


def tell(http: Http, number: int, **body: Any) -> None:
    answer = http.post(f"{E}/trials/{number}/tell", json=body)
    assert answer.status_code == 200, answer.text


def test_queued_points_are_asked_first(http: Http) -> None:
    create(http, trials=4)
    first = ask(http)
    assert http.post(f"{E}/enqueue", json={"points": POINTS}).json() == {"numbers": [1, 2]}
    summary = http.get(E).json()
    assert (summary["asked"], summary["queued"], summary["running"]) == (1, 2, 1)
    assert [t["status"] for t in http.get(f"{E}/trials").json()] == ["running"] + 2 * ["waiting"]
    given = ask(http, 3)
    assert [one["number"] for one in given] == [1, 2, 3]
    assert [one["params"] for one in given[:2]] == POINTS
    assert [one["again"] for one in given] == [False] * 3
    for one in first + given:
        tell(http, one["number"], value=1.0)
    summary = http.get(E).json()
    assert (summary["asked"], summary["queued"], summary["state"]) == (4, 0, "finished")


def test_a_queue_counts_once_for_its_key(http: Http) -> None:
    create(http)
    headers = {"idempotency-key": "k"}

    def queued(points: list[dict[str, Any]]) -> Any:
        return http.post(f"{E}/enqueue", json={"points": points}, headers=headers)

    assert queued(POINTS).json() == {"numbers": [0, 1]}
    ask(http)
    assert queued(POINTS).json() == {"numbers": [0, 1]}
    for other in (POINTS[:1], POINTS[::-1]):
        assert queued(other).status_code == 409
    answer = http.post(f"{E}/enqueue", json={"points": [POINTS[0], {"x": 2.0}]})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("Point 1: ")
    assert http.get(E).json()["queued"] == 1


def test_queued_points_keep_to_the_budget_and_to_parallel(http: Http) -> None:
    create(http, trials=2, parallel=1)
    http.post(f"{E}/enqueue", json={"points": POINTS * 2})
    for number in (0, 1):
        assert [one["number"] for one in ask(http, 4)] == [number]
        assert ask(http) == []
        tell(http, number, value=1.0)
    assert http.get(E).json()["state"] == "finished"
    changed = http.patch(E, json={"trials": 4, "parallel": None}).json()
    assert (changed["trials"], changed["parallel"], changed["state"]) == (4, None, "running")
    assert [one["number"] for one in ask(http, 4)] == [2, 3]


def test_queued_points_of_a_space_that_is_used_up_are_run(http: Http) -> None:
    create(http, tunables=TUNABLES[2:], algorithm="grid")
    http.post(f"{E}/enqueue", json={"points": [{"gc": "Z"}]})
    given = ask(http, 5)
    assert [one["params"]["gc"] for one in given] == ["Z", "G1"]
    http.post(f"{E}/enqueue", json={"points": [{"gc": "G1"}]})
    for one in given:
        tell(http, one["number"], value=1.0)
    assert http.get(E).json()["state"] == "running"
    (again,) = ask(http)
    tell(http, again["number"], value=1.0)
    assert http.get(E).json()["state"] == "finished"


def test_a_queued_trial_may_be_told_without_an_ask(http: Http) -> None:
    create(http)
    http.post(f"{E}/enqueue", json={"points": POINTS})
    tell(http, 0, value=2.0)
    summary = http.get(E).json()
    assert (summary["asked"], summary["told"], summary["queued"]) == (1, 1, 1)
    assert ask(http)[0]["number"] == 1


def test_a_stopped_experiment_takes_no_points(http: Http) -> None:
    create(http)
    http.post(f"{E}/stop")
    assert http.post(f"{E}/enqueue", json={"points": POINTS}).status_code == 409


@pytest.mark.parametrize("kind", ["memory", "store", "sqlite"])
def test_changes_are_there_after_a_restart(kind: str, folder_store: Store, tmp_path: Path) -> None:
    backend: Backend = MemoryBackend() if kind == "memory" else StoreBackend(folder_store)
    if kind == "sqlite":
        backend = DatabaseBackend(f"sqlite:///{tmp_path}/s.db", None)
    service = Service(backend)
    service.create("e", BODY | {"trials": 1})
    with service.use("e") as experiment:
        (given,) = experiment.ask()
        experiment.tell(given.number, Ending("success", (1.0,)))
        experiment.enqueue(POINTS, "k")
        experiment.change({"trials": 2, "lease_s": 5.0, "facts": {"team": "a", "old": 1}})
        experiment.change({"facts": {"old": None}})
        experiment.annotate(0, {"host": "h1", "tags": ["a"]})
        experiment.annotate(0, {"host": None})
    service.close()
    again = Service(backend)
    with again.use("e") as experiment:
        limits = experiment.limits
        assert (limits.trials, limits.lease_s, limits.facts) == (2, 5.0, {"team": "a"})
        assert experiment.attributes()(0) == {"tags": ["a"]}
        assert experiment.enqueue(POINTS, "k") == [1, 2]
        with pytest.raises(ConflictError, match="other points"):
            experiment.enqueue(POINTS[:1], "k")
        (given,) = experiment.ask(5)
        assert (given.number, given.params, given.lease_s) == (1, POINTS[0], 5.0)
    again.close()


def test_budgets_may_change(http: Http) -> None:
    create(http, trials=1, max_cost=1.0, max_time_s=1e6)
    tell(http, ask(http)[0]["number"], value=1.0, cost=2.0)
    assert http.get(E).json()["state"] == "finished"
    assert http.patch(E, json={"trials": 2}).json()["state"] == "finished"
    found = http.patch(E, json={"max_cost": None, "facts": {"a": 1}}).json()
    assert (found["state"], found["max_cost"], found["max_time_s"]) == ("running", None, 1e6)
    assert found["facts"] == {"a": 1}
    assert len(ask(http)) == 1
    for wrong in ({"trials": 0}, {"trials": None}, {"facts": None}, {"seed": 1}, {"lease_s": 0}):
        answer = http.patch(E, json=wrong)
        assert answer.status_code == 422, wrong
    assert http.patch("/v1/experiments/none", json={"trials": 2}).status_code == 404


def test_trials_have_attributes(http: Http) -> None:
    create(http)
    tell(http, ask(http)[0]["number"], value=1.0)
    path = f"{E}/trials/0"
    found = http.patch(path, json={"attributes": {"host": "h1", "runs": [1, 2]}}).json()
    assert found["attributes"] == {"host": "h1", "runs": [1, 2]}
    http.patch(path, json={"attributes": {"host": None, "ok": True}})
    assert http.get(path).json()["attributes"] == {"runs": [1, 2], "ok": True}
    assert http.get(f"{E}/best").json()["attributes"] == {"runs": [1, 2], "ok": True}
    assert http.patch(f"{E}/trials/7", json={"attributes": {}}).status_code == 404


def test_an_experiment_is_exported(http: Http) -> None:
    create(http)
    assert http.get(f"{E}/export?format=env").status_code == 404
    given = ask(http, 3)
    tell(http, 0, value=2.0, metrics={"p99": 3.5})
    tell(http, 1, status="failure", message="it broke")
    answer = http.get(f"{E}/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["trial"], row["state"]) for row in rows] == [("0", "success"), ("1", "failure")]
    assert (float(rows[0]["x"]), rows[0]["p99"]) == (given[0]["params"]["x"], "3.5")
    whole = http.get(f"{E}/export?format=json").json()
    assert whole["experiment"] == http.get(E).json()
    assert whole["trials"] == http.get(f"{E}/trials").json()
    lines = dict(line.split("=") for line in http.get(f"{E}/export?format=env").text.splitlines())
    assert lines.keys() == {"x", "n", "gc"}
    assert float(lines["x"]) == given[0]["params"]["x"]
    assert http.get(f"{E}/export?format=xml").status_code == 422


def test_lists_are_filtered(http: Http) -> None:
    for name in ("Alpha", "beta/one", "alphabet"):
        create(http, name)
    http.post("/v1/experiments/Alpha/stop")

    def names(query: str) -> list[str]:
        page = http.get(f"/v1/experiments?{query}").json()
        return [row["name"] for row in page["experiments"]]

    assert sorted(names("")) == ["Alpha", "alphabet", "beta/one"]
    assert names("search=ALPHA") == ["Alpha", "alphabet"]
    assert names("search=a/one") == ["beta/one"]
    assert names("state=stopped") == ["Alpha"]
    assert names("state=running&search=alpha") == ["alphabet"]
    assert http.get("/v1/experiments?search=alpha").json()["total"] == 2
    assert http.get("/v1/experiments?state=none").status_code == 422
    page = http.get("/v1/experiments?state=running&limit=1").json()
    following = http.get(f"/v1/experiments?state=running&after={page['next']}").json()
    assert [row["name"] for row in (*page["experiments"], *following["experiments"])] == [
        "alphabet",
        "beta/one",
    ]


def test_trials_are_filtered_by_status(http: Http) -> None:
    create(http)
    ask(http, 4)
    tell(http, 1, status="failure")
    tell(http, 3, status="failure")

    def numbers(query: str) -> list[int]:
        return [trial["number"] for trial in http.get(f"{E}/trials?{query}").json()]

    assert numbers("status=failure") == [1, 3]
    assert numbers("status=running&limit=1") == [0]
    assert numbers("status=failure&first=2") == [3]
    assert http.get(f"{E}/trials?status=lost").status_code == 422


def test_what_has_not_changed_is_not_sent_again(http: Http) -> None:
    create(http)
    for path in (E, f"{E}/trials", "/v1/experiments?details=true"):
        first = http.get(path)
        tag = first.headers["etag"]
        for known in (tag, f'"x", W/{tag}', "*"):
            same = http.get(path, headers={"if-none-match": known})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert http.get(path, headers={"if-none-match": '"other"'}).content == first.content
    tag = http.get(E).headers["etag"]
    ask(http)
    changed = http.get(E, headers={"if-none-match": tag})
    assert (changed.status_code, changed.json()["asked"]) == (200, 1)


def test_pages_ask_for_what_is_below_the_path_of_a_proxy(http: Http) -> None:
    for page in (http.get("/").text, http.get("/docs").text):
        assert re.findall(r"""(?:href=|call\(|=> |src=)["']?/[^\s"']*""", page) == []
    assert "href=openapi.json" in http.get("/docs").text


def test_the_api_is_documented_by_a_page_of_its_own(http: Http) -> None:
    page = http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http" not in page.text  # nothing comes from elsewhere
    document = http.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page.text
    for name in document["components"]["schemas"]:
        assert f'<h2 id="{name}">' in page.text
    assert '<li>body: <a href="#Points">Points</a>' in page.text
