"""Metrics of a Prometheus server over the time in which a trial was measured.

prometheus:
  url: http://localhost:9090
  step: 5s                                               # at least the scrape interval
  auth: {bearer: PROMETHEUS_TOKEN}                       # the name of a variable, never a token
  queries:
    queue: {query: "sum(queue_length)", of: p95}         # over the points of the window
    rps: "sum(increase(requests_total[$window])) / 60"   # once, over the whole window

No sample from before the window counts: points begin where the look-back of the query lies within
the window, and the server's own look-back of five minutes is reduced to two steps.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import time
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError, SetupError
from benchmark.files.spelling import is_typo, nearest
from benchmark.hpo.objectives.metrics.measured_values import MeasureError, NotThereError
from benchmark.hpo.objectives.metrics.promql import (
    WINDOW,
    Selector,
    looked,
    metrics_in,
    selectors_in,
)
from benchmark.hpo.objectives.metrics.selections import aggregated

if TYPE_CHECKING:
    from collections.abc import Mapping

    import urllib3

STEP_S = 15.0
TIMEOUT_S = 30.0
_PAUSE_S = 0.5
_ANSWER_S = 30.0
_LARGEST = 32 * 2**20
_MOST_POINTS = 10_000
_SHOWN = 8


class UnreachableError(BenchmarkError):
    """The server did not answer; the trial was not measured, and its point is not to blame."""


@dataclass(frozen=True)
class Query:
    """PromQL with one series as its answer; `of` makes one number of the points in the window.

    A query with `$window` has its value at the end of the window, and no `of`.
    """

    text: str
    of: str = "mean"

    @property
    def is_instant(self) -> bool:
        return WINDOW in self.text

    def faults(self) -> list[str]:
        """Why it has no value of the window alone, however long that is."""
        long_s = 1e9
        found = looked(self.text, 0.0, long_s)
        if self.is_instant and not found.faults and found.seconds > long_s + 1e-3:
            found.faults.append(
                f"looks back {found.seconds - long_s:g} s beyond the window; leave what is beside "
                f"{WINDOW} in it out"
            )
        return found.faults


@dataclass(frozen=True)
class Prometheus:
    """A server and its queries by metric. Times are in seconds.

    `wait_s` after the end of the window scrapes in progress are assumed to have arrived; missing
    points are asked for again until `timeout_s` later. `bearer` and `basic` name the variable with
    a token, or with `user:password`.
    """

    url: str
    queries: dict[str, Query] = field(default_factory=dict)
    step_s: float = STEP_S
    wait_s: float = STEP_S
    timeout_s: float = TIMEOUT_S
    bearer: str | None = None
    basic: str | None = None

    def check(self) -> None:
        """Refuse to begin a trial that could not be measured.

        Raises:
            SetupError: the variable of `auth` is not set.
        """
        self._headers()

    def read(self, window: tuple[float, float]) -> dict[str, float]:
        """The metrics of a window, which begins and ends at times since 1970.

        Raises:
            MeasureError: a query has no value, several, or one that is not finite.
            UnreachableError: the server does not answer.
        """
        # No longer than `wait_s`: the wall clock may have been set back since the window ended.
        time.sleep(min(self.wait_s, max(0.0, window[1] + self.wait_s - time.time())))
        end = time.monotonic() + self.timeout_s
        return {name: self._value(name, query, window, end) for name, query in self.queries.items()}

    def _value(self, name: str, query: Query, window: tuple[float, float], end: float) -> float:
        is_first = True
        while True:
            try:
                if query.is_instant:
                    return self._at_end(name, query, window)
                return aggregated(self._points(name, query, window), query.of)
            except (_NotYetError, UnreachableError) as error:
                if is_first and isinstance(error, _NothingError):
                    unmatched = self._unmatched(name, query)
                    if unmatched is not None and unmatched.certain:
                        raise unmatched from None
                is_first = False
                if time.monotonic() + _PAUSE_S < end:
                    time.sleep(_PAUSE_S)
                    continue
                if isinstance(error, UnreachableError):
                    raise
                # Only now: a metric may be new, and a name spelt alike that of another target.
                is_nothing = isinstance(error, _NothingError)
                unknown = self._unknown(name, query) if is_nothing else None
                unknown = unknown or (self._unmatched(name, query) if is_nothing else None)
                raise unknown or MeasureError(str(error)) from None

    def _unknown(self, name: str, query: Query) -> NotThereError | None:
        """That the server has no metric of a name in the query; certain if it is a typo.

        Another one may be new, and still arrive.
        """
        for metric in metrics_in(query.text):
            if self._listed("series", {"match[]": metric, "limit": "1"}) != []:
                continue
            near = nearest(metric, self._listed("label/__name__/values", {}) or [], 0.8)
            hint = f"did you mean '{near}'?" if near else "check its name, and that it is scraped."
            said = f"{self.url} has no metric '{metric}', which the query of '{name}' needs; {hint}"
            return NotThereError(said, certain=near is not None and is_typo(metric, near))
        return None

    def _unmatched(self, name: str, query: Query) -> NotThereError | None:
        """That a metric of the query has no series with its labels; certain if it is a typo."""
        for selector in selectors_in(query.text):
            found = [
                self._listed("series", {"match[]": one, "limit": "1"})
                for one in (selector.text, selector.metric)
            ]
            if found[0] == [] and found[1]:
                return self._labels_of(name, selector)
        return None

    def _labels_of(self, name: str, selector: Selector) -> NotThereError:
        """Which label of a selector no series of its metric has, and which there are."""
        place = f"{self.url} has '{selector.metric}' with no series of {selector.labels}, which"
        place += f" the query of '{name}' needs"
        only = {"match[]": selector.metric}
        labels = [one for one in self._listed("labels", only) or [] if one != "__name__"]
        for label, value in selector.equal.items():
            if label not in labels:
                near = nearest(label, labels)
                said = f"{place}; its labels are {_some(labels, label)}."
                return NotThereError(said, certain=near is not None and is_typo(label, near))
            values = self._listed(f"label/{label}/values", only) or []
            if value not in values:
                near = nearest(value, values)
                said = f"{place}; '{label}' is {_some(values, value)}."
                return NotThereError(said, certain=near is not None and is_typo(value, near))
        return NotThereError(f"{place}; its labels are {_some(labels)}.", certain=False)

    def _listed(self, kind: str, fields: Mapping[str, str]) -> list[Any] | None:
        """A list of the server's; None where it does not answer the question."""
        try:
            _, document = self._answer(kind, fields, "GET")
        except UnreachableError:
            return None
        found = document.get("data") if document.get("status") == "success" else None
        return found if isinstance(found, list) else None

    def _at_end(self, name: str, query: Query, window: tuple[float, float]) -> float:
        begin, end = window
        whole_ms = math.floor((end - begin) * 1000)
        if whole_ms < 1:
            raise MeasureError(f"The measured run is too short for the query of '{name}'.")
        whole_s = whole_ms / 1000
        selector_s = min(2 * self.step_s, whole_s)
        found = looked(query.text, selector_s, whole_s)
        if found.seconds > whole_s + 1e-6:
            raise MeasureError(
                f"The query of '{name}' looks back {found.seconds:g} s, and the measured run took "
                f"{whole_s:.3g} s; shorten its ranges, or measure longer."
            )
        fields = {"query": found.text, "time": f"{end:.3f}", "lookback_delta": f"{selector_s:g}"}
        series = self._ask("query", fields, name)
        return self._finite(name, self._only(name, series).get("value"))

    def _points(self, name: str, query: Query, window: tuple[float, float]) -> list[float]:
        selector_s = 2 * self.step_s
        back_s = max(looked(query.text, selector_s).seconds, selector_s)
        begin, end = window
        count = math.floor((end - begin - back_s) / self.step_s) + 1
        if count < 1:
            why = (
                f"its query looks back {back_s:g} s; use [{WINDOW}], or measure longer"
                if back_s > selector_s
                else f"two steps of {self.step_s:g} s are needed; measure longer, or scrape more "
                "often and set 'step' to that"
            )
            raise MeasureError(
                f"The measured run took {end - begin:.3g} s, too short for '{name}': {why}."
            )
        if count > _MOST_POINTS:
            raise MeasureError(
                f"'{name}' would have {count} points in a window of {end - begin:.0f} s; set "
                f"'step' to at least {(end - begin) / _MOST_POINTS:.1f}s."
            )
        first, last = begin + back_s, begin + back_s + (count - 1) * self.step_s
        fields = {"start": f"{first:.3f}", "end": f"{last:.3f}", "step": f"{self.step_s:g}"}
        fields |= {"query": query.text, "lookback_delta": f"{selector_s:g}"}
        found = self._only(name, self._ask("query_range", fields, name)).get("values", [])
        if len(found) < count:
            raise _NotYetError(
                f"The query of '{name}' has {len(found)} of {count} points in the window: its "
                f"target was away, or is scraped less often than every {self.step_s:g} s ('step')."
            )
        return [self._finite(name, pair) for pair in found]

    def _only(self, name: str, series: list[dict[str, Any]]) -> dict[str, Any]:
        if not series:
            raise _NothingError(
                f"The query of '{name}' found nothing in the window; check its labels, that its "
                "target was scraped, and for a rate that it was scraped at least twice."
            )
        if len(series) > 1:
            shown = " and ".join(_labels(one) for one in series[:2])
            raise MeasureError(
                f"The query of '{name}' found {len(series)} series, such as {shown}; make one of "
                "them, such as by sum(…), or select one by its labels."
            )
        return series[0]

    def _finite(self, name: str, pair: Any) -> float:
        """The number of a pair of time and text."""
        text = pair[1] if isinstance(pair, list) and len(pair) == 2 else None
        number = math.nan
        with contextlib.suppress(TypeError, ValueError):
            number = float(text)  # type: ignore[arg-type]
        if not math.isfinite(number):
            raise MeasureError(
                f"The query of '{name}' found {str(text)[:40]} in the window, which is not a "
                "finite number, as of 0/0 where nothing was counted."
            )
        return number

    def _ask(self, kind: str, fields: Mapping[str, str], name: str) -> list[dict[str, Any]]:
        """The series of an answer; a scalar is a series without labels."""
        sent = time.time()
        answer, document = self._answer(kind, fields)
        if answer.status in (401, 403):
            secret = self.bearer or self.basic
            hint = f"check ${secret}" if secret else "give 'prometheus' its 'auth'"
            raise UnreachableError(f"{self.url} refused the queries ({answer.status}); {hint}.")
        if document.get("status") != "success":
            if answer.status in (400, 422):
                said = self._without_secret(" ".join(str(document.get("error")).split())[:300])
                raise MeasureError(f"{self.url} refused the query of '{name}': {said}.")
            raise UnreachableError(
                f"{self.url} answered {answer.status} and not as Prometheus does; check 'url'."
            )
        self._check_clock(answer.headers.get("date"), sent)
        data = document.get("data")
        kind_of, result = (data.get("resultType"), data.get("result")) if data else (None, None)
        if kind_of == "scalar":
            return [{"metric": {}, "value": result}]
        if kind_of not in ("vector", "matrix") or not isinstance(result, list):
            raise MeasureError(f"The query of '{name}' is a {kind_of}, not a number.")
        return result

    def _answer(
        self, kind: str, fields: Mapping[str, str], method: str = "POST"
    ) -> tuple[urllib3.BaseHTTPResponse, dict[str, Any]]:
        import urllib3

        # Without redirects: another server is not to see the token.
        timeout = urllib3.Timeout(connect=5.0, read=_ANSWER_S)
        try:
            with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
                form: dict[str, Any] = {"encode_multipart": False} if method == "POST" else {}
                answer = pool.request(
                    method,
                    f"{self.url.rstrip('/')}/api/v1/{kind}",
                    fields=dict(fields),
                    headers=self._headers(),
                    redirect=False,
                    preload_content=False,
                    **form,
                )
                data = answer.read(_LARGEST)
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            said = self._without_secret(str(error))[-200:]
            raise UnreachableError(f"{self.url} does not answer: {said}.") from None
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        return answer, document if isinstance(document, dict) else {}

    def _check_clock(self, date: str | None, sent: float) -> None:
        """Refuse a server whose clock shows another time: the window would be another one there."""
        try:
            there = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        # The header has whole seconds.
        late_s = max(sent - there - 1, there - time.time())
        if late_s > max(self.step_s, 1.0):
            raise UnreachableError(
                f"The clock of {self.url} differs by {late_s:.0f} s from this machine's; "
                "synchronise both."
            )

    def _headers(self) -> dict[str, str]:
        if self.bearer is not None:
            return {"authorization": f"Bearer {_secret(self.bearer)}"}
        if self.basic is not None:
            credentials = base64.b64encode(_secret(self.basic).encode()).decode()
            return {"authorization": f"Basic {credentials}"}
        return {}

    def _without_secret(self, said: str) -> str:
        name = self.bearer or self.basic
        return said.replace(_secret(name), f"${name}") if name else said


class _NotYetError(BenchmarkError):
    """Points are missing, which may still arrive."""


class _NothingError(_NotYetError):
    """There is no point at all."""


def _secret(name: str) -> str:
    found = os.environ.get(name, "")
    if not found or not found.isprintable():
        raise SetupError(
            f"'auth' of 'prometheus' takes its secret from ${name}, which is not set to a line of "
            "text where the trial runs; export it."
        )
    return found


def _some(names: list[str], wanted: str = "") -> str:
    """The names, the ones most like the wanted one first; of many only these."""
    shown = sorted(names, key=lambda one: -SequenceMatcher(None, wanted, one[:100]).ratio())[
        :_SHOWN
    ]
    more = [f"or one of {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*(one[:100] for one in shown), *more]) or "not there"


def _labels(series: Mapping[str, Any]) -> str:
    labels = {str(key): str(value) for key, value in series.get("metric", {}).items()}
    name = labels.pop("__name__", "")
    return (name + "{" + ", ".join(f'{key}="{text}"' for key, text in labels.items()) + "}")[:120]
