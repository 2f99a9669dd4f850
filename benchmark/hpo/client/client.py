"""The client for threads."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

from benchmark.config.extras import program
from benchmark.errors import BenchmarkError
from benchmark.hpo.client.json_body import BodyError, encoded

_PAUSE_S = 0.2
WAIT_S = 0.5
"""Between two asks for a trial while there is none."""
_AGAIN = (429, 502, 503, 504)
# A retry is reported when requests have failed for so long.
_REPORTED_S = 2.0
_LONGEST = 10_000
_log = logging.getLogger("benchmark.hpo.client")


class ClientError(BenchmarkError):
    """The service refused; `status` is HTTP's and `code` the service's."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class NoTrialsError(BenchmarkError):
    """The experiment assigns no more trials."""


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def experiments(self, search: str = "", state: str | None = None) -> Iterator[str]:
        """The studies of all experiments, or of those with a text in their name or in a state."""
        chosen = {"search": search} | ({} if state is None else {"state": state})
        after: str | None = ""
        while after is not None:
            query = urlencode({"limit": 1000, "after": after, **chosen})
            page = self.call("GET", f"/experiments?{query}")
            yield from (one["study"] for one in page["experiments"])
            after = page["next"]

    def _content(self, answer: Any) -> Any:
        if not answer.data:
            return None
        kind = answer.headers.get("content-type", "")
        try:
            if kind.startswith("application/json"):
                return json.loads(answer.data)
            if kind.startswith(("text/csv", "text/plain")):
                return answer.data.decode()
        except ValueError:
            pass
        raise BenchmarkError(f"{self._url} is not an HPO service: it answers with {kind!r}.")

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """One request, tried again while the server does not answer.

        Raises:
            ClientError: the service refused.
            BenchmarkError: it did not answer for `patience_s`.
        """
        import urllib3

        headers = self._headers | ({"idempotency-key": key} if key else {})
        try:
            data = None if body is None else encoded(body)
        except BodyError as error:
            raise ClientError(str(error), 422, "invalid") from None
        started = time.monotonic()
        ends = started + self._patience_s
        repeated = reported = lost = False
        while True:
            try:
                answer = self._pool.request(
                    method, f"{self._url}/v1{path}", body=data, headers=headers
                )
                # A head that broke off is a whole one to http.client.
                length = answer.headers.get("content-length")
                if not answer.data and answer.status != 204 and length != "0":
                    raise urllib3.exceptions.ProtocolError
            except urllib3.exceptions.HTTPError as error:
                lost = lost or not isinstance(error, urllib3.exceptions.ConnectTimeoutError)
                said = f"The HPO service at {self._url} does not answer: {type(error).__name__}"
                if time.monotonic() > ends:
                    raise BenchmarkError(f"{said}; start it with `{program()} serve`.") from None
            else:
                if answer.status < 300:
                    found = self._content(answer)
                    # The service has compared the content: what ended it may be this request.
                    return found | {"repeated": False} if lost and _is_repeated(found) else found
                if method == "DELETE" and answer.status == 404 and repeated:
                    return None
                refused = _refusal(answer.data, answer.status)
                if answer.status not in _AGAIN or time.monotonic() > ends:
                    raise refused
                lost = lost or answer.status != 429
                said = f"The HPO service at {self._url} answers {answer.status}: {refused}"
            repeated = True
            if not reported and time.monotonic() - started >= _REPORTED_S:
                reported = True
                said = said if said.endswith(".") else f"{said}."
                _log.warning("%s Trying again for up to %g s.", said, self._patience_s)
            time.sleep(_PAUSE_S)


