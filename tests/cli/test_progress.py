"""The progress bar of a study on a terminal."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from benchmark.cli.progress import Progress
from benchmark.cli.studies.tune import TrialProgress, _ends
from benchmark.hpo.driver.loop import Tuned
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.records.record import Cause, Record
from benchmark.store import Store

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def records() -> list[Record]:
    params = {"values": [3.0], "params": {"x": 0.123456789}}
    worse = {"values": [5.0], "params": {"x": 0.5}}
    return [
        Record("0", "success", metrics={"value": 3.0}, labels=params),
        Record("1", "success", metrics={"value": 5.0}, labels=worse),
        Record("2", "failure", Cause.FRAMEWORK, "[bold]Exit code 3."),
    ]


@pytest.fixture
def study(folder_store: Store, tmp_path: Path) -> Study:
    values = {"name": "s", "direction": "minimize", "tunables": [X], "trials": 4}
    return Study.begin(
        folder_store, define(values | {"objective": {"command": ["true"]}}, tmp_path)
    )


def test_a_bar_with_the_best_so_far(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with TrialProgress(study, 2) as progress:
        for record in records():
            progress.add(record)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "0/4 2 running" in shown
    assert "3/4 best 3 (trial 0), 1 running" in shown
    assert "trial 0: success: value 3 [x=0.123457]" in shown
    assert "trial 2: failed: [bold]Exit code 3. []" in shown


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (120, "1 running, 1 timeout, auc 0.871 long-name/titanic/75"),
        (90, "1 running, 1 timeout, auc 0.871 long-name/tita…"),
        (60, "1 running, 1 timeout"),
    ],
)
def test_the_latest_score_of_a_run(
    columns: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    labels = {"framework": "long-name", "dataset": "titanic", "seed": 75}
    with Progress(3, 2) as progress:
        progress.add(
            Record(
                *("long-name/titanic/75", "success"),
                metric="auc",
                metrics={"auc": 0.87123},
                labels=labels,
            )
        )
        progress.add(Record("a/titanic/75", "failure", Cause.TIMEOUT, "It took too long."))
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert f"2/3 {shown} 0:" in drawn


def test_a_run_that_needs_no_more_has_a_full_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where only a cluster knows how many tasks run, those that are left are counted."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Progress(32, None) as progress:
        for number in range(16):
            progress.add(Record(f"f/d/{number}", "success"))
        progress.leave_out(16)
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "0/32 32 left" in drawn
    assert "16/16 0 left" in drawn.splitlines()[-1]


def test_a_single_value_is_called_value_and_others_have_their_names(
    folder_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(name: str, value: str, direction: object = "minimize") -> str:
        objective = {"command": ["true"], "value": value}
        values = {"name": name, "direction": direction, "tunables": [X], "trials": 4}
        if not isinstance(direction, str):
            objective["value"] = {"t": value}
        study = Study.begin(folder_store, define(values | {"objective": objective}, tmp_path))
        with TrialProgress(study, 2) as progress:
            labels = {"values": [3.0], "params": {"x": 0.5}}
            metrics = {next(iter(study.definition.directions)): 3.0}
            progress.add(Record("0", "success", metrics=metrics, labels=labels))
        return capsys.readouterr().err

    assert shown("a", "p95") == "trial 0: success: value 3 [x=0.5]\n"
    assert shown("b", "p95 / 2") == "trial 0: success: value 3 [x=0.5]\n"
    assert shown("c", "p95", {"t": "minimize"}) == "trial 0: success: t 3 [x=0.5]\n"


def test_a_line_each_in_a_log(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with TrialProgress(study, 2) as progress:
        for record in records()[:2]:
            progress.add(record)
    assert capsys.readouterr().err == (
        "trial 0: success: value 3 [x=0.123457]\ntrial 1: success: value 5 [x=0.5]\n"
    )


def test_a_study_that_stops_early_says_which_file_no_trial_has(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "churn.csv").write_text("a")
    why = "The first 5 trials: No such file or directory: 'w/churn.csv'."
    _ends(Tuned(why_stopped=why), study.definition, "local")
    assert "objective: files: [churn.csv]" in capsys.readouterr().err
