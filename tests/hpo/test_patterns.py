"""Patterns of studies: Python's own expressions, in a process that a budget ends."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import BenchmarkError
from benchmark.hpo.objectives import patterns
from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.measuring import Measuring
from benchmark.hpo.objectives.patterns import PatternError, check, first, last
from benchmark.hpo.objectives.rules import Rule, read_rule

TEXT = "step 1 loss=0.5\nstep 2 loss=0.25\nü done\n"


@pytest.fixture(autouse=True)
def budget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(patterns, "BUDGET_S", 0.1)
    monkeypatch.setattr(patterns, "_LOOK_S", 0.02)
    yield
    assert first("a", "a") == (0, 1)  # whatever it was, the next one is served


def test_what_is_found() -> None:
    assert last(r"^step \d+ loss=([0-9.]+)$", TEXT) == (16, 28, 32, "0.25")
    assert last(r"loss=(x)?", TEXT) is None
    assert last("absent(.)", TEXT) is None
    assert first("loss", TEXT) == (7, 11)
    assert first("ü|ä", TEXT) == (33, 34)
    assert first("^step 2", TEXT) is None
    assert (check("(a)(b)"), check("")) == (2, 0)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 40 + "b"),
        ("(a|aa)+$", "a" * 60 + "b"),
        ("(.*)*x", "a" * 40),
        (r"\d*\d*\d*\d*x", "1" * 3000),
        (r"(?=(a+))*b|(a?){60}a{60}x", "a" * 60),
    ],
)
def test_what_never_ends_is_ended(pattern: str, text: str) -> None:
    with pytest.raises(PatternError, match=re.escape(f"The pattern '{pattern}' takes more than")):
        first(pattern, text)
    with pytest.raises(PatternError):
        Rule(patterns=(pattern,)).of_output(text)
    with pytest.raises(PatternError):
        Measuring(patterns={"x": f"({pattern})"}).read(Path(), text)


@pytest.mark.parametrize(
    "pattern", ["(", "a{2", "*", "(?P<1>a)", "(?<=a+)b", "[z-a]", "(" * 500, "a" * 1001]
)
def test_what_is_no_pattern_is_refused_when_read(pattern: str) -> None:
    if pattern == "a{2":
        assert check(pattern) == 0  # Python takes it for its characters
        return
    with pytest.raises(PatternError, match=r"not a regular expression|characters"):
        check(pattern)
    faults: list[str] = []
    read_rule({"patterns": [pattern]}, "prune", Rule(), faults)
    assert len(faults) == 1


def test_a_pattern_that_is_no_text_is_a_fault() -> None:
    faults: list[str] = []
    read_rule({"patterns": [7]}, "prune", Rule(), faults)
    assert faults == ["'prune' has a pattern that cannot be used: 7 is not a text."]


def test_a_matcher_that_is_ended_from_outside_is_started_again() -> None:
    assert first("a", "ba") == (1, 2)
    process = patterns._matcher._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert first("a", "ba") == (1, 2)


def test_a_matcher_that_does_not_start_is_no_fault_of_a_pattern(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matcher = patterns._Matcher()
    monkeypatch.setattr(patterns, "_matcher", matcher)
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/bin/false")
        for _ in range(2):
            with pytest.raises(BenchmarkError, match="does not start") as raised:
                first("a", "a")
            assert not isinstance(raised.value, PatternError)
    assert first("a", "a") == (0, 1)
    assert matcher._process is not None
    matcher._end(matcher._process)


def test_threads_and_large_texts() -> None:
    found: list[object] = []
    text = "x" * 2_000_000 + "loss=7"
    threads = [
        threading.Thread(target=lambda: found.append(last("loss=(.)", text))) for _ in range(4)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "BUDGET_S", 60)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [(2_000_000, 2_000_005, 2_000_006, "7")] * 4


def test_what_matches_nothing_is_said() -> None:
    with pytest.raises(MeasureError, match="nothing that matches 'loss=x"):
        Measuring(patterns={"loss": "loss=x(.)"}).read(Path(), TEXT)


def test_a_pattern_is_not_slow_because_its_process_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert first("a", "ba") == (1, 2)
    process = patterns._matcher._process
    assert process is not None
    looks: list[int] = []

    def looked(pid: int) -> float:
        looks.append(pid)
        if len(looks) == 30:  # after twice the budget
            os.kill(pid, signal.SIGCONT)
        return computed_s(pid)

    computed_s = patterns._computed_s
    monkeypatch.setattr(patterns, "_computed_s", looked)
    os.kill(process.pid, signal.SIGSTOP)
    assert first("b", "ba") == (0, 1)
    assert len(looks) >= 30


@settings(max_examples=50)
@given(
    st.text(st.characters(codec="utf-8"), max_size=60), st.sampled_from(["a", "(b|a)c?", r"\w+"])
)
def test_it_is_pythons_own(text: str, pattern: str) -> None:
    match = re.search(pattern, text)
    assert first(pattern, text) == (match.span() if match else None)


@pytest.mark.parametrize(
    ("pattern", "text", "whole"),
    [
        (r"tps=([0-9.]+)", "tps=1,234.5", "1,234"),
        (r"tps=([0-9.]+)", "tps=1'234", "1'234"),
        (r"tps=([0-9.]+)", "tps=1\u2009234", "\u2009234"),
        (r"tps=(\d+)", "tps=812.5", "812.5"),
        (r"tps=([0-9.]+)", "tps=1.5e+06", "1.5e+06"),
        (r"tps.*([0-9.]+)", "tps=812.5", "2.5"),
        (r"(\d+)$", "tps 812.5", "812.5"),
        (r"([0-9.]+)$", "tps 1,234", "1,234"),
        (r"(\d+)$", "tps 1,234,567", ",567"),
        (r"(\d+)$", "tps 1234,567", ",567"),
        (r"([0-9.]+)$", "loss -0.5", "-0.5"),
        (r"([0-9.]+)$", "-500", "-500"),
        (r"p99: ([0-9.]+)", "p99: 3,14 ms", "3,14"),
        (r"p99: ([0-9.]+)", "p99: 3,1415926 ms", "5926"),
        (r"([0-9.]+) ms", "p99: 3,14 ms", "3,14"),
        (r"([0-9.]+)", "3,5", "3,5"),
        (r"(\d+)", "\n3,5\n", "3,5"),
    ],
)
def test_a_part_of_a_number_is_not_one(pattern: str, text: str, whole: str) -> None:
    with pytest.raises(MeasureError, match=rf"is a part of '\S*{re.escape(whole[-4:])}'; let"):
        Measuring(patterns={"m": pattern}).read(Path(), text)


@pytest.mark.parametrize(
    ("pattern", "text", "whole"),
    [
        (r"p99 (\S+)", "p99 1 234", "1 234"),
        (r"p99\s+(\d+)", "p99 12 345 678 us", "12 345 678"),
        (r"p99 ([0-9.]+)", "p99 1 234.5ms", "1 234.5"),
        (r"p99 (-?\d+)", "p99 -1 234,5", "-1 234,5"),
        (r"(\d+)$", "p99 1 234", "1 234"),
        (r"([0-9.]+) ms", "p99 12 345 678.5 ms", "12 345 678.5"),
    ],
)
def test_what_may_be_a_part_of_a_number_with_blanks_is_refused(
    pattern: str, text: str, whole: str
) -> None:
    with pytest.raises(MeasureError, match=rf"may be a part of '{re.escape(whole)}', a number"):
        Measuring(patterns={"m": pattern}).read(Path(), text)


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        (r"p99 (\d+) \d+", "p99 1 234", 1),
        (r"\d+ (\d+)$", "p99 1 234", 234),
        (r"p99 (\d+)", "p99 1  234", 1),
        (r"p99 (\d+)", "p99 1\t234", 1),
        (r"p99 (\d+)", "p99 1 23 456", 1),
        (r"p99 ([0-9.]+)", "p99 1.5 234", 1.5),
        (r"p99 (\d+)", "p99 1234 567", 1234),
        (r"p99 (\d+)", "p99 0 234", 0),
        (r"took (\d+)", "took 5 127.0.0.1", 5),
        (r"took (\d+)", "took 5 100/200", 5),
        (r"(\d+)$", "p99 234", 234),
        (r"^(\d+),", "17,234", 17),
        (r",(\d+)$", "17,234", 234),
        (r"^(\d+)", "17,2345", 17),
        (r"([0-9.]+)", "p99 of a-3", 3),
        (r"took (\d+)\.\d+", "took 17.5", 17),
        (r"([0-9.]+)", "it took 17.", 17),
        (r"tps = ([0-9.]+) \(incl", "tps = 5 (including)\ntps = 6 (excluding)", 5),
        (r"requests ([0-9.]+)", "requests 5\nrequests completed", 5),
        (r"loss=([0-9.]+)", "loss=-1\nloss=0.5\nLOSS=-1", 0.5),
        (r"avg: ([0-9.]+)", "avg: 5\navg:\n  17 runs", 5),
        (r"a=([0-9.]+)", "a=1 b=2 extra=-1", 1),
        (r"result ([0-9.]+)", "result 0.512,100", 0.512),
        (r"(?m)^([0-9.]+)", "0.512,100", 0.512),
        (r"(?m)(\d+)$", "0.5,100", 100),
        (r"(?m)(\d+)$", "0.512,100,200", 200),
        (r"tps ([0-9.]+)", "tps 950.4,120 clients", 950.4),
        (r"tps ([0-9.e]+)", "tps 1e3,120 clients", 1000),
        (r"p99: ([0-9.]+)", "p99: 3, max: 4", 3),
        (r"times: (\d+)", "times: 3,4,5", 3),
        (r"(\d+)$", "times: 3,4,5", 5),
        (r"p99: (\d+),\d+", "p99: 3,14", 3),
    ],
)
def test_a_whole_number_is_found(pattern: str, text: str, value: float) -> None:
    assert Measuring(patterns={"m": pattern}).read(Path(), text) == {"m": value}


@pytest.mark.parametrize(
    ("pattern", "text", "later"),
    [
        (r"loss=([0-9.]+)", "loss=0.5\nloss=-0.2\n", "-0.2"),
        (r"loss=([0-9.]+)", "loss=0.5\nloss=--\n", "--"),
        (r"loss=([0-9.]+),", "loss=0.5, acc=1\nloss=-0.2, acc=1\n", "-0.2"),
        (r"loss=([0-9]+\.[0-9]+)", "loss=0.5\nloss=17\n", "17"),
        (r"99%\s+([0-9.]+)ms", "99%  1.5ms\n99%  1.20s\n99% 1.5s", "1.5s"),
        (r"^tps: (\d\d)$", "tps: 12\ntps: 13 (warm)\ntps: 123", "123"),
    ],
)
def test_an_older_match_does_not_stand_for_a_later_value(
    pattern: str, text: str, later: str
) -> None:
    with pytest.raises(MeasureError, match=rf"'{re.escape(later)}' for 'm' comes after the last"):
        Measuring(patterns={"m": pattern}).read(Path(), text)
