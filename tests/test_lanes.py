"""The lanes of the integration tests: which tests they hold, and how a failure shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import lanes

TESTS = Path(__file__).parent
MARK = "mark." + "integration"


def test_every_integration_test_belongs_to_one_lane():
    files = [path for path in TESTS.rglob("test_*.py") if MARK in path.read_text(encoding="utf-8")]
    assert len(files) > 30
    for file in files:
        path = file.relative_to(TESTS)
        held = [
            name
            for name, places in lanes.LANES.items()
            for place in places
            if path == Path(place) or Path(place) in path.parents
        ]
        assert len(held) == 1, f"{path}: {held or 'in no lane'}"


def test_every_place_of_a_lane_is_there():
    places = [place for held in lanes.LANES.values() for place in held]
    assert [place for place in places if not (TESTS / place).exists()] == []


@pytest.mark.slow
def test_a_failing_lane_shows_its_log_and_the_end_names_every_test(tmp_path, monkeypatch, capsys):
    (tmp_path / "tests" / "made").mkdir(parents=True)
    (tmp_path / "tests" / "made" / "test_made.py").write_text(
        "import pytest\n"
        f"pytestmark = pytest.{MARK}\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'one is not two'\n"
        "@pytest.mark.skip(reason='no such machine')\n"
        "def test_absent(): pass\n"
    )
    (tmp_path / "tests" / "whole").mkdir()
    (tmp_path / "tests" / "whole" / "test_whole.py").write_text(
        f"import pytest\n@pytest.{MARK}\ndef test_heavy(): assert False\ndef test_whole(): pass\n"
    )
    monkeypatch.setattr(lanes, "ROOT", tmp_path)
    monkeypatch.setattr(lanes, "LANES", {"first": ("made",)})
    monkeypatch.setattr(lanes, "PROCESSES", 0)
    monkeypatch.setattr(sys, "argv", ["lanes", "--tests"])
    # The lanes' own settings have these; each takes a second to import.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:schemathesis -p no:hypothesispytest -p no:anyio")
    assert lanes.main() == 1
    shown = capsys.readouterr().out
    assert "lane first failed" in shown
    assert "one is not two" in shown
    assert "no such machine" in shown.partition("Did not run:")[2]
    ran = shown.partition("Ran for real:")[2].partition("Did not run:")[0]
    assert "test_good" in ran
    assert "tests: 1" in ran
    assert "test_bad" in shown.partition("Failed:")[2]
    assert shown.splitlines()[-1] == "2 passed, 1 failed, 1 skipped"


@pytest.mark.slow
def test_a_lane_that_hangs_is_interrupted_and_shows_where_it_was(tmp_path, monkeypatch, capsys):
    (tmp_path / "tests" / "made").mkdir(parents=True)
    (tmp_path / "tests" / "made" / "test_made.py").write_text(
        f"import pytest, time\n@pytest.{MARK}\ndef test_endless():\n"
        "    for _ in range(2):\n"
        "        try: time.sleep(3600)\n"
        "        except KeyboardInterrupt: pass\n"
    )
    monkeypatch.setattr(lanes, "ROOT", tmp_path)
    monkeypatch.setattr(lanes, "LANES", {"first": ("made",), "second": ("made",)})
    # Longer than pytest needs to start: before, it dies of the signal and has no log.
    monkeypatch.setattr(lanes, "DEADLINE_S", 8.0)
    monkeypatch.setattr(lanes, "END_S", 2.0)
    monkeypatch.setattr(sys, "argv", ["lanes", "--jobs", "1"])
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:schemathesis -p no:hypothesispytest -p no:anyio")
    assert lanes.main() == 1
    shown = capsys.readouterr().out
    assert "Not ended in time, interrupted: first, second (not run)" in shown
    assert "lane first failed" in shown


@pytest.mark.parametrize(
    ("typed", "said"), [(["nothing"], "no lane 'nothing'"), (["--jobs", "0"], "--jobs is 0")]
)
def test_what_is_typed_wrong_is_a_sentence(typed, said):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.lanes", *typed],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
