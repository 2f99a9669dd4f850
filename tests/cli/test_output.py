"""A command's report: JSON that any program reads, or lines."""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.output import agreed, notice, report, show
from benchmark.cli.progress import line
from benchmark.cli.setup import data
from benchmark.data import Catalogue
from benchmark.errors import BenchmarkError, DataError
from benchmark.files.output_files import staged
from benchmark.records.record import Cause, Record


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
    with pytest.raises(
        BenchmarkError,
        match="No space left on device; free some disk space or redirect it elsewhere",
    ):
        show("a result")


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(BenchmarkError, match="Delete all\\? Not a terminal; pass --yes"):
        agreed("Delete all?")


def test_no_control_character_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b]0;title\x07\x9b2J\u202eb\ud800"
    record = Record("a\x1b/b/1", "failure", cause=Cause.FRAMEWORK, message=hostile)
    notice(line(record))
    notice(hostile)
    show(hostile)
    report(argparse.Namespace(json=True), {"name": hostile}, [])
    said = "".join(capsys.readouterr())
    assert all(sign.isprintable() or sign == "\n" for sign in said)
    assert "a\\u001b]0;title" in said


def test_a_server_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data, "TRYING_S", 0.01)
    with data.Downloads() as downloads:
        downloads.hear({"name": "task-59 and 1 more", "asked": "www.openml.org"})
        downloads._trying.join(60)
        monkeypatch.setattr(data, "TRYING_S", 3600.0)
        downloads.hear({"name": "task-60", "asked": "www.openml.org"})
        downloads.hear({"name": "task-60", "done": True})
        downloads._trying.join(60)
    assert capsys.readouterr().err == "Trying www.openml.org for task-59 and 1 more …\n"


def test_estimate_names_a_server_that_does_not_answer(
    typed: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def of(_: object, hear: Any) -> Catalogue:
        hear({"name": "study-135", "asked": "www.openml.org"})
        hear.__self__._trying.join(60)
        raise DataError("study 135: it cannot be reached.")

    monkeypatch.setattr(data, "TRYING_S", 0.0)
    monkeypatch.setattr(Catalogue, "of", of)
    ended = typed(tmp_path, "estimate", "--set", 'frameworks=["constant"]')
    trying, refused = ended.stderr.splitlines()[-2:]
    assert trying == "Trying www.openml.org for study-135 …"
    assert refused == "error: study 135: it cannot be reached."


@pytest.mark.parametrize("file", ["results/table.csv", None])
def test_a_full_disk_is_named(
    command: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    file: str | None,
) -> None:
    """A write to an open file does not say where it is; the full places are named instead."""

    def fail(options: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file)

    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    monkeypatch.setattr("benchmark.cli.runs.status.show_status", fail)
    ended = command("status")
    assert ended.returncode == 2
    where = file or f"{tmp_path / 'work'} (1 MiB free)"
    assert f"error: No space left on device: {where}" in ended.stderr
    assert ended.stderr.rstrip().endswith("; free space there.")


def test_a_file_is_written_whole_through_a_link_and_not_over_a_device(tmp_path: Path) -> None:
    """As figures, tables and copied logs are, whose folder may have links to files elsewhere."""
    own, link, pipe = tmp_path / "own.csv", tmp_path / "link.csv", tmp_path / "pipe"
    own.write_text("earlier")
    link.symlink_to(own)
    with staged(link) as file:
        file.write_text("new")
    assert (own.read_text(), link.is_symlink()) == ("new", True)
    os.mkfifo(pipe)
    with pytest.raises(BenchmarkError, match="pipe is not a regular file"), staged(pipe):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "own.csv", "pipe"]


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    table, beside = tmp_path / "a[1].csv", tmp_path / ".a[1].csv.other"
    left = tmp_path / ".a[1].csv.123-0123abcd"
    copies = [tmp_path / f".a[1].csv.{end}" for end in ("bak-20261201", "5.bak-deadbeef")]
    for path in (left, beside, *copies):
        path.write_text("half")
        os.utime(path, (1, 1))
    pipe, link = (tmp_path / f".a[1].csv.{number}-0123abcd" for number in (124, 125))
    os.mkfifo(pipe)
    link.symlink_to(beside)
    for path in (pipe, link):
        os.utime(path, (1, 1), follow_symlinks=False)
    with staged(table) as mine:
        assert not left.exists()
        mine.write_text("mine")
        os.utime(mine, (1, 1))
        with staged(table) as other:
            other.write_text("other")
        assert mine.read_text() == "mine"
    assert table.read_text() == "mine"
    kept = {beside, *copies, pipe, link, table}
    assert set(tmp_path.iterdir()) == kept
