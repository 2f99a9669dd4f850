"""A command's report: JSON that any program reads, or lines."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import pytest

from benchmark.cli.output import agreed, notice, report, tell
from benchmark.errors import BenchmarkError


def test_json_has_no_value_that_json_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"a": [math.nan, 1.5, -math.inf], "ü": {1: math.inf}, "n": (1, None, True)}
    report(argparse.Namespace(json=True), facts, ["a line"])
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == {"a": [None, 1.5, None], "ü": {"1": None}, "n": [1, None, True]}


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    report(argparse.Namespace(json=False), {"a": 1}, ["one", "two"])
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_full_disk_is_told_of_the_report_and_not_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", device)
    monkeypatch.setattr(sys, "stderr", device)
    notice("nobody reads this")
    with pytest.raises(BenchmarkError, match="No space left on device; free its place"):
        tell("a result")


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(BenchmarkError, match="Delete all\\? There is nobody to ask; say --yes"):
        agreed("Delete all?")
