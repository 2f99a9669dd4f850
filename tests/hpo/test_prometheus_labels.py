"""Labels of a Prometheus query that no series has: named with those that exist."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from benchmark.hpo.objectives.metrics.measured_values import NotThereError
from benchmark.hpo.objectives.metrics.prometheus import Query
from tests.hpo.test_prometheus import WINDOW, Answering, Scripted, asking, matrix


class Listing(Answering):
    """Answers lists by their path and selector."""

    listed: dict[str, list[Any]] = {}  # noqa: RUF012

    def do_GET(self) -> None:  # noqa: N802
        path, _, query = self.path.removeprefix("/api/v1/").partition("?")
        only = parse_qs(query).get("match[]", [""])[0]
        found = self.listed.get(f"{path} {only}", [])
        body = json.dumps({"status": "success", "data": found}).encode()
        self.send_response_only(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setattr(Listing, "listed", LISTED)
    with Scripted() as scripted:
        scripted.RequestHandlerClass = Listing
        scripted.answers = [matrix()]
        thread = threading.Thread(target=scripted.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


LISTED: dict[str, list[Any]] = {
    "series up": [{}],
    'series up{job="api"}': [{}],
    "labels up": ["__name__", "instance", "job"],
    "label/job/values up": ["api", "database"],
    "label/instance/values up": ["localhost:9090"],
    "label/__name__/values ": ["up"],
}
UNMATCHED = {
    'up{jobb="api"}': (True, "needs; its labels are job, instance."),
    'up{job="databse"}': (True, "'job' is database, api."),
    'up{job="new"}': (False, "'job' is "),
    'up{joob="api"}': (True, "its labels are "),
    'up{zone="a"}': (False, "its labels are "),
    'sum(rate(up{job="api"}[20s])) + up{instance=~"b.*"}': (False, "its labels are "),
}


@pytest.mark.parametrize("query", UNMATCHED)
def test_labels_that_no_series_has(server: Scripted, query: str) -> None:
    """A typo fails at once; a label that may be new only when the time is up."""
    certain, said = UNMATCHED[query]
    with pytest.raises(NotThereError) as caught:
        asking(server, Query(query), timeout_s=60.0 if certain else 0.7).read(WINDOW)
    assert said in str(caught.value)
    assert caught.value.certain == certain
    assert (len(server.asked) == 1) == certain


def test_labels_of_many_values(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those most like the wanted one are shown."""
    values = [f"host-{number:03}" for number in range(500)]
    monkeypatch.setattr(Listing, "listed", LISTED | {"label/job/values up": values})
    with pytest.raises(NotThereError) as caught:
        asking(server, Query('up{job="host-7"}')).read(WINDOW)
    assert "or one of 492 more" in str(caught.value)
    assert "host-007" in str(caught.value)
    assert len(str(caught.value)) < 400
