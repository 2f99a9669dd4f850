"""A thin client of the HPO service's `/v1`.

    from benchmark.hpo import Client

    client = Client("http://127.0.0.1:8085")
    experiment = client.create(
        "mine",
        direction="minimize",
        tunables=[{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
        trials=50,
    )
    for trial in experiment:
        trial.tell((trial.params["x"] - 0.3) ** 2)
    print(experiment.best())

A request that got no answer is tried again for `patience_s`, also over a restart of the server: a
founding, an ask, a tell and an append have an idempotency key, so that they count once, and the
others may be repeated; a deletion that is found to be done is done.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PAUSE_S = 0.2
_WAIT_S = 0.5
_AGAIN = (429, 502, 503, 504)


class ClientError(BenchmarkError):
    """The service refused; `status` is HTTP's and `code` the service's."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Client:
    """A connection to a service, for many threads. `timeout_s` is for one answer."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8085",
        token: str | None = None,
        patience_s: float = 60.0,
        timeout_s: float = 300.0,
    ) -> None:
        import urllib3

        self._url = url.rstrip("/")
        self._patience_s = patience_s
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._headers = headers
        timeout = urllib3.Timeout(connect=10.0, read=timeout_s)
        self._pool = urllib3.PoolManager(maxsize=64, retries=False, timeout=timeout)

    def create(self, name: str, **declared: Any) -> Experiment:
        """Found an experiment: the keys of a study file, and lease_s, max_time_s, max_cost.

        Raises:
            ClientError: it is declared wrong (422), or there is one of that name (409).
        """
        found = self.call("POST", "/experiments", {"name": name, **declared}, key=_key())
        return Experiment(self, found["study"])

    def experiment(self, name: str) -> Experiment:
        """An experiment that is there.

        Raises:
            ClientError: it is not (404).
        """
        return Experiment(self, self.call("GET", f"/experiments/{quote(name, safe='')}")["study"])

    def experiments(self) -> Iterator[str]:
        """The studies of all experiments."""
        after: str | None = ""
        while after is not None:
            page = self.call("GET", f"/experiments?limit=1000&after={quote(after, safe='')}")
            yield from (one["study"] for one in page["experiments"])
            after = page["next"]

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """One request, tried again while the server does not answer.

        Raises:
            ClientError: the service refused.
            BenchmarkError: it did not answer for `patience_s`.
        """
        import urllib3

        headers = self._headers | ({"idempotency-key": key} if key else {})
        data = None if body is None else json.dumps(body).encode()
        ends = time.monotonic() + self._patience_s
        repeated = False
        while True:
            try:
                answer = self._pool.request(
                    method, f"{self._url}/v1{path}", body=data, headers=headers
                )
            except urllib3.exceptions.HTTPError as error:
                said = f"The HPO service at {self._url} does not answer: {type(error).__name__}"
                if time.monotonic() > ends:
                    raise BenchmarkError(f"{said}; start it with `main.py serve`.") from None
            else:
                if answer.status < 300:
                    return json.loads(answer.data) if answer.data else None
                if method == "DELETE" and answer.status == 404 and repeated:
                    return None
                refused = _refusal(answer.data, answer.status)
                if answer.status not in _AGAIN or time.monotonic() > ends:
                    raise refused
            repeated = True
            time.sleep(_PAUSE_S)


@dataclass(frozen=True)
class Trial:
    """A trial in this client's hands."""

    experiment: Experiment
    number: int
    params: dict[str, Any]
    lease: str
    lease_s: float | None

    def tell(self, *values: float, status: str = "success", **more: Any) -> bool:
        """End it; False where the same was told before. `more`: metrics, cost, message, …"""
        body = {"status": status, "values": list(values), **more}
        found = self.experiment.post(f"/trials/{self.number}/tell", body, key=_key())
        return not found["repeated"]

    def fail(self, message: str = "") -> bool:
        """It failed."""
        return self.tell(status="failure", message=message)

    def report(self, step: int, value: float) -> bool:
        """Keep an intermediate value; True where it should be pruned."""
        found = self.experiment.post(
            f"/trials/{self.number}/report", {"step": step, "value": value}
        )
        return bool(found["prune"])

    def heartbeat(self) -> None:
        """Begin the lease's time anew.

        Raises:
            ClientError: another client has the trial by now (409).
        """
        self.experiment.post(f"/trials/{self.number}/heartbeat", {"lease": self.lease})


class Experiment:
    """An experiment of the service; iterating asks for trials until there are no more."""

    def __init__(self, client: Client, study: str) -> None:
        self.study = study
        self._client = client
        self._path = f"/experiments/{quote(study, safe='')}"

    def __iter__(self) -> Iterator[Trial]:
        while True:
            found = self._asked(1, None)
            yield from found[0]
            if found[1] in ("finished", "stopped"):
                return
            if not found[0]:
                time.sleep(_WAIT_S)

    def ask(self, count: int = 1, lease_s: float | None = None) -> list[Trial]:
        """At most so many trials; none where it is paused or finished, or all are in work."""
        return self._asked(count, lease_s)[0]

    def append(self, results: Sequence[dict[str, Any]]) -> list[int]:
        """Tell results without an ask: `{"params": …, "values": […]}` each."""
        found = self.post("/trials", {"results": list(results)}, key=_key())
        numbers: list[int] = found["numbers"]
        return numbers

    def summary(self) -> dict[str, Any]:
        return dict(self._get(""))

    def best(self) -> dict[str, Any]:
        """The best trial.

        Raises:
            ClientError: none has succeeded yet (404).
        """
        return dict(self._get("/best"))

    def front(self) -> list[dict[str, Any]]:
        return list(self._get("/front"))

    def importance(self) -> dict[str, float]:
        return dict(self._get("/importance"))

    def trials(self, first: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        return list(self._get(f"/trials?first={first}&limit={limit}"))

    def pause(self) -> None:
        self.post("/pause")

    def resume(self) -> None:
        self.post("/resume")

    def stop(self) -> None:
        """Give out no more trials, for good."""
        self.post("/stop")

    def delete(self) -> None:
        """Delete it with all its results."""
        self._client.call("DELETE", self._path)

    def post(self, path: str, body: Any = None, key: str | None = None) -> Any:
        """A request below this experiment."""
        return self._client.call("POST", self._path + path, body, key)

    def _get(self, path: str) -> Any:
        return self._client.call("GET", self._path + path)

    def _asked(self, count: int, lease_s: float | None) -> tuple[list[Trial], str]:
        body = {"count": count} | ({} if lease_s is None else {"lease_s": lease_s})
        found = self.post("/ask", body, key=_key())
        trials = [
            Trial(self, one["number"], one["params"], one["lease"], one["lease_s"])
            for one in found["trials"]
        ]
        return trials, found["state"]


def _key() -> str:
    return secrets.token_hex(12)


def _refusal(data: bytes, status: int) -> ClientError:
    try:
        told = json.loads(data)
        return ClientError(told["message"], status, told["error"])
    except (ValueError, KeyError, TypeError):
        return ClientError(data.decode(errors="replace")[:500], status, "refused")
