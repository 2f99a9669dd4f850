"""How far queries of Prometheus look back: never beyond the window of a run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.prometheus import Prometheus, Query
from benchmark.hpo.objectives.metrics.promql import looked
from benchmark.hpo.spec.study_file import StudyError, define
from tests.support.small_studies import declared

# A minute that is over, so that nothing is waited for.
WINDOW = (1_700_000_000.0, 1_700_000_060.0)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (
            "max_over_time(sum(rate(a[15s]))[$window:5s]) / sum(increase(a[$window]))",
            "max_over_time(sum(rate(a[15s]))[40000ms:5s]) / sum(increase(a[60000ms]))",
        ),
        ("max_over_time(rate(a[30s])[ $window :5s])", "max_over_time(rate(a[30s])[30000ms:5s])"),
        ("a[$window] + rate(a[60s]) # [$window", "a[60000ms] + rate(a[60s]) # [60000ms"),
    ],
)
def test_what_is_beside_the_window_lies_within_it(text: str, asked: str) -> None:
    found = looked(text, 20, 60)
    assert (found.text, found.seconds, found.faults) == (asked, 60, [])


@pytest.mark.parametrize(
    "text",
    [
        "increase(a[$window]) / increase(a[61])",
        "increase(a[$window] offset 1s)",
        "max_over_time(rate(a[61s])[$window:5s])",
    ],
)
def test_what_looks_beyond_the_window_is_not_asked(text: str) -> None:
    with pytest.raises(MeasureError, match=r"looks back 61\S* s, and the measured run took 60 s"):
        Prometheus("http://127.0.0.1:9", {"found": Query(text)}, wait_s=0).read(WINDOW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate(a[5x])", "has '[5x]', whose length is unknown; write a duration"),
        ("rate(a[2 * 1m])", "has '[2 * 1m]', whose length is unknown"),
        ("rate(a[1m] offset -5m)", "has 'offset -5m', which looks at samples from after"),
        ("rate(a[1m] @ 1600000000)", "has '@ 1600000000', a time outside"),
        ("a[$window] offset 5m", "looks back 300 s beyond the window"),
    ],
)
def test_queries_that_never_keep_to_the_window(tmp_path: Path, text: str, said: str) -> None:
    """Refused in a new study; a stored one stays readable."""
    server = {"url": "http://localhost:9090"}
    others = {"b": "rate(a[1m] @ end())", "c": "a[$window] / increase(b[1h])", "d": "a offset 5m"}
    metrics = {"prometheus": server | {"queries": {"rps": text} | others}}
    values = declared("true", objective={"metrics": metrics, "value": "rps"})
    with pytest.raises(StudyError) as caught:
        define(values, tmp_path)
    assert str(caught.value).startswith(f"The study: The query of 'rps' {said}")
    define(values, tmp_path, stored=True)


def test_a_wall_clock_that_was_set_back_makes_no_wait_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    Prometheus("", wait_s=7.0).read((0.0, time.time() + 3600))
    assert slept == [7.0]