@dataclass
class Trial:
    """A trial in this client's hands.

    As a context manager it renews its lease, and has ended when the block ends: one that the block
    did not end is a failure, with the exception as its message.
    """

    experiment: Experiment
    number: int
    params: dict[str, Any]
    lease: str
    lease_s: float | None
    is_ended: bool = False

    def __enter__(self) -> Self:
        self._left = threading.Event()
        if self.lease_s is not None:
            threading.Thread(target=self._renew, args=(self.lease_s / 3,), daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self._left.set()
        if self.is_ended:
            return
        reason = "The block ended without a result."
        if error is not None:
            reason = f"{type(error).__name__}: {error}"[:_LONGEST]
        try:
            self.tell(status="failure", message=reason, lease=self.lease)
        except BenchmarkError as fault:
            if error is None:
                raise
            error.add_note(f"Trial {self.number} could not be ended: {fault}")

    def tell(self, *values: float, status: str = "success", **more: Any) -> bool:
        """End it; False where the same was reported before. `more`: metrics, cost, message, …

        True also where the answer to a try of this call was lost, and the same is recorded.
        """
        body = {"status": status, "values": list(values), **more}
        found = self.experiment.post(f"/trials/{self.number}/tell", body, key=_key())
        self.is_ended = True
        return not found["repeated"]

    def prune(self, **more: Any) -> bool:
        """It was ended early."""
        return self.tell(status="prune", **more)

    def annotate(self, **attributes: Any) -> None:
        """Set attributes of it, also after its end; None removes one."""
        self.experiment.annotate(self.number, attributes)

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
        """Begin the lease's time again.

        Raises:
            ClientError: another client has the trial by now (409).
        """
        self.experiment.post(f"/trials/{self.number}/heartbeat", {"lease": self.lease})

    def _renew(self, each_s: float) -> None:
        while not self._left.wait(each_s):
            try:
                self.heartbeat()
            except BenchmarkError as error:
                if not self.is_ended:
                    _log.warning("The lease of trial %d is not renewed: %s", self.number, error)
                # A server that is gone or busy may answer again before the lease is another's.
                status = error.status if isinstance(error, ClientError) else 500
                if self.is_ended or (status < 500 and status not in _AGAIN):
                    return


class Experiment:
    """An experiment of the service; iterating asks for trials until there are no more."""

    def __init__(self, client: Client, study: str) -> None:
        self.study = study
        self._client = client
        self._path = f"/experiments/{quote(study, safe='')}"

    def __repr__(self) -> str:
        return f"<Experiment {self.study!r}>"

    def __iter__(self) -> Iterator[Trial]:
        while True:
            try:
                found = self.trial()
            except NoTrialsError:
                return
            yield found

    def ask(self, count: int = 1, lease_s: float | None = None) -> list[Trial]:
        """At most so many trials; none where it is paused or finished, or all are in work."""
        return self._asked(count, lease_s)[0]

    def trial(self, lease_s: float | None = None) -> Trial:
        """The next trial, waited for while all are in work or it is paused.

            with experiment.trial() as trial:       # reported when the block ends, whatever happens
                trial.tell(measure(trial.params))

        Raises:
            NoTrialsError: the experiment is finished or stopped.
        """
        while (found := self.next_trial(lease_s)) is None:
            time.sleep(WAIT_S)
        return found

    def next_trial(self, lease_s: float | None = None) -> Trial | None:
        """The next trial; None while all are in work or it is paused.

        Raises:
            NoTrialsError: the experiment is finished or stopped.
        """
        found, state = self._asked(1, lease_s)
        if not found and state in ("finished", "stopped"):
            raise NoTrialsError(f"The experiment '{self.study}' is {state}: no more trials.")
        return found[0] if found else None

    def enqueue(self, points: Sequence[Mapping[str, Any]]) -> list[int]:
        """Points to run next; the numbers of their trials."""
        found = self.post("/enqueue", {"points": [dict(point) for point in points]}, key=_key())
        return list(found["numbers"])

    def change(self, **limits: Any) -> dict[str, Any]:
        """Change trials, parallel, lease_s, max_time_s, max_cost or facts; the new summary."""
        return dict(self._client.call("PATCH", self._path, limits))

    def annotate(self, number: int, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Set attributes of a trial; None removes one. The trial as it is then."""
        body = {"attributes": dict(attributes)}
        return dict(self._client.call("PATCH", f"{self._path}/trials/{number}", body))

    def delete_trial(self, number: int) -> None:
        """Delete a trial that has ended or is queued; one more may be asked in its place.

        Raises:
            ClientError: there is no such trial (404), or it is running (409).
        """
        self._client.call("DELETE", f"{self._path}/trials/{number}")

    def export(self, form: Literal["csv", "json", "env"] = "csv") -> Any:
        """All trials as the text of a CSV file or as JSON; of the best its lines NAME=value."""
        return self._get(f"/export?format={form}")

    def append(self, results: Sequence[dict[str, Any]]) -> list[int]:
        """Tell results without an ask: `{"params": …, "values": […]}` each."""
        found = self.post("/trials", {"results": list(results)}, key=_key())
        return list(found["numbers"])

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

    def trials(
        self, first: int = 0, limit: int = 1000, status: str | None = None
    ) -> list[dict[str, Any]]:
        """At most `limit` trials from the number `first` on, of one status or of any."""
        chosen = {} if status is None else {"status": status}
        return list(self._get(f"/trials?{urlencode({'first': first, 'limit': limit, **chosen})}"))

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


def _is_repeated(answer: Any) -> bool:
    return isinstance(answer, dict) and answer.get("repeated") is True


def _refusal(data: bytes, status: int) -> ClientError:
    try:
        refusal = json.loads(data)
        return ClientError(refusal["message"], status, refusal["error"])
    except (ValueError, KeyError, TypeError):
        return ClientError(data.decode(errors="replace")[:500], status, "refused")
