"""What a command prints at Ctrl-C."""

from __future__ import annotations

import os
import sys

import pytest

from benchmark.cli.interrupt import stopping

SAID = "\nStopping; Ctrl-C again leaves at once; `tune --resume first` resumes.\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_it_names_how_to_resume_and_shows_the_cursor_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    stopping("tune --resume first")()
    assert capfd.readouterr().err == ("\x1b[?25h" if terminal else "") + SAID
    stopping()()
    os.write(2, b"end")
    assert capfd.readouterr().err.endswith("\nStopping; Ctrl-C again leaves at once.\nend")


def test_a_long_command_is_broken_between_words(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    stopping("resume-compute --dataset penguins --dataset titanic --dataset concrete")()
    assert capfd.readouterr().err == (
        "\x1b[?25h\nStopping; Ctrl-C again leaves at once; `resume-compute --dataset penguins\n"
        "  --dataset titanic --dataset concrete` resumes.\n"
    )
