"""Requests of the modern API, in few words."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

TUNABLES: list[dict[str, Any]] = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
]

Http = TestClient


def create(http: Http, **changes: Any) -> dict[str, Any]:
    body = {"name": "e", "direction": "minimize", "tunables": TUNABLES, "algorithm": "random"}
    answer = http.post("/v1/experiments", json=body | changes)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ask(http: Http, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {"idempotency-key": key} if key else {}
    answer = http.post("/v1/experiments/e/ask", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def tell(http: Http, number: int, key: str | None = None, **body: Any) -> Any:
    headers = {"idempotency-key": key} if key else {}
    return http.post(f"/v1/experiments/e/trials/{number}/tell", json=body, headers=headers)
